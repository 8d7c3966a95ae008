"""The bench's bodies say what the official encoders would say."""

from __future__ import annotations

import cramjam
import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from bench import bodies, fleet
from tests import make

TIMES_MS = np.array(
    [[1_767_607_200_123, 1_767_607_215_123], [1_767_607_200_456, 1_767_607_215_456]]
)
VALUES = np.array([[1.5, -2.25], [1e12, 0.0]])


def test_a_remote_write_body_holds_labels_and_samples_as_protobuf_writes_them() -> None:
    runs = bodies.label_runs([0, 1])

    body = bodies.remote_write(bodies.remote_write_heads(runs, 2), TIMES_MS, VALUES)

    want = b""
    for run, times, values in zip(runs, TIMES_MS.tolist(), VALUES, strict=True):
        want += b"\x0a" + bodies.varint(len(run) + 2 * 18) + run
        for time_ms, value in zip(times, values, strict=True):
            want += b"\x12\x10\x09" + value.tobytes() + b"\x10" + bodies.varint(time_ms)
    assert bytes(cramjam.snappy.decompress_raw(body)) == want


def test_labels_are_sorted_unique_and_nine_as_prometheus_sends_them() -> None:
    for number in (0, 1, 99, 100, 99_999):
        labels = fleet.labels(number)

        assert list(labels) == sorted(labels)
        assert len(labels) == 9
        assert bodies.label_run(labels) == make.label_run(labels)


def test_every_series_of_the_fleet_has_labels_of_its_own() -> None:
    runs = bodies.label_runs(range(5000))

    assert len(set(runs)) == 5000


def test_times_that_take_no_six_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="six bytes"):
        bodies.sample_records(np.array([[1]]), np.array([[1.0]]))


def test_a_fleet_is_cut_into_bodies_in_the_order_of_its_series() -> None:
    encoder = bodies.RemoteWrite(bodies.label_runs(range(5)), series_per_body=2)
    times, values = fleet.Walk(5, seed=1, start_ms=1_767_607_200_000).take(1)

    sent = encoder.encode(times, values)

    raw = [bytes(cramjam.snappy.decompress_raw(body)) for body in sent]
    assert len(raw) == 3
    assert [b"container_memory_rss" in one for one in raw] == [False, True, False]


@pytest.mark.parametrize("gzip", [False, True])
def test_an_otlp_body_gives_every_point_its_own_numbers(gzip: bool) -> None:
    times, values = fleet.Walk(100, seed=1, start_ms=1_767_607_200_000).take(1)

    body = bodies.Otlp(100, series_per_body=100).encode(times, values, gzip=gzip)[0]

    data = bytes(cramjam.gzip.decompress(body)) if gzip else body
    request = ExportMetricsServiceRequest.FromString(data)
    found = [
        (metric.name, point.time_unix_nano, point.as_double)
        for group in request.resource_metrics
        for metric in group.scope_metrics[0].metrics
        for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points
    ]
    assert found == [
        (fleet.place(number).metric, int(times[number, 0]) * 10**6, float(values[number, 0]))
        for number in range(100)
    ]


def test_a_walk_is_the_same_for_the_same_seed_and_advances_by_a_scrape() -> None:
    one = fleet.Walk(200, seed=3, start_ms=1_767_607_200_000)
    same = fleet.Walk(200, seed=3, start_ms=1_767_607_200_000)

    times, values = one.take(5)

    again = [same.take(2), same.take(3)]
    assert np.array_equal(values, np.concatenate([taken[1] for taken in again], axis=1))
    assert np.array_equal(times, np.concatenate([taken[0] for taken in again], axis=1))
    assert (np.diff(times, axis=1) == fleet.STEP_MS).all()


def test_counters_only_grow_and_gauges_have_two_decimals() -> None:
    _, values = fleet.Walk(100, seed=3, start_ms=1_767_607_200_000).take(50)

    counts = np.array([fleet.is_counter(number) for number in range(100)])
    assert (np.diff(values[counts], axis=1) >= 0).all()
    assert np.array_equal(values[~counts], np.round(values[~counts], 2))
    assert (np.diff(values[~counts], axis=1) != 0).mean() > 0.9
