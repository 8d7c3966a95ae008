"""The one table of doors: where telemetry comes in, and who reads and answers it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from watchkeeper.api.alert_words import (
    AlertmanagerWords,
    EventWords,
    KeepWords,
    PagerdutyWords,
    WebhookWords,
)
from watchkeeper.api.doors import (
    Door,
    JsonWords,
    LokiWords,
    OtlpWords,
    RemoteWriteWords,
    TracerWords,
)

_TELEMETRY: Final[Mapping[str, Door]] = {
    "/api/v1/write": Door(
        "remote_write", RemoteWriteWords(), "Prometheus remote write 1.0 and 2.0"
    ),
    "/v1/metrics": Door(
        "otlp_metrics", OtlpWords("samples"), "OTLP/HTTP metrics, protobuf or JSON"
    ),
    "/api/v1/metrics/write": Door("metrics_json", JsonWords("samples"), "Metrics as plain JSON"),
    "/ingest/metrics": Door("metric_points", JsonWords("samples"), "Metric points, one or a list"),
    "/v1/logs": Door("otlp_logs", OtlpWords("lines"), "OTLP/HTTP logs, protobuf or JSON"),
    "/loki/api/v1/push": Door("loki", LokiWords(), "Loki push, JSON or protobuf"),
    "/api/prom/push": Door("loki", LokiWords(), "Loki push, as before version 1"),
    "/api/v1/logs/write": Door("logs_json", JsonWords("lines"), "Log lines as plain JSON"),
    "/ingest/logs": Door("log_entries", JsonWords("lines"), "Log entries, one or a list"),
    "/ingest/deployment": Door("deployment", JsonWords("changes"), "Deployments, one or a list"),
    "/api/v1/changes": Door("changes_json", JsonWords("changes"), "Changes of any kind"),
    "/events": Door("cloudevents", EventWords("changes"), "Changes as CloudEvents"),
    "/webhooks/git": Door(
        "git_webhook", JsonWords("changes"), "Deployments, releases and pushes of GitHub, GitLab"
    ),
    "/v1/traces": Door("otlp_traces", OtlpWords("spans"), "OTLP/HTTP traces, protobuf or JSON"),
    "/api/v2/spans": Door("zipkin", TracerWords(), "Zipkin v2 spans, JSON or protobuf"),
    "/api/traces": Door("jaeger_thrift", TracerWords(), "Jaeger spans, Thrift over HTTP"),
    "/api/v1/telemetry": Door(
        "telemetry_records", JsonWords("spans"), "Records of handled requests, one or a list"
    ),
}
_HEARTBEAT: Final = Door(
    "heartbeat", WebhookWords(), "That somebody is alive who is waited for", ("POST", "PUT")
)
_ALERTS: Final[Mapping[str, Door]] = {
    "/api/v1/alerts/ingest": Door(
        "alerts_json", JsonWords("alerts"), "Alerts in the unified format, one or a list"
    ),
    "/api/v2/alerts": Door("alertmanager", AlertmanagerWords(), "Alertmanager's API v2"),
    "/webhooks/alertmanager": Door(
        "alertmanager_webhook", WebhookWords(), "What Alertmanager's webhook receiver is sent"
    ),
    "/webhooks/grafana": Door(
        "grafana", WebhookWords(), "What Grafana's alerting sends", ("POST", "PUT")
    ),
    "/webhooks/json/{name}": Door(
        "mapped_alerts", WebhookWords(), "Any JSON, read as a mapping of that name says"
    ),
    "/webhooks/cloudevents": Door("cloudevents_alerts", EventWords("alerts"), "CloudEvents"),
    "/v2/enqueue": Door("pagerduty", PagerdutyWords(), "PagerDuty Events v2"),
    "/integrations/v1/alertmanager/{name}/": Door(
        "alertmanager_webhook", WebhookWords(), "Grafana OnCall: Alertmanager"
    ),
    "/integrations/v1/grafana/{name}/": Door(
        "grafana", WebhookWords(), "Grafana OnCall: Grafana", ("POST", "PUT")
    ),
    "/integrations/v1/grafana_alerting/{name}/": Door(
        "grafana", WebhookWords(), "Grafana OnCall: Grafana's alerting", ("POST", "PUT")
    ),
    "/integrations/v1/formatted_webhook/{name}/": Door(
        "oncall", WebhookWords(), "Grafana OnCall: formatted webhook"
    ),
    "/integrations/v1/webhook/{name}/": Door("oncall", WebhookWords(), "Grafana OnCall: webhook"),
    "/api/v1/heartbeats/{name}": _HEARTBEAT,
    **{
        f"/integrations/v1/{kind}/{{name}}/heartbeat/": _HEARTBEAT
        for kind in ("alertmanager", "grafana", "grafana_alerting", "formatted_webhook", "webhook")
    },
    "/alerts/event": Door("keep", KeepWords(), "Keep: an alert in its own form"),
    "/alerts/event/{name}": Door("keep", KeepWords(), "Keep: alerts of a provider"),
}
DOORS: Final[Mapping[str, Door]] = {**_TELEMETRY, **_ALERTS}

_PATTERNS: Final = tuple(
    (re.compile(re.escape(path).replace(r"\{name\}", "([^/]+)")), path)
    for path in DOORS
    if "{name}" in path
)


def door_at(path: str, method: str = "POST") -> tuple[Door, str] | None:
    """The door of a path, and the name in it."""
    known, name = _found(path)
    door = DOORS.get(known)
    return None if door is None or method not in door.methods else (door, name)


def route_of(path: str) -> str:
    """Under which path of the table it is; empty where it is no door's."""
    known, _ = _found(path)
    return known if known in DOORS else ""


def _found(path: str) -> tuple[str, str]:
    if path in DOORS:
        return path, ""
    for pattern, known in _PATTERNS:
        found = pattern.fullmatch(path)
        if found is not None:
            return known, found[1]
    return "", ""
