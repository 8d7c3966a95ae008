"""How senders of spans write their bodies, protocol by protocol, and what is to come of them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from watchkeeper.ingest.receivers import schema
from watchkeeper.model.severity import SpanKind
from watchkeeper.model.signal import SpanBatch, WireRows

NOW_NS = 1_767_607_200 * 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000


@dataclass(frozen=True)
class Sent:
    """A span as a program has it. Its times are whole milliseconds, as coarse as any protocol's."""

    trace: str = "5b8efff798038103d269b633813fc60c"
    span: str = "eee19b7ec3c1b174"
    service: str = "checkout"
    name: str = "/payment"
    kind: SpanKind = SpanKind.SERVER
    start_ns: int = NOW_NS
    duration_ns: int = 1500 * NS_PER_MS
    tags: Mapping[str, str] = field(default_factory=dict)


def many(n: int) -> list[Sent]:
    return [
        Sent(
            trace=f"{k + 1:032x}",
            span=f"{k + 1:016x}",
            service=("checkout", "größe")[k % 2],
            name=f"/step/{k}",
            start_ns=NOW_NS + k * NS_PER_MS,
            duration_ns=k * NS_PER_MS,
        )
        for k in range(n)
    ]


Fact = tuple[str, str, str, int, int, int]
"""What every protocol can say: (trace, service, name, kind, start_ns, duration_ns)."""


def facts_sent(sent: Sequence[Sent]) -> list[Fact]:
    return [
        (one.trace, one.service, one.name, one.kind, one.start_ns, one.duration_ns) for one in sent
    ]


def facts_of(wire: WireRows) -> list[Fact]:
    return [
        (
            trace_of(batch, row),
            dict(batch.origins[batch.origin[row]].labels)["service.name"],
            batch.name.text(row),
            int(batch.kind[row]),
            int(batch.start_ns[row]),
            int(batch.duration_ns[row]),
        )
        for batch in batches(wire)
        for row in range(len(batch))
    ]


def batches(wire: WireRows) -> list[SpanBatch]:
    found = [record for record in wire.records if isinstance(record, SpanBatch)]
    assert len(found) == len(wire.records)
    return found


def trace_of(batch: SpanBatch, row: int) -> str:
    high, low = batch.trace[row].tolist()
    return f"{high:016x}{low:016x}"


def attributes_of(batch: SpanBatch, row: int = 0) -> dict[str, str]:
    text = batch.attributes.text(row)
    found: dict[str, str] = json.loads(text) if text else {}
    return found


# OTLP.


def otlp_request(sent: Sequence[Sent]) -> Any:
    request = ExportTraceServiceRequest()
    for one in sent:
        given = request.resource_spans.add()
        given.resource.attributes.add(key="service.name").value.string_value = one.service
        span = given.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(one.trace),
            span_id=bytes.fromhex(one.span),
            name=one.name,
            kind=int(one.kind),
            start_time_unix_nano=one.start_ns,
            end_time_unix_nano=one.start_ns + one.duration_ns,
        )
        for name, text in one.tags.items():
            span.attributes.add(key=name).value.string_value = text
    return request


def write_otlp(sent: Sequence[Sent]) -> bytes:
    raw: bytes = otlp_request(sent).SerializeToString()
    return raw


def write_otlp_json(sent: Sequence[Sent]) -> bytes:
    return otlp_json(otlp_request(sent))


def otlp_json(request: Any) -> bytes:
    """OTLP's own JSON, whose ids are hex and whose enums are numbers."""
    body = MessageToDict(request, use_integers_for_enums=True)
    for given in body.get("resourceSpans", ()):
        for scope in given.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for one in (span, *span.get("links", ())):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in one:
                            one[name] = _hex(one[name])
    return json.dumps(body, ensure_ascii=False).encode()


def _hex(text: str) -> str:
    return base64.b64decode(text).hex()


# Zipkin.

_ZIPKIN_KINDS = {
    SpanKind.CLIENT: "CLIENT",
    SpanKind.SERVER: "SERVER",
    SpanKind.PRODUCER: "PRODUCER",
    SpanKind.CONSUMER: "CONSUMER",
}


def zipkin_item(one: Sent) -> dict[str, Any]:
    item: dict[str, Any] = {
        "traceId": one.trace,
        "id": one.span,
        "name": one.name,
        "timestamp": one.start_ns // NS_PER_US,
        "duration": one.duration_ns // NS_PER_US,
        "localEndpoint": {"serviceName": one.service},
        "tags": dict(one.tags),
    }
    if one.kind in _ZIPKIN_KINDS:
        item["kind"] = _ZIPKIN_KINDS[one.kind]
    return item


def write_zipkin(sent: Sequence[Sent]) -> bytes:
    return json.dumps([zipkin_item(one) for one in sent], ensure_ascii=False).encode()


def write_zipkin_protobuf(sent: Sequence[Sent]) -> bytes:
    return zipkin_protobuf([zipkin_item(one) for one in sent])


def zipkin_protobuf(items: Sequence[Mapping[str, Any]]) -> bytes:
    """The same items as Zipkin's JSON has, in its protobuf."""
    classes = schema.zipkin()
    whole = classes["ListOfSpans"]()
    for item in items:
        span = classes["Span"](
            trace_id=bytes.fromhex(item["traceId"]),
            id=bytes.fromhex(item["id"]),
            parent_id=bytes.fromhex(item.get("parentId", "")),
            kind=("", "CLIENT", "SERVER", "PRODUCER", "CONSUMER").index(item.get("kind", "")),
            name=item.get("name", "").encode(),
            timestamp=item.get("timestamp", 0),
            duration=item.get("duration", 0),
            shared=item.get("shared", False),
        )
        for name, place in (
            ("localEndpoint", span.local_endpoint),
            ("remoteEndpoint", span.remote_endpoint),
        ):
            given = item.get(name, {})
            place.service_name = given.get("serviceName", "").encode()
            place.ipv4 = bytes(map(int, filter(None, given.get("ipv4", "").split("."))))
            place.port = given.get("port", 0)
        for key, value in item.get("tags", {}).items():
            span.tags.add(key=key.encode(), value=value.encode())
        for one in item.get("annotations", ()):
            span.annotations.add(timestamp=one["timestamp"], value=one["value"].encode())
        whole.spans.append(span.SerializeToString())
    raw: bytes = whole.SerializeToString()
    return raw


