"""What a verdict on log lines says, in a sentence; and where the lines are that it speaks of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Anomaly

_AROUND_NS: Final = 300 * NS_PER_S
"""Before an episode, and behind the last that is known of it."""
_OTHER: Final = "other"


def is_of_lines(anomaly: Anomaly) -> bool:
    """Whether log lines were judged."""
    return anomaly.detector in _SENTENCES


def sentence(anomaly: Anomaly) -> str:
    """Of an anomaly of log lines: what was seen, and what was expected."""
    return _SENTENCES[anomaly.detector](anomaly)


def lines_of(anomaly: Anomaly) -> Mapping[str, str | int]:
    """What a search has to be asked for the lines that an anomaly speaks of; nothing where it is
    not of lines. Times are `start` and `end`, in nanoseconds."""
    if not is_of_lines(anomaly):
        return {}
    last_ns = anomaly.peak_ns if anomaly.ended_ns is None else anomaly.ended_ns
    asked: dict[str, str | int] = {
        "query": f"{{service={json.dumps(anomaly.entity.service)}}}",
        "start": anomaly.started_ns - _AROUND_NS,
        "end": last_ns + _AROUND_NS,
    }
    if anomaly.detector == "log_errors":
        asked["level"] = "error"
    elif "trace_id" in anomaly.labels:
        asked["trace_id"] = anomaly.labels["trace_id"]
    elif anomaly.labels.get("template", _OTHER) != _OTHER:
        asked["template"] = anomaly.labels["template"]
    return asked


def _new(anomaly: Anomaly) -> str:
    return f"{_which(anomaly)} is new, {anomaly.value:g} of a minute"


def _rare(anomaly: Anomaly) -> str:
    return f"{_which(anomaly)} is hardly ever said"


def _rate(anomaly: Anomaly) -> str:
    return f"{_which(anomaly)} {anomaly.value:.3g} a minute, expected {_band(anomaly)}"


def _errors(anomaly: Anomaly) -> str:
    service = anomaly.entity.service
    return f"errors of {service} {anomaly.value:.3g} a minute, expected {_band(anomaly)}"


def _stopped(anomaly: Anomaly) -> str:
    return f"{_which(anomaly)} stopped, where {anomaly.expected_high:.3g} were expected since"


def _session(anomaly: Anomaly) -> str:
    said = anomaly.evidence
    strange = (
        f"{anomaly.value:g} of {said.get('sessions', 0):g} sessions of {anomaly.entity.service} "
        f"are strange, expected {anomaly.expected_high:.2g}"
    )
    if "pattern" not in anomaly.labels:
        return strange
    usual = f"{said.get('least', 0):g} to {said.get('most', 0):g} are usual"
    return (
        f"{strange}: in one '{anomaly.labels['pattern']}' {said.get('lines', 0):g} times, {usual}"
    )


def _which(anomaly: Anomaly) -> str:
    service = anomaly.entity.service
    if "pattern" in anomaly.labels:
        return f"'{anomaly.labels['pattern']}' of {service}"
    is_other = anomaly.labels.get("template") == _OTHER
    return f"rarer lines of {service}" if is_other else f"lines of {service}"


def _band(anomaly: Anomaly) -> str:
    return f"{anomaly.expected_low:.3g} to {anomaly.expected_high:.3g}"


_SENTENCES: Final[Mapping[str, Callable[[Anomaly], str]]] = {
    "log_new": _new,
    "log_rare": _rare,
    "log_rate": _rate,
    "log_errors": _errors,
    "log_stopped": _stopped,
    "log_session": _session,
}
