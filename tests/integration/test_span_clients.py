"""The real tracers and exporters send spans to a running server, which tells them as traces."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import grpc
import pytest
from jaeger_client import ConstSampler, Tracer
from jaeger_client import thrift as jaeger
from jaeger_client.reporter import InMemoryReporter
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from py_zipkin import Encoding, Kind
from py_zipkin.encoding import Span as ZipkinSpan
from py_zipkin.encoding import create_endpoint, get_encoder
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

from bench import client
from bench.client import HOST
from bench.peers import Server
from tests.integration.conftest import Shared, query

PATIENCE_S = 60
"""A server that compiles its kernels for the first time takes a while to answer the first body."""
LINKED = "4e441824ec2b6a44ffdc9bb9a6453df3"
SPAN = "ffdc9bb9a6453df3"


def spans_of(server: Server, trace_id: str) -> dict[str, dict[str, Any]]:
    """The spans of a trace by their names."""
    answer = json.loads(client.get(server.port, f"/api/v1/traces/{trace_id}"))
    return {span["name"]: span for span in answer["spans"]}


def post(server: Server, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=20)
    connection.request("POST", path, body, {"content-type": content_type})
    answer = connection.getresponse()
    said = answer.status, answer.read()
    connection.close()
    return said


@contextmanager
def tracer(shared: Shared, exporter: SpanExporter) -> Iterator[Any]:
    """An SDK's tracer, whose spans are exported as they end."""
    provider = TracerProvider(resource=shared.resource)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("shop", "1.2")
    provider.shutdown()


def payment(given: Any) -> str:
    """A trace of two spans, of which one went wrong; its id."""
    with given.start_as_current_span("checkout", kind=SpanKind.SERVER) as outer:
        context = SpanContext(int(LINKED, 16), int(SPAN, 16), is_remote=True)
        with given.start_as_current_span(
            "pay",
            kind=SpanKind.CLIENT,
            attributes={"amount": 12.5, "card": "visa", "items": [1, 2]},
            links=[Link(context, {"why": "retry"})],
        ) as inner:
            inner.add_event("refused", {"code": 51})
            inner.set_status(Status(StatusCode.ERROR, "card refused"))
        return f"{outer.get_span_context().trace_id:032x}"


def check_payment(shared: Shared, found: Mapping[str, dict[str, Any]]) -> None:
    """What every exporter can say of it."""
    checkout, pay = found["checkout"], found["pay"]
    assert (checkout["kind"], pay["kind"]) == ("server", "client")
    assert (checkout["parent_id"], pay["parent_id"]) == (None, checkout["span_id"])
    assert (checkout["service"], checkout["environment"]) == (shared.service, "production")
    assert (checkout["status"], pay["status"], pay["message"]) == ("unset", "error", "card refused")
    assert pay["attributes"]["card"] == "visa"
    assert pay["attributes"]["amount"] == "12.5"
    assert checkout["duration_ms"] >= pay["duration_ms"] > 0


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_spans_of_the_real_sdk_over_http_are_read_back(
    shared: Shared, compression: Compression
) -> None:
    exporter = OverHttp(
        endpoint=f"http://{HOST}:{shared.server.port}/v1/traces",
        compression=compression,
        timeout=PATIENCE_S,
    )

    with tracer(shared, exporter) as given:
        found = spans_of(shared.server, payment(given))

    check_payment(shared, found)
    assert found["pay"]["attributes"]["items"] == "[1,2]"
    assert found["pay"]["labels"]["otel.scope.name"] == "shop"
    assert [event["name"] for event in found["pay"]["events"]] == ["refused"]
    assert found["pay"]["events"][0]["attributes"] == {"code": "51"}
    assert found["pay"]["links"] == [
        {"trace_id": LINKED, "span_id": SPAN, "attributes": {"why": "retry"}}
    ]


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_spans_of_the_real_sdk_over_grpc_are_read_back(
    shared: Shared, compression: grpc.Compression
) -> None:
    exporter = OverGrpc(
        endpoint=f"http://{HOST}:{shared.grpc_port}",
        insecure=True,
        compression=compression,
        timeout=PATIENCE_S,
    )

    with tracer(shared, exporter) as given:
        found = spans_of(shared.server, payment(given))

    check_payment(shared, found)
    assert found["pay"]["events"][0]["attributes"] == {"code": "51"}


