"""Zipkin v2: a JSON list of spans, or protobuf's `ListOfSpans`; plain or compressed.

The local endpoint, and those tags that OpenTelemetry's exporters make of a resource, say where a
span comes from; all other tags are the span's own. Ids of 16 digits stand for traces of 64 bits. A
span without a timestamp is of now. Halves of a span that are told apart, as by `shared`, are kept
as they come, each a span.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Raw, Struct

from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.base import Noun
from watchkeeper.ingest.receivers.bounds import check_item, check_lists, check_request
from watchkeeper.ingest.receivers.content import Inflater, content_type
from watchkeeper.ingest.receivers.ids import span_id, trace_id
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.otlp_naming import IDENTIFYING, IDENTIFYING_PREFIXES
from watchkeeper.ingest.receivers.span_tags import status_of
from watchkeeper.ingest.receivers.spans import Event, Span, Spans, check_parts, json_text
from watchkeeper.model.severity import SpanKind
from watchkeeper.model.signal import WireRows

_NS_PER_US: Final = 1_000
_LARGE_BYTES: Final = 64 << 10
_KINDS: Final[Mapping[str, SpanKind]] = {
    "": SpanKind.INTERNAL,
    "CLIENT": SpanKind.CLIENT,
    "SERVER": SpanKind.SERVER,
    "PRODUCER": SpanKind.PRODUCER,
    "CONSUMER": SpanKind.CONSUMER,
}
"""Zipkin has no word for what happens inside of a service."""
_NUMBERED_KINDS: Final = ("", "CLIENT", "SERVER", "PRODUCER", "CONSUMER")
_BAD: Final = (msgspec.DecodeError, DecodeError, ValueError, RecursionError)


class _Endpoint(Struct, rename="camel", gc=False, frozen=True):
    service_name: str | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    port: int | None = None


class _Annotation(Struct, gc=False):
    timestamp: int | float = 0
    value: str = ""


class _Span(Struct, rename="camel"):
    trace_id: str
    id: str
    parent_id: str | None = None
    kind: str | None = None
    name: str | None = None
    timestamp: int | float | None = None
    duration: int | float | None = None
    local_endpoint: _Endpoint | None = None
    remote_endpoint: _Endpoint | None = None
    annotations: list[_Annotation] | None = None
    tags: dict[str, str] | None = None
    shared: bool | None = None


_decode_list = msgspec.json.Decoder(list[Raw]).decode
_decode_span = msgspec.json.Decoder(_Span).decode


class Zipkin:
    """The receiver of Zipkin v2. A bad span costs itself only."""

    Config = RowLimits
    makes: ClassVar[Noun] = "spans"

    def __init__(self, config: RowLimits | None = None) -> None:
        self._limits = config or RowLimits()
        self._inflater = Inflater(self._limits)

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireRows:
        media, _ = content_type(headers)
        if media not in _READ:
            raise BadInput(
                f"content-type: '{media}' is not known here; Zipkin v2 uses application/json or "
                "application/x-protobuf",
                status=415,
            )
        items_of, read = _READ[media]
        plain = self._inflater.inflate(body, headers)
        spans = Spans(self._limits)
        for number, item in enumerate(items_of(plain, self._limits)):
            try:
                span = _span(read(item), spans, now_ns)
            except _BAD as error:
                spans.reject("bad_item", f"span {number}: {error}")
            else:
                spans.add(span)
        return spans.take()


def _json_items(plain: bytes, limits: RowLimits) -> Any:
    check_lists(plain, (1,), limits)
    try:
        return _decode_list(plain)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(f"the body is not a JSON list of Zipkin's spans: {error}") from error


def _protobuf_items(plain: bytes, limits: RowLimits) -> Any:
    check_request(plain, "ListOfSpans", limits)
    try:
        return schema.zipkin()["ListOfSpans"].FromString(plain).spans
    except DecodeError as error:
        raise BadInput("the body is not a ListOfSpans: its protobuf is malformed") from error


def _span(given: _Span, spans: Spans, now_ns: int) -> Span:
    start_ns = round((given.timestamp or 0) * _NS_PER_US)
    if not start_ns:
        start_ns = now_ns
        spans.is_of_now = True
    tags = given.tags or {}
    check_parts(tags, given.annotations or ())
    labels = {name: value for name, value in tags.items() if _is_of_origin(name)}
    attributes = tags if not labels else {k: tags[k] for k in tags if k not in labels}
    if given.local_endpoint is not None:
        labels |= _endpoint(given.local_endpoint, "service.name", "net.host")
    if given.remote_endpoint is not None:
        attributes = _endpoint(given.remote_endpoint, "peer.service", "net.peer") | attributes
    if given.shared:
        attributes["zipkin.shared"] = "true"
    status, message = status_of(tags)
    return Span(
        origin=spans.origin(labels),
        trace=trace_id(given.trace_id),
        span=span_id(given.id),
        parent=span_id(given.parent_id or ""),
        start_ns=start_ns,
        duration_ns=round((given.duration or 0) * _NS_PER_US),
        name=given.name or "",
        kind=_KINDS.get((given.kind or "").upper(), SpanKind.UNKNOWN),
        status=status,
        message=message,
        attributes=json_text(attributes),
        events=[
            Event(round(one.timestamp * _NS_PER_US), one.value) for one in given.annotations or ()
        ],
    )


def _endpoint(endpoint: _Endpoint, service: str, prefix: str) -> dict[str, str]:
    labels = {}
    if endpoint.service_name:
        labels[service] = endpoint.service_name
    address = endpoint.ipv4 or endpoint.ipv6
    if address:
        labels[f"{prefix}.ip"] = address
    if endpoint.port:
        labels[f"{prefix}.port"] = str(endpoint.port)
    return labels


def _is_of_origin(name: str) -> bool:
    return name in IDENTIFYING or name.startswith(IDENTIFYING_PREFIXES)


def _from_json(item: Raw) -> _Span:
    check_item(item)
    return _decode_span(item)


def _from_protobuf(raw: bytes) -> _Span:
    classes = schema.zipkin()
    if len(raw) > _LARGE_BYTES:  # count first, for a part that says nothing takes most memory
        parts = classes["SpanParts"].FromString(raw)
        check_parts(parts.annotations, parts.tags)
    given = classes["Span"].FromString(raw)
    return _Span(
        trace_id=given.trace_id.hex(),
        id=given.id.hex(),
        parent_id=given.parent_id.hex(),
        kind=_NUMBERED_KINDS[given.kind] if 0 <= given.kind < len(_NUMBERED_KINDS) else "?",
        name=_text(given.name),
        timestamp=given.timestamp,
        duration=given.duration,
        local_endpoint=_endpoint_of(given.local_endpoint),
        remote_endpoint=_endpoint_of(given.remote_endpoint),
        annotations=[_Annotation(one.timestamp, _text(one.value)) for one in given.annotations],
        tags={_text(one.key): _text(one.value) for one in given.tags},
        shared=given.shared,
    )


def _endpoint_of(given: Any) -> _Endpoint:
    return _Endpoint(
        service_name=_text(given.service_name),
        ipv4=str(ipaddress.IPv4Address(given.ipv4)) if given.ipv4 else None,
        ipv6=str(ipaddress.IPv6Address(given.ipv6)) if given.ipv6 else None,
        port=given.port,
    )


def _text(given: bytes) -> str:
    """What is no UTF-8 is shown as such."""
    return given.decode(errors="replace")


_FROM_JSON: Final[tuple[Callable[[bytes, RowLimits], Any], Callable[[Any], _Span]]] = (
    _json_items,
    _from_json,
)
_FROM_PROTOBUF: Final[tuple[Callable[[bytes, RowLimits], Any], Callable[[Any], _Span]]] = (
    _protobuf_items,
    _from_protobuf,
)
_READ: Final = {
    "": _FROM_JSON,
    "application/json": _FROM_JSON,
    "text/json": _FROM_JSON,
    "application/x-protobuf": _FROM_PROTOBUF,
    "application/protobuf": _FROM_PROTOBUF,
}
"""By media type: how to find the items of a body, and how to read one."""
