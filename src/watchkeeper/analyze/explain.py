"""One plain sentence for every verdict: what was seen, what was expected, and what it rests on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from watchkeeper.analyze.classes import is_rate, per_second, unit_of
from watchkeeper.analyze.explain_lines import is_of_lines, sentence
from watchkeeper.model.anomaly import Anomaly, Gone, InfoReason, Severity
from watchkeeper.model.series import METRIC_NAME

_TIMES: Final = ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"),
                 (1e-6, "us"), (1e-9, "ns"))  # fmt: skip
_BYTES: Final = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_WHEN: Final[Mapping[str, str]] = {
    "seasonal": " at this time of day",
    "week": " at this hour of the week",
    "week_mean": " at this hour of the week",
}
"""By the stream that spoke loudest, what its expectation was of."""
_SYMPTOM: Final = "symptom"
_OUTAGE: Final = "outage"


def loudest(anomaly: Anomaly) -> str:
    """The stream that was farthest from what it expected; empty where none said anything."""
    return max(anomaly.evidence, key=lambda name: abs(anomaly.evidence[name]), default="")


def explanation(anomaly: Anomaly) -> str:
    """The whole of it, for a person who has not seen the series before."""
    if is_of_lines(anomaly):
        parts = [sentence(anomaly)]
    elif anomaly.labels.get(_SYMPTOM) == _OUTAGE:
        parts = [_outage(anomaly)]
    else:
        parts = _of_series(anomaly)
    said = (_weight(anomaly), why_info(anomaly), why_gone(anomaly))
    return "; ".join([*parts, *(one for one in said if one)])


def _of_series(anomaly: Anomaly) -> list[str]:
    name = anomaly.labels.get(METRIC_NAME, "")
    stream = loudest(anomaly)
    first = (
        f"{_subject(anomaly)} {_amount(anomaly.value, name)}, "
        f"expected {_band(anomaly, name)}{_WHEN.get(stream, '')}"
    )
    return [first, f"loudest: {stream} ({anomaly.evidence[stream]:+.3g})"] if stream else [first]


def why_gone(anomaly: Anomaly) -> str:
    """Why it ended, where it was not seen to; empty where it was, or goes on."""
    match anomaly.gone:
        case Gone.SILENT:
            return "ended as its series is silent: nobody saw it end"
        case Gone.SETTINGS:
            return f"ended as {anomaly.detector} judges it no more by the settings"
        case Gone.UNWATCHED:
            return "ended as it is no longer watched: nobody saw it end"
    return ""


def why_info(anomaly: Anomaly) -> str:
    """Why no more than information is claimed; empty where more is."""
    if anomaly.severity is not Severity.INFO:
        return ""
    match anomaly.info_reason:
        case InfoReason.LEARNING:
            left = duration(anomaly.learning_s)
            return f"information only: the series is learning, for another {left}"
        case InfoReason.NOISY:
            return "information only: the series spoke too often this week"
        case InfoReason.ALONE:
            return "information only: the other series of the service bear it out in nothing"
        case InfoReason.TIER:
            return f"information only: {anomaly.detector} alone never claims more"
    return "information only"


def duration(seconds: float) -> str:
    """In the largest unit of which there is at least one: `20 h`, `1.5 days`."""
    return _scaled(seconds, _TIMES)


def _outage(anomaly: Anomaly) -> str:
    """Of services that fell silent together."""
    shared = [f"{name} {place}" for name, place in anomaly.labels.items() if name != _SYMPTOM]
    of = f" of {', '.join(sorted(shared))}" if shared else ""
    return (
        f"telemetry of {anomaly.value:.0f} of {anomaly.evidence.get('services', math.nan):.0f} "
        f"services{of} stopped at the same time: look at the collector, or the network before it"
    )


def _subject(anomaly: Anomaly) -> str:
    service = anomaly.entity.service
    labels = anomaly.labels
    what = labels.get(_SYMPTOM) or labels.get(METRIC_NAME)
    if what is None:
        told = {name: text for name, text in labels.items() if name != "service"}
        what = " ".join(f"{name} {text}" for name, text in sorted(told.items())) or anomaly.detector
    return f"{what} of {service}" if service else what


def _band(anomaly: Anomaly, name: str) -> str:
    low, high = anomaly.expected_low, anomaly.expected_high
    if not math.isfinite(low) and not math.isfinite(high):
        return "anything"
    if not math.isfinite(low):
        return f"at most {_amount(high, name)}"
    if not math.isfinite(high):
        return f"at least {_amount(low, name)}"
    return f"{_amount(low, name)} to {_amount(high, name)}"


def _weight(anomaly: Anomaly) -> str:
    said = "p " + re.sub(r"e([+-])0+", r"e\1", f"{anomaly.p_value:.2g}")
    if not anomaly.n_learned:
        return said
    return f"{said} by {anomaly.n_learned:,} points of its own"


def _amount(value: float, name: str) -> str:
    """A value in the unit that its metric's name tells."""
    unit = unit_of(name)
    per = "/s" if is_rate(name) else ""
    if unit == "time":
        seconds = value / (per_second(name) or 1.0)
        return (f"{_plain(seconds)} s" if per else _scaled(seconds, _TIMES[3:])) + per
    if unit == "bytes":
        return _scaled(value, (*_BYTES, (1.0, "B"))) + per
    if unit == "ratio":
        return f"{_plain(100.0 * value)} %"
    return _plain(value) + (f" {unit}" if unit else "") + per


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if not math.isfinite(value):
        return _plain(value)
    size, name = next((one for one in units if abs(value) >= one[0]), units[-1])
    if value == 0.0:
        name = "s" if (1.0, "s") in units else name
    return f"{_plain(value / size)} {name}"


def _plain(value: float) -> str:
    if not math.isfinite(value):
        return "nothing" if math.isnan(value) else f"{value}"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e15 else f"{value:.3g}"
