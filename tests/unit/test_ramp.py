"""What climbs slowly towards its limit is told of in time; what climbs every morning is not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from quality import synthetic
from tests.watching import EVERYWHERE, WatchedCatalog
from watchkeeper.analyze.classes import classify
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED, Points
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.ramp import Ramp, chance
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import DEFAULT_TENANT, F64, Kind

NONE = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
MIDNIGHT_NS = 1_699_920_000 * NS_PER_S
DAY, HOUR = 288, 12
"""Points, one in five minutes."""
STEP_NS = 300 * NS_PER_S
MEMORY = {"__name__": "process_resident_memory_bytes", "service": "cart"}
FREE = {"__name__": "node_filesystem_avail_bytes", "service": "cart"}
CPU = {"__name__": "system_cpu_utilization", "service": "cart"}
FILES = {"__name__": "process_open_fds", "service": "cart"}
MAX_FILES = {"__name__": "process_max_fds", "service": "cart"}


def noise(n: int, seed: int = 0) -> F64:
    return np.random.default_rng(seed).normal(0.0, 1.0, n)


def told(
    labels: Mapping[str, str], values: F64, *beside: tuple[Mapping[str, str], float]
) -> list[Sighting]:
    """What is said of a series, one of whose points comes every five minutes."""
    catalog = WatchedCatalog()
    slots = catalog.register(labels, *(other for other, _ in beside)).slot
    one = Ramp(catalog=catalog, class_of=lambda slot: classify(catalog.series(slot).labels, _GAUGE))
    found: list[Sighting] = []
    for number, value in enumerate(values.tolist()):
        now_ns = MIDNIGHT_NS + number * STEP_NS
        column = np.array([value, *(limit for _, limit in beside)])
        cells = Points(slots, np.full(len(slots), now_ns), column)
        one.see(Seen(DEFAULT_TENANT, NONE, cells, []))
        found += one.tick(now_ns, EVERYWHERE)
    return found


_GAUGE = Kind.GAUGE


def hours(one: Sighting) -> float:
    return (one.time_ns - MIDNIGHT_NS) / STEP_NS / HOUR


def test_a_leak_is_told_within_ten_hours_of_its_beginning() -> None:
    values = 1e9 + 1e7 * noise(4 * DAY)
    values[2 * DAY :] += np.arange(2 * DAY) * 4e6

    opened, *rest = told(MEMORY, values)

    assert opened.change == OPENED
    assert 48.0 < hours(opened) <= 58.0
    assert opened.severity is Severity.INFO
    assert opened.evidence["per_hour"] == pytest.approx(4.8e7, rel=0.3)
    assert opened.value > opened.expected_high
    assert [one.change for one in rest] == []


def test_a_disk_that_fills_is_told_with_the_hours_that_are_left() -> None:
    """60 GB free and 2 GB less each hour."""
    values = 6e10 + 1e8 * noise(3 * DAY)
    values[2 * DAY :] -= np.arange(DAY) * 2e9 / HOUR

    opened, within_a_day, *rest = told(FREE, values)

    assert opened.severity is Severity.INFO
    assert hours(opened) + opened.evidence["hours_left"] == pytest.approx(48 + 30, abs=2.5)
    assert within_a_day.severity is Severity.EVIDENCE
    assert 22.0 < within_a_day.evidence["hours_left"] <= 24.0
    assert [one.evidence["hours_left"] for one in rest] == pytest.approx([11.7], abs=0.5)
    assert {one.change for one in (within_a_day, *rest)} == {WORSENED}
    assert {one.started_ns for one in (within_a_day, *rest)} == {opened.started_ns}


def test_a_limit_is_read_from_the_metric_beside_it() -> None:
    values = 100.0 + noise(18 * HOUR) + np.arange(18 * HOUR) * 50.0 / HOUR

    opened, *_ = told(FILES, values, (MAX_FILES, 1024.0))

    assert opened.severity is Severity.EVIDENCE
    assert hours(opened) + opened.evidence["hours_left"] == pytest.approx(924 / 50, abs=1.0)


def test_without_a_limit_and_without_a_day_nothing_is_told() -> None:
    values = 100.0 + noise(18 * HOUR) + np.arange(18 * HOUR) * 50.0 / HOUR

    assert told(FILES, values) == []


def test_a_ramp_ends_when_it_is_released_and_begins_anew() -> None:
    saw = np.concatenate([np.arange(12 * HOUR), np.zeros(12 * HOUR), np.arange(12 * HOUR)])
    values = np.concatenate([np.zeros(2 * DAY), saw * 4e6]) + 1e9
    values += 1e6 * noise(len(values))

    changes = [one.change for one in told(MEMORY, values)]

    assert changes[:2] == [OPENED, CLOSED]


def test_every_mornings_climb_is_none() -> None:
    time = np.arange(10 * DAY) / DAY
    values = 0.4 + 0.3 * np.sin(2 * np.pi * (time - 0.25)) + 0.01 * noise(10 * DAY)

    assert told(CPU, values) == []


def test_a_climb_of_less_than_a_tenth_is_none() -> None:
    values = 1e9 + 1e5 * noise(4 * DAY) + np.arange(4 * DAY) * 5e5

    assert told(MEMORY, values) == []


def test_a_jump_is_not_a_climb() -> None:
    values = 1e9 + 1e7 * noise(3 * DAY)
    values[2 * DAY :] += 5e8

    assert told(MEMORY, values) == []


@pytest.mark.parametrize("name", sorted(set(synthetic.GENERATORS) - {"linear_trend"}))
def test_where_nothing_happens_nothing_is_told(name: str) -> None:
    values = synthetic.make(name, step_s=300.0, weeks=1.5, seed=5)

    assert [one for one in told(CPU, values) if one.change == OPENED] == []


def test_counters_are_no_ramps() -> None:
    catalog = WatchedCatalog()
    slot = catalog.register(MEMORY).slot
    catalog.kind[slot] = Kind.COUNTER
    one = Ramp(catalog=catalog, class_of=lambda _: classify(MEMORY, Kind.GAUGE))

    for number in range(3 * DAY):
        now_ns = MIDNIGHT_NS + number * STEP_NS
        cells = Points(slot, np.array([now_ns]), np.array([1e6 * number]))
        one.see(Seen(DEFAULT_TENANT, NONE, cells, []))

    assert list(one.tick(now_ns, EVERYWHERE)) == []


def test_a_gap_begins_the_six_hours_anew() -> None:
    values = 1e9 + 1e6 * noise(2 * DAY + 10 * HOUR)
    values[2 * DAY :] += np.arange(10 * HOUR) * 4e6
    values[2 * DAY + 3 * HOUR : 2 * DAY + 5 * HOUR] = np.nan

    assert told(MEMORY, values) == []


@pytest.mark.parametrize(("t", "p"), [(0.0, 1.0), (2.228, 0.05), (4.587, 0.001), (8.0, 1.2e-5)])
def test_the_chance_is_that_of_students_distribution(t: float, p: float) -> None:
    assert chance(t) == pytest.approx(p, rel=0.05)
    assert chance(-t) == chance(t)


def test_what_falls_to_its_limit_from_above_is_not_filling_up() -> None:
    values = 3.0 + 0.01 * noise(18 * HOUR) - np.arange(18 * HOUR) * 0.1 / HOUR

    assert told(CPU, values) == []
