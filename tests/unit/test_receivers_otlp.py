"""OTLP metrics beyond the contract: temporality, staleness, odd forms, the rules of JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests import decoder_fuzz
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers.limits import Limits
from watchkeeper.ingest.receivers.otlp_metrics import OtlpMetrics
from watchkeeper.ingest.receivers.reference import samples_of
from watchkeeper.model.series import Kind
from watchkeeper.model.signal import WireSamples

T_NS = 1_700_000_000_000_000_000
JSON = {"content-type": "application/json"}


def request(**resource: str) -> tuple[Any, Any]:
    """A request, and where its metrics go."""
    whole = ExportMetricsServiceRequest()
    resource_metrics = whole.resource_metrics.add()
    for key, value in resource.items():
        resource_metrics.resource.attributes.add(key=key).value.string_value = value
    return whole, resource_metrics.scope_metrics.add().metrics


def decode(whole: Any, **limits: int) -> WireSamples:
    body = whole if isinstance(whole, bytes) else whole.SerializeToString()
    return OtlpMetrics(Limits(**limits), seed=1).decode(body, {}, now_ns=0)


def decode_json(metrics: list[Any], **other: Any) -> WireSamples:
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}], **other}]}
    return OtlpMetrics(seed=1).decode(json.dumps(body).encode(), JSON, now_ns=0)


def gauge_json(*points: dict[str, Any]) -> dict[str, Any]:
    return {"name": "g", "gauge": {"dataPoints": list(points)}}


def reasons(wire: WireSamples) -> dict[str, int]:
    return {reject.reason: reject.count for reject in wire.rejects}


def names(wire: WireSamples) -> list[str]:
    return [labels["__name__"] for labels, _, _ in samples_of(wire)]


@pytest.mark.parametrize(
    ("is_monotonic", "temporality", "reason"),
    [(False, 1, "delta"), (True, 0, "unspecified"), (True, 9, "unspecified")],
)
def test_sums_that_cannot_be_cumulative_are_refused_with_the_remedy(
    is_monotonic: bool, temporality: int, reason: str
) -> None:
    whole, metrics = request()
    data = metrics.add(name="jobs").sum
    data.is_monotonic = is_monotonic
    data.aggregation_temporality = temporality
    for n in range(3):
        data.data_points.add(time_unix_nano=T_NS, as_int=n)

    wire = decode(whole)

    assert len(wire) == 0
    assert reasons(wire) == {f"{reason}_temporality": 3}
    assert "TEMPORALITY_PREFERENCE=cumulative" in wire.rejects[0].detail


def test_what_only_grows_is_a_counter_and_other_numbers_are_gauges() -> None:
    whole, metrics = request()
    metrics.add(name="depth").gauge.data_points.add(time_unix_nano=T_NS, as_int=1)
    for is_monotonic in (True, False):
        data = metrics.add(name="sum").sum
        data.aggregation_temporality = 2
        data.is_monotonic = is_monotonic
        data.data_points.add(time_unix_nano=T_NS, as_int=1)

    wire = decode(whole)

    assert wire.kind.tolist() == [Kind.GAUGE, Kind.COUNTER, Kind.GAUGE]
    assert names(wire) == ["depth", "sum_total", "sum"]
    assert len({tuple(key) for key in wire.key.tolist()}) == 3


def test_a_point_without_a_recorded_value_ends_its_series() -> None:
    whole, metrics = request()
    metrics.add(name="g").gauge.data_points.add(time_unix_nano=T_NS, flags=1, as_int=5)
    histogram = metrics.add(name="h").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(time_unix_nano=T_NS, flags=1, explicit_bounds=[1.0])

    wire = decode(whole)

    assert names(wire) == ["g", "h_count", "h_sum", "h_bucket", "h_bucket"]
    assert set(wire.value.view(np.int64).tolist()) == {0x7FF0000000000002}


def test_a_histogram_without_buckets_has_the_one_of_everything() -> None:
    whole, metrics = request()
    histogram = metrics.add(name="h").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(time_unix_nano=T_NS, count=4)

    assert [(labels.get("le"), value) for labels, _, value in samples_of(decode(whole))] == [
        (None, 4.0),
        ("+Inf", 4.0),
    ]


def test_integers_beyond_doubles_are_rounded_as_python_rounds() -> None:
    whole, metrics = request()
    for number in (2**53 + 1, -(2**63), 2**63 - 1):
        metrics.add(name="g").gauge.data_points.add(time_unix_nano=T_NS, as_int=number)

    assert decode(whole).value.tolist() == [float(2**53 + 1), float(-(2**63)), float(2**63 - 1)]


def test_an_attribute_of_the_point_wins_over_its_resource() -> None:
    whole, metrics = request(**{"service.name": "of the resource", "host.name": "n1"})
    one = metrics.add(name="g").gauge.data_points.add(time_unix_nano=T_NS, as_int=1)
    one.attributes.add(key="service").value.string_value = "of the point"

    assert samples_of(decode(whole))[0][0] == {
        "__name__": "g",
        "service": "of the point",
        "node": "n1",
    }


def test_resource_unit_attributes_and_kind_all_tell_series_apart() -> None:
    def key(service: str, unit: str, attribute: str, what: str) -> tuple[int, ...]:
        whole, metrics = request(**{"service.name": service})
        metric = metrics.add(name="m", unit=unit)
        one = getattr(metric, what).data_points.add(time_unix_nano=T_NS, as_int=1)
        one.attributes.add(key="a").value.string_value = attribute
        if what == "sum":
            metric.sum.aggregation_temporality = 2
        return tuple(decode(whole).key[0].tolist())

    base = ("s", "ms", "x", "gauge")
    others = [
        ("t", *base[1:]),
        ("s", "s", *base[2:]),
        ("s", "ms", "y", "gauge"),
        (*base[:3], "sum"),
    ]

    assert key(*base) == key(*base)
    assert len({key(*base), *(key(*other) for other in others)}) == 5


def test_what_is_around_the_points_does_not_change_their_keys() -> None:
    """Time, value, flags, scope and description are not the series."""
    whole, metrics = request(**{"service.name": "s"})
    metrics.add(name="m").gauge.data_points.add(time_unix_nano=T_NS, as_int=1)
    other = ExportMetricsServiceRequest.FromString(whole.SerializeToString())
    scope_metrics = other.resource_metrics[0].scope_metrics[0]
    scope_metrics.scope.name = "another"
    scope_metrics.metrics[0].description = "words"
    scope_metrics.metrics[0].gauge.data_points[0].as_double = 2.5
    scope_metrics.metrics[0].gauge.data_points[0].start_time_unix_nano = 5

    assert (decode(whole).key == decode(other).key).all()


def test_attributes_of_every_sort_are_read() -> None:
    whole, metrics = request()
    one = metrics.add(name="g").gauge.data_points.add(time_unix_nano=T_NS, as_int=1)
    one.attributes.add(key="int").value.int_value = -1
    one.attributes.add(key="none")
    one.attributes.add(key="list").value.array_value.values.add(string_value="a" * 200)
    pair = one.attributes.add(key="map").value.kvlist_value.values.add(key="k")
    pair.value.double_value = 0.5

    assert samples_of(decode(whole))[0][0] == {
        "__name__": "g",
        "int": "-1",
        "none": "",
        "list": json.dumps(["a" * 200]),
        "map": '{"k":0.5}',
    }


def gauge_bytes() -> bytes:
    whole, metrics = request()
    metrics.add(name="g").gauge.data_points.add(time_unix_nano=T_NS, as_int=1)
    raw: bytes = whole.SerializeToString()
    return raw


def two_resources_in_one() -> bytes:
    """A second resource field in the first ResourceMetrics: protobuf says to merge them."""
    whole, _ = request(**{"service.name": "a"})
    first = whole.resource_metrics[0].SerializeToString()
    whole, metrics = request(**{"host.name": "b"})
    metrics.add(name="g").gauge.data_points.add(time_unix_nano=T_NS, as_int=1)
    both = first + whole.resource_metrics[0].SerializeToString()
    return b"\x0a" + bytes([len(both)]) + both


def test_a_form_that_nobody_sends_is_read_as_protobuf_says() -> None:
    wire = decode(two_resources_in_one())

    assert samples_of(wire)[0][0] == {"__name__": "g", "service": "a", "node": "b"}
    assert (wire.key == decode(two_resources_in_one()).key).all()


def test_faults_are_counted_in_an_unusual_form_too() -> None:
    raw = two_resources_in_one()
    whole, metrics = request()
    metrics.add(name="g").gauge.data_points.add(as_int=1)

    assert reasons(decode(raw + whole.SerializeToString())) == {"no_time": 1}


def test_a_form_that_nobody_sends_must_be_small() -> None:
    """What only the reference can read is slow to read."""
    with pytest.raises(TooLarge, match="outdated packing"):
        decode(two_resources_in_one() + gauge_bytes() * 40_000)


def test_buckets_without_end_are_refused_before_they_fill_memory() -> None:
    whole, metrics = request()
    histogram = metrics.add(name="h").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(
        time_unix_nano=T_NS, explicit_bounds=[1.0] * 50_000, bucket_counts=[1] * 50_001
    )

    assert len(decode(whole)) == 50_002
    with pytest.raises(TooLarge, match="10000 samples"):
        decode(whole, samples=10_000)


def test_all_rows_of_a_point_with_many_buckets_are_described_at_once() -> None:
    whole, metrics = request()
    histogram = metrics.add(name="h").histogram
    histogram.aggregation_temporality = 2
    bounds = [float(n) for n in range(20_000)]
    histogram.data_points.add(
        time_unix_nano=T_NS, explicit_bounds=bounds, bucket_counts=[1] * 20_001
    )
    wire = decode(whole)

    block = wire.describe(np.arange(len(wire.key)))

    assert len(block) == len(wire.key) == 20_002


@pytest.mark.parametrize(
    "point",
    [
        {"timeUnixNano": str(T_NS), "asInt": "3"},
        {"timeUnixNano": T_NS, "asInt": 3},
        {"timeUnixNano": str(T_NS), "asDouble": 3},
        {"timeUnixNano": str(T_NS), "asDouble": 3.0, "futureField": {"a": [1]}},
        {"timeUnixNano": str(T_NS), "asDouble": "3.0", "flags": 0, "attributes": None},
    ],
)
def test_json_numbers_come_as_numbers_or_strings(point: dict[str, Any]) -> None:
    assert samples_of(decode_json([gauge_json(point)])) == [({"__name__": "g"}, T_NS, 3.0)]


def test_json_keys_are_lower_camel_case_and_nothing_else() -> None:
    snake = {"time_unix_nano": str(T_NS), "as_int": "3"}

    assert reasons(decode_json([gauge_json(snake)])) == {"no_time": 1}


def test_json_enums_are_integers_and_nothing_else() -> None:
    metric = {"name": "s", "sum": {"aggregationTemporality": "CUMULATIVE", "dataPoints": []}}

    wire = decode_json([metric, gauge_json({"timeUnixNano": T_NS, "asInt": 1})])

    assert len(wire) == 1
    assert reasons(wire) == {"bad_item": 1}
    assert "aggregationTemporality" in wire.rejects[0].detail


@pytest.mark.parametrize(
    "point",
    [
        {"timeUnixNano": "soon", "asInt": 1},
        {"timeUnixNano": str(2**64), "asInt": 1},
        {"timeUnixNano": -1, "asInt": 1},
        {"timeUnixNano": T_NS, "asInt": str(2**63)},
        {"timeUnixNano": T_NS, "asInt": 1.5},
        {"timeUnixNano": T_NS, "asInt": 1, "asDouble": 2.0},
        {"timeUnixNano": T_NS, "asInt": 1, "flags": -1},
        {"timeUnixNano": T_NS, "asInt": 1, "attributes": {"a": "b"}},
        {
            "timeUnixNano": T_NS,
            "asInt": 1,
            "attributes": [{"key": "a", "value": {"bytesValue": "a"}}],
        },
        "no point",
        None,
    ],
)
def test_a_bad_point_in_json_costs_itself(point: Any) -> None:
    good = {"timeUnixNano": T_NS, "asInt": 1}

    wire = decode_json([gauge_json(good, point, good)])

    assert len(wire) == 2
    assert reasons(wire) == {"bad_item": 1}


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return {"key": "deep", "value": value}


def test_attributes_may_nest_but_not_without_end() -> None:
    point = {"timeUnixNano": T_NS, "asInt": 1}
    deep = [{**point, "attributes": [nested(depth)]} for depth in (30, 40, 5000)]

    body = json.dumps(
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [gauge_json(*deep[:2])]}]}]}
    )
    wire = OtlpMetrics(seed=1).decode(body.encode(), JSON, now_ns=0)

    assert len(wire) == 1
    assert reasons(wire) == {"bad_item": 1}
    assert samples_of(wire)[0][0]["deep"].startswith("[[[")


def test_json_that_nests_beyond_reason_is_refused() -> None:
    body = b'{"resourceMetrics":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

    with pytest.raises(BadInput):
        OtlpMetrics().decode(body, JSON, now_ns=0)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"resourceMetrics": 7}', b"\xff{}"])
def test_what_is_no_request_in_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput, match="JSON") as refusal:
        OtlpMetrics().decode(body, JSON, now_ns=0)
    assert refusal.value.status == 400


@pytest.mark.parametrize("body", [b"{}", b'{"resourceMetrics":[]}', b'{"resourceMetrics":null}'])
def test_an_empty_request_in_json_is_accepted(body: bytes) -> None:
    assert len(OtlpMetrics().decode(body, JSON, now_ns=0)) == 0


@pytest.mark.parametrize("seed", range(40))
def test_json_says_what_protobuf_says(seed: int) -> None:
    """The published library writes the JSON; ours reads it as it reads the protobuf."""
    raw = decoder_fuzz.metrics_request(decoder_fuzz.random.Random(seed))
    whole = ExportMetricsServiceRequest.FromString(raw)
    body = json_format.MessageToJson(whole, use_integers_for_enums=True)

    from_json = OtlpMetrics(seed=1).decode(body.encode(), JSON, now_ns=0)

    assert canonical_nans(from_json) == canonical_nans(decode(raw))
    assert reasons(from_json) == reasons(decode(raw))


def canonical_nans(wire: WireSamples) -> list[tuple[Any, ...]]:
    """JSON has one NaN only."""
    return [
        (sorted(labels.items()), time_ns, "NaN" if value != value else value)
        for labels, time_ns, value in samples_of(wire)
    ]
