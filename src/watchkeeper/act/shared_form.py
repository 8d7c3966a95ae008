"""Records in the form in which other programs read them: plain fields, times in ISO 8601."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import NormalDist
from typing import Any, Final

import msgspec

from watchkeeper.bus.share import Recent
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.change import Change
from watchkeeper.model.row import Origin
from watchkeeper.model.series import METRIC_NAME, Series
from watchkeeper.model.severity import word_of
from watchkeeper.model.signal import LogBatch

MESSAGE_CHARACTERS: Final = 8192
"""Of a log line; what is longer is cut."""
_LEAST_P: Final = 1e-300
_WORDS: Final = ((4.0, "critical"), (3.0, "high"), (2.5, "medium"))
"""What readers of z-scores call those above."""


def metric_point(series: Series, time_ns: int, value: float) -> dict[str, str]:
    labels = {name: text for name, text in series.labels.items() if name != METRIC_NAME}
    return {
        "timestamp": iso(time_ns),
        "metric_name": series.metric,
        "value": repr(value),
        "labels": _json(_with_service(labels, series.entity.service)),
    }


def log_entry(batch: LogBatch, row: int) -> dict[str, str]:
    origin: Origin = batch.origins[int(batch.origin[row])]
    labels = dict(origin.labels)
    if own := batch.attributes[row]:
        labels |= msgspec.json.decode(own)
    return {
        "timestamp": iso(int(batch.time_ns[row])),
        "level": word_of(int(batch.severity[row])).upper() or "UNKNOWN",
        "message": batch.body.text(row)[:MESSAGE_CHARACTERS],
        "service": origin.entity.service,
        "labels": _json(_with_service(labels, origin.entity.service)),
    }


def deployment(change: Change) -> dict[str, str]:
    """Without an id and who did it, metadata are what the sender gave."""
    own = {"id": change.id, "deployed_by": change.actor, "summary": change.summary}
    return {
        "timestamp": iso(change.time_ns),
        "service": change.entity.service,
        "version": change.version,
        "status": change.status,
        "metadata": _json({**{name: text for name, text in own.items() if text}, **change.details}),
    }


def recent_anomaly(anomaly: Anomaly) -> Recent:
    """The baseline is the middle of the band in which the value was expected, and the z-score the
    one that a bell curve needs to be as surprised as the detector was (its p-value); the standard
    deviation follows from both."""
    mean = _middle(anomaly.expected_low, anomaly.expected_high)
    off = None if mean is None else anomaly.value - mean
    size = -NormalDist().inv_cdf(min(0.5, max(_LEAST_P, anomaly.p_value / 2)))
    z_score = None if off is None else math.copysign(size, off)
    content = {
        "id": anomaly.id,
        "metric_name": anomaly.labels.get(METRIC_NAME, ""),
        "service": anomaly.entity.service,
        "current_value": anomaly.value,
        "baseline_mean": mean,
        "baseline_std_dev": abs(off) / size if off is not None and size else None,
        "z_score": z_score,
        "deviation_percent": 100 * off / abs(mean) if mean and off is not None else None,
        "severity": next((word for above, word in _WORDS if size > above), "low"),
        "detected_at": iso(anomaly.started_ns),
        "peak_at": iso(anomaly.peak_ns),
        "ended_at": None if anomaly.ended_ns is None else iso(anomaly.ended_ns),
        "status": anomaly.status,
        "claim": anomaly.severity,
        "detector": anomaly.detector,
        "p_value": anomaly.p_value,
        "labels": dict(anomaly.labels),
    }
    return Recent(anomaly.entity.service or "unknown", anomaly.id, _json(_finite(content)))


def iso(time_ns: int) -> str:
    """To the millisecond, where there is one; in UTC."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    millis = rest_ns // 1_000_000
    return f"{text}.{millis:03d}Z" if millis else f"{text}Z"


def _middle(low: float, high: float) -> float | None:
    """Of a band; of one that is open, the end that it has."""
    ends = [end for end in (low, high) if math.isfinite(end)]
    return sum(ends) / len(ends) if ends else None


def _with_service(labels: Mapping[str, str], service: str) -> dict[str, str]:
    return {"service": service, **labels} if service else dict(labels)


def _finite(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no word for what is not finite."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in content.items()
    }


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)
