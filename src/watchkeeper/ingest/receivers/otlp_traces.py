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
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.ids import NO_SPAN
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.otlp_json_values import BAD
from watchkeeper.ingest.receivers.otlp_rows import attributes_text, inflated, origin_of, parsed
from watchkeeper.ingest.receivers.otlp_traces_json import scopes_of, to_span
from watchkeeper.ingest.receivers.spans import NOTHING, Event, Link, Span, Spans
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
        spans = Spans(self._limits)
        for resource, scope, items in scopes_of(raw) if is_json else _scopes(raw):
            origin = spans.origin(dict(origin_of(resource, scope).labels))
            for number, item in enumerate(items):
                try:
                    given = read(item)
                except _BAD as error:
                    spans.reject("bad_item", f"span {number} of its scope: {error}")
                else:
                    _add(given, origin, spans)
        return spans.take()


def _scopes(raw: bytes) -> Iterator[tuple[Any, Any, Sequence[Any]]]:
    for given in parsed(raw, "ExportTraceServiceRequest").resource_spans:
        for scope in given.scope_spans:
            yield given.resource, scope.scope, scope.spans


def _add(given: Any, origin: int, spans: Spans) -> None:
    start_ns = given.start_time_unix_nano
    if not start_ns:
        spans.reject("no_time", "start_time_unix_nano is required")
        return
    kind = given.kind
    status = given.status
    code = status.code
    events, links = given.events, given.links
    spans.add(
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
            attributes=attributes_text(given.attributes, _told_otherwise(given)),
            events=[_event(one) for one in events] if events else [],
            links=[_link(one) for one in links] if links else [],
        )
    )


def _told_otherwise(given: Any) -> dict[str, str]:
    """What OTLP has fields for, as attributes."""
    found = {}
    if given.dropped_attributes_count:
        found["otel.dropped_attributes_count"] = str(given.dropped_attributes_count)
    if given.dropped_events_count:
        found["otel.dropped_events_count"] = str(given.dropped_events_count)
    if given.dropped_links_count:
        found["otel.dropped_links_count"] = str(given.dropped_links_count)
    if given.trace_state:
        found["w3c.tracestate"] = _text(given.trace_state)
    return found


def _event(given: Any) -> Event:
    return Event(given.time_unix_nano, _text(given.name), _object(given.attributes))


def _link(given: Any) -> Link:
    return Link(given.trace_id.hex(), given.span_id.hex(), _object(given.attributes))


def _object(attributes: Any) -> Raw:
    text = attributes_text(attributes)
    return Raw(text) if text else NOTHING


def _text(given: bytes) -> str:
    return given.decode(errors="replace")
