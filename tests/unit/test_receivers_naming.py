"""OpenTelemetry's names as Prometheus'."""

from __future__ import annotations

import math
from typing import Any

import pytest

from watchkeeper.ingest.receivers import otlp_naming as naming
from watchkeeper.ingest.receivers import otlp_point_kernel as kernel
from watchkeeper.ingest.receivers import schema

KeyValue = schema.otlp()["KeyValue"]
AnyValue = schema.otlp()["AnyValue"]


def attribute(key: str, **value: Any) -> Any:
    return KeyValue(key=key.encode(), value=AnyValue(**value))


def text(key: str, value: str) -> Any:
    return attribute(key, string_value=value.encode())


@pytest.mark.parametrize(
    ("name", "unit", "what", "translated"),
    [
        ("http.server.duration", "ms", kernel.HISTOGRAM, "http_server_duration_milliseconds"),
        (
            "http.server.request.duration",
            "s",
            kernel.HISTOGRAM,
            "http_server_request_duration_seconds",
        ),
        ("system.memory.usage", "By", kernel.UP_DOWN, "system_memory_usage_bytes"),
        ("system.network.io", "By", kernel.COUNTER, "system_network_io_bytes_total"),
        ("jobs", "", kernel.COUNTER, "jobs_total"),
        ("jobs_total", "", kernel.COUNTER, "jobs_total"),
        ("total.jobs", "", kernel.COUNTER, "jobs_total"),
        ("jobs_total", "", kernel.GAUGE, "jobs_total"),
        ("latency.seconds", "s", kernel.GAUGE, "latency_seconds"),
        ("cpu.utilization", "1", kernel.GAUGE, "cpu_utilization_ratio"),
        ("hit.ratio", "1", kernel.GAUGE, "hit_ratio"),
        ("connections", "1", kernel.UP_DOWN, "connections"),
        ("connections", "1", kernel.COUNTER, "connections_total"),
        ("requests", "{request}", kernel.COUNTER, "requests_total"),
        ("requests", "{request}/s", kernel.GAUGE, "requests_per_second"),
        ("throughput", "MiBy/s", kernel.GAUGE, "throughput_mebibytes_per_second"),
        ("speed", "m/min", kernel.GAUGE, "speed_meters_per_minute"),
        ("temperature", "Cel", kernel.GAUGE, "temperature_celsius"),
        ("humidity", "%", kernel.GAUGE, "humidity_percent"),
        ("odd", "foo.bar", kernel.GAUGE, "odd_foo_bar"),
        ("a..b--c", "", kernel.GAUGE, "a_b_c"),
        ("job:rate5m", "", kernel.GAUGE, "job:rate5m"),
        ("2xx.responses", "", kernel.GAUGE, "_2xx_responses"),
        ("größe", "", kernel.GAUGE, "gr_e"),
        ("...", "", kernel.GAUGE, "_"),
    ],
)
def test_a_metric_is_named_as_prometheus_would(
    name: str, unit: str, what: int, translated: str
) -> None:
    assert naming.metric_name(name.encode(), unit.encode(), what) == translated


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("http.method", "http_method"),
        ("plain_name", "plain_name"),
        ("a..b", "a__b"),
        ("9lives", "key_9lives"),
        ("_x", "_x"),
        ("__name__", "key__name__"),
        ("", "key_"),
        ("größe", "gr__e"),
    ],
)
def test_an_attribute_becomes_a_label(key: str, name: str) -> None:
    assert naming.label_name(key.encode()) == name


def test_names_too_long_to_keep_are_translated_too() -> None:
    assert naming.metric_name(b"a." * 200 + b"b", b"s", kernel.GAUGE).endswith("a_b_seconds")
    assert naming.label_name(b"a." * 200) == "a_" * 200


def test_a_resource_keeps_what_identifies_it() -> None:
    attributes = [
        text("service.name", "payment"),
        text("service.namespace", "shop"),
        text("service.instance.id", "i-1"),
        text("deployment.environment.name", "prod"),
        text("deployment.environment", "old name of the same"),
        text("host.name", "node-1"),
        text("k8s.pod.name", "payment-7d9f"),
        text("container.id", "abc"),
        text("cloud.region", "eu-1"),
        text("process.command_line", "java -jar"),
        text("telemetry.sdk.language", "java"),
        text("service.version", "1.2.3"),
    ]
    wanted = {
        "service": "payment",
        "service_namespace": "shop",
        "instance": "i-1",
        "environment": "prod",
        "node": "node-1",
        "k8s_pod_name": "payment-7d9f",
        "container_id": "abc",
        "cloud_region": "eu-1",
    }
    resource = schema.otlp()["Resource"](attributes=attributes).SerializeToString()

    assert naming.resource_labels(attributes) == wanted
    assert naming.labels_of_resource(resource) == wanted
    assert naming.resource_labels(attributes[::-1]) == wanted, "whatever their order"


def test_a_resource_too_long_to_keep_is_read_too() -> None:
    attributes = [text("service.name", "x"), text("process.command_line", "y" * 20_000)]
    resource = schema.otlp()["Resource"](attributes=attributes).SerializeToString()

    assert naming.labels_of_resource(resource) == {"service": "x"}


def test_attributes_that_fall_on_one_name_are_both_kept() -> None:
    attributes = [text("http_method", "GET"), text("http.method", "POST")]

    assert naming.attribute_labels(attributes) == {"http_method": "POST;GET"}
    assert naming.attribute_labels(attributes[::-1]) == {"http_method": "POST;GET"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"string_value": b"plain"}, "plain"),
        ({"bool_value": True}, "true"),
        ({"int_value": -3}, "-3"),
        ({"double_value": 1.0}, "1"),
        ({"double_value": 0.25}, "0.25"),
        ({"double_value": 1e300}, "1e+300"),
        ({"bytes_value": b"\xff\x00"}, "/wA="),
        ({}, ""),
        (
            {"array_value": {"values": [{"string_value": b"a"}, {"int_value": 1}, {}]}},
            '["a",1,""]',
        ),
        (
            {"kvlist_value": {"values": [{"key": b"k", "value": {"bool_value": False}}]}},
            '{"k":false}',
        ),
    ],
)
def test_a_value_of_any_sort_becomes_text(value: dict[str, Any], shown: str) -> None:
    assert naming.value_text(AnyValue(**value)) == shown


@pytest.mark.parametrize(
    ("bound", "shown"),
    [
        (5.0, "5"),
        (0.005, "0.005"),
        (2.5, "2.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (-1.0, "-1"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_a_bound_is_written_as_prometheus_clients_do(bound: float, shown: str) -> None:
    assert naming.bound_text(bound) == shown


def test_a_bucket_and_a_quantile_say_which_they_are() -> None:
    own = {"job": "x", "le": "from an attribute"}

    assert naming.series_labels(own, "m", kernel.BUCKET, 1.0) == {
        "__name__": "m_bucket",
        "job": "x",
        "le": "1",
    }
    assert naming.series_labels({}, "m", kernel.QUANTILE, 0.5) == {
        "__name__": "m",
        "quantile": "0.5",
    }
    assert naming.series_labels({}, "m", kernel.SUM, 0.0) == {"__name__": "m_sum"}