def test_metrics_of_the_real_sdk_over_grpc_are_read_back(shared: Shared) -> None:
    exporter = OTLPMetricExporter(
        endpoint=f"http://{HOST}:{shared.grpc_port}", insecure=True, timeout=PATIENCE_S
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider(metric_readers=[reader], resource=shared.resource)

    provider.get_meter("shop").create_counter("shop.orders").add(3)
    provider.force_flush()

    assert (
        query(shared.server, f'shop_orders_total{{service="{shared.service}"}}')[0]["points"][-1][1]
        == 3.0
    )
    provider.shutdown()


def test_lines_of_the_real_sdk_over_grpc_are_read_back(shared: Shared) -> None:
    exporter = OTLPLogExporter(
        endpoint=f"http://{HOST}:{shared.grpc_port}", insecure=True, timeout=PATIENCE_S
    )
    provider = LoggerProvider(resource=shared.resource)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))

    provider.get_logger("shop").emit(body="card refused", severity_text="error")

    found = json.loads(
        client.get(
            shared.server.port,
            "/api/v1/logs/search",
            {"query": f'{{service="{shared.service}"}}', "text": "refused"},
        )
    )
    assert [line["body"] for line in found["items"]] == ["card refused"]
    provider.shutdown()


def test_a_tenant_named_in_metadata_keeps_its_spans_apart(shared: Shared) -> None:
    exporter = OverGrpc(
        endpoint=f"http://{HOST}:{shared.grpc_port}",
        insecure=True,
        headers=(("x-scope-orgid", "other"),),
        timeout=PATIENCE_S,
    )

    with tracer(shared, exporter) as given:
        trace_id = payment(given)

    with pytest.raises(client.Refused, match="404"):
        spans_of(shared.server, trace_id)


def test_spans_of_the_sdks_zipkin_exporter_are_read_back(shared: Shared) -> None:
    exporter = ZipkinExporter(endpoint=f"http://{HOST}:{shared.server.port}/api/v2/spans")

    with tracer(shared, exporter) as given:
        found = spans_of(shared.server, payment(given))

    check_payment(shared, found)
    assert len(found["pay"]["events"]) == 1


def zipkin_spans(trace_id: str, start_s: float) -> list[ZipkinSpan]:
    """Both halves of a call as py_zipkin has them, the server's with the id of the client's."""
    here = create_endpoint(port=8080, service_name="checkout", host="10.0.0.7")
    there = create_endpoint(port=443, service_name="stock", host="10.0.0.9")
    common: dict[str, Any] = {
        "trace_id": trace_id,
        "parent_id": None,
        "span_id": SPAN,
        "timestamp": start_s,
    }
    return [
        ZipkinSpan(
            name="ask",
            kind=Kind.CLIENT,
            duration=0.5,
            local_endpoint=here,
            remote_endpoint=there,
            tags={"http.path": "/stock", "error": "timeout"},
            annotations={"sent": start_s + 0.25},
            **common,
        ),
        ZipkinSpan(
            name="answer",
            kind=Kind.SERVER,
            duration=0.25,
            local_endpoint=there,
            shared=True,
            **common,
        ),
    ]


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [
        (Encoding.V2_JSON, "application/json"),
        (Encoding.V2_PROTO3, "application/x-protobuf"),
    ],
)
def test_both_halves_of_a_shared_span_of_py_zipkin_are_kept(
    shared: Shared, encoding: Encoding, content_type: str
) -> None:
    encoder = get_encoder(encoding)
    trace_id, start_s = uuid.uuid4().hex, int(time.time()) + 0.5
    body = encoder.encode_queue(
        [encoder.encode_span(span) for span in zipkin_spans(trace_id, start_s)]
    )

    answer = post(
        shared.server,
        "/api/v2/spans",
        content_type,
        body.encode() if isinstance(body, str) else body,
    )

    assert answer == (202, b"")
    found = spans_of(shared.server, trace_id)
    ask, given = found["ask"], found["answer"]
    assert (ask["kind"], ask["service"], ask["duration_ms"]) == ("client", "checkout", 500.0)
    assert (ask["status"], ask["message"]) == ("error", "timeout")
    assert ask["attributes"]["peer.service"] == "stock"
    assert ask["attributes"]["net.peer.ip"] == "10.0.0.9"
    assert ask["events"][0]["name"] == "sent"
    assert (iso_s(ask["start"]), iso_s(ask["events"][0]["time"])) == (start_s, start_s + 0.25)
    assert (given["kind"], given["service"]) == ("server", "stock")
    assert given["attributes"]["zipkin.shared"] == "true"
    assert ask["span_id"] == given["span_id"] == SPAN


