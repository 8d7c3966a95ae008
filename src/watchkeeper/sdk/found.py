"""Log lines and traces as the server answers them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec


class FoundLine(msgspec.Struct, frozen=True):
    """A log line."""

    time: datetime
    body: str
    severity: str = ""
    service: str = ""
    environment: str = ""
    node: str = ""
    owner: str = ""
    labels: Mapping[str, str] = {}
    attributes: Mapping[str, str] = {}
    trace_id: str | None = None
    span_id: str | None = None
    template: str | None = None


class LinePage(msgspec.Struct, frozen=True):
    items: tuple[FoundLine, ...]
    cursor: str | None = None
    """For the next page; None on the last."""


class LogTemplate(msgspec.Struct, frozen=True):
    """What lines of a service have in common that differ in their values."""

    id: str | None
    """For a search; None of those that were too many to be told apart."""
    text: str
    lines: int
    service: str = ""
    patterns: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    succeeds: tuple[str, ...] = ()
    """Ids of former templates whose lines it has."""


class TemplateList(msgspec.Struct, frozen=True):
    items: tuple[LogTemplate, ...]
    more: bool = False
    """Whether there are others that fit."""


class Root(msgspec.Struct, frozen=True):
    """The span that a trace began with."""

    service: str = ""
    name: str = ""


class TraceSummary(msgspec.Struct, frozen=True):
    """A trace in a few words."""

    trace_id: str
    root: Root
    start: datetime
    duration_ms: float
    n_spans: int
    n_errors: int = 0
    services: tuple[str, ...] = ()


class TraceList(msgspec.Struct, frozen=True):
    items: tuple[TraceSummary, ...]


class FoundSpan(msgspec.Struct, frozen=True):
    """A span of a trace."""

    name: str
    start: datetime
    duration_ms: float
    span_id: str | None = None
    parent_id: str | None = None
    service: str = ""
    environment: str = ""
    node: str = ""
    owner: str = ""
    kind: str = ""
    status: str = ""
    message: str = ""
    labels: Mapping[str, str] = {}
    attributes: Mapping[str, str] = {}
    events: tuple[Mapping[str, Any], ...] = ()
    links: tuple[Mapping[str, Any], ...] = ()


class Trace(TraceSummary, frozen=True, kw_only=True):
    """A trace with its spans, in order of their start."""

    spans: tuple[FoundSpan, ...]
    complete: bool = True
    """Whether these are all."""


class ChosenSpan(msgspec.Struct, frozen=True):
    """The span that a trace was chosen for."""

    name: str
    start: datetime
    duration_ms: float
    span_id: str | None = None
    kind: str = ""
    status: str = ""


class LinkedTrace(TraceSummary, frozen=True, kw_only=True):
    """A trace of an anomaly's time."""

    why: tuple[str, ...]
    """`failed`, `slow`, or both."""
    span: ChosenSpan


class LinkedExemplar(msgspec.Struct, frozen=True):
    """An observation that a sender pointed at."""

    time: datetime
    value: float
    trace_id: str | None = None


class AnomalyTraces(msgspec.Struct, frozen=True):
    """Traces of an anomaly: failed ones first, then the slowest."""

    items: tuple[LinkedTrace, ...]
    exemplars: tuple[LinkedExemplar, ...] = ()
    complete: bool = True
    """Whether all spans of its time were looked through."""
