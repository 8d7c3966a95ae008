"""Every watcher keeps the promises of `analyze/watchers/base.py`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from tests.watching import Loudest, WatchedCatalog, minute, watched, watcher
from watchkeeper import plugins
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED, Points
from watchkeeper.analyze.watchers.base import Open, Seen, Sighting, Watcher
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS

EVERY = pytest.mark.parametrize("name", [*sorted(plugins.BUILTIN["watcher"]), Loudest.name])
"""A plain one of the tests is held to it, too."""
EVENTFUL = range(1_480, 1_720)
LOUD = ("loudest", "symptoms", "no_data", "zforest")
"""Who has something to say in so short a time."""


def minutes(number: int) -> range:
    return range(number, number + 1)


def last(told: list[tuple[Open, int]]) -> list[tuple[Open, int]]:
    """Of what was told at once, the last of each episode."""
    return [one for at, one in enumerate(told) if one[0] not in [e for e, _ in told[at + 1 :]]]


def opened(said: Sighting) -> Open:
    return Open(
        said.tenant,
        said.entity.service,
        said.entity.environment,
        said.labels,
        said.series,
        said.started_ns,
    )


def state(one: Watcher) -> list[bytes]:
    return [one.dump(partition) for partition in range(N_PARTITIONS)]


@EVERY
def test_an_episode_is_told_from_opening_to_closing_and_explains_itself(name: str) -> None:
    catalog = WatchedCatalog()
    open_since: dict[tuple[tuple[str, str], ...], int] = {}

    for one in watched(watcher(name, catalog), catalog, EVENTFUL):
        subject = tuple(sorted(one.labels.items()))
        assert subject
        assert one.change in (OPENED, WORSENED, CLOSED)
        if one.change == OPENED:
            assert subject not in open_since
            open_since[subject] = one.started_ns
        assert open_since[subject] == one.started_ns <= one.time_ns
        assert 0.0 <= one.p_value <= 1.0
        assert math.isfinite(one.value)
        assert one.expected_low <= one.expected_high
        if one.change == CLOSED:
            del open_since[subject]


@EVERY
def test_an_episode_is_held_from_opening_to_closing_and_no_other_is(name: str) -> None:
    catalog = WatchedCatalog()
    one = watcher(name, catalog)
    n_told = 0

    for number in range(1_490, 1_720):
        told = [(opened(said), said.change) for said in watched(one, catalog, minutes(number))]
        n_told += len(told)
        for episode, change in last(told):
            assert one.holds(episode) == (change != CLOSED)
            assert not one.holds(replace(episode, started_ns=episode.started_ns + 1))
            assert not one.holds(replace(episode, service="another", series="00" * 16))

    assert n_told or name not in LOUD


@EVERY
def test_sightings_do_not_depend_on_where_batches_end(name: str) -> None:
    catalog = WatchedCatalog()
    one, other = watcher(name, catalog), watcher(name, catalog)

    whole = list(watched(one, catalog, EVENTFUL))

    assert list(watched(other, catalog, EVENTFUL, cuts=4)) == whole
    assert state(other) == state(one)


@EVERY
@pytest.mark.parametrize("at", [1_481, 1_505, 1_620])
def test_a_dumped_twin_goes_on_alike_in_other_slots(name: str, at: int) -> None:
    catalog, elsewhere = WatchedCatalog(), WatchedCatalog(first_slot=200)
    one, twin = watcher(name, catalog), watcher(name, elsewhere)
    list(watched(one, catalog, range(EVENTFUL.start, at)))

    for partition in range(N_PARTITIONS):
        twin.load(partition, one.dump(partition))

    rest = range(at, EVENTFUL.stop)
    assert list(watched(twin, elsewhere, rest)) == list(watched(one, catalog, rest))
    assert state(twin) == state(one)


@EVERY
def test_with_nothing_to_go_on_from_a_partition_is_forgotten(name: str) -> None:
    catalog = WatchedCatalog()
    one = watcher(name, catalog)
    list(watched(one, catalog, range(1_480, 1_510)))

    for partition in range(N_PARTITIONS):
        one.load(partition, b"")

    assert state(one) == state(watcher(name, catalog))


@EVERY
def test_of_partitions_that_are_covered_nothing_is_said(name: str) -> None:
    catalog = WatchedCatalog()
    one = watcher(name, catalog)
    nowhere = np.zeros(N_PARTITIONS, np.bool_)

    for number in EVENTFUL:
        one.see(Seen(DEFAULT_TENANT, minute(catalog, number), NO_POINTS, []))
        assert list(one.tick(number * 60 * 10**9, nowhere)) == []


NO_POINTS = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