def iso_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def jaeger_body(spans: Sequence[Any], tags: Mapping[str, Any]) -> bytes:
    """A batch as the client library writes it, by Apache Thrift."""
    process = jaeger.make_process("checkout", dict(tags), 100)
    batch = jaeger.make_jaeger_batch(spans=spans, process=process)
    buffer = TMemoryBuffer()
    batch.write(TBinaryProtocol(buffer))
    body: bytes = buffer.getvalue()
    return body


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # its sampler's socket to an agent
def test_a_batch_of_the_real_jaeger_tracer_is_read_back(shared: Shared) -> None:
    """Its library sends by UDP alone, so the batch that it makes is posted for it."""
    reporter = InMemoryReporter()
    given = Tracer("checkout", reporter, ConstSampler(decision=True), max_tag_value_length=1000)
    outer = given.start_span("checkout", tags={"span.kind": "server"})
    inner = given.start_span("pay", child_of=outer, tags={"span.kind": "client", "amount": 12.5})
    inner.set_tag("error", value=True)
    inner.log_kv({"event": "refused", "code": 51})
    inner.finish()
    outer.finish()
    body = jaeger_body(reporter.get_spans(), {"hostname": "node-1", "environment": "production"})

    answer = post(
        shared.server,
        "/api/traces?format=jaeger.thrift",
        "application/vnd.apache.thrift.binary",
        body,
    )

    assert answer == (202, b"")
    found = spans_of(shared.server, f"{outer.trace_id:032x}")
    checkout, pay = found["checkout"], found["pay"]
    assert (checkout["kind"], pay["kind"], pay["status"]) == ("server", "client", "error")
    assert (checkout["service"], checkout["environment"]) == ("checkout", "production")
    assert (checkout["node"], pay["parent_id"]) == ("node-1", checkout["span_id"])
    assert pay["attributes"]["amount"] == "12.5"
    assert pay["events"][0]["attributes"] == {"code": "51"}


def test_records_of_requests_make_a_trace_by_any_name(shared: Shared) -> None:
    name = f"a-{shared.service}"
    records = [
        {"service_name": "checkout", "endpoint": "/checkout", "latency_ms": 250, "trace_id": name},
        {"service_name": shared.service, "endpoint": "/pay", "status_code": 500, "trace_id": name},
    ]

    status, said = post(
        shared.server, "/api/v1/telemetry", "application/json", json.dumps(records).encode()
    )

    assert (status, json.loads(said)["accepted"]) == (200, 2)
    listed = json.loads(
        client.get(shared.server.port, "/api/v1/traces", {"service": shared.service})
    )["items"]
    found = spans_of(shared.server, listed[0]["trace_id"])
    assert found.keys() == {"/checkout", "/pay"}
    assert found["/pay"]["status"] == "error"
    assert found["/checkout"]["attributes"]["telemetry.trace_id"] == name
