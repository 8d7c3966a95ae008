"""OTLP in JSON, sort by sort: every field of a data point arrives as protobuf would carry it."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from tests import decoder_fuzz
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers.otlp_json import to_protobuf
from watchkeeper.ingest.receivers.otlp_metrics import OtlpMetrics
from watchkeeper.ingest.receivers.reference import samples_of
from watchkeeper.model.histogram import Bucket, histogram
from watchkeeper.model.series import Kind
from watchkeeper.model.signal import WireSamples

T_NS = 1_700_000_000_000_000_000
JSON = {"content-type": "application/json"}
AT = {"timeUnixNano": str(T_NS)}
STALE_BITS = 0x7FF0000000000002


def request(*metrics: Any, resource: Any = None) -> bytes:
    whole = {"resource": resource, "scopeMetrics": [{"metrics": list(metrics)}]}
    return json.dumps({"resourceMetrics": [whole]}).encode()


def decode(*metrics: Any, resource: Any = None) -> WireSamples:
    return OtlpMetrics(seed=1).decode(request(*metrics, resource=resource), JSON, now_ns=0)


def metric(sort: str, *points: Any, name: str = "m", **data: Any) -> dict[str, Any]:
    if sort in ("sum", "histogram", "exponentialHistogram"):
        data = {"aggregationTemporality": 2, **data}
    return {"name": name, sort: {"dataPoints": list(points), **data}}


def values(wire: WireSamples) -> dict[tuple[str, ...], float]:
    """Value by name and by bound or quantile."""
    found = {}
    for labels, _, value in samples_of(wire):
        bound = [labels[name] for name in ("le", "quantile") if name in labels]
        found[labels["__name__"], *bound] = value
    return found


def rejected(wire: WireSamples) -> dict[str, int]:
    return {reject.reason: reject.count for reject in wire.rejects}


def text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def test_a_histogram_has_its_count_sum_and_buckets() -> None:
    point = {
        **AT,
        "count": "6",
        "sum": 20.5,
        "bucketCounts": ["1", 2, "3"],
        "explicitBounds": [1, 5.5],
    }

    assert values(decode(metric("histogram", point))) == {
        ("m_count",): 6.0,
        ("m_sum",): 20.5,
        ("m_bucket", "1"): 1.0,
        ("m_bucket", "5.5"): 3.0,
        ("m_bucket", "+Inf"): 6.0,
    }


def test_a_histogram_without_a_sum_has_none() -> None:
    point = {**AT, "count": 2, "bucketCounts": [2], "explicitBounds": []}

    assert values(decode(metric("histogram", point))) == {
        ("m_count",): 2.0,
        ("m_bucket", "+Inf"): 2.0,
    }


def test_a_summary_has_its_count_sum_and_quantiles() -> None:
    point = {
        **AT,
        "count": "4",
        "sum": "10",
        "quantileValues": [
            {"quantile": 0.5, "value": 1.5},
            {"quantile": 0.99, "value": "9"},
            {"value": 0.25},
        ],
    }

    assert values(decode(metric("summary", point))) == {
        ("m_count",): 4.0,
        ("m_sum",): 10.0,
        ("m", "0.5"): 1.5,
        ("m", "0.99"): 9.0,
        ("m", "0"): 0.25,
    }


EXPONENTIAL = {**AT, "count": 3, "sum": 7.5, "positive": {"offset": 2, "bucketCounts": ["3"]}}


@pytest.mark.parametrize(
    ("scale", "low", "high"), [(0, 4.0, 8.0), (-1, 16.0, 64.0), (9, 1.0, None)]
)
def test_an_exponential_histogram_is_a_native_one_besides(
    scale: int, low: float, high: float | None
) -> None:
    """OTLP's bucket 2 of scale 0 goes from 4 to 8; of scale 9 it is joined with its neighbour."""
    wire = decode(metric("exponentialHistogram", {**EXPONENTIAL, "scale": scale}))

    assert values(wire) == {("m_count",): 3.0, ("m_sum",): 7.5}
    assert wire.rejects == ()
    assert wire.histograms is not None
    told = histogram(wire.histograms.payload[0])
    assert (told.count, told.total) == (3.0, 7.5)
    (bucket,) = told.buckets
    assert bucket == Bucket(
        pytest.approx(low if high else 2 ** (1 / 256)),
        pytest.approx(high or 2 ** (2 / 256)),
        3.0,
    )


