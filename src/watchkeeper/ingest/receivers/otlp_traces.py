"""OTLP over HTTP, traces: protobuf or JSON, plain or compressed.

A resource's attributes, and its scope's under `otel.scope.`, say where spans come from. What a
sender dropped is told as OpenTelemetry tells it to others: `otel.dropped_attributes_count` and so
on; a trace state is kept as `w3c.tracestate`. Kinds and status codes that nobody knows are unset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from google.protobuf.message import DecodeError
from msgspec import Raw

from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.bounds import (
    SMALL_BYTES,
    check_lists,
    check_messages,
    check_request,
)
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.ids import NO_SPAN
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.otlp_json_values import BAD
from watchkeeper.ingest.receivers.otlp_rows import (
    attributes_text,
    inflated,
    origin_of,
    parsed,
    refusing,
)
from watchkeeper.ingest.receivers.otlp_texts import attribute, attributes_column
from watchkeeper.ingest.receivers.otlp_traces_json import scopes_of, to_span
from watchkeeper.ingest.receivers.spans import NOTHING, Event, Link, Span, Spans, check_parts
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import WireRows

_KINDS: Final = len(SpanKind)
_STATUSES: Final = len(SpanStatus)
_BAD: Final = (*BAD, DecodeError)


class OtlpTraces:
    """The receiver of OTLP/HTTP traces. A bad span costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "spans"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        raw, is_json = inflated(body, headers, self._inflater)
        read = to_span if is_json else schema.otlp()["Span"].FromString
        reading = _Reading(Spans(self._limits), is_large=len(raw) > SMALL_BYTES)
        spans = reading.spans
        if is_json:
            check_lists(raw, (2, 4, 6), self._limits)
        else:
            check_request(raw, "ExportTraceServiceRequest", self._limits)
        for resource, scope, items in scopes_of(raw) if is_json else _scopes(raw):
            origin = spans.origin(dict(origin_of(resource, scope).labels))
            for number, item in enumerate(items):
                try:
                    reading.add(read(item), origin)
                except _BAD as error:
                    spans.reject("bad_item", f"span {number} of its scope: {error}")
        return reading.take()


def _scopes(raw: bytes) -> Iterator[tuple[Any, Any, Sequence[Any]]]:
    for given in parsed(raw, "ExportTraceServiceRequest").resource_spans:
        for scope in given.scope_spans:
            yield given.resource, scope.scope, scope.spans


class _Reading:
    """Spans of one body. Their attributes are kept as they came, and made into text at once."""

    def __init__(self, spans: Spans, *, is_large: bool) -> None:
        self.spans = spans
        self._is_large = is_large
        self._attributes: list[bytes] = []
        self._counts: list[int] = []

    def add(self, given: Any, origin: int) -> None:
        """Raises one of _BAD."""
        start_ns = given.start_time_unix_nano
        if not start_ns:
            self.spans.reject("no_time", "start_time_unix_nano is required")
            return
        kind = given.kind
        status = given.status
        code = status.code
        attributes, events, links = given.attributes, given.events, given.links
        check_parts(attributes, events, links)
        if self._is_large:
            check_messages(attributes, "KeyValue")
        is_added = self.spans.add(
            Span(
                origin=origin,
                trace=given.trace_id,
                span=given.span_id,
                parent=given.parent_span_id or NO_SPAN,
                start_ns=start_ns,
                duration_ns=max(0, given.end_time_unix_nano - start_ns),
                name=_text(given.name),
                kind=kind if 0 <= kind < _KINDS else SpanKind.UNKNOWN,
                status=code if 0 <= code < _STATUSES else SpanStatus.UNSET,
                message=_text(status.message),
                events=[_event(one) for one in events] if events else [],
                links=[_link(one) for one in links] if links else [],
            )
        )
        if is_added:
            own = [*attributes, *_told_otherwise(given)]
            self._attributes += own
            self._counts.append(len(own))

    def take(self) -> WireRows:
        with refusing("ExportTraceServiceRequest"):
            return self.spans.take(attributes_column(self._attributes, self._counts))


def _told_otherwise(given: Any) -> Iterator[bytes]:
    """What OTLP has fields for, as attributes."""
    if given.dropped_attributes_count:
        yield _count(b"otel.dropped_attributes_count", given.dropped_attributes_count)
    if given.dropped_events_count:
        yield _count(b"otel.dropped_events_count", given.dropped_events_count)
    if given.dropped_links_count:
        yield _count(b"otel.dropped_links_count", given.dropped_links_count)
    if given.trace_state:
        yield attribute(b"w3c.tracestate", given.trace_state)


def _count(name: bytes, n: int) -> bytes:
    return attribute(name, str(n).encode())


def _event(raw: bytes) -> Event:
    given = schema.otlp()["SpanEvent"].FromString(raw)
    return Event(given.time_unix_nano, _text(given.name), _object(given.attributes))


def _link(raw: bytes) -> Link:
    given = schema.otlp()["SpanLink"].FromString(raw)
    return Link(given.trace_id.hex(), given.span_id.hex(), _object(given.attributes))


def _object(attributes: Sequence[bytes]) -> Raw:
    check_parts(attributes)
    check_messages(attributes, "KeyValue")
    text = attributes_text(map(schema.otlp()["KeyValue"].FromString, attributes))
    return Raw(text) if text else NOTHING


def _text(given: bytes) -> str:
    return given.decode(errors="replace")
