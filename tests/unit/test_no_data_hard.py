"""Who is awaited, through restarts, leaps of the clock, namesakes and slots that change hands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
import pytest

from tests.watching import EVERYWHERE, Slots
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, Points
from watchkeeper.analyze.watchers import flatline_kernel as kernel
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.flatline import ROW
from watchkeeper.analyze.watchers.no_data import NoData
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import DEFAULT_TENANT, F64, N_PARTITIONS, Entity, Series, TenantId

NONE = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
START_NS = 1_700_000_000 * NS_PER_S
MINUTE_NS = 60 * NS_PER_S
QUEUE = {"__name__": "queue_depth", "service": "mail"}
BEAT = {"__name__": "heart_beat", "service": "mail"}


class Owned(Slots):
    """A catalog whose series have tenants and environments, by a label each."""

    def series(self, slot: int) -> Series:
        one = super().series(slot)
        entity = Entity(service=one.entity.service, environment=one.labels.get("environment", ""))
        tenant = TenantId(one.labels.get("owner", DEFAULT_TENANT))
        return Series(one.identity, tenant, one.labels, one.kind, entity)


class World:
    """Minutes in which some series speak."""

    def __init__(self, *labels: Mapping[str, str], first_slot: int = 0) -> None:
        self.catalog = Owned(first_slot=first_slot)
        self.slots = self.catalog.register(*labels).slot.tolist() if labels else []
        self.one = NoData(catalog=self.catalog)
        self.now_ns = START_NS

    def live(self, minutes: int, who: Iterable[int]) -> list[Sighting]:
        slots = np.array(list(who), np.int32)
        told: list[Sighting] = []
        for _ in range(minutes):
            self.now_ns += MINUTE_NS
            times, values = np.full(len(slots), self.now_ns), np.ones(len(slots))
            self.one.see(Seen(DEFAULT_TENANT, Points(slots, times, values), NONE, []))
            told += self.one.tick(self.now_ns, EVERYWHERE)
        return told

    def states(self) -> list[bytes]:
        return [self.one.dump(partition) for partition in range(N_PARTITIONS)]

    def restart(self) -> None:
        states = self.states()
        self.one = NoData(catalog=self.catalog)
        for partition, state in enumerate(states):
            self.one.load(partition, state)


def changes(told: Iterable[Sighting]) -> list[int]:
    return [one.change for one in told]


@pytest.mark.parametrize("at", [1, 30, 61, 75, 90, 100, 104])
def test_a_restart_in_any_phase_changes_nothing(at: int) -> None:
    """While it is learned, while it is heard, while it is awaited, missed, and heard again."""
    one, other = World(QUEUE, BEAT), World(QUEUE, BEAT)
    queue, beat = one.slots
    told: dict[World, list[Sighting]] = {one: [], other: []}

    for minute in range(110):
        if minute == at:
            other.restart()
        who = [beat] if 80 <= minute < 100 else [queue, beat]
        for world in (one, other):
            told[world] += world.live(1, who)

    assert told[other] == told[one]
    assert changes(told[one]) == [OPENED, CLOSED]
    assert other.states() == one.states()


def test_what_was_heard_since_the_last_tick_is_in_the_checkpoint() -> None:
    one = World(QUEUE, BEAT)
    one.live(90, one.slots)
    samples = Points(np.array(one.slots, np.int32), np.full(2, one.now_ns), np.ones(2))
    one.one.see(Seen(DEFAULT_TENANT, samples, NONE, []))

    states = one.states()
    one.restart()

    assert one.states() == states
    one.now_ns += MINUTE_NS
    assert one.one.tick(one.now_ns, EVERYWHERE) == []


@pytest.mark.parametrize("apart", ["environment", "owner"])
def test_namesakes_are_missed_each_for_itself(apart: str) -> None:
    names = [{**metric, apart: whose} for whose in ("one", "other") for metric in (QUEUE, BEAT)]
    world = World(*names)
    world.live(90, world.slots)

    told = world.live(30, world.slots[1:])

    assert [(one.tenant, one.entity.environment, one.labels["__name__"]) for one in told] == [
        ("one", "", "queue_depth") if apart == "owner" else (DEFAULT_TENANT, "one", "queue_depth")
    ]


def test_the_service_of_one_tenant_is_silent_though_anothers_speaks() -> None:
    names = [{**metric, "owner": whose} for whose in ("a", "b") for metric in (QUEUE, BEAT)]
    world = World(*names)
    world.live(90, world.slots)

    told = world.live(30, world.slots[2:])

    assert [(one.tenant, one.labels) for one in told] == [
        ("a", {"service": "mail", "symptom": "no_data"})
    ]


@pytest.mark.parametrize("back_s", [1, 60, 3_600, 86_400])
def test_a_clock_that_is_put_back_misses_nobody(back_s: int) -> None:
    world = World(QUEUE, BEAT)
    world.live(90, world.slots)

    world.now_ns -= back_s * NS_PER_S

    assert world.live(60, world.slots) == []


@pytest.mark.parametrize("ahead_s", [200, 3_600, 86_400, 30 * 86_400])
def test_a_clock_that_leaps_ahead_misses_nobody(ahead_s: int) -> None:
    world = World(QUEUE, BEAT)
    world.live(90, world.slots)

    world.now_ns += ahead_s * NS_PER_S

    assert world.live(60, world.slots) == []


def test_who_is_silent_before_a_pause_of_the_clock_is_silent_behind_it() -> None:
    world = World(QUEUE, BEAT)
    world.live(90, world.slots)
    opened = world.live(20, world.slots[1:])
    world.now_ns += 3_600 * NS_PER_S

    later = world.live(20, world.slots[1:])
    closed = world.live(1, world.slots)

    assert changes(opened) == [OPENED]
    assert later == []
    assert changes(closed) == [CLOSED]
    assert closed[0].started_ns == opened[0].started_ns


def test_who_moves_into_a_slot_is_awaited_under_its_own_name() -> None:
    world = World(QUEUE, BEAT)
    queue, beat = world.slots
    world.live(90, world.slots)
    world.catalog.leave(queue)
    (moved,) = world.catalog.move_in(queue, {"__name__": "disk_used", "service": "mail"}).tolist()

    told = world.live(30, [moved, beat])

    assert [one.labels["__name__"] for one in told] == ["queue_depth"]


def test_who_returns_in_another_slot_is_heard_again() -> None:
    world = World(QUEUE, BEAT)
    queue, beat = world.slots
    world.live(90, world.slots)
    opened = world.live(20, [beat])
    world.catalog.leave(queue)
    (back,) = world.catalog.register(QUEUE).slot.tolist()

    closed = world.live(2, [back, beat])

    assert back != queue
    assert changes([*opened, *closed]) == [OPENED, CLOSED]


def test_a_series_that_left_before_the_tick_is_nobody() -> None:
    world = World(QUEUE, BEAT)
    world.live(5, world.slots)
    samples = Points(np.array(world.slots, np.int32), np.full(2, world.now_ns), np.ones(2))
    world.one.see(Seen(DEFAULT_TENANT, samples, NONE, []))

    world.catalog.leave(world.slots[0])

    assert world.live(3, world.slots[1:]) == []


def test_series_of_no_service_are_not_awaited() -> None:
    world = World({"__name__": "lonely"}, BEAT)
    world.live(90, world.slots)

    assert world.live(60, world.slots[1:]) == []
    assert b"lonely" not in b"".join(world.states())


def test_a_partition_that_is_covered_is_neither_missed_nor_learned() -> None:
    world = World(QUEUE, BEAT)
    world.live(90, world.slots)
    before = world.states()
    nowhere = np.zeros(N_PARTITIONS, np.bool_)

    told = [
        said
        for minute in range(1, 60)
        for said in world.one.tick(world.now_ns + minute * MINUTE_NS, nowhere)
    ]

    assert told == []
    assert world.states() == before


def test_rows_of_who_was_let_go_are_used_again() -> None:
    world = World()
    for number in range(6):
        names = [{"__name__": f"m{n}", "service": f"s{number}"} for n in range(300)]
        slots = world.catalog.register(*names).slot.tolist() if number < 2 else []
        world.live(2, slots)
        world.now_ns += 2 * 86_400 * NS_PER_S
        for _ in range(20):
            world.live(1, [])
        world.now_ns += 2 * 86_400 * NS_PER_S

    assert len(world.one._rows) == 1_024  # noqa: SLF001 - memory shows nowhere else


def test_a_checkpoint_names_who_is_awaited_in_order() -> None:
    world, mirror = World(QUEUE, BEAT), World(BEAT, QUEUE)

    world.live(70, world.slots)
    mirror.live(70, mirror.slots)

    assert mirror.states() == world.states()


def test_an_empty_partition_has_an_empty_checkpoint_before_the_first_tick() -> None:
    world = World(QUEUE)

    assert world.states() == [b""] * N_PARTITIONS
    world.one.load(3, b"")
    assert world.states() == [b""] * N_PARTITIONS


def test_the_time_of_the_last_look_is_kept_where_nobody_is_awaited() -> None:
    world = World()
    world.live(1, [])

    state = world.one.dump(5)

    assert msgspec.msgpack.decode(state) == [world.now_ns // (10 * NS_PER_S), []]


# Runs of equal points.


def run(values: list[float], *, first: int = 0, row: F64 | None = None) -> F64:
    """The row after points a minute apart."""
    rows = np.zeros(1, ROW) if row is None else row
    times = START_NS + (first + np.arange(len(values), dtype=np.int64)) * MINUTE_NS
    points = (np.zeros(len(values), np.int32), times, np.array(values))
    kernel.gather(points, rows, np.ones(1, np.bool_), np.zeros(1, np.bool_))
    return rows


def moving(n: int) -> list[float]:
    return [float(number % 97) for number in range(n)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_point(value: float) -> None:
    plain, beside = run(moving(10)), run([])
    for number, one in enumerate(moving(10)):
        beside = run([one], first=number, row=beside)
        beside = run([value], first=number, row=beside)

    assert beside.tobytes() == plain.tobytes()


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1e308, -1e308, 0.1 + 0.2])
@pytest.mark.parametrize(("n", "phase"), [(14, kernel.CALM), (15, kernel.STUCK)])
def test_a_busy_metric_is_stuck_at_any_value(value: float, n: int, phase: int) -> None:
    row = run([*moving(600), *([value] * n)])[0]

    assert row["run"] == n + (value == moving(600)[-1])
    assert row["phase"] == phase


@pytest.mark.parametrize(("before", "phase"), [(499, kernel.CALM), (500, kernel.STUCK)])
def test_so_many_points_are_known_before(before: int, phase: int) -> None:
    assert run([*moving(before), *([-7.0] * 15)])[0]["phase"] == phase


def test_a_longer_run_is_needed_where_one_was() -> None:
    values = [*moving(300), *([-7.0] * 6), *moving(300)]

    assert run([*values, *([-7.0] * 24)])[0]["phase"] == kernel.CALM
    assert run([*values, *([-7.0] * 30)])[0]["phase"] == kernel.STUCK


def test_what_ended_before_it_was_told_is_not_told() -> None:
    row = run([*moving(600), *([-7.0] * 20), 1.0])[0]

    assert row["phase"] == kernel.CALM
    assert row["longest"] == pytest.approx(20.0)


def test_a_run_that_was_told_and_its_end_are_told_once() -> None:
    rows = run([*moving(600), *([-7.0] * 20)])
    rows["phase"] = kernel.TOLD

    rows = run([1.0, 1.0, 2.0], first=620, row=rows)

    assert rows[0]["phase"] == kernel.MOVED


@pytest.mark.parametrize("cut", [1, 7, 599, 610])
def test_runs_do_not_depend_on_where_batches_end(cut: int) -> None:
    values = [*moving(600), *([-7.0] * 20), *moving(5)]

    parts = run(values[cut:], first=cut, row=run(values[:cut]))

    assert parts.tobytes() == run(values).tobytes()


def test_older_and_equal_times_are_passed_over() -> None:
    plain = run(moving(100))

    again = run(moving(100), row=run(moving(100)))

    assert again.tobytes() == plain.tobytes()