@pytest.mark.parametrize("fault", [{"scale": -5}, {"positive": {"bucketCounts": [1] * 5000}}])
def test_an_exponential_histogram_that_cannot_be_told_keeps_count_and_sum(
    fault: dict[str, Any],
) -> None:
    wire = decode(metric("exponentialHistogram", {**EXPONENTIAL, **fault}))

    assert values(wire) == {("m_count",): 3.0, ("m_sum",): 7.5}
    assert rejected(wire) == {"exponential_histogram_buckets": 1}


def test_an_exemplar_of_a_histogram_belongs_to_the_bucket_that_it_falls_into() -> None:
    exemplar = {**AT, "asDouble": 0.3, "traceId": "0AF7651916cd43dd8448eb211c80319c"}
    point = {**AT, "count": 1, "bucketCounts": [0, 1, 0], "explicitBounds": [0.1, 0.5]}

    wire = decode(metric("histogram", {**point, "exemplars": [exemplar]}))

    assert wire.exemplars is not None
    (labels,) = [dict(labels) for labels, _, _ in decoder_fuzz.details_of(wire)]
    assert labels[b"le"] == b"0.5"
    assert wire.exemplars.value.tolist() == [0.3]
    assert wire.exemplars.trace.tolist() == [[0x0AF7651916CD43DD, 0x8448EB211C80319C]]


@pytest.mark.parametrize(
    ("data", "kind", "name"),
    [
        ({"isMonotonic": True}, Kind.COUNTER, "m_total"),
        ({"isMonotonic": False}, Kind.GAUGE, "m"),
        ({}, Kind.GAUGE, "m"),
        ({"isMonotonic": None}, Kind.GAUGE, "m"),
    ],
)
def test_a_sum_grows_only_if_it_says_so(data: dict[str, Any], kind: Kind, name: str) -> None:
    wire = decode(metric("sum", {**AT, "asInt": 3}, **data))

    assert wire.kind.tolist() == [kind]
    assert values(wire) == {(name,): 3.0}


@pytest.mark.parametrize(("sort", "n_rows"), [("sum", 1), ("histogram", 3)])
def test_deltas_are_marked_in_json_as_in_protobuf(sort: str, n_rows: int) -> None:
    point = {**AT, "asInt": 3} if sort == "sum" else {**AT, "count": 3, "sum": 1.0}
    delta = metric(sort, point, aggregationTemporality=1, isMonotonic=True)

    wire = decode(metric("gauge", {**AT, "asInt": 1}), delta)

    assert wire.is_delta is not None
    assert wire.is_delta.tolist() == [False] + [True] * n_rows
    assert wire.rejects == ()


@pytest.mark.parametrize(("temporality", "reason"), [(0, "unspecified"), (None, "unspecified")])
def test_a_sum_that_does_not_say_how_it_is_aggregated_is_refused(
    temporality: int | None, reason: str
) -> None:
    wire = decode(
        metric("sum", {**AT, "asInt": 3}, aggregationTemporality=temporality, isMonotonic=True)
    )

    assert len(wire) == 0
    assert rejected(wire) == {f"{reason}_temporality": 1}


def test_what_a_gauge_cannot_have_is_passed_over() -> None:
    odd = metric("gauge", {**AT, "asInt": 3}, aggregationTemporality=1, isMonotonic=True)

    wire = decode(odd)

    assert wire.kind.tolist() == [Kind.GAUGE]
    assert wire.is_delta is None


def test_a_point_without_a_recorded_value_ends_its_series_in_json_too() -> None:
    wire = decode(metric("gauge", {**AT, "flags": 1}))

    assert wire.value.view(np.int64).tolist() == [STALE_BITS]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"stringValue": "é"}, "é"),
        ({"boolValue": True}, "true"),
        ({"boolValue": False}, "false"),
        ({"intValue": "-7"}, "-7"),
        ({"intValue": 7}, "7"),
        ({"doubleValue": 0.5}, "0.5"),
        ({"doubleValue": "2"}, "2"),
        ({"bytesValue": base64.b64encode(b"\x00\xff").decode()}, "AP8="),
        ({"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "a"}]}}, '[1,"a"]'),
        ({"arrayValue": {}}, "[]"),
        ({"arrayValue": {"values": None}}, "[]"),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"intValue": 1}}]}}, '{"k":1}'),
        ({"kvlistValue": {}}, "{}"),
        ({}, ""),
        (None, ""),
    ],
)
def test_an_attribute_of_any_sort_is_read(value: Any, shown: str) -> None:
    point = {**AT, "asInt": 1, "attributes": [{"key": "a", "value": value}]}

    ((labels, _, _),) = samples_of(decode(metric("gauge", point)))

    assert labels == {"__name__": "m", "a": shown}


