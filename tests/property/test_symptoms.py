"""Symptoms depend on what was sent and on the ticks, and on nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving import Known, Play, counted, latencies, requests, slow_ones
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.model.series import F64

LABELS = [*requests("shop"), *latencies("shop"), *requests("till")]
N = 900


def values() -> F64:
    parts = [
        np.concatenate([counted(800, 300.0, 0.01, seed=k), counted(100, 100.0, 0.1, seed=k)])
        for k in (1, 2)
    ]
    slow = np.concatenate([slow_ones(800, 20.0, 0.1), slow_ones(100, 20.0, 0.3)])
    return np.cumsum(np.hstack([parts[0], slow, parts[1]]), axis=0)


VALUES = values()


def fresh(first_slot: int = 0) -> Play:
    known = Known(LABELS, first_slot)
    return Play(Symptoms(catalog=known))


def seconds() -> F64:
    parts = [
        np.concatenate([counted(400, 20.0, 0.01, seed=k), counted(100, 20.0, 0.4, seed=k)])
        for k in (1, 2)
    ]
    slow = np.concatenate([slow_ones(400, 8.0, 0.05), slow_ones(100, 8.0, 0.4)])
    return np.cumsum(np.hstack([parts[0], slow, parts[1]]), axis=0)


SECONDS = seconds()


def by_the_second(first_slot: int = 0) -> Play:
    return Play(Symptoms(catalog=Known(LABELS, first_slot)), step_s=1)


@given(st.integers(1, len(LABELS)))
@settings(max_examples=4, deadline=None)
def test_however_batches_are_cut_the_sightings_are_the_same(cut: int) -> None:
    whole, parts = fresh(), fresh()

    assert parts.say(VALUES, cut=cut) == whole.say(VALUES)
    assert parts.watcher.dump(0) == whole.watcher.dump(0)


@given(st.integers(1, N - 1))
@settings(max_examples=4, deadline=None)
def test_the_sightings_of_a_prefix_are_a_prefix_of_the_sightings(n: int) -> None:
    whole, prefix = fresh().say(VALUES), fresh().say(VALUES[:n])

    assert whole[: len(prefix)] == prefix


@given(st.integers(1, N - 1))
@settings(max_examples=4, deadline=None)
def test_a_restart_changes_nothing_even_where_slots_are_others(n: int) -> None:
    before, whole, after = fresh(), fresh(), fresh(first_slot=11)
    expected = whole.say(VALUES)
    told = before.say(VALUES[:n])

    after.watcher.load(0, before.watcher.dump(0))
    after.now_ns = before.now_ns
    told += after.say(VALUES[n:], first_slot=11)

    assert told == expected
    assert after.watcher.dump(0) == whole.watcher.dump(0)


@given(st.integers(1, 499), st.integers(1, len(LABELS)))
@settings(max_examples=4, deadline=None)
def test_a_restart_between_two_looks_changes_nothing(n: int, cut: int) -> None:
    """Told by the second: what is open is as much a part of the state as what is closed."""
    before, whole, after = by_the_second(), by_the_second(), by_the_second(first_slot=11)
    expected = whole.say(SECONDS)
    told = before.say(SECONDS[:n])

    after.watcher.load(0, before.watcher.dump(0))
    after.now_ns = before.now_ns
    told += after.say(SECONDS[n:], cut=cut, first_slot=11)

    assert told == expected
    assert after.watcher.dump(0) == whole.watcher.dump(0)
    assert {one.labels["symptom"] for one in expected} == {"errors", "latency"}


def test_the_scenario_has_something_to_tell() -> None:
    assert {one.labels["symptom"] for one in fresh().say(VALUES)} >= {"errors", "latency"}


def test_a_partition_with_nothing_to_go_on_from_begins_anew() -> None:
    played, anew = fresh(), fresh()
    played.say(VALUES[:100])

    played.watcher.load(0, b"")
    anew.now_ns = played.now_ns

    assert played.say(VALUES[100:]) == anew.say(VALUES[100:])
