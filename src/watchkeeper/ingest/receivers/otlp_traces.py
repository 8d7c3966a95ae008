"""OTLP over HTTP, traces: protobuf or JSON, plain or compressed.

A resource's attributes, and its scope's under `otel.scope.`, say where spans come from. What a
sender dropped is told as OpenTelemetry tells it to others: `otel.dropped_attributes_count` and so
on; a trace state is kept as `w3c.tracestate`. Kinds and status codes that nobody knows are unset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from google.protobuf.message import DecodeError
from msgspec import Raw

from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater
from watchkeeper.ingest.receivers.ids import NO_SPAN
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.otlp_rows import attributes_text, inflated, origin_of, parsed
from watchkeeper.ingest.receivers.otlp_traces_json import scopes_of
from watchkeeper.ingest.receivers.spans import NOTHING, Event, Link, Span, Spans
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import WireRows

_KINDS: Final = len(SpanKind)
_STATUSES: Final = len(SpanStatus)


class OtlpTraces:
    """The receiver of OTLP/HTTP traces. A bad span costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "spans"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        raw, is_json = inflated(body, headers, self._inflater)
        spans = Spans(self._limits)
        faults: list[str] = []
        for resource, scope, given in scopes_of(raw, faults) if is_json else _scopes(raw, faults):
            origin = spans.origin(dict(origin_of(resource, scope).labels))
            for one in given:
                _add(one, origin, spans)
        if faults:
            spans.reject("bad_item", faults[0], len(faults))
        return spans.take()


def _scopes(raw: bytes, faults: list[str]) -> Iterator[tuple[Any, Any, Iterator[Any]]]:
    for given in parsed(raw, "ExportTraceServiceRequest").resource_spans:
        for scope in given.scope_spans:
            yield given.resource, scope.scope, _parsed(scope.spans, faults)


def _parsed(runs: Iterable[bytes], faults: list[str]) -> Iterator[Any]:
    parse = schema.otlp()["Span"].FromString
    for number, run in enumerate(runs):
        try:
            span = parse(run)
        except DecodeError:
            faults.append(f"span {number} of its scope: its protobuf is malformed")
        else:
            yield span


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
