"""One small event in the words of each protocol, to see whether it arrives and can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from watchkeeper.sdk import remote_write
from watchkeeper.sdk.series import Sample, series_of

SERVICE: Final = "watchkeeper-test"
METRIC: Final = "watchkeeper_test_event"

Reads = Literal["samples", "lines", "spans", "changes"]


@dataclass(frozen=True, slots=True)
class Sent:
    """Of an event: its 32 hex digits, and its time."""

    id: str
    time_ns: int

    @property
    def iso(self) -> str:
        return datetime.fromtimestamp(self.time_ns / 1e9, UTC).isoformat()

    @property
    def text(self) -> str:
        return f"test event {self.id}"


@dataclass(frozen=True, slots=True)
class Way:
    """How a protocol says it."""

    path: str
    reads: Reads
    body: Callable[[Sent], bytes]
    headers: Mapping[str, str]


def _in_json(
    path: str, reads: Reads, said: Callable[[Sent], Any], media: str = "application/json"
) -> Way:
    return Way(path, reads, lambda sent: json.dumps(said(sent)).encode(), {"content-type": media})


def _samples(sent: Sent) -> bytes:
    labels = {"service": SERVICE, "event": sent.id}
    return remote_write.encode(series_of([Sample(METRIC, 1.0, sent.time_ns / 1e9, labels)]))


def _resource(scope: str, item: Mapping[str, Any], items: str) -> dict[str, Any]:
    attributes = [_attribute("service.name", SERVICE)]
    scoped = {scope: [{"scope": {"name": "watchkeeper"}, items: [item]}]}
    return {"resource": {"attributes": attributes}, **scoped}


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _otlp_metrics(sent: Sent) -> Any:
    point = {
        "timeUnixNano": str(sent.time_ns),
        "asDouble": 1.0,
        "attributes": [_attribute("event", sent.id)],
    }
    metric = {"name": METRIC, "gauge": {"dataPoints": [point]}}
    return {"resourceMetrics": [_resource("scopeMetrics", metric, "metrics")]}


def _otlp_logs(sent: Sent) -> Any:
    line = {
        "timeUnixNano": str(sent.time_ns),
        "severityNumber": 9,
        "body": {"stringValue": sent.text},
    }
    return {"resourceLogs": [_resource("scopeLogs", line, "logRecords")]}


def _otlp_traces(sent: Sent) -> Any:
    span = {
        "traceId": sent.id,
        "spanId": sent.id[:16],
        "name": "test event",
        "kind": 1,
        "startTimeUnixNano": str(sent.time_ns),
        "endTimeUnixNano": str(sent.time_ns + 1_000_000),
    }
    return {"resourceSpans": [_resource("scopeSpans", span, "spans")]}


def _zipkin(sent: Sent) -> Any:
    return [
        {
            "traceId": sent.id,
            "id": sent.id[:16],
            "name": "test event",
            "timestamp": sent.time_ns // 1000,
            "duration": 1000,
            "localEndpoint": {"serviceName": SERVICE},
        }
    ]


def _telemetry(sent: Sent) -> Any:
    return {
        "service_name": SERVICE,
        "endpoint": "/test",
        "method": "GET",
        "status_code": 200,
        "latency_ms": 1.0,
        "trace_id": sent.id,
        "timestamp": sent.iso,
    }


WAYS: Final[Mapping[str, Way]] = {
    "remote_write": Way("/api/v1/write", "samples", _samples, remote_write.HEADERS),
    "otlp_metrics": _in_json("/v1/metrics", "samples", _otlp_metrics),
    "metrics_json": _in_json(
        "/api/v1/metrics/write",
        "samples",
        lambda sent: [
            {"name": METRIC, "value": 1, "timestamp": sent.iso, "service": SERVICE,
             "labels": {"event": sent.id}}
        ],
    ),
    "metric_points": _in_json(
        "/ingest/metrics",
        "samples",
        lambda sent: {"metric_name": METRIC, "value": 1, "timestamp": sent.iso,
                      "labels": {"service": SERVICE, "event": sent.id}},
    ),
    "otlp_logs": _in_json("/v1/logs", "lines", _otlp_logs),
    "loki": _in_json(
        "/loki/api/v1/push",
        "lines",
        lambda sent: {"streams": [{"stream": {"service": SERVICE},
                                   "values": [[str(sent.time_ns), sent.text]]}]},
    ),
    "logs_json": _in_json(
        "/api/v1/logs/write",
        "lines",
        lambda sent: [{"timestamp": sent.iso, "level": "info", "service": SERVICE,
                       "message": sent.text}],
    ),
    "log_entries": _in_json(
        "/ingest/logs",
        "lines",
        lambda sent: {"timestamp": sent.iso, "level": "INFO", "service": SERVICE,
                      "message": sent.text},
    ),
    "otlp_traces": _in_json("/v1/traces", "spans", _otlp_traces),
    "zipkin": _in_json("/api/v2/spans", "spans", _zipkin),
    "telemetry_records": _in_json("/api/v1/telemetry", "spans", _telemetry),
    "deployment": _in_json(
        "/ingest/deployment",
        "changes",
        lambda sent: {"timestamp": sent.iso, "service": SERVICE, "version": sent.id,
                      "status": "success"},
    ),
}  # fmt: skip
"""By receiver."""