# Jaeger's Thrift, written as its specification says and not as the reader reads it.


def t_bool(number: int, value: bool) -> bytes:
    return struct.pack(">BhB", 2, number, value)


def t_double(number: int, value: float) -> bytes:
    return struct.pack(">Bhd", 4, number, value)


def t_i32(number: int, value: int) -> bytes:
    return struct.pack(">Bhi", 8, number, value)


def t_i64(number: int, value: int) -> bytes:
    return struct.pack(">Bhq", 10, number, value)


def t_string(number: int, value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">Bhi", 11, number, len(raw)) + raw


def t_struct(number: int, content: bytes) -> bytes:
    """`content` ends with its own stop."""
    return struct.pack(">Bh", 12, number) + content


def t_list(number: int, items: Sequence[bytes], kind: int = 12) -> bytes:
    return struct.pack(">BhBi", 15, number, kind, len(items)) + b"".join(items)


STOP = b"\x00"


def jaeger_tag(key: str, value: str | float | bool | bytes) -> bytes:
    match value:
        case bool():
            typed = t_i32(2, 2) + t_bool(5, value)
        case int():
            typed = t_i32(2, 3) + t_i64(6, value)
        case float():
            typed = t_i32(2, 1) + t_double(4, value)
        case bytes():
            typed = t_i32(2, 4) + t_string(7, value)
        case _:
            typed = t_i32(2, 0) + t_string(3, value)
    return t_string(1, key) + typed + STOP


def signed(digits: str) -> int:
    """Sixteen hex digits as the signed number that Thrift has for them."""
    number: int = struct.unpack(">q", bytes.fromhex(digits))[0]
    return number


def jaeger_span(one: Sent, *, parent: int = 0, more: bytes = b"") -> bytes:
    """`more` are further fields: references, logs, what nobody knows."""
    tags = [jaeger_tag(name, text) for name, text in one.tags.items()]
    if one.kind:
        tags.append(jaeger_tag("span.kind", one.kind.name.lower()))
    return b"".join(
        (
            t_i64(1, signed(one.trace[16:])),
            t_i64(2, signed(one.trace[:16])),
            t_i64(3, signed(one.span)),
            t_i64(4, parent),
            t_string(5, one.name),
            t_i32(7, 1),
            t_i64(8, one.start_ns // NS_PER_US),
            t_i64(9, one.duration_ns // NS_PER_US),
            t_list(10, tags),
            more,
            STOP,
        )
    )


def jaeger_batch(service: str, spans: Sequence[bytes], tags: Sequence[bytes] = ()) -> bytes:
    process = t_string(1, service) + t_list(2, tags) + STOP
    return t_struct(1, process) + t_list(2, spans) + STOP


def write_jaeger(sent: Sequence[Sent]) -> bytes:
    """A batch is of one process, so all are sent as the first one's."""
    return jaeger_batch(sent[0].service if sent else "checkout", [jaeger_span(one) for one in sent])


# Records of requests.


def write_records(sent: Sequence[Sent]) -> bytes:
    return json.dumps(
        [
            {
                "service_name": one.service,
                "endpoint": one.name,
                "method": "POST",
                "status_code": 200,
                "latency_ms": one.duration_ns / NS_PER_MS,
                "trace_id": one.trace,
                "timestamp": _iso(one.start_ns + one.duration_ns),
            }
            for one in sent
        ],
        ensure_ascii=False,
    ).encode()


def _iso(time_ns: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)).isoformat()


# All of them.


@dataclass(frozen=True)
class Form:
    """One way to write spans: a protocol in one of its content types."""

    receiver: str
    write: Callable[[Sequence[Sent]], bytes]
    content_type: str
    bad: Sent
    """A span that cannot be taken."""
    empty_is_sound: bool = False
    may_end_early: bool = False
    """Protobuf may end behind any field."""
    has_one_service: bool = False

    def given(self, n: int) -> list[Sent]:
        """Spans that this form can tell apart from one another."""
        if self.has_one_service:
            return [replace(one, service="checkout") for one in many(n)]
        return many(n)

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.content_type}


NO_TRACE = Sent(trace="0" * 32)
FORMS: Mapping[str, Form] = {
    "otlp_traces": Form(
        "otlp_traces",
        write_otlp,
        "application/x-protobuf",
        NO_TRACE,
        empty_is_sound=True,
        may_end_early=True,
    ),
    "otlp_traces.json": Form("otlp_traces", write_otlp_json, "application/json", NO_TRACE),
    "zipkin": Form("zipkin", write_zipkin, "application/json; charset=utf-8", NO_TRACE),
    "zipkin.pb": Form(
        "zipkin",
        write_zipkin_protobuf,
        "application/x-protobuf",
        NO_TRACE,
        empty_is_sound=True,
        may_end_early=True,
    ),
    "jaeger_thrift": Form(
        "jaeger_thrift", write_jaeger, "application/x-thrift", NO_TRACE, has_one_service=True
    ),
    "telemetry_records": Form(
        "telemetry_records", write_records, "application/json", Sent(name="")
    ),
}
