"""Which series is the limit of which, as series come, leave and return elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.watching import EVERYWHERE, Slots
from watchkeeper.analyze.classes import classify
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, Points
from watchkeeper.analyze.watchers import ramp_kernel as kernel
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.ramp import LEAST_GROWTH, LIMITS, ROW, SURE, Ramp, chance
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import DEFAULT_TENANT, F64, I32, N_PARTITIONS, Kind

NONE = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
MIDNIGHT_NS = 1_699_920_000 * NS_PER_S
STEP_NS = kernel.BLOCK_NS
"""A point in half an hour: each closes the block before it."""
FILES = {"__name__": "process_open_fds", "service": "cart"}
MAX_FILES = {"__name__": "process_max_fds", "service": "cart"}
OTHER = {"__name__": "disk_used_bytes", "service": "cart"}
CLIMB = np.linspace(100.0, 700.0, 14)
"""In seven hours; at a thousand it is full."""


class World:
    """A ramp watcher over a catalog whose series come and go."""

    def __init__(self) -> None:
        self.catalog = Slots()
        self.ramp = self.made()
        self.step = 0

    def made(self) -> Ramp:
        catalog = self.catalog
        return Ramp(
            catalog=catalog,
            class_of=lambda slot: classify(catalog.series(slot).labels, Kind.GAUGE),
        )

    def come(self, labels: Mapping[str, str]) -> int:
        return int(self.catalog.register(labels).slot[0])

    def say(self, *points: tuple[int, float]) -> list[Sighting]:
        slots: I32 = np.array([slot for slot, _ in points], np.int32)
        values: F64 = np.array([value for _, value in points], np.float64)
        now_ns = MIDNIGHT_NS + self.step * STEP_NS
        self.step += 1
        cells = Points(slots, np.full(len(slots), now_ns), values)
        self.ramp.see(Seen(DEFAULT_TENANT, NONE, cells, []))
        return list(self.ramp.tick(now_ns, EVERYWHERE))

    def climb(self, slot: int, *beside: tuple[int, float]) -> list[Sighting]:
        return [one for value in CLIMB for one in self.say((slot, float(value)), *beside)]

    def restarted(self) -> None:
        states = [self.ramp.dump(partition) for partition in range(N_PARTITIONS)]
        self.ramp = self.made()
        for partition, state in enumerate(states):
            self.ramp.load(partition, state)


@pytest.mark.parametrize(("name", "limit"), sorted(LIMITS.items()))
def test_every_limit_that_is_known_by_name_is_read(name: str, limit: str) -> None:
    world = World()
    used = world.come({"__name__": name, "service": "cart"})
    most = world.come({"__name__": limit, "service": "cart"})

    told = world.climb(used, (most, 1_000.0))

    assert [one.change for one in told] == [OPENED]
    assert told[0].evidence["hours_left"] == pytest.approx(3.75)


def test_without_the_limit_the_first_day_says_nothing() -> None:
    world = World()

    assert world.climb(world.come(FILES)) == []


@pytest.mark.parametrize("labels", [{"service": "shop"}, {"pod": "a"}, {"environment": "test"}])
def test_the_limit_of_others_is_none(labels: Mapping[str, str]) -> None:
    world = World()
    used, most = world.come(FILES), world.come({**MAX_FILES, **labels})

    assert world.climb(used, (most, 1_000.0)) == []


def test_a_limit_that_returned_elsewhere_is_still_the_limit() -> None:
    """When another series moved into its first slot, the limit was forgotten."""
    world = World()
    used, most = world.come(FILES), world.come(MAX_FILES)
    world.say((used, 100.0), (most, 1_000.0))
    world.catalog.leave(most)
    world.come({"__name__": "queue_depth", "service": "new"})
    back = world.come(MAX_FILES)
    world.say((used, 100.0), (back, 1_000.0))
    assert back != most
    (moved,) = world.catalog.move_in(most, OTHER).tolist()
    world.say((used, 100.0), (back, 1_000.0), (moved, 5.0))

    told = world.climb(used, (back, 1_000.0), (moved, 5.0))

    assert [one.change for one in told] == [OPENED]


def test_who_moves_into_the_slot_of_a_limit_is_none() -> None:
    world = World()
    used, most = world.come(FILES), world.come(MAX_FILES)
    world.say((used, 100.0), (most, 1_000.0))
    world.catalog.leave(most)
    (moved,) = world.catalog.move_in(most, OTHER).tolist()

    assert world.climb(used, (moved, 1_000.0)) == []


def test_a_limit_is_known_after_a_restart() -> None:
    world = World()
    used, most = world.come(FILES), world.come(MAX_FILES)
    world.say((used, 100.0), (most, 1_000.0))

    world.restarted()
    told = world.climb(used)

    assert [one.change for one in told] == [OPENED]


@pytest.mark.parametrize("limit", [0.0, -5.0, math.nan])
def test_a_limit_of_nothing_is_none(limit: float) -> None:
    world = World()
    used, most = world.come(FILES), world.come(MAX_FILES)

    assert world.climb(used, (most, limit)) == []


@pytest.mark.parametrize("at", range(1, 26, 3))
def test_a_restart_at_any_block_changes_nothing(at: int) -> None:
    one, other = World(), World()
    values = [*CLIMB, *([700.0] * 12)]
    slots = {}
    for world in (one, other):
        slots[world] = world.come(FILES), world.come(MAX_FILES)
    told: dict[World, list[Sighting]] = {one: [], other: []}

    for number, value in enumerate(values):
        if number == at:
            other.restarted()
        for world in (one, other):
            used, most = slots[world]
            told[world] += world.say((used, float(value)), (most, 1_000.0))

    assert told[other] == told[one]
    assert [said.change for said in told[one]] == [OPENED, CLOSED]


def fresh_rows() -> F64:
    return np.zeros(1, ROW)


def gathered(points: list[tuple[int, float]]) -> F64:
    """The row after points at these half-hours."""
    rows, watched, fresh = fresh_rows(), np.ones(1, np.bool_), np.zeros(1, np.bool_)
    slots = np.zeros(len(points), np.int32)
    times = np.array([MIDNIGHT_NS + block * STEP_NS for block, _ in points], np.int64)
    values = np.array([value for _, value in points], np.float64)
    kernel.gather((slots, times, values), rows, watched, fresh)
    return rows


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, -0.0, 1e30]
)
def test_no_value_makes_a_row_that_is_no_number(value: float) -> None:
    points = [(n, value if n % 3 == 1 else 5.0) for n in range(40)]

    row = gathered(points)[0]

    assert np.isfinite(row["means"]).all()
    assert math.isfinite(row["last"])
    assert all(math.isfinite(one) for one in kernel.climb(row))
    assert kernel.stalled(row) in (True, False)


@pytest.mark.parametrize("gap", [1, 2])
def test_a_block_that_is_missing_is_passed_over(gap: int) -> None:
    points = [(n if n < 6 else n + gap - 1, float(n)) for n in range(14)]

    assert gathered(points)[0]["filled"] == 12


@pytest.mark.parametrize("gap", [3, 48, 500, 48 * 400])
def test_two_blocks_that_are_missing_begin_anew(gap: int) -> None:
    points = [(n if n < 6 else n + gap - 1, float(n)) for n in range(14)]

    row = gathered(points)[0]

    assert row["filled"] == 7
    assert kernel.climb(row)[:2] == (0.0, 0.0)


def test_a_point_of_an_older_block_is_passed_over() -> None:
    points = [(n, float(n)) for n in range(14)]

    late = gathered([*points, (3, 1e9), (12, 1e9)])

    assert late.tobytes() == gathered(points).tobytes()


def test_points_of_one_block_are_its_mean() -> None:
    row = gathered([(0, 1.0), (0, 2.0), (0, 6.0), (1, 0.0)])[0]

    assert row["means"][-1] == 3.0


@pytest.mark.parametrize("days", [1, 2, 6])
def test_days_are_remembered_by_their_place(days: int) -> None:
    row = gathered([(0, 5.0), (1, 7.0), (48 * days, 1.0), (48 * days + 1, 2.0)])[0]

    assert (row["top"][days], row["bottom"][days]) == (7.0, 5.0)
    assert (row["top"][0], row["bottom"][0]) == (1.0, 1.0)


@pytest.mark.parametrize("days", [7, 8, 1_000])
def test_what_is_a_week_old_is_forgotten(days: int) -> None:
    row = gathered([(0, 5.0), (1, 7.0), (48 * days, 1.0), (48 * days + 1, 2.0)])[0]

    assert row["top"][1:].tolist() == [-math.inf] * 6
    assert row["bottom"][1:].tolist() == [math.inf] * 6


@pytest.mark.parametrize(
    ("now", "step", "known", "beyond"),
    [
        (10.0, 1.0, True, False),
        (11.5, 1.0, True, False),
        (12.5, 1.0, True, True),
        (-2.5, -1.0, True, True),
        (-1.5, -1.0, True, False),
        (12.5, -1.0, True, False),
    ],
)
def test_news_is_where_no_day_was(now: float, step: float, known: bool, beyond: bool) -> None:
    row = fresh_rows()[0]
    row["top"], row["bottom"] = -math.inf, math.inf
    row["top"][2], row["bottom"][2] = 11.0, -1.0

    assert kernel.is_news(row, step, now) == (known, beyond)


def test_where_no_day_is_known_nothing_is_known() -> None:
    row = fresh_rows()[0]
    row["top"], row["bottom"] = -math.inf, math.inf

    assert kernel.is_news(row, 1.0, 5.0)[0] is False


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9, -1.0, -1e6])
def test_how_sure_a_climb_is_does_not_depend_on_its_unit(scale: float) -> None:
    values = [float(n) + 0.1 * math.sin(7.0 * n) for n in range(1, 14)]

    plain = kernel.climb(gathered(list(enumerate(values)))[0])
    scaled = kernel.climb(gathered([(n, scale * v) for n, v in enumerate(values)])[0])

    assert scaled[0] == pytest.approx(scale * plain[0], rel=1e-4)
    assert scaled[1] == pytest.approx(math.copysign(plain[1], scale), rel=1e-3)


def test_what_stands_still_climbs_nowhere() -> None:
    row = gathered([(n, 5.0) for n in range(20)])[0]

    assert kernel.climb(row)[:2] == (0.0, 0.0)
    assert kernel.stalled(row)


@settings(max_examples=20, deadline=None)
@given(t=st.floats(-1e9, 1e9), more=st.floats(0.0, 100.0))
def test_the_surer_the_less_it_is_chance(t: float, more: float) -> None:
    one, surer = chance(abs(t)), chance(abs(t) + more)

    assert 0.0 < surer <= one * (1.0 + 1e-9) <= 1.0 + 1e-9
    assert chance(-t) == chance(t)


@settings(max_examples=15, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 30), max_size=5).map(sorted),
    values=st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=30),
)
def test_how_points_are_cut_into_batches_changes_no_bit(
    cuts: list[int], values: list[float]
) -> None:
    rows, watched, fresh = fresh_rows(), np.ones(1, np.bool_), np.zeros(1, np.bool_)
    times = np.arange(30, dtype=np.int64) * (STEP_NS // 2) + MIDNIGHT_NS

    for part in np.split(np.arange(30), cuts):
        points = (np.zeros(len(part), np.int32), times[part], np.array(values)[part])
        kernel.gather(points, rows, watched, fresh)

    whole = fresh_rows()
    kernel.gather((np.zeros(30, np.int32), times, np.array(values)), whole, watched, fresh)
    assert rows.tobytes() == whole.tobytes()


@given(
    values=st.lists(
        st.lists(st.sampled_from([0.0, 1.0, 5.0, 40.0, -1e30, 1e30]), min_size=14, max_size=14),
        min_size=1,
        max_size=4,
    ),
    told=st.integers(0, 3),
)
@settings(max_examples=30)
def test_what_is_worth_a_look_is_told_already_or_climbs_surely_and_far(
    values: list[list[float]], told: int
) -> None:
    rows = np.concatenate([gathered(list(enumerate(own))) for own in [*values, list(CLIMB)]])
    rows["since_ns"][told % len(rows)] = 1
    slots = np.arange(len(rows), dtype=np.int32)[::-1].copy()

    found = kernel.remarkable(slots, rows, SURE, LEAST_GROWTH).tolist()

    said = [kernel.climb(row) for row in rows]
    climbs = [
        abs(sure) >= SURE and abs(step) * kernel.N_BLOCKS >= LEAST_GROWTH * abs(now)
        for step, sure, now in said
    ]
    assert climbs[-1]
    assert found == [one for one in slots.tolist() if climbs[one] or rows["since_ns"][one]]
