"""Alerts as receivers make them: what all of them check and complete alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta

from watchkeeper.ingest.receivers.json_items import LabelValue, Time, as_texts, time_ns_of
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.alert import Alert, AlertStatus, Urgency, urgency_of

NAME: Final = "alertname"
"""The label that says whose condition holds."""
SERVICE: Final = "service"
_SUMMARIES: Final = ("summary", "title", "message", "description")
"""Annotations that tell what it is about, best first."""
_SEVERITIES: Final = ("severity", "priority", "level")
_OVER: Final = frozenset(["resolved", "resolve", "ok", "closed", "normal", "recovered", "inactive"])
MAX_KEY_BYTES: Final = 255
"""As many characters as PagerDuty allows."""
_NEVER: Final = "0001-01-01"
"""How Go writes a time that is not set."""


class AlertLimits(RowLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on a body of alerts."""

    rows: Annotated[
        int, Meta(ge=1, description="A body with more alerts than this is refused.")
    ] = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An alert as its sender told it."""

    source: str
    labels: Mapping[str, LabelValue]
    annotations: Mapping[str, LabelValue] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    starts: Time = None
    ends: Time = None
    status: str | None = None
    """The sender's word; without one, what has an end that is over has ended."""
    urgency: str = ""
    """Its word; without one, what a label says."""
    summary: str = ""
    key: str = ""
    lasts_ns: int | None = None
    """A firing one is taken for ended after this if nothing says when."""


def alert_of(told: Told, now_ns: int) -> tuple[Alert, bool]:
    """The alert, and whether it has no time but now. Raises ValueError for what is none."""
    labels = filled(told.labels)
    if len(told.key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"its key has more than {MAX_KEY_BYTES} bytes")
    if not labels:
        raise ValueError("the alert has no labels")
    starts_ns, ends_ns = _moment(told.starts), _moment(told.ends)
    status = _status(told.status, ends_ns, now_ns)
    is_of_now = starts_ns is None or (ends_ns is None and status is AlertStatus.RESOLVED)
    is_start_told = starts_ns is not None
    if ends_ns is None:
        if status is AlertStatus.RESOLVED:
            ends_ns = max(now_ns, starts_ns or now_ns)
        elif told.lasts_ns is not None:
            ends_ns, is_of_now = now_ns + told.lasts_ns, True
    if starts_ns is None:
        starts_ns = now_ns if ends_ns is None else min(now_ns, ends_ns)
    if ends_ns is not None and ends_ns < starts_ns:
        raise ValueError("the alert ends before it starts")
    annotations = filled(told.annotations)
    alert = Alert(
        source=told.source,
        rule=labels.get(NAME, ""),
        labels=labels,
        status=status,
        started_ns=starts_ns,
        ended_ns=ends_ns,
        urgency=_urgency(told.urgency, labels),
        summary=told.summary or _first(annotations, _SUMMARIES),
        annotations=annotations,
        key=told.key,
        is_start_told=is_start_told,
        links={name: text for name, text in told.links.items() if text},
    )
    return alert, is_of_now


def filled(labels: Mapping[str, LabelValue]) -> dict[str, str]:
    """As texts, without what is empty."""
    return {name: text for name, text in as_texts(labels).items() if text}


def _moment(time: Time) -> int | None:
    """None where it is not set. Raises ValueError for what is no time of ours."""
    if time is None or time == "" or (isinstance(time, str) and time.startswith(_NEVER)):
        return None
    time_ns = time_ns_of(time, 0)
    if not -(2**63) <= time_ns < 2**63:
        raise ValueError("its time is outside the years 1678 to 2262")
    return time_ns


def is_over(word: str) -> bool:
    """Whether a sender's word says that an alert has ended."""
    return word.strip().lower() in _OVER


def _status(word: str | None, ends_ns: int | None, now_ns: int) -> AlertStatus:
    has_ended = ends_ns is not None and ends_ns <= now_ns
    is_resolved = is_over(word) if word else has_ended
    return AlertStatus.RESOLVED if is_resolved else AlertStatus.FIRING


def _urgency(word: str, labels: Mapping[str, str]) -> Urgency:
    return urgency_of(word or _first(labels, _SEVERITIES))


def _first(texts: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((texts[name] for name in names if name in texts), "")
