"""The real senders of log lines and deployments reach a running server, where they are found."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import logging_loki
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import use_span

from bench import client
from bench.client import HOST
from tests.integration.conftest import Shared
from watchkeeper.sdk import ChangeNote, Client, LogLine


def found(shared: Shared, **asked: str) -> list[dict[str, Any]]:
    """Lines of this test's service within an hour, the newest first."""
    of_it = {"query": f'{{service="{shared.service}"}}'}
    answer = json.loads(client.get(shared.server.port, "/api/v1/logs/search", of_it | asked))
    items: list[dict[str, Any]] = answer["items"]
    return items


@pytest.fixture(params=[Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def provider(shared: Shared, request: pytest.FixtureRequest) -> Iterator[LoggerProvider]:
    """An SDK that exports when it is told to."""
    exporter = OTLPLogExporter(
        endpoint=f"http://{HOST}:{shared.server.port}/v1/logs",
        compression=request.param,
        timeout=60,
    )
    made = LoggerProvider(shared.resource)
    made.add_log_record_processor(BatchLogRecordProcessor(exporter))
    yield made
    made.shutdown()


def test_records_of_the_opentelemetry_sdk_are_found_with_all_that_they_say(
    shared: Shared, provider: LoggerProvider
) -> None:
    span = TracerProvider().get_tracer("shop").start_span("pay")
    with use_span(span):
        provider.get_logger("shop.db", "1.2").emit(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.ERROR,
                body="Database timeout after 1200 ms",
                attributes={"rows": 7, "slow": True, "tables": ["a", "b"]},
            )
        )

    assert provider.force_flush()

    (line,) = found(shared, text="timeout", level="error")
    assert line["body"] == "Database timeout after 1200 ms"
    assert line["severity"] == "error"
    assert (line["service"], line["environment"]) == (shared.service, "production")
    assert line["labels"]["otel.scope.name"] == "shop.db"
    assert line["attributes"] == {"rows": "7", "slow": "true", "tables": '["a","b"]'}
    context = span.get_span_context()
    assert line["trace_id"] == f"{context.trace_id:032x}"
    assert line["span_id"] == f"{context.span_id:016x}"


def test_a_body_that_is_a_map_is_kept_as_json(shared: Shared, provider: LoggerProvider) -> None:
    record = LogRecord(timestamp=time.time_ns(), body={"msg": "paid", "amount": 12.5})
    provider.get_logger("shop").emit(record)

    assert provider.force_flush()

    (line,) = found(shared)
    assert json.loads(line["body"]) == {"msg": "paid", "amount": 12.5}


@pytest.mark.parametrize(("version", "path"), [("1", "/loki/api/v1/push"), ("0", "/api/prom/push")])
def test_lines_of_a_loki_client_are_found(shared: Shared, version: str, path: str) -> None:
    refused: list[logging.LogRecord] = []
    handler = logging_loki.LokiHandler(
        url=f"http://{HOST}:{shared.server.port}{path}",
        tags={"app": shared.service},
        version=version,
    )
    handler.handleError = refused.append
    logger = logging.getLogger("billing")
    logger.addHandler(handler)

    logger.warning('card "%s" was refused', "visa", extra={"tags": {"zone": "größe"}})
    logger.removeHandler(handler)

    assert refused == []
    (line,) = found(shared, query=f'{{app="{shared.service}"}}')
    assert line["body"] == 'card "visa" was refused'
    assert line["severity"] == "warn"
    assert line["labels"]["logger"] == "billing"
    assert line["labels"]["zone"] == "größe"
    assert line["service"] == shared.service


def test_lines_and_changes_of_our_own_client_are_found(shared: Shared) -> None:
    now_s = time.time()
    with Client(f"http://{HOST}:{shared.server.port}") as watchkeeper:
        lines = watchkeeper.write_logs(
            [
                LogLine(message=f"user {n} is in", timestamp=now_s, service=shared.service)
                for n in (1, 2)
            ]
        )
        watchkeeper.write_deployment(shared.service, "1.2", at=now_s, commit="abc")
        changes = watchkeeper.write_changes(
            [ChangeNote(service=shared.service, timestamp=now_s, kind="config", id="flag-7")]
        )

    assert (lines.accepted, changes.accepted) == (2, 1)
    shown = found(shared)
    assert len(shown) == 2
    assert len({line["template"] for line in shown}) == 1
    told = json.loads(
        client.get(shared.server.port, "/api/v1/changes", {"service": shared.service})
    )["items"]
    assert {(one["kind"], one["version"]) for one in told} == {
        ("deployment", "1.2"),
        ("config", ""),
    }


def test_a_body_that_is_sent_again_is_stored_once(shared: Shared) -> None:
    line = LogLine(message="once", timestamp=time.time(), service=shared.service)
    with Client(f"http://{HOST}:{shared.server.port}") as watchkeeper:
        for _ in range(3):
            watchkeeper.write_logs([line])

    assert len(found(shared, text="once")) == 1
