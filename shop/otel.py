"""The same services under OpenTelemetry's own SDK and instrumentations, as most programs have them;
of Watchkeeper they know the address alone."""

from __future__ import annotations

import logging
import os

from flask import Flask
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import set_tracer_provider

from shop.database import Watch, nobody
from shop.instrument import ENVIRONMENT
from shop.plan import Plan
from shop.releases import Release

FLUSH_MS = 1_000.0
STABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"


class Otel:
    """Providers of the whole process, and instrumentations of what it uses."""

    def __init__(self, plan: Plan, name: str, release: Release) -> None:
        os.environ.setdefault(STABLE, "http,database")  # else names that were given up years ago
        said = {
            "service.name": name,
            "service.version": release.version,
            "service.instance.id": f"{plan.host}:{plan.ports[name]}",
            "deployment.environment.name": ENVIRONMENT,
        }
        resource = Resource.create(said)
        url = f"{plan.watchkeeper.rstrip('/')}/v1"

        traces = TracerProvider(resource=resource)
        traces.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(f"{url}/traces"), schedule_delay_millis=FLUSH_MS)
        )
        set_tracer_provider(traces)

        metrics = OTLPMetricExporter(f"{url}/metrics")
        reader = PeriodicExportingMetricReader(metrics, plan.metrics_s * 1e3)
        set_meter_provider(MeterProvider([reader], resource))

        lines = LoggerProvider(resource)
        lines.add_log_record_processor(
            BatchLogRecordProcessor(OTLPLogExporter(f"{url}/logs"), schedule_delay_millis=FLUSH_MS)
        )
        set_logger_provider(lines)
        logging.getLogger().addHandler(LoggingHandler(logging.INFO, lines))

        for library in (
            HTTPXClientInstrumentor(),
            PsycopgInstrumentor(),
            RedisInstrumentor(),
            SQLite3Instrumentor(),
        ):
            library.instrument()

    def watch(self, system: str) -> Watch:
        return nobody  # its driver is watched

    def observe(self, app: Flask) -> None:
        FlaskInstrumentor.instrument_app(app, excluded_urls="health")
