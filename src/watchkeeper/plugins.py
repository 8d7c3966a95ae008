"""The one table of plugins: kind -> name -> "module:Class". Strings keep imports lazy."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.errors import ConfigError
from watchkeeper.telemetry import Secret

BUILTIN: Mapping[str, Mapping[str, str]] = {
    "receiver": {
        "remote_write": "watchkeeper.ingest.receivers.remote_write:RemoteWrite",
        "otlp_metrics": "watchkeeper.ingest.receivers.otlp_metrics:OtlpMetrics",
        "metrics_json": "watchkeeper.ingest.receivers.metrics_json:MetricsJson",
        "metric_points": "watchkeeper.ingest.receivers.metric_points:MetricPoints",
        "otlp_logs": "watchkeeper.ingest.receivers.otlp_logs:OtlpLogs",
        "loki": "watchkeeper.ingest.receivers.loki:Loki",
        "logs_json": "watchkeeper.ingest.receivers.logs_json:LogsJson",
        "log_entries": "watchkeeper.ingest.receivers.log_entries:LogEntries",
        "deployment": "watchkeeper.ingest.receivers.deployment:Deployment",
        "changes_json": "watchkeeper.ingest.receivers.changes_json:ChangesJson",
        "alerts_json": "watchkeeper.ingest.receivers.alerts_json:AlertsJson",
        "alertmanager": "watchkeeper.ingest.receivers.alertmanager:Alertmanager",
        "alertmanager_webhook": (
            "watchkeeper.ingest.receivers.alertmanager_webhook:AlertmanagerWebhook"
        ),
        "cloudevents": "watchkeeper.ingest.receivers.cloudevents:Cloudevents",
        "cloudevents_alerts": "watchkeeper.ingest.receivers.cloudevents_alerts:CloudeventsAlerts",
        "git_webhook": "watchkeeper.ingest.receivers.git_webhook:GitWebhook",
        "grafana": "watchkeeper.ingest.receivers.grafana:Grafana",
        "heartbeat": "watchkeeper.ingest.receivers.heartbeat:Heartbeat",
        "keep": "watchkeeper.ingest.receivers.keep:Keep",
        "mapped_alerts": "watchkeeper.ingest.receivers.mapped_alerts:MappedAlerts",
        "oncall": "watchkeeper.ingest.receivers.oncall:Oncall",
        "pagerduty": "watchkeeper.ingest.receivers.pagerduty:Pagerduty",
        "otlp_traces": "watchkeeper.ingest.receivers.otlp_traces:OtlpTraces",
        "zipkin": "watchkeeper.ingest.receivers.zipkin:Zipkin",
        "jaeger_thrift": "watchkeeper.ingest.receivers.jaeger_thrift:JaegerThrift",
        "telemetry_records": "watchkeeper.ingest.receivers.telemetry_records:TelemetryRecords",
    },
    "detector": {
        "ar": "watchkeeper.analyze.detectors.ar:AR",
        "basic": "watchkeeper.analyze.detectors.basic:Basic",
        "fk": "watchkeeper.analyze.detectors.fk:FK",
        "rex": "watchkeeper.analyze.detectors.rex:REX",
        "zscore": "watchkeeper.analyze.detectors.zscore:ZScore",
        "ewma": "watchkeeper.analyze.detectors.ewma:Ewma",
    },
    "explainer": {
        "error_lines": "watchkeeper.analyze.explainers.error_lines:ErrorLines",
        "error_origin": "watchkeeper.analyze.explainers.error_origin:ErrorOrigin",
        "excess_impact": "watchkeeper.analyze.explainers.excess_impact:ExcessImpact",
        "excess_time": "watchkeeper.analyze.explainers.excess_time:ExcessTime",
        "first_failure": "watchkeeper.analyze.explainers.first_failure:FirstFailure",
        "granger": "watchkeeper.analyze.explainers.granger:Granger",
        "history": "watchkeeper.analyze.explainers.history:History",
        "known_failures": "watchkeeper.analyze.explainers.known_failures:KnownFailures",
        "metric_deviation": "watchkeeper.analyze.explainers.metric_deviation:MetricDeviation",
        "network_gap": "watchkeeper.analyze.explainers.network_gap:NetworkGap",
        "noisy_or": "watchkeeper.analyze.explainers.noisy_or:NoisyOr",
        "recent_change": "watchkeeper.analyze.explainers.recent_change:RecentChange",
        "shared_dependency": "watchkeeper.analyze.explainers.shared_dependency:SharedDependency",
        "structural_change": "watchkeeper.analyze.explainers.structural_change:StructuralChange",
    },
    "watcher": {
        "joint": "watchkeeper.analyze.watchers.joint:Joint",
        "no_data": "watchkeeper.analyze.watchers.no_data:NoData",
        "ramp": "watchkeeper.analyze.watchers.ramp:Ramp",
        "flatline": "watchkeeper.analyze.watchers.flatline:Flatline",
        "symptoms": "watchkeeper.analyze.watchers.symptoms:Symptoms",
        "zforest": "watchkeeper.analyze.watchers.zforest:Zforest",
    },
    "grouper": {
        "root_cover": "watchkeeper.analyze.groupers.root_cover:RootCover",
        "dynamic_xy": "watchkeeper.analyze.groupers.dynamic_xy:DynamicXY",
    },
    "store": {
        "memory": "watchkeeper.store.memory:MemoryStore",
        "postgres": "watchkeeper.store.postgres.store:PostgresStore",
        "sqlite": "watchkeeper.store.sqlite.store:SqliteStore",
    },
    "bus": {
        "memory": "watchkeeper.bus.memory:MemoryBus",
        "redis": "watchkeeper.bus.redis:RedisBus",
    },
    "lake": {
        "disk": "watchkeeper.lake.disk:DiskLake",
    },
}


def known(kind: str) -> dict[str, str]:
    """Every plugin of a kind: ours, and those that installed packages announce.

    An outside package announces itself under the entry point group `watchkeeper.<kind>`.
    """
    return {**_outside(kind, tuple(sys.path)), **BUILTIN.get(kind, {})}


@functools.cache
def _outside(kind: str, _path: tuple[str, ...]) -> Mapping[str, str]:
    """Asked once, as long as packages are sought in the same places: it takes 10 ms."""
    return {point.name: point.value for point in entry_points(group=f"watchkeeper.{kind}")}


def load(kind: str, name: str) -> type[Any]:
    """The class behind a name."""
    targets = known(kind)
    if name not in targets:
        raise ConfigError(f"{kind}: no plugin called '{name}'; known: {', '.join(sorted(targets))}")
    module, _, attribute = targets[name].partition(":")
    try:
        found: type[Any] = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ConfigError(
            f"{kind}: '{name}' needs a package that is not installed ({error.name}); "
            f"install watchkeeper[{name}]"
        ) from error
    return found


def build(kind: str, spec: Mapping[str, Any], **ports: Any) -> Any:
    """A plugin from `{use: name, ...its own settings}`; `ports` are handed on by keyword.

    The class keeps its settings in a nested msgspec struct `Config`, and takes one as its first
    argument.
    """
    settings = dict(spec)
    name = settings.pop("use", None)
    if not isinstance(name, str):
        raise ConfigError(f"{kind}: says not which plugin to use; write `use: <name>`")
    plugin = load(kind, name)
    try:
        config = converted(settings, plugin.Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{kind} {name}: {error}") from error
    return plugin(config, **ports)


def converted(value: Any, kind: Any) -> Any:
    """A value as the type of a setting says, from what a file or a text holds of it.

    The one way from plain values to settings. Raises msgspec.ValidationError.
    """
    return msgspec.convert(value, kind, strict=False, dec_hook=_foreign)


def _foreign(kind: type, value: Any) -> Any:
    """The types of settings that msgspec knows nothing of."""
    if isinstance(value, kind):
        return value
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    # Becomes a ValidationError. It shows no value, which may have been meant as a secret.
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
