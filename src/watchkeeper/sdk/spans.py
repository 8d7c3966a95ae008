"""Spans on their way to a server: OTLP in JSON, from whatever a program has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from watchkeeper.sdk.rows import Label

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = ("unknown", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")


class SpanEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened during a span."""

    name: str
    at: datetime | float
    attributes: Mapping[str, Label] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work of one service, as a part of a trace."""

    trace_id: str
    """32 hexadecimal digits, the same for all spans of a trace."""
    span_id: str
    """16 hexadecimal digits."""
    name: str
    service: str
    start: datetime | float
    """Seconds since the epoch, or a time; without a zone it is UTC."""
    duration_s: float
    parent_id: str = ""
    """Of the span that waits for this one; a root has none."""
    kind: Literal["unknown", "internal", "server", "client", "producer", "consumer"] = "internal"
    status: Literal["unset", "ok", "error"] = "unset"
    message: str = ""
    """What went wrong."""
    environment: str = ""
    labels: Mapping[str, Label] = {}
    """Where it comes from, besides: `{"host.name": "node-1"}`."""
    attributes: Mapping[str, Label] = {}
    """What this span alone says."""
    events: Sequence[SpanEvent] = ()


def encode(spans: Iterable[Span]) -> bytes:
    """The body of a request."""
    by_place: dict[str, list[Span]] = {}
    for span in spans:
        by_place.setdefault(json.dumps(_place(span)), []).append(span)
    return msgspec.json.encode(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": json.loads(place)},
                    "scopeSpans": [{"spans": [_span(span) for span in alike]}],
                }
                for place, alike in by_place.items()
            ]
        }
    )


def _place(span: Span) -> list[dict[str, Any]]:
    said: dict[str, Label] = {"service.name": span.service}
    if span.environment:
        said["deployment.environment.name"] = span.environment
    return _attributes({**said, **span.labels})


def _span(span: Span) -> dict[str, Any]:
    start_ns = _ns(span.start)
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "kind": _KINDS.index(span.kind),
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(start_ns + round(span.duration_s * 1e9)),
        "status": {"code": _STATUSES.index(span.status), "message": span.message},
        "attributes": _attributes(span.attributes),
        "events": [
            {
                "timeUnixNano": str(_ns(event.at)),
                "name": event.name,
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
    }


def _attributes(given: Mapping[str, Label]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in given.items()]


def _value(value: Label) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
    return {"stringValue": value}


def _ns(time: datetime | float) -> int:
    """A double has microseconds to give for today's dates, as a datetime has."""
    if not isinstance(time, datetime):
        return round(time * 1e6) * 1_000
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1_000
