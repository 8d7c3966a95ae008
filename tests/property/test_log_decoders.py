"""Decoders of log lines: one meaning in every form of a protocol, and no bytes that break them."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.log_senders import FORMS, Form, Sent, facts_of, facts_sent, many
from watchkeeper import plugins
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.loki import Loki
from watchkeeper.ingest.receivers.loki_labels import labels_of
from watchkeeper.ingest.receivers.otlp_logs import OtlpLogs
from watchkeeper.ingest.receivers.otlp_rows import attributes_text
from watchkeeper.ingest.receivers.otlp_texts import attributes_column
from watchkeeper.model import wire as log_wire
from watchkeeper.model.severity import severity_of
from watchkeeper.model.signal import LogBatch, WireRows

NOW_NS = 1_767_607_200_000_000_000

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}

TEXTS = st.text(max_size=12)
SCALARS = st.one_of(
    st.builds(lambda text: {"string_value": text}, TEXTS),
    st.builds(lambda flag: {"bool_value": flag}, st.booleans()),
    st.builds(lambda number: {"int_value": number}, st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda number: {"double_value": number}, st.floats(allow_nan=False, width=32)),
    st.builds(lambda run: {"bytes_value": run}, st.binary(max_size=5)),
    st.just({}),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda items: {"array_value": {"values": items}}, st.lists(inner, max_size=3)),
        st.builds(
            lambda items: {
                "kvlist_value": {"values": [{"key": k, "value": v} for k, v in items.items()]}
            },
            st.dictionaries(TEXTS, inner, max_size=3),
        ),
    ),
    max_leaves=4,
).map(lambda fields: AnyValue(**fields))
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=4)
IDS = {size: st.one_of(st.just(b""), st.binary(min_size=size, max_size=size)) for size in (8, 16)}
RECORDS = st.fixed_dictionaries(
    {
        "time_unix_nano": st.sampled_from([0, 1, NOW_NS, 2**63 - 1]),
        "observed_time_unix_nano": st.sampled_from([0, NOW_NS + 1]),
        "severity_number": st.integers(0, 24),
        "severity_text": st.sampled_from(["", "WARN", "Critical", "what?"]),
        "body": VALUES,
        "attributes": ATTRIBUTES,
        "trace_id": IDS[16],
        "span_id": IDS[8],
    }
)
REQUESTS = st.lists(st.tuples(ATTRIBUTES, st.lists(RECORDS, max_size=4)), max_size=3)


def request_of(drawn: Any) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    for resource, records in drawn:
        to = request.resource_logs.add()
        for key, value in resource.items():
            to.resource.attributes.add(key=key, value=value)
        for fields in records:
            own = {key: value for key, value in fields.items() if key != "attributes"}
            record = to.scope_logs.add().log_records.add(**own)
            for key, value in fields["attributes"].items():
                record.attributes.add(key=key, value=value)
    return request


def as_json(request: ExportLogsServiceRequest) -> bytes:
    body = MessageToDict(request, use_integers_for_enums=True)
    for given_logs in body.get("resourceLogs", ()):
        for scope in given_logs.get("scopeLogs", ()):
            for record in scope["logRecords"]:
                for name in {"traceId", "spanId"} & record.keys():
                    record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(body).encode()


def encoded(wire: WireRows) -> list[bytes]:
    return [log_wire.encode(record) for record in wire.records]


@given(REQUESTS)
def test_otlp_means_the_same_in_protobuf_and_in_json(drawn: Any) -> None:
    request = request_of(drawn)

    binary = OtlpLogs().decode(request.SerializeToString(), PROTOBUF, now_ns=NOW_NS)
    text = OtlpLogs().decode(as_json(request), JSON, now_ns=NOW_NS)

    assert encoded(binary) == encoded(text)
    assert binary.is_of_now == text.is_of_now


@given(REQUESTS)
def test_otlp_records_are_read_as_the_published_schema_has_them(drawn: Any) -> None:
    request = request_of(drawn)

    wire = OtlpLogs().decode(request.SerializeToString(), PROTOBUF, now_ns=NOW_NS)

    want = [
        (
            dict(resource),
            fields["time_unix_nano"] or fields["observed_time_unix_nano"] or NOW_NS,
            fields["severity_number"] or severity_of(fields["severity_text"]),
            fields["trace_id"] or bytes(16),
            fields["span_id"] or bytes(8),
        )
        for resource, records in drawn
        for fields in records
    ]
    found = []
    for batch in wire.records:
        assert isinstance(batch, LogBatch)
        for row in range(len(batch)):
            labels = dict(batch.origins[batch.origin[row]].labels)
            time_ns, severity = int(batch.time_ns[row]), int(batch.severity[row])
            trace = b"".join(int(half).to_bytes(8) for half in batch.trace[row])
            found.append((labels, time_ns, severity, trace, int(batch.span[row]).to_bytes(8)))
    assert [one[1:] for one in found] == [one[1:] for one in want]
    for (labels, *_), (resource, *_) in zip(found, want, strict=True):
        assert labels.keys() <= resource.keys()
        assert all(
            labels.get(key, "") == value.string_value
            for key, value in resource.items()
            if value.WhichOneof("value") == "string_value"
        )


@given(ATTRIBUTES)
def test_attributes_are_a_json_object_of_texts(drawn: dict[str, AnyValue]) -> None:
    classes = schema.otlp()
    messages = [
        classes["KeyValue"](key=key.encode(), value=classes["AnyValue"].FromString(raw))
        for key, value in drawn.items()
        for raw in [value.SerializeToString()]
    ]

    text = attributes_text(messages)

    assert (
        text == attributes_column([one.SerializeToString() for one in messages], [len(messages)])[0]
    )
    found: dict[str, str] = json.loads(text) if text else {}
    assert found.keys() == drawn.keys()
    assert all(isinstance(value, str) for value in found.values())
    assert all(
        found[key] == value.string_value
        for key, value in drawn.items()
        if value.WhichOneof("value") in ("string_value", None)
    )


LINES = st.lists(
    st.builds(
        Sent,
        body=TEXTS,
        time_ns=st.integers(0, 2**63 - 1),
        tags=st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=3),
    ),
    max_size=5,
)


@given(LINES)
def test_every_form_of_every_protocol_tells_the_same_lines(sent: list[Sent]) -> None:
    for form in FORMS.values():
        exact = [one for one in sent if one.time_ns > 10**17]  # less is not nanoseconds in JSON

        wire = decode(form, form.write(exact))

        assert facts_of(wire) == facts_sent(exact), form


def decode(form: Form, body: bytes) -> WireRows:
    headers = {**form.headers, "content-encoding": "identity"}
    wire = plugins.load("receiver", form.receiver)().decode(body, headers, now_ns=NOW_NS)
    assert isinstance(wire, WireRows)
    return wire


@given(st.sampled_from(sorted(FORMS)), st.data())
def test_damaged_bodies_are_refused_or_read_and_nothing_else(name: str, data: Any) -> None:
    form = FORMS[name]
    body = bytearray(form.write(many(4)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.one_of(st.integers(0, 255), st.sampled_from(b'"{}[]\\,:0')))

    try:
        wire = decode(form, bytes(body))
    except BadInput:
        return

    for record in wire.records:
        assert log_wire.encode(log_wire.decode(log_wire.encode(record))) == log_wire.encode(record)
        assert isinstance(record, LogBatch)
        record.body.data.tobytes().decode()
        for row in range(len(record)):
            text = record.attributes.text(row)
            assert not text or isinstance(json.loads(text), dict)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_read_by_loki(body: bytes) -> None:
    for headers in (PROTOBUF, JSON, {**PROTOBUF, "content-encoding": "identity"}):
        try:
            wire = Loki().decode(body, headers, now_ns=NOW_NS)
        except BadInput:
            continue
        assert isinstance(wire, WireRows)


NAMES = st.from_regex(r"[a-z_][a-z0-9_.]{0,8}", fullmatch=True)
QUOTES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\0": "\\x00"}


def quoted(text: str) -> str:
    """As Go's strconv.Quote writes it, near enough."""
    return '"' + "".join(QUOTES.get(char, char) for char in text) + '"'


@given(st.dictionaries(NAMES, TEXTS, max_size=4), st.sampled_from([",", ", ", " , "]))
def test_labels_in_lokis_text_form_are_read_back(labels: dict[str, str], between: str) -> None:
    text = "{" + between.join(f"{name}={quoted(value)}" for name, value in labels.items()) + "}"

    assert labels_of(text) == labels