def test_resource_unit_and_name_are_read_where_they_stand() -> None:
    resource = {"attributes": [text("service.name", "cart"), text("host.name", "n1")]}
    given = {**metric("gauge", {**AT, "asInt": 1}, name="queue.age"), "unit": "ms"}

    ((labels, time_ns, _),) = samples_of(decode(given, resource=resource))

    assert labels == {"__name__": "queue_age_milliseconds", "service": "cart", "node": "n1"}
    assert time_ns == T_NS


@pytest.mark.parametrize(
    "bad",
    [
        "no metric",
        7,
        {"name": 7, "gauge": {"dataPoints": []}},
        {"name": "m", "gauge": {"dataPoints": {}}},
        {"name": "m", "gauge": {"dataPoints": []}, "sum": {"dataPoints": []}},
        {"name": "m", "unit": 3, "gauge": {"dataPoints": []}},
    ],
)
def test_a_bad_metric_costs_itself_and_is_told(bad: Any) -> None:
    wire = decode(bad, metric("gauge", {**AT, "asInt": 1}))

    assert len(wire) == 1
    assert rejected(wire) == {"bad_item": 1}
    assert wire.rejects[0].detail


@pytest.mark.parametrize(
    "point",
    [
        {"count": "-1"},
        {"count": str(2**64)},
        {"count": 1, "bucketCounts": ["x"]},
        {"count": 1, "bucketCounts": [-1], "explicitBounds": []},
        {"count": 1, "explicitBounds": ["wide"]},
        {"count": 1, "sum": {}},
    ],
)
def test_a_bad_histogram_point_costs_itself(point: dict[str, Any]) -> None:
    good = {**AT, "count": 1, "sum": 1.0}

    wire = decode(metric("histogram", {**AT, **point}, good))

    assert values(wire) == {("m_count",): 1.0, ("m_sum",): 1.0, ("m_bucket", "+Inf"): 1.0}
    assert rejected(wire) == {"bad_item": 1}


def test_faults_of_metrics_and_of_points_are_counted_together_and_the_first_is_told() -> None:
    wire = decode(
        metric("gauge", {**AT, "asInt": "first"}, {**AT, "asInt": 1}),
        "second",
        metric("sum", {**AT, "asInt": "third"}, isMonotonic=True),
    )

    assert len(wire) == 1
    assert rejected(wire) == {"bad_item": 3}
    assert "first" in wire.rejects[0].detail


def test_a_metric_without_data_is_nothing_and_no_fault() -> None:
    wire = decode({"name": "m"}, {}, metric("gauge"))

    assert len(wire) == 0
    assert wire.rejects == ()


@pytest.mark.parametrize("bad", [{"attributes": "x"}, {"attributes": [{"key": 1}]}, "text"])
def test_a_bad_resource_costs_the_body_for_nobody_knows_whose_it_is(bad: Any) -> None:
    with pytest.raises(BadInput, match="ExportMetricsServiceRequest in JSON"):
        to_protobuf(request(metric("gauge", {**AT, "asInt": 1}), resource=bad))


def test_several_resources_and_scopes_keep_their_order() -> None:
    groups = [
        {
            "resource": {"attributes": [text("service.name", service)]},
            "scopeMetrics": [
                {"metrics": [metric("gauge", {**AT, "asInt": 1}, name=f"{service}_{scope}")]}
                for scope in "ab"
            ],
        }
        for service in ("cart", "shop")
    ]
    body = json.dumps({"resourceMetrics": groups}).encode()

    wire = OtlpMetrics(seed=1).decode(body, JSON, now_ns=0)

    assert [(labels["service"], labels["__name__"]) for labels, _, _ in samples_of(wire)] == [
        ("cart", "cart_a"),
        ("cart", "cart_b"),
        ("shop", "shop_a"),
        ("shop", "shop_b"),
    ]
