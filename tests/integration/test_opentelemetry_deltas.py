"""The real OpenTelemetry SDK exports deltas: what is read back is what was counted in all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource

from bench.client import HOST
from bench.peers import Server
from tests.integration.conftest import Shared, query

DELTA = AggregationTemporality.DELTA


@contextmanager
def exporting(server: Server, resource: Resource) -> Iterator[MeterProvider]:
    """An SDK that prefers deltas as its environment would say, and exports when it is told to."""
    exporter = OTLPMetricExporter(
        endpoint=f"http://{HOST}:{server.port}/v1/metrics",
        preferred_temporality={Counter: DELTA, Histogram: DELTA},
        timeout=60,
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    made = MeterProvider(metric_readers=[reader], resource=resource)
    yield made
    made.shutdown()


def values(server: Server, selector: str) -> list[float]:
    (series,) = query(server, selector)
    return [value for _, value in series["points"]]


def test_deltas_of_the_real_sdk_are_read_back_as_what_was_counted_in_all(
    shared: Shared,
) -> None:
    with exporting(shared.server, shared.resource) as provider:
        meter = provider.get_meter("shop")
        orders = meter.create_counter("shop.orders")
        durations = meter.create_histogram(
            "shop.duration", unit="s", explicit_bucket_boundaries_advisory=[1]
        )
        for n_orders, duration_s in ((3, 0.5), (4, 2.0), (5, 0.25)):
            orders.add(n_orders)
            durations.record(duration_s)
            assert provider.force_flush()

    server, ours = shared.server, f'service="{shared.service}"'
    assert values(server, f"shop_orders_total{{{ours}}}") == [3.0, 7.0, 12.0]
    assert values(server, f"shop_duration_seconds_count{{{ours}}}") == [1.0, 2.0, 3.0]
    assert values(server, f"shop_duration_seconds_sum{{{ours}}}") == [0.5, 2.5, 2.75]
    assert values(server, f'shop_duration_seconds_bucket{{{ours},le="1"}}') == [1.0, 1.0, 2.0]


def test_a_count_goes_on_after_the_server_was_killed(server: Server) -> None:
    with exporting(server, Resource.create({"service.name": "checkout"})) as provider:
        orders = provider.get_meter("shop").create_counter("shop.orders")
        for n_orders in (3, 4):
            orders.add(n_orders)
            assert provider.force_flush()

        server.kill()
        server.restart()
        orders.add(5)

        assert provider.force_flush()
    assert values(server, "shop_orders_total") == [3.0, 7.0, 12.0]
