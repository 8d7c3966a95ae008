"""What each protocol's spans mean, where its golden files do not say it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from tests.span_senders import (
    FORMS,
    NOW_NS,
    NS_PER_MS,
    STOP,
    Sent,
    attributes_of,
    batches,
    jaeger_batch,
    jaeger_span,
    otlp_json,
    otlp_request,
    signed,
    t_i32,
    t_i64,
    t_list,
    trace_of,
    zipkin_item,
    zipkin_protobuf,
)
from watchkeeper import plugins
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers.jaeger_thrift import JaegerThrift
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.otlp_traces import OtlpTraces
from watchkeeper.ingest.receivers.span_tags import status_of
from watchkeeper.ingest.receivers.spans import MAX_PARTS
from watchkeeper.ingest.receivers.telemetry_records import TelemetryRecords
from watchkeeper.ingest.receivers.zipkin import Zipkin
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import SpanBatch, WireRows

TRACE = "4e441824ec2b6a44ffdc9bb9a6453df3"
OTHER_TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "ffdc9bb9a6453df3"
SPAN_NUMBER = int(SPAN, 16)


def only(wire: WireRows) -> SpanBatch:
    (batch,) = batches(wire)
    return batch


# How older tracers say that something went wrong.


@pytest.mark.parametrize(
    ("tags", "status", "message"),
    [
        ({}, SpanStatus.UNSET, ""),
        ({"error": ""}, SpanStatus.ERROR, ""),
        ({"error": "true"}, SpanStatus.ERROR, ""),
        ({"error": "True"}, SpanStatus.ERROR, ""),
        ({"error": "false"}, SpanStatus.UNSET, ""),
        ({"error": "timeout"}, SpanStatus.ERROR, "timeout"),
        ({"error": "true", "otel.status_description": "no"}, SpanStatus.ERROR, "no"),
        ({"error": "false", "otel.status_code": "ERROR"}, SpanStatus.ERROR, ""),
        ({"otel.status_code": "OK"}, SpanStatus.OK, ""),
        ({"otel.status_code": "error"}, SpanStatus.ERROR, ""),
        ({"otel.status_code": "tomorrow"}, SpanStatus.UNSET, ""),
        ({"http.status_code": "500"}, SpanStatus.ERROR, ""),
        ({"http.response.status_code": "599"}, SpanStatus.ERROR, ""),
        ({"http.status_code": "499"}, SpanStatus.UNSET, ""),
        ({"http.status_code": "5"}, SpanStatus.UNSET, ""),
        ({"http.status_code": "500", "otel.status_code": "OK"}, SpanStatus.OK, ""),
    ],
)
def test_tags_say_how_a_span_went(
    tags: Mapping[str, str], status: SpanStatus, message: str
) -> None:
    assert status_of(tags) == (status, message)


# Zipkin.


def zipkin(**fields: Any) -> WireRows:
    usual = {"traceId": TRACE, "id": SPAN, "timestamp": NOW_NS // 1000}
    return Zipkin().decode(json.dumps([{**usual, **fields}]).encode(), {}, now_ns=NOW_NS)


def test_zipkins_local_endpoint_goes_before_a_tag_of_that_name() -> None:
    batch = only(
        zipkin(localEndpoint={"serviceName": "shop"}, tags={"service.name": "from the resource"})
    )

    assert dict(batch.origins[0].labels) == {"service.name": "shop"}


def test_a_tag_goes_before_what_zipkins_remote_endpoint_says() -> None:
    remote = {"serviceName": "stock", "ipv4": "10.0.0.9", "port": 443}
    batch = only(zipkin(remoteEndpoint=remote, tags={"peer.service": "warehouse"}))

    assert attributes_of(batch) == {
        "peer.service": "warehouse",
        "net.peer.ip": "10.0.0.9",
        "net.peer.port": "443",
    }


def test_tags_of_a_resource_say_where_a_zipkin_span_comes_from() -> None:
    tags = {"k8s.pod.name": "shop-1", "deployment.environment": "test", "http.path": "/"}
    batch = only(zipkin(tags=tags))

    assert dict(batch.origins[0].labels) == {
        "k8s.pod.name": "shop-1",
        "deployment.environment": "test",
    }
    assert attributes_of(batch) == {"http.path": "/"}


@pytest.mark.parametrize("missing", [{"timestamp": None}, {"timestamp": 0}])
def test_a_zipkin_span_without_a_time_is_of_now_and_its_body_may_come_again(
    missing: dict[str, Any],
) -> None:
    wire = zipkin(**missing)

    assert only(wire).start_ns.tolist() == [NOW_NS]
    assert wire.is_of_now


@pytest.mark.parametrize("change", [{"shared": False}, {"shared": None}, {"debug": True}])
def test_what_is_not_shared_is_not_marked_as_such(change: dict[str, Any]) -> None:
    assert attributes_of(only(zipkin(**change))) == {}


def test_a_kind_that_zipkin_does_not_have_is_unknown() -> None:
    assert only(zipkin(kind="GATEWAY")).kind.tolist() == [SpanKind.UNKNOWN]


@pytest.mark.parametrize(
    "fields",
    [
        {"traceId": "0x" + TRACE[2:]},
        {"traceId": TRACE[:-1]},
        {"traceId": TRACE + "00"},
        {"traceId": " " + TRACE[1:]},
        {"id": SPAN[:-1]},
        {"parentId": "none"},
        {"timestamp": "now"},
        {"timestamp": 1e999},
        {"tags": {"n": 1}},
        {"annotations": [{"timestamp": None, "value": "x"}]},
    ],
)
def test_a_zipkin_span_that_breaks_the_rules_is_left_out(fields: dict[str, Any]) -> None:
    body = json.dumps([{"traceId": TRACE, "id": SPAN, **fields}]).replace("Infinity", "1e999")

    wire = Zipkin().decode(body.encode(), {}, now_ns=NOW_NS)

    assert wire.records == ()
    assert [reject.reason for reject in wire.rejects] == ["bad_item"]
    assert wire.rejects[0].detail.startswith("span 0: ")


@pytest.mark.parametrize("body", [b"{}", b'{"traceId": "1"}', b"null", b"[1", b"[[[[", b"\xff"])
def test_what_is_no_list_is_no_body_of_zipkins(body: bytes) -> None:
    with pytest.raises(BadInput, match="JSON list"):
        Zipkin().decode(body, {}, now_ns=NOW_NS)


# Jaeger.


def reference(kind: int, trace: str, span: str) -> bytes:
    return b"".join(
        (
            t_i32(1, kind),
            t_i64(2, signed(trace[16:])),
            t_i64(3, signed(trace[:16])),
            t_i64(4, signed(span)),
            STOP,
        )
    )


def jaeger(*references: bytes, parent: int = 0) -> SpanBatch:
    span = jaeger_span(Sent(trace=TRACE), parent=parent, more=t_list(6, references))
    wire = JaegerThrift().decode(jaeger_batch("shop", [span]), {}, now_ns=NOW_NS)
    return only(wire)


def links_of(batch: SpanBatch) -> list[tuple[str, str, str]]:
    return [
        (link["trace_id"], link["span_id"], link["attributes"]["opentracing.ref_type"])
        for link in json.loads(batch.links.text(0) or "[]")
    ]


@pytest.mark.parametrize("kind", [0, 1])
def test_a_jaeger_span_that_names_no_parent_has_the_one_that_it_refers_to(kind: int) -> None:
    batch = jaeger(reference(kind, TRACE, SPAN))

    assert batch.parent.tolist() == [SPAN_NUMBER]
    assert links_of(batch) == []


def test_of_a_jaeger_spans_references_a_child_goes_before_a_follower() -> None:
    batch = jaeger(reference(1, TRACE, "1" * 16), reference(0, TRACE, SPAN))

    assert batch.parent.tolist() == [SPAN_NUMBER]
    assert links_of(batch) == [(TRACE, "1" * 16, "follows_from")]


def test_the_parent_that_a_jaeger_span_names_goes_before_its_references() -> None:
    batch = jaeger(reference(0, TRACE, "1" * 16), parent=signed(SPAN))

    assert batch.parent.tolist() == [SPAN_NUMBER]
    assert links_of(batch) == [(TRACE, "1" * 16, "child_of")]


def test_a_reference_into_another_trace_is_a_link_and_no_parent() -> None:
    batch = jaeger(reference(0, OTHER_TRACE, SPAN))

    assert batch.parent.tolist() == [0]
    assert links_of(batch) == [(OTHER_TRACE, SPAN, "child_of")]


def test_a_jaeger_trace_of_64_bits_has_zeros_in_front() -> None:
    short = Sent(trace="0" * 16 + SPAN)

    wire = JaegerThrift().decode(jaeger_batch("shop", [jaeger_span(short)]), {}, now_ns=NOW_NS)

    assert trace_of(only(wire), 0) == "0" * 16 + SPAN


# OTLP.


@pytest.mark.parametrize("time_ns", [2**63, 2**64 - 1])
def test_an_event_out_of_all_time_is_told_at_the_start_of_its_span(time_ns: int) -> None:
    request = otlp_request([Sent()])
    events = request.resource_spans[0].scope_spans[0].spans[0].events
    events.add(name="late", time_unix_nano=time_ns)
    events.add(name="sound", time_unix_nano=NOW_NS + 1)

    batch = only(OtlpTraces().decode(request.SerializeToString(), {}, now_ns=0))

    assert [one["time_ns"] for one in json.loads(batch.events.text(0))] == [NOW_NS, NOW_NS + 1]


def test_a_span_that_is_no_protobuf_costs_itself_and_not_its_scope() -> None:
    raw = otlp_request([Sent(name="####"), Sent(name="sound")]).SerializeToString()
    broken = raw.replace(b"\x2a\x04####", b"\x2a\x7f####")

    wire = OtlpTraces().decode(broken, {}, now_ns=0)

    assert [only(wire).name.text(row) for row in range(len(only(wire)))] == ["sound"]
    assert [(one.reason, one.count) for one in wire.rejects] == [("bad_item", 1)]


@pytest.mark.parametrize("numbers", [{"kind": 6}, {"kind": -1}, {"kind": 2**31 - 1}])
def test_a_kind_of_a_later_otlp_is_unknown(numbers: dict[str, int]) -> None:
    body = {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": TRACE,
                                "spanId": SPAN,
                                "startTimeUnixNano": NOW_NS,
                                "status": {"code": 3},
                                **numbers,
                            }
                        ]
                    }
                ]
            }
        ]
    }
    headers = {"content-type": "application/json"}

    batch = only(OtlpTraces().decode(json.dumps(body).encode(), headers, now_ns=0))

    assert (batch.kind[0], batch.status[0]) == (SpanKind.UNKNOWN, SpanStatus.UNSET)


# Records of requests.


def record(**fields: Any) -> dict[str, Any]:
    usual = {"service_name": "shop", "endpoint": "/pay", "timestamp": NOW_NS // NS_PER_MS}
    return {**usual, **fields}


def records(*given: dict[str, Any], now_ns: int = NOW_NS) -> WireRows:
    return TelemetryRecords().decode(json.dumps(given).encode(), {}, now_ns=now_ns)


def test_a_record_ends_when_it_was_written() -> None:
    batch = only(records(record(latency_ms=250.5)))

    assert batch.duration_ns.tolist() == [250_500_000]
    assert (batch.start_ns + batch.duration_ns).tolist() == [NOW_NS]


def test_records_that_name_one_trace_are_spans_of_one_trace() -> None:
    batch = only(records(record(trace_id="abc-123"), record(trace_id="abc-123"), record()))

    first, second, third = (trace_of(batch, row) for row in range(3))
    assert first == second != third
    assert len(set(batch.span.tolist())) == 3
    assert attributes_of(batch)["telemetry.trace_id"] == "abc-123"


def test_the_trace_of_a_name_is_the_same_wherever_and_whenever_it_comes() -> None:
    """It is stored, and other processes find the trace by it."""
    assert trace_of(only(records(record(trace_id="abc-123"))), 0) == (
        "4319ee963df5ff96a73932c610d5ccda"
    )


@pytest.mark.parametrize("given", [TRACE, TRACE.upper(), SPAN])
def test_a_trace_id_that_is_one_is_taken_as_it_is(given: str) -> None:
    batch = only(records(record(trace_id=given)))

    assert trace_of(batch, 0) == given.lower().rjust(32, "0")
    assert "telemetry.trace_id" not in attributes_of(batch)


@pytest.mark.parametrize("given", ["0" * 32, "0" * 16])
def test_zeros_are_a_name_like_any_other(given: str) -> None:
    batch = only(records(record(trace_id=given)))

    assert int(trace_of(batch, 0), 16)
    assert attributes_of(batch)["telemetry.trace_id"] == given


def test_records_without_a_time_are_of_now_and_each_is_another() -> None:
    given = record(timestamp=None)

    first, later = records(given), records(given, now_ns=NOW_NS + 1)

    assert first.is_of_now
    assert only(first).start_ns.tolist() == [NOW_NS]
    assert only(first).span.tolist() != only(later).span.tolist()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status_code": 200}, SpanStatus.UNSET),
        ({"status_code": 499}, SpanStatus.UNSET),
        ({"status_code": 500}, SpanStatus.ERROR),
        ({"status_code": 200, "error_message": "timeout"}, SpanStatus.ERROR),
        ({"error_message": "  "}, SpanStatus.UNSET),
        ({}, SpanStatus.UNSET),
    ],
)
def test_a_server_error_or_a_message_is_an_error(
    fields: dict[str, Any], status: SpanStatus
) -> None:
    assert only(records(record(**fields))).status.tolist() == [status]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("timeout", "timeout"),
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        ("java.lang.Error: no\n\tat a.B(B.java:1)", "java.lang.Error: no"),
    ],
)
def test_the_telling_line_of_a_stack_trace_is_the_message(error: str, message: str) -> None:
    batch = only(records(record(error_message=error)))

    assert batch.message.text(0) == message
    events = json.loads(batch.events.text(0) or "[]")
    stacks = [event["attributes"]["exception.stacktrace"] for event in events]
    assert stacks == ([error.strip()] if "\n" in error else [])


@pytest.mark.parametrize(
    "fields",
    [
        {"service_name": ""},
        {"endpoint": ""},
        {"endpoint": None},
        {"timestamp": "tomorrow"},
        {"status_code": "500"},
        {"latency_ms": "fast"},
        {"timestamp": 10**60},
    ],
)
def test_a_record_that_breaks_the_rules_is_left_out(fields: dict[str, Any]) -> None:
    wire = records(record(), record(**fields))

    assert len(only(wire)) == 1
    assert [reject.reason for reject in wire.rejects] == ["bad_item"]
    assert wire.rejects[0].detail.startswith("record 1: ")


# All of them.


@pytest.mark.parametrize("name", ["zipkin", "otlp_traces", "telemetry_records"])
def test_bad_spans_count_towards_the_most_that_a_body_may_have(name: str) -> None:
    """Or a body of nothing else would keep a server busy for as long as it likes."""
    form = FORMS[name]
    receiver = plugins.load("receiver", name)(RowLimits(rows=3))

    with pytest.raises(TooLarge, match="rows of the receiver"):
        receiver.decode(form.write([form.bad] * 4), form.headers, now_ns=NOW_NS)


def zipkin_item_of(n_parts: int) -> dict[str, Any]:
    notes = [{"timestamp": 1, "value": ""}] * n_parts
    return {**zipkin_item(Sent()), "annotations": notes}


def otlp_body_of(n_parts: int, sort: str, *, is_json: bool) -> bytes:
    request = otlp_request([Sent()])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    of = span.events.add() if sort == "attributes of an event" else span
    parts = {"events": span.events, "links": span.links}.get(sort, of.attributes)
    for _ in range(n_parts):
        parts.add()
    raw: bytes = otlp_json(request) if is_json else request.SerializeToString()
    return raw


SORTS = ("attributes", "events", "links", "attributes of an event")
PARTS: Mapping[str, Callable[[int], bytes]] = {
    "zipkin": lambda n: json.dumps([zipkin_item_of(n)]).encode(),
    "zipkin.pb": lambda n: zipkin_protobuf([zipkin_item_of(n)]),
    **{
        f"{form}, {sort}": partial(otlp_body_of, sort=sort, is_json=form.endswith(".json"))
        for form in ("otlp_traces", "otlp_traces.json")
        for sort in SORTS
    },
}


@pytest.mark.parametrize("name", PARTS)
def test_a_span_of_too_many_parts_costs_itself(name: str) -> None:
    """Parts that say nothing take two bytes each on the way, and a hundred times that here."""
    form = FORMS[name.partition(",")[0]]
    receiver = plugins.load("receiver", form.receiver)()

    taken = receiver.decode(PARTS[name](MAX_PARTS), form.headers, now_ns=NOW_NS)
    refused = receiver.decode(PARTS[name](MAX_PARTS + 1), form.headers, now_ns=NOW_NS)

    assert (len(only(taken)), taken.rejects) == (1, ())
    assert refused.records == ()
    assert [reject.reason for reject in refused.rejects] == ["bad_item"]
    assert str(MAX_PARTS) in refused.rejects[0].detail
