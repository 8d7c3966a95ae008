"""A busy metric that stands still is told of once; what stands still by nature is not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from quality import synthetic
from tests.watching import EVERYWHERE, WatchedCatalog
from watchkeeper.analyze.classes import classify
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, Points
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.flatline import Flatline
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import DEFAULT_TENANT, F64, Kind

NONE = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
START_NS = 1_699_920_000 * NS_PER_S
MINUTE_NS = 60 * NS_PER_S
DAY = 1_440
BUSY = {"__name__": "process_cpu_usage", "service": "cart"}


def told(values: F64, labels: Mapping[str, str] = BUSY, ticks_every: int = 1) -> list[Sighting]:
    """What is said of a series with a point a minute."""
    catalog = WatchedCatalog()
    slot = catalog.register(labels).slot
    one = Flatline(catalog=catalog, class_of=lambda _: classify(labels, Kind.GAUGE))
    found: list[Sighting] = []
    for number, value in enumerate(values.tolist()):
        now_ns = START_NS + number * MINUTE_NS
        cells = Points(slot, np.array([now_ns]), np.array([value]))
        one.see(Seen(DEFAULT_TENANT, NONE, cells, []))
        if number % ticks_every == 0:
            found += one.tick(now_ns, EVERYWHERE)
    return found


def minute(one: Sighting) -> int:
    return (one.time_ns - START_NS) // MINUTE_NS


def busy(n: int = 2 * DAY) -> F64:
    return 40.0 + np.random.default_rng(0).normal(0.0, 3.0, n)


def test_a_busy_metric_that_stands_still_is_told_of_once_and_its_end_too() -> None:
    values = busy()
    values[1_500:1_600] = values[1_500]

    opened, closed = told(values)

    assert (opened.change, minute(opened)) == (OPENED, 1_514)
    assert opened.started_ns == START_NS + 1_500 * MINUTE_NS
    assert opened.evidence["equal_points"] == 15.0
    assert (closed.change, minute(closed)) == (CLOSED, 1_600)
    assert closed.started_ns == opened.started_ns


def test_fourteen_equal_points_are_chance() -> None:
    values = busy()
    values[1_500:1_514] = values[1_500]

    assert told(values) == []


@pytest.mark.parametrize(("length", "is_told"), [(45, False), (51, True)])
def test_what_often_stands_still_is_given_five_times_as_long(length: int, is_told: bool) -> None:
    values = busy()
    for start in range(100, 1_400, 50):
        values[start : start + 10] = values[start]
    values[1_500 : 1_500 + length] = values[1_500]

    assert bool(told(values)) == is_told


def test_what_stands_still_half_of_the_time_is_not_minded() -> None:
    values = np.repeat(busy(), 3)[: 2 * DAY]
    values[1_500:1_600] = values[1_500]

    assert told(values) == []


def test_before_five_hundred_points_nothing_is_known_to_be_busy() -> None:
    values = busy(1_000)
    values[450:600] = values[450]
    values[800:900] = values[800]

    assert told(values) == []


def test_a_tick_that_comes_late_still_tells_the_end() -> None:
    values = busy()
    values[1_500:1_600] = values[1_500]

    changes = [one.change for one in told(values, ticks_every=7)]

    assert changes == [OPENED, CLOSED]


def test_states_may_stand_still() -> None:
    values = busy()
    values[1_500:] = 1.0

    assert told(values, {"__name__": "up", "service": "cart"}) == []


@pytest.mark.parametrize("name", sorted(synthetic.GENERATORS))
def test_where_nothing_happens_nothing_is_told(name: str) -> None:
    values = synthetic.make(name, step_s=60.0, weeks=0.5, seed=2)

    assert told(values) == []
