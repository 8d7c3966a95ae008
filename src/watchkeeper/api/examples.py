"""An example for every door and every question, for the API's description. A test sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

JSON: Final = "application/json"
_AT: Final = "2026-01-05T10:00:00Z"
_AT_NS: Final = "1767607200000000000"
_TRACE: Final = "5b8efff798038103d269b633813fc60c"
_SPAN: Final = "eee19b7ec3c1b174"


@dataclass(frozen=True, slots=True)
class Body:
    """As it is sent; what is no text is base64 here."""

    value: Any
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    """What must be sent with it."""

    @property
    def is_binary(self) -> bool:
        return isinstance(self.value, str)


def _resource(scope: str, items: str, item: Mapping[str, Any]) -> dict[str, Any]:
    service = {"key": "service.name", "value": {"stringValue": "payment"}}
    return {"resource": {"attributes": [service]}, scope: [{"scope": {"name": "x"}, items: [item]}]}


_LOKI: Final = Body(
    {"streams": [{"stream": {"service": "payment", "level": "error"},
                  "values": [[_AT_NS, "Database timeout"]]}]}
)  # fmt: skip

_ALERT: Final = {
    "labels": {"alertname": "HighLatency", "service": "payment", "severity": "critical"},
    "annotations": {"summary": "p99 1.5 s"}, "startsAt": _AT,
}  # fmt: skip
_WEBHOOK: Final = Body({"version": "4", "alerts": [{**_ALERT, "status": "firing"}]})
_FORMATTED: Final = Body({"alert_uid": "a-1", "title": "HighLatency", "state": "alerting"})
_ALIVE: Final = Body({})
_EVENT: Final = Body(
    {"specversion": "1.0", "id": "a-1", "source": "/monitor", "type": "HighLatency",
     "subject": "payment", "time": _AT, "data": {"severity": "critical"}},
    "application/cloudevents+json",
)  # fmt: skip

BODIES: Final[Mapping[str, Body]] = {
    "/api/v1/write": Body(
        "RvBFCkQKHwoIX19uYW1lX18SE2h0dHBfcmVxdWVzdHNfdG90YWwKDwoHc2VydmljZRIEc2hvcBIQCQAAAAAAAEVA"
        "EIDS5ey4Mw==",
        "application/x-protobuf",
        {"content-encoding": "snappy", "x-prometheus-remote-write-version": "0.1.0"},
    ),
    "/v1/metrics": Body({"resourceMetrics": [_resource("scopeMetrics", "metrics", {
        "name": "http.server.duration", "unit": "ms",
        "gauge": {"dataPoints": [{"timeUnixNano": _AT_NS, "asDouble": 1500.0}]},
    })]}),
    "/api/v1/metrics/write": Body({"metrics": [
        {"name": "queue_length", "value": 7, "timestamp": _AT, "labels": {"service": "shop"}}
    ]}),
    "/ingest/metrics": Body(
        {"metric_name": "queue_length", "value": 7, "timestamp": _AT, "labels": {"service": "shop"}}
    ),
    "/v1/logs": Body({"resourceLogs": [_resource("scopeLogs", "logRecords", {
        "timeUnixNano": _AT_NS, "severityNumber": 17, "body": {"stringValue": "Database timeout"},
    })]}),
    "/loki/api/v1/push": _LOKI,
    "/api/prom/push": _LOKI,
    "/api/v1/logs/write": Body({"logs": [
        {"timestamp": _AT, "level": "error", "service": "payment", "message": "Database timeout"}
    ]}),
    "/ingest/logs": Body(
        {"timestamp": _AT, "level": "ERROR", "service": "payment", "message": "Database timeout"}
    ),
    "/ingest/deployment": Body(
        {"timestamp": _AT, "service": "payment", "version": "v2.1.0", "status": "success",
         "metadata": {"commit": "abc123", "deployed_by": "ci"}}
    ),
    "/api/v1/changes": Body({"changes": [
        {"service": "payment", "kind": "config", "timestamp": _AT, "summary": "pool size 10 to 20"}
    ]}),
    "/api/v1/alerts/ingest": Body({"alerts": [
        {"name": "HighLatency", "service": "payment", "severity": "critical", "status": "firing",
         "started_at": _AT, "summary": "p99 1.5 s"}
    ]}),
    "/api/v2/alerts": Body([_ALERT]),
    "/webhooks/alertmanager": _WEBHOOK,
    "/webhooks/grafana": _WEBHOOK,
    "/webhooks/json/{name}": Body({"name": "HighLatency", "service": "payment"}),
    "/webhooks/cloudevents": _EVENT,
    "/v2/enqueue": Body({
        "routing_key": "payment", "event_action": "trigger", "dedup_key": "inc-42",
        "payload": {"summary": "payment: error spike", "source": "aiops", "severity": "critical"},
    }),
    "/integrations/v1/alertmanager/{name}/": _WEBHOOK,
    "/integrations/v1/grafana/{name}/": _WEBHOOK,
    "/integrations/v1/grafana_alerting/{name}/": _WEBHOOK,
    "/integrations/v1/formatted_webhook/{name}/": _FORMATTED,
    "/integrations/v1/webhook/{name}/": _FORMATTED,
    "/api/v1/heartbeats/{name}": _ALIVE,
    **{
        f"/integrations/v1/{kind}/{{name}}/heartbeat/": _ALIVE
        for kind in ("alertmanager", "grafana", "grafana_alerting", "formatted_webhook", "webhook")
    },
    "/alerts/event": Body({"name": "HighLatency", "service": "payment", "status": "firing"}),
    "/alerts/event/{name}": Body({"name": "HighLatency", "service": "payment"}),
    "/webhooks/git": Body(
        {"deployment_status": {"state": "success", "updated_at": _AT},
         "deployment": {"id": 7, "sha": "abc123", "environment": "production"},
         "repository": {"name": "payment"}},
        headers={"x-github-event": "deployment_status"},
    ),
    "/events": Body(
        {"specversion": "1.0", "id": "d-77", "source": "/ci/payment", "time": _AT,
         "type": "dev.deploy.finished", "data": {"service": "payment", "version": "v2.1.0"}},
        "application/cloudevents+json",
    ),
    "/v1/traces": Body({"resourceSpans": [_resource("scopeSpans", "spans", {
        "traceId": _TRACE, "spanId": _SPAN, "name": "POST /payment", "kind": 2,
        "startTimeUnixNano": _AT_NS, "endTimeUnixNano": "1767607201500000000",
    })]}),
    "/api/v2/spans": Body([
        {"traceId": _TRACE, "id": _SPAN, "kind": "SERVER", "name": "post /payment",
         "timestamp": 1767607200000000, "duration": 1500000,
         "localEndpoint": {"serviceName": "payment"}}
    ]),
    "/api/traces": Body(
        "DAABCwABAAAABHNob3AADwACDAAAAAEKAAEAAAAAAAAABwoAAgAAAAAAAAAACgADAAAAAAAAAAgKAAQAAAAAAAAAAAsA"
        "BQAAAAlHRVQgL2NhcnQIAAcAAAABCgAIAAZHoR9CKAAKAAkAAAAAAAAF3AAA",
        "application/x-thrift",
    ),
    "/api/v1/telemetry": Body(
        {"service_name": "payment", "endpoint": "/pay", "method": "POST", "status_code": 200,
         "latency_ms": 12.5, "trace_id": _TRACE, "timestamp": _AT}
    ),
}  # fmt: skip

PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "/api/v1/metrics/query": {"query": 'http_requests_total{service="shop"}', "step": "1m"},
    "/api/v1/anomalies": {"status": "open", "limit": 20},
    "/api/v1/anomalies/{anomaly_id}": {"anomaly_id": "4f1c00000000000000000000000000aa"},
    "/api/v1/anomalies/{anomaly_id}/traces": {"anomaly_id": "4f1c00000000000000000000000000aa"},
    "/api/v1/anomalies/{anomaly_id}/verdict": {"anomaly_id": "4f1c00000000000000000000000000aa"},
    "/api/v1/incidents": {"status": "active", "facets": "true"},
    "/api/v1/incidents/{incident_id}": {"incident_id": "INC-1767607200-1"},
    "/api/v1/incidents/{incident_id}/timeline": {"incident_id": "INC-1767607200-1"},
    "/api/v1/incidents/{incident_id}/{verb}": {
        "incident_id": "INC-1767607200-1", "verb": "comment",
    },
    "/api/v1/detection/series/{series}": {"series": "5d2bd4f5499c3b42696b014597892ffb"},
    "/api/v1/detection/noisy": {"at_least": 3, "limit": 20},
    "/api/v1/maintenance/{window_id}": {"window_id": "0123456789abcdef"},
    "/api/v1/detection/band": {"match": 'cpu_usage{service="shop"}', "step": "5m"},
    "/api/v1/logs/search": {"level": "error", "limit": 20},
    "/api/v1/logs/templates": {"service": "payment", "limit": 20},
    "/api/v1/traces": {"service": "payment", "limit": 20},
    "/api/v1/traces/{trace_id}": {"trace_id": _TRACE},
    "/api/v1/changes": {"service": "payment"},
    "/api/v1/config/detection/versions": {"limit": 20},
    "/api/v1/config/detection/versions/{version}": {"version": "0"},
    "/api/v1/topology": {"service": "payment", "hops": 2},
    "/api/v1/topology/versions": {"limit": 20},
    "/api/v1/config/topology/versions": {"limit": 20},
    "/api/v1/config/topology/versions/{version}": {"version": "0"},
    "/api/v1/audit": {"action": "key.create"},
    "/api/v1/keys/{key_id}": {"key_id": "0123456789ab"},
    "/prometheus/api/v1/query": {"query": 'sum by (service) (rate(http_requests_total[5m]))'},
    "/prometheus/api/v1/query_range": {
        "query": "up", "start": "1767603600", "end": "1767607200", "step": "60",
    },
    "/prometheus/api/v1/query_exemplars": {
        "query": "up", "start": "1767603600", "end": "1767607200",
    },
    "/prometheus/api/v1/series": {"match[]": ["up"]},
    "/prometheus/api/v1/label/{name}/values": {"name": "service"},
}  # fmt: skip
"""By path, parameters with a value that makes sense."""


def asked(path: str) -> tuple[str, Mapping[str, Any]]:
    """The example of a question: its path with the names filled in, and its other parameters."""
    parameters = PARAMETERS.get(path, {})
    filled = path
    for name, value in parameters.items():
        filled = filled.replace(f"{{{name}}}", str(value))
    return filled, {name: v for name, v in parameters.items() if f"{{{name}}}" not in path}
