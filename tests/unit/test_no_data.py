"""What stops is missed once, and by itself; what only pauses, or moves to another pod, is not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tests.watching import EVERYWHERE, WatchedCatalog
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, Points
from watchkeeper.analyze.watchers.base import Seen, Sighting
from watchkeeper.analyze.watchers.no_data import NoData
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import DEFAULT_TENANT, I32

NONE = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
START_S = 1_700_000_000


class World:
    """A watcher, and what it is told minute by minute."""

    def __init__(self) -> None:
        self.catalog = WatchedCatalog()
        self.one = NoData(catalog=self.catalog)
        self.minute = 0

    @property
    def everyone(self) -> I32:
        return self.catalog.new.slot

    def of(self, service: str = "", metric: str = "") -> I32:
        labels = self.catalog.labels(self.everyone)
        fits = [
            one["service"] == (service or one["service"])
            and one["__name__"] == (metric or one["__name__"])
            for one in labels
        ]
        return self.everyone[np.array(fits)]

    def live(self, minutes: int, slots: I32, every_s: int = 10) -> list[Sighting]:
        """So many minutes in which these are heard, each once a minute; and so many ticks."""
        found: list[Sighting] = []
        for _ in range(minutes):
            n = len(slots)
            points = Points(slots, np.zeros(n, np.int64), np.ones(n))
            self.one.see(Seen(DEFAULT_TENANT, points, NONE, []))
            for second in range(0, 60, every_s):
                now_s = START_S + self.minute * 60 + second
                found += self.one.tick(now_s * NS_PER_S, EVERYWHERE)
            self.minute += 1
        return found


def subjects(told: Iterable[Sighting], change: int) -> list[tuple[str, str]]:
    return [
        (one.entity.service, one.labels.get("__name__", "")) for one in told if one.change == change
    ]


def without(slots: I32, gone: I32) -> I32:
    return slots[~np.isin(slots, gone)]


def learned() -> World:
    world = World()
    assert world.live(120, world.everyone) == []
    return world


def test_a_metric_that_stops_is_missed_once_and_found_again() -> None:
    world = learned()
    rest = without(world.everyone, world.of("cart", "queue_depth"))

    told = world.live(60, rest)
    back = world.live(2, world.everyone)

    assert subjects(told, OPENED) == [("cart", "queue_depth")]
    assert len(told) == 1
    assert told[0].severity is Severity.EVIDENCE
    assert told[0].value > told[0].expected_high >= 300.0
    assert [(one.change, one.started_ns) for one in back] == [(CLOSED, told[0].started_ns)]


def test_a_service_that_goes_silent_is_one_message() -> None:
    world = learned()

    told = world.live(60, without(world.everyone, world.of("cart")))

    assert subjects(told, OPENED) == [("cart", "")]


def test_a_metric_that_does_not_return_with_its_service_is_missed_then() -> None:
    world = learned()
    world.live(60, without(world.everyone, world.of("cart")))

    told = world.live(30, without(world.everyone, world.of("cart", "queue_depth")))

    assert subjects(told, CLOSED) == [("cart", "")]
    assert subjects(told, OPENED) == [("cart", "queue_depth")]


def test_one_of_two_pods_that_leaves_is_no_news() -> None:
    world = World()
    pods = [{"__name__": "up_time", "service": "cart", "pod": pod} for pod in ("a", "b")]
    a, b = world.catalog.register(*pods).slot
    world.live(120, np.array([a], np.int32))
    told = world.live(5, np.array([a, b], np.int32))

    told += world.live(120, np.array([b], np.int32))

    assert told == []


def test_who_pauses_often_is_given_the_time_that_it_takes() -> None:
    """A job that speaks each half hour is late after an hour at the earliest."""
    world = World()
    job, rest = world.of("cart", "queue_depth"), without(world.everyone, world.of("cart"))
    for _ in range(70):
        assert world.live(1, np.concatenate([rest, job]), 60) == []
        assert world.live(29, rest, 60) == []

    told = world.live(59, rest, 60)
    later = world.live(200, rest, 60)

    assert told == []
    assert subjects(later, OPENED) == [("cart", "")]


def test_time_in_which_nobody_listened_is_no_silence() -> None:
    world = learned()

    world.minute += 180
    told = world.live(60, world.everyone)

    assert told == []


def test_what_is_away_for_a_day_is_let_go_and_its_episode_ends() -> None:
    world = learned()

    told = world.live(26 * 60, without(world.everyone, world.of("cart", "queue_depth")), 60)

    assert [one.change for one in told] == [OPENED, CLOSED]
    assert told[1].time_ns - told[0].started_ns > 86_400 * NS_PER_S


def test_what_is_derived_of_others_is_not_awaited() -> None:
    world = learned()

    told = world.live(
        60, without(world.everyone, world.of("", "http_request_duration_seconds:p95"))
    )

    assert told == []


def test_what_was_heard_for_half_an_hour_is_not_missed() -> None:
    world = World()
    world.live(30, world.everyone)

    assert world.live(60, without(world.everyone, world.of("cart", "queue_depth"))) == []


def test_ten_thousand_new_series_at_once_are_no_news() -> None:
    world = learned()
    new = world.catalog.register(
        *({"__name__": f"flood_{n}", "service": "cart"} for n in range(500))
    ).slot

    told = [*world.live(3, np.concatenate([world.everyone, new])), *world.live(60, world.everyone)]

    assert told == []
