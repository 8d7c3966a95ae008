"""How senders of log lines write their bodies, protocol by protocol, and what comes of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cramjam
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from watchkeeper.ingest.receivers import schema
from watchkeeper.model.severity import Severity
from watchkeeper.model.signal import LogBatch, WireRows

NS_PER_S = 1_000_000_000
NOW_NS = 1_767_607_200 * NS_PER_S


@dataclass(frozen=True)
class Sent:
    """A line as a program has it."""

    body: str = "Database timeout"
    time_ns: int = NOW_NS
    service: str = "checkout"
    severity: Severity = Severity.ERROR
    trace: str = ""
    span: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def many(n: int) -> list[Sent]:
    return [
        Sent(
            body=f"request {k} took {k} ms: größe \u2713",
            time_ns=NOW_NS + k * 1_000_000,
            service=("checkout", "größe")[k % 2],
            severity=(Severity.INFO, Severity.WARN, Severity.FATAL)[k % 3],
        )
        for k in range(n)
    ]


Fact = tuple[str, str, int, int]
"""What every protocol can say: (service, body, severity, time_ns)."""


def facts_sent(sent: Sequence[Sent]) -> list[Fact]:
    return [(one.service, one.body, int(one.severity), one.time_ns) for one in sent]


def facts_of(wire: WireRows) -> list[Fact]:
    found = []
    for batch in batches(wire):
        for row in range(len(batch)):
            place = dict(batch.origins[batch.origin[row]].labels)
            service = place.get("service.name") or place["service"]
            severity, time_ns = int(batch.severity[row]), int(batch.time_ns[row])
            found.append((service, batch.body.text(row), severity, time_ns))
    return found


def batches(wire: WireRows) -> list[LogBatch]:
    found = [record for record in wire.records if isinstance(record, LogBatch)]
    assert len(found) == len(wire.records)
    return found


def attributes_of(batch: LogBatch, row: int = 0) -> dict[str, str]:
    text = batch.attributes.text(row)
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def ids_of(batch: LogBatch, row: int = 0) -> tuple[str, str]:
    high, low = batch.trace[row].tolist()
    return f"{high:016x}{low:016x}", f"{int(batch.span[row]):016x}"


# OTLP.


def otlp_request(sent: Sequence[Sent]) -> Any:
    request = ExportLogsServiceRequest()
    for one in sent:
        given = request.resource_logs.add()
        given.resource.attributes.add(key="service.name").value.string_value = one.service
        record = given.scope_logs.add().log_records.add(
            time_unix_nano=one.time_ns,
            severity_number=int(one.severity),
            trace_id=bytes.fromhex(one.trace),
            span_id=bytes.fromhex(one.span),
        )
        record.body.string_value = one.body
        for name, text in one.tags.items():
            record.attributes.add(key=name).value.string_value = text
    return request


def write_otlp(sent: Sequence[Sent]) -> bytes:
    raw: bytes = otlp_request(sent).SerializeToString()
    return raw


def write_otlp_json(sent: Sequence[Sent]) -> bytes:
    """OTLP's own JSON, whose ids are hex and whose enums are numbers."""
    body = MessageToDict(otlp_request(sent), use_integers_for_enums=True)
    for given in body.get("resourceLogs", ()):
        for record in given["scopeLogs"][0]["logRecords"]:
            for name in ("traceId", "spanId"):
                if name in record:
                    record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(body, ensure_ascii=False).encode()


# Loki.


def loki_metadata(one: Sent) -> dict[str, str]:
    ids = {"trace_id": one.trace, "span_id": one.span}
    return {**one.tags, **{name: text for name, text in ids.items() if text}}


def write_loki_json(sent: Sequence[Sent]) -> bytes:
    streams = [
        {
            "stream": {"service": one.service, "level": one.severity.name.lower()},
            "values": [[str(one.time_ns), one.body, loki_metadata(one)]],
        }
        for one in sent
    ]
    return json.dumps({"streams": streams}, ensure_ascii=False).encode()


def write_loki(sent: Sequence[Sent]) -> bytes:
    """In protobuf, not compressed yet."""
    classes = schema.loki()
    request = classes["PushRequest"]()
    for one in sent:
        level = one.severity.name.lower()
        stream = request.streams.add(
            labels=f'{{service="{one.service}", level="{level}"}}'.encode()
        )
        entry = stream.entries.add(line=one.body.encode())
        entry.timestamp.seconds, entry.timestamp.nanos = divmod(one.time_ns, NS_PER_S)
        for name, value in loki_metadata(one).items():
            pair = classes["LabelPair"](name=name.encode(), value=value.encode())
            entry.metadata.append(pair.SerializeToString())
    raw: bytes = request.SerializeToString()
    return raw


def write_loki_snappy(sent: Sequence[Sent]) -> bytes:
    return bytes(cramjam.snappy.compress_raw(write_loki(sent)))


# Plain JSON.


def plain_item(one: Sent) -> dict[str, Any]:
    return {
        "timestamp": one.time_ns,
        "level": one.severity.name,
        "message": one.body,
        "service": one.service,
        "attributes": dict(one.tags),
        "trace_id": one.trace,
        "span_id": one.span,
    }


def write_logs_json(sent: Sequence[Sent]) -> bytes:
    items = [plain_item(one) for one in sent]
    return json.dumps({"logs": items}, ensure_ascii=False).encode()


def write_json_lines(sent: Sequence[Sent]) -> bytes:
    return "".join(json.dumps(plain_item(one), ensure_ascii=False) + "\n" for one in sent).encode()


def write_log_entries(sent: Sequence[Sent]) -> bytes:
    return json.dumps([plain_item(one) for one in sent], ensure_ascii=False).encode()


@dataclass(frozen=True)
class Form:
    """One way to write a body for a receiver."""

    receiver: str
    write: Callable[[Sequence[Sent]], bytes]
    content_type: str
    may_end_early: bool = False
    """Whether what is cut off may be sound, and an empty body is."""

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.content_type}


_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
FORMS = {
    "otlp_logs": Form("otlp_logs", write_otlp, _PROTOBUF, may_end_early=True),
    "otlp_logs as JSON": Form("otlp_logs", write_otlp_json, _JSON),
    "loki": Form("loki", write_loki, _PROTOBUF, may_end_early=True),
    "loki as JSON": Form("loki", write_loki_json, _JSON),
    "logs_json": Form("logs_json", write_logs_json, "application/json; charset=utf-8"),
    "logs_json as lines": Form(
        "logs_json", write_json_lines, "application/x-ndjson", may_end_early=True
    ),
    "log_entries": Form("log_entries", write_log_entries, _JSON),
}
"""The first of a receiver is what it takes a body for that does not say what it is."""
