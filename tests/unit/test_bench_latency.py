"""How the latency suite counts."""

from __future__ import annotations

import math

import pytest

from bench import fleet
from bench.latency import HALF, WHOLE, Plan, Watch, figures, percentile, struck_by


def test_a_percentile_is_an_observed_value() -> None:
    values = [float(n) for n in range(1, 101)]

    assert percentile(values, 0.99) == 99
    assert percentile(values, 0.5) == 50
    assert percentile([7.0], 0.99) == 7


def test_the_percentile_of_nothing_is_no_number() -> None:
    assert math.isnan(percentile([], 0.99))


def test_latency_is_of_what_was_found_and_the_share_of_that_is_told() -> None:
    struck = [("pod", "container", "metric", time_ms) for time_ms in range(10)]
    watch = Watch(due=dict.fromkeys(struck, 1.0), seen=dict.fromkeys(struck[:9], 1.5))
    watch.write_s, watch.bare_s = [0.25, 0.5], [0.125]

    told = figures(watch)

    assert told["anomaly_p99_ms"] == 500
    assert told["found_share"] == 0.9
    assert (told["write_p99_ms"], told["bare_write_p99_ms"]) == (500, 125)


def test_an_anomaly_is_known_by_its_series_start_and_peak() -> None:
    at = fleet.place(4711)
    item = {
        "labels": fleet.labels(4711),
        "started_at": "2026-01-05T10:00:00.123Z",
        "peak_at": "2026-01-05T10:00:15.123Z",
    }

    known = struck_by(item)

    assert known == [
        (at.pod, at.container, at.metric, 1_767_607_200_123),
        (at.pod, at.container, at.metric, 1_767_607_215_123),
    ]


def test_an_anomaly_of_a_stranger_is_passed_over() -> None:
    assert struck_by({"labels": {"__name__": "up"}}) == []


@pytest.mark.parametrize("samples_per_s", [HALF, WHOLE])
def test_a_plan_sends_so_many_samples_a_second(samples_per_s: int) -> None:
    plan = Plan(n_series=100_000, history=1500, seconds=40, seed=1)

    assert plan.n_steps(samples_per_s) * plan.n_series == 40 * samples_per_s


def test_of_each_service_one_pod_was_there_first() -> None:
    first = [number for number in range(4_000) if fleet.is_first_pod(number)]

    pods = {fleet.place(number).pod for number in first}
    assert len(pods) == len({fleet.place(number).service for number in range(4_000)})
    assert len(first) == 4_000 // fleet.PODS_PER_SERVICE
