"""What Watchkeeper says of itself: metrics, log lines, traces; and secrets that stay so."""

from __future__ import annotations

from watchkeeper.telemetry.log import Log, LogConfig, request_id, set_up_log
from watchkeeper.telemetry.metrics import (
    LATENCY_S,
    MAX_LABEL_SETS,
    OTHER,
    Counter,
    Gauge,
    Histogram,
    Metric,
    counter,
    gauge,
    histogram,
    metrics,
    render,
)
from watchkeeper.telemetry.secret import Secret
from watchkeeper.telemetry.traces import OwnSpan, Tracer, span
from watchkeeper.telemetry.usage import measure_usage

__all__ = [
    "LATENCY_S",
    "MAX_LABEL_SETS",
    "OTHER",
    "Counter",
    "Gauge",
    "Histogram",
    "Log",
    "LogConfig",
    "Metric",
    "OwnSpan",
    "Secret",
    "Tracer",
    "counter",
    "gauge",
    "histogram",
    "measure_usage",
    "metrics",
    "render",
    "request_id",
    "set_up_log",
    "span",
]
