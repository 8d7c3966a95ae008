"""Jaeger's collector: a `Batch` of spans in Thrift's binary protocol over HTTP.

The process and its tags say where spans come from. Of the references the parent is the first
`CHILD_OF`, or else `FOLLOWS_FROM`, of the same trace, where the span does not name its parent; all
others become links. Logs become events, named by their field `event`.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from msgspec import Raw

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import thrift
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.content import Inflater, content_type
from watchkeeper.ingest.receivers.ids import NO_SPAN
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.span_tags import status_of
from watchkeeper.ingest.receivers.spans import Event, Link, Span, Spans, json_text
from watchkeeper.ingest.receivers.thrift import Field, Message
from watchkeeper.model.severity import SpanKind
from watchkeeper.model.signal import WireRows

_MEDIA: Final = ("", "application/x-thrift", "application/vnd.apache.thrift.binary")
_NS_PER_US: Final = 1_000
_trace_id: Final = struct.Struct(">qq").pack
_span_id: Final = struct.Struct(">q").pack
_KINDS: Final[Mapping[str, SpanKind]] = {kind.name.lower(): kind for kind in SpanKind}
_CHILD_OF: Final = 0
_REFERENCES: Final = {_CHILD_OF: "child_of", 1: "follows_from"}

TAG: Final = Message(
    "Tag",
    {
        1: Field("key", thrift.STRING, is_required=True),
        2: Field("type", thrift.I32, is_required=True),
        3: Field("string", thrift.STRING),
        4: Field("double", thrift.DOUBLE),
        5: Field("bool", thrift.BOOL),
        6: Field("long", thrift.I64),
        7: Field("binary", thrift.STRING),
    },
)
LOG: Final = Message(
    "Log",
    {
        1: Field("timestamp", thrift.I64, is_required=True),
        2: Field("fields", thrift.LIST, TAG, is_required=True),
    },
)
REFERENCE: Final = Message(
    "SpanRef",
    {
        1: Field("type", thrift.I32, is_required=True),
        2: Field("trace_low", thrift.I64, is_required=True),
        3: Field("trace_high", thrift.I64, is_required=True),
        4: Field("span", thrift.I64, is_required=True),
    },
)
SPAN: Final = Message(
    "Span",
    {
        1: Field("trace_low", thrift.I64, is_required=True),
        2: Field("trace_high", thrift.I64, is_required=True),
        3: Field("span", thrift.I64, is_required=True),
        4: Field("parent", thrift.I64, is_required=True),
        5: Field("name", thrift.STRING, is_required=True),
        6: Field("references", thrift.LIST, REFERENCE),
        8: Field("start", thrift.I64, is_required=True),
        9: Field("duration", thrift.I64, is_required=True),
        10: Field("tags", thrift.LIST, TAG),
        11: Field("logs", thrift.LIST, LOG),
    },
)
PROCESS: Final = Message(
    "Process",
    {
        1: Field("service", thrift.STRING, is_required=True),
        2: Field("tags", thrift.LIST, TAG),
    },
)
BATCH: Final = Message(
    "Batch",
    {
        1: Field("process", thrift.STRUCT, PROCESS, is_required=True),
        2: Field("spans", thrift.LIST, SPAN, is_required=True),
    },
)
_VALUES: Final = ("string", "double", "bool", "long", "binary")


class JaegerThrift:
    """The receiver of Jaeger's batches. A body is refused whole only if it is malformed."""

    Config = RowLimits
    makes: ClassVar[Noun] = "spans"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        media, _ = content_type(headers)
        if media not in _MEDIA:
            raise BadInput(
                f"content-type: '{media}' is not known here; Jaeger uses application/x-thrift",
                status=415,
            )
        batch = thrift.Reader(self._inflater.inflate(body, headers)).whole(BATCH)
        process = batch["process"]
        spans = Spans(self._limits)
        labels = _texts(process.get("tags", ()))
        origin = spans.origin({**labels, "service.name": _text(process["service"])})
        for given in batch["spans"]:
            if given["start"] > 0:
                spans.add(_span(given, origin))
            else:
                spans.reject("no_time", "startTime is required, in microseconds since 1970")
        return spans.take()


def _span(given: Mapping[str, Any], origin: int) -> Span:
    tags = _texts(given.get("tags", ()))
    status, message = status_of(tags)
    parent, links = _relatives(given)
    return Span(
        origin=origin,
        trace=_trace_id(given["trace_high"], given["trace_low"]),
        span=_span_id(given["span"]),
        parent=parent,
        start_ns=given["start"] * _NS_PER_US,
        duration_ns=max(0, given["duration"]) * _NS_PER_US,
        name=_text(given["name"]),
        kind=_KINDS.get(tags.get("span.kind", "").lower(), SpanKind.UNKNOWN),
        status=status,
        message=message,
        attributes=json_text(tags),
        events=[_event(one) for one in given.get("logs", ())],
        links=links,
    )


def _relatives(given: Mapping[str, Any]) -> tuple[bytes, list[Link]]:
    """The parent, and what else a span refers to."""
    references = given.get("references", ())
    own = (given["trace_high"], given["trace_low"])
    parent: int = given["parent"]
    if not parent:
        siblings = [one for one in references if _trace(one) == own]
        siblings.sort(key=lambda one: bool(one["type"] != _CHILD_OF))
        parent = siblings[0]["span"] if siblings else 0
    links = [_link(one) for one in references if (_trace(one), one["span"]) != (own, parent)]
    return _span_id(parent) if parent else NO_SPAN, links


def _trace(reference: Mapping[str, Any]) -> tuple[int, int]:
    return reference["trace_high"], reference["trace_low"]


def _link(reference: Mapping[str, Any]) -> Link:
    kind = _REFERENCES.get(reference["type"], "")
    return Link(
        _trace_id(*_trace(reference)).hex(),
        _span_id(reference["span"]).hex(),
        Raw(json_text({"opentracing.ref_type": kind})),
    )


def _event(log: Mapping[str, Any]) -> Event:
    fields = _texts(log["fields"])
    name = fields.pop("event", "") or fields.get("message", "") or "log"
    return Event(log["timestamp"] * _NS_PER_US, name, Raw(json_text(fields) or b"{}"))


def _texts(tags: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {_text(tag["key"]): _value(tag) for tag in tags}


def _value(tag: Mapping[str, Any]) -> str:
    """As text, like OpenTelemetry's attributes."""
    kind = tag["type"]
    value = tag.get(_VALUES[kind]) if 0 <= kind < len(_VALUES) else None
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value).removesuffix(".0")
        case bytes():
            return base64.b64encode(value).decode() if kind == 4 else _text(value)
    return str(value)


def _text(given: bytes) -> str:
    """What is no UTF-8 is shown as such."""
    return given.decode(errors="replace")
