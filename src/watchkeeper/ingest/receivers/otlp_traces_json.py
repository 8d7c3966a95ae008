"""OTLP's traces in JSON, brought into the messages of their protobuf form.

The rules are those of `otlp_json`; ids are hexadecimal, in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.bounds import check_item
from watchkeeper.ingest.receivers.ids import span_id, trace_id
from watchkeeper.ingest.receivers.otlp_json_values import (
    NONE,
    Integer,
    KeyValue,
    encoded,
    fill_resource,
    fill_scope,
    integer,
    reading,
)
from watchkeeper.ingest.receivers.spans import check_parts


class _Event(Struct, rename="camel"):
    time_unix_nano: Integer | None = None
    name: str | None = None
    attributes: list[KeyValue] | None = None


class _Link(Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    attributes: list[KeyValue] | None = None


class _Status(Struct, rename="camel"):
    message: str | None = None
    code: int | None = None


class _Span(Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | None = None
    start_time_unix_nano: Integer | None = None
    end_time_unix_nano: Integer | None = None
    attributes: list[KeyValue] | None = None
    dropped_attributes_count: int | None = None
    events: list[_Event] | None = None
    dropped_events_count: int | None = None
    links: list[_Link] | None = None
    dropped_links_count: int | None = None
    status: _Status | None = None


class _ScopeSpans(Struct, rename="camel"):
    scope: Raw = NONE
    spans: list[Raw] | None = None


class _ResourceSpans(Struct, rename="camel"):
    resource: Raw = NONE
    scope_spans: list[_ScopeSpans] | None = None


class _Request(Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_SAME: Final = (
    "kind",
    "dropped_attributes_count",
    "dropped_events_count",
    "dropped_links_count",
)
_decode_request = msgspec.json.Decoder(_Request).decode
_decode_span = msgspec.json.Decoder(_Span).decode


def scopes_of(body: bytes) -> Iterator[tuple[Any, Any, list[Raw]]]:
    """Resource and scope, each a message, and the scope's spans, for `to_span`."""
    with reading("ExportTraceServiceRequest"):
        for given in _decode_request(body).resource_spans or ():
            resource = schema.otlp()["Resource"]()
            fill_resource(resource, given.resource)
            for one in given.scope_spans or ():
                scope = schema.otlp()["InstrumentationScope"]()
                fill_scope(scope, one.scope)
                yield resource, scope, one.spans or []


def to_span(item: Raw) -> Any:
    """A span as a message. Raises one of `BAD`."""
    check_item(item)
    given = _decode_span(item)
    check_parts(given.attributes or (), given.events or (), given.links or ())
    out = schema.otlp()["Span"](
        trace_id=trace_id(given.trace_id or ""),
        span_id=span_id(given.span_id or ""),
        trace_state=(given.trace_state or "").encode(),
        parent_span_id=span_id(given.parent_span_id or ""),
        name=(given.name or "").encode(),
        start_time_unix_nano=integer(given.start_time_unix_nano),
        end_time_unix_nano=integer(given.end_time_unix_nano),
        attributes=encoded(given.attributes),
        events=[_event(one) for one in given.events or ()],
        links=[_link(one) for one in given.links or ()],
        **{name: getattr(given, name) for name in _SAME},
    )
    if given.status is not None:
        out.status.message = (given.status.message or "").encode()
        out.status.code = given.status.code or 0
    return out


def _event(given: _Event) -> bytes:
    check_parts(given.attributes or ())
    event = schema.otlp()["SpanEvent"](
        time_unix_nano=integer(given.time_unix_nano),
        name=(given.name or "").encode(),
        attributes=encoded(given.attributes),
    )
    raw: bytes = event.SerializeToString()
    return raw


def _link(given: _Link) -> bytes:
    check_parts(given.attributes or ())
    link = schema.otlp()["SpanLink"](
        trace_id=trace_id(given.trace_id or ""),
        span_id=span_id(given.span_id or ""),
        attributes=encoded(given.attributes),
    )
    raw: bytes = link.SerializeToString()
    return raw
