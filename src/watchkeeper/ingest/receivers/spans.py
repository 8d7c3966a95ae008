"""Spans that were read one by one, gathered into columns: what all receivers of spans share."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Raw, Struct

from watchkeeper.ingest.receivers.ids import NO_SPAN, NO_TRACE, SPAN_BYTES, TRACE_BYTES, column
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.row import Origin, Texts, origin, texts
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import Reject, SpanBatch, WireRows

_BAD_ID: Final = (
    "a trace id has 32 hexadecimal digits (or 16), a span id 16, and neither is all zeros"
)
_MAX_NS: Final = 2**63
NOTHING: Final = Raw(b"{}")
_encode: Final = msgspec.json.Encoder().encode


MAX_PARTS: Final = 10_000
"""A span's attributes, events and links, of each; SDKs end at 128. It bounds what a body becomes in
memory."""


class Event(Struct, gc=False):
    """Something that happened during a span."""

    time_ns: int
    name: str
    attributes: Raw = NOTHING
    """A JSON object of texts."""


class Link(Struct, gc=False):
    """Another span that a span has to do with, and that is not its parent."""

    trace_id: str
    span_id: str
    attributes: Raw = NOTHING


class Span(Struct, kw_only=True):
    """One span as a receiver found it."""

    origin: int
    """What `Spans.origin` said."""
    trace: bytes
    """16 of them."""
    span: bytes
    """8 of them."""
    parent: bytes = NO_SPAN
    start_ns: int
    duration_ns: int = 0
    name: str
    kind: int = SpanKind.UNKNOWN
    status: int = SpanStatus.UNSET
    message: str = ""
    attributes: bytes = b""
    """As `json_text` writes them."""
    events: list[Event] = []
    links: list[Link] = []


class Spans:
    """One body's spans and rejects."""

    def __init__(self, limits: RowLimits) -> None:
        self._limits = limits
        self._spans: list[Span] = []
        self._origins: list[Origin] = []
        self._known: dict[tuple[tuple[str, str], ...], int] = {}
        self._rejects: dict[str, tuple[int, str]] = {}
        self._n_left = limits.rows
        self.is_of_now = False
        """Whether a span without a time was given that of its coming."""

    def origin(self, labels: Mapping[str, str]) -> int:
        """The number of where spans come from, for `Span.origin`."""
        key = tuple(labels.items())
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._origins)
            self._origins.append(origin(key))
        return number

    def add(self, span: Span) -> bool:
        """Whether it was taken."""
        if not (
            _is_id(span.trace, NO_TRACE)
            and _is_id(span.span, NO_SPAN)
            and len(span.parent) == len(NO_SPAN)
        ):
            self.reject("bad_id", _BAD_ID)
            return False
        if span.start_ns < -_MAX_NS or span.start_ns + abs(span.duration_ns) >= _MAX_NS:
            self.reject("timestamp_range", "outside the years 1678 to 2262")
            return False
        self._count()
        for event in span.events:
            if not -_MAX_NS <= event.time_ns < _MAX_NS:
                event.time_ns = span.start_ns
        self._spans.append(span)
        return True

    def reject(self, reason: str, detail: str) -> None:
        """Count a span that cannot be taken; the first detail of a reason is what is told."""
        self._count()
        n_before, first = self._rejects.get(reason, (0, detail))
        self._rejects[reason] = (n_before + 1, first)

    def take(self, attributes: Texts | None = None) -> WireRows:
        """All of it; with `attributes`, a row for each span that was taken, in place of theirs."""
        rejects = tuple(
            Reject(reason, count, detail) for reason, (count, detail) in self._rejects.items()
        )
        records = (self._batch(attributes),) if self._spans else ()
        return WireRows(records, rejects, self.is_of_now)

    def _count(self) -> None:
        """Good or bad, a body has only so many."""
        if not self._n_left:
            raise self._limits.too_many_rows()
        self._n_left -= 1

    def _batch(self, attributes: Texts | None) -> SpanBatch:
        spans = self._spans
        return SpanBatch(
            origins=tuple(self._origins),
            origin=np.array([one.origin for one in spans], np.int32),
            start_ns=np.array([one.start_ns for one in spans], np.int64),
            duration_ns=np.array([max(0, one.duration_ns) for one in spans], np.int64),
            trace=column([one.trace for one in spans], TRACE_BYTES),
            span=column([one.span for one in spans], SPAN_BYTES),
            parent=column([one.parent for one in spans], SPAN_BYTES),
            kind=np.array([one.kind for one in spans], np.uint8),
            status=np.array([one.status for one in spans], np.uint8),
            name=texts([one.name.encode() for one in spans]),
            message=texts([one.message.encode() for one in spans]),
            attributes=texts([one.attributes for one in spans])
            if attributes is None
            else attributes,
            events=texts([json_text(one.events) for one in spans]),
            links=texts([json_text(one.links) for one in spans]),
        )


def check_parts(*parts: Sized) -> None:
    """Raises ValueError where there are more of one sort than a span may have."""
    if max(map(len, parts)) > MAX_PARTS:
        raise ValueError(f"more than {MAX_PARTS} attributes, events or links")


def json_text(found: Any) -> bytes:
    """As a column of texts has it: JSON, or nothing of what is empty."""
    return _encode(found) if found else b""


def _is_id(found: bytes, none: bytes) -> bool:
    return len(found) == len(none) and found != none
