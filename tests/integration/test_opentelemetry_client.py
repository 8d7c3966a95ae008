"""The real OpenTelemetry SDK exports to a running server by OTLP over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from bench.client import HOST
from tests.integration.conftest import Shared, query

INSTANCE = Resource({"service.instance.id": "checkout-1"})
WHERE = {"instance": "checkout-1", "environment": "production"}


@pytest.fixture(params=[Compression.NoCompression, Compression.Gzip])
def provider(shared: Shared, request: pytest.FixtureRequest) -> Iterator[MeterProvider]:
    """An SDK that exports when it is told to."""
    exporter = OTLPMetricExporter(
        endpoint=f"http://{HOST}:{shared.server.port}/v1/metrics",
        compression=request.param,
        timeout=60,
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    made = MeterProvider(metric_readers=[reader], resource=shared.resource.merge(INSTANCE))
    yield made
    made.shutdown()


def test_counters_gauges_and_histograms_of_the_real_sdk_are_read_back(
    shared: Shared, provider: MeterProvider
) -> None:
    meter = provider.get_meter("shop")
    meter.create_counter("shop.orders").add(3, {"method": "card"})
    meter.create_up_down_counter("shop.carts").add(-2)
    meter.create_observable_gauge("queue.depth", callbacks=[depth])
    durations = meter.create_histogram(
        "http.server.duration", unit="ms", explicit_bucket_boundaries_advisory=[10, 100]
    )
    for duration_ms in (5, 50, 500):
        durations.record(duration_ms, {"route": "/pay"})

    assert provider.force_flush()

    assert latest(shared, "shop_orders_total") == {labels(method="card"): 3.0}
    assert latest(shared, "shop_carts") == {labels(): -2.0}
    assert latest(shared, "queue_depth") == {labels(): 7.5}
    name = "http_server_duration_milliseconds"
    assert latest(shared, f"{name}_count") == {labels(route="/pay"): 3.0}
    assert latest(shared, f"{name}_sum") == {labels(route="/pay"): 555.0}
    assert latest(shared, f"{name}_bucket") == {
        labels(route="/pay", le="10"): 1.0,
        labels(route="/pay", le="100"): 2.0,
        labels(route="/pay", le="+Inf"): 3.0,
    }


def test_exports_one_after_the_other_grow_one_series(
    shared: Shared, provider: MeterProvider
) -> None:
    counter = provider.get_meter("shop").create_counter("shop.orders")
    for total in (1, 2, 3):
        counter.add(1)
        assert provider.force_flush(), f"export {total} failed"

    points = query(shared.server, f'shop_orders_total{{service="{shared.service}"}}')[0]["points"]

    assert [value for _, value in points] == [1.0, 2.0, 3.0]
    assert [time_s for time_s, _ in points] == sorted({time_s for time_s, _ in points})


def depth(_: CallbackOptions) -> list[Observation]:
    return [Observation(7.5)]


def labels(**more: str) -> frozenset[tuple[str, str]]:
    """Of a series of this SDK, without the metric's name and the service's."""
    return frozenset({**WHERE, **more}.items())


def latest(shared: Shared, metric: str) -> dict[frozenset[tuple[str, str]], float]:
    """The newest value of every series of a metric of this test's service."""
    series = query(shared.server, f'{metric}{{service="{shared.service}"}}')
    hidden = ("__name__", "service")
    return {
        labels(**{name: value for name, value in one["labels"].items() if name not in hidden}): (
            one["points"][-1][1]
        )
        for one in series
    }
