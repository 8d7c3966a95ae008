"""Whatever arrives, cut wherever: the same findings and the same state, and all of it finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detecting import (
    DAY,
    MIDNIGHT_NS,
    build,
    chain,
    columns,
    cut,
    dials,
    joined,
    noise,
    pick,
    points,
    slots,
    state,
)
from tests.make import NS_PER_S
from watchkeeper import plugins
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.model.series import Kind

N_SERIES = 4
KINDS = np.array([Kind.GAUGE, Kind.COUNTER, Kind.UNSCORED, Kind.BY_NAME], np.uint8)
EVERY = pytest.mark.parametrize("name", sorted(plugins.BUILTIN["detector"]))

VALUES = st.one_of(
    st.floats(95.0, 105.0),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 100.0, 160.0, -1e308, 1e308, 5e-324, 2.0**32, 2.0**64]),
)
STEPS_S = st.sampled_from([0, 1, 15, 60, 60, 60, 61, 300, 4_000, 90_000, -60])


class Arrival(NamedTuple):
    """One point, as an example draws it."""

    slot: int
    step_s: int
    value: float


ARRIVALS = st.lists(
    st.builds(Arrival, st.integers(0, N_SERIES - 1), STEPS_S, VALUES), min_size=1, max_size=120
)
TURNED = st.lists(
    st.sampled_from(
        [
            {},
            {"muted": 1},
            {"direction": 1},
            {"direction": -1, "shift": 1.0},
            {"shift": -2.0},
            {"least_ratio": 0.2, "least_change": 5.0, "shift": 0.5},
        ]
    ),
    min_size=N_SERIES,
    max_size=N_SERIES,
)
"""What is said of each series' dial."""
CUTS = st.lists(st.integers(0, 120), max_size=6)


def stream(arrivals: Sequence[Arrival]) -> Points:
    """Points in order of arrival, after a past that every series shares."""
    past = [points(noise(DAY, slot), slot=slot) for slot in range(N_SERIES)]
    now = np.full(N_SERIES, past[0].time_ns[-1])
    times = []
    for one in arrivals:
        now[one.slot] += one.step_s * NS_PER_S
        times.append(now[one.slot])
    return chain(
        *past,
        Points(
            np.array([one.slot for one in arrivals], np.int32),
            np.array(times, np.int64),
            np.array([one.value for one in arrivals], np.float64),
        ),
    )


def turned(said: Sequence[Mapping[str, float]]) -> DialArray:
    array = dials()
    for slot, one in enumerate(said):
        for field, value in one.items():
            array[field][slot] = value
    return array


@EVERY
@settings(max_examples=30)
@given(arrivals=ARRIVALS, cuts=CUTS, said=TURNED)
def test_batches_may_end_anywhere(
    name: str, arrivals: list[Arrival], cuts: list[int], said: list[dict[str, float]]
) -> None:
    whole = stream(arrivals)
    n_past = len(whole) - len(arrivals)
    ends = sorted({n_past + min(c, len(arrivals)) for c in cuts} | {0, len(whole)})
    array = turned(said)
    at_once, in_parts = build(name), build(name)

    parts = [in_parts.step(cut(whole, first, last), KINDS, array) for first, last in pairwise(ends)]

    assert joined(parts) == columns(at_once.step(whole, KINDS, array))
    assert state(in_parts, *range(N_SERIES)) == state(at_once, *range(N_SERIES))


@EVERY
@settings(max_examples=15)
@given(arrivals=ARRIVALS, at=st.integers(0, 120), said=TURNED)
def test_the_findings_of_a_prefix_are_the_first_findings(
    name: str, arrivals: list[Arrival], at: int, said: list[dict[str, float]]
) -> None:
    whole = stream(arrivals)
    k = len(whole) - len(arrivals) + min(at, len(arrivals))
    array = turned(said)

    told = columns(build(name).step(whole, KINDS, array))
    prefix = columns(build(name).step(cut(whole, 0, k), KINDS, array))

    assert all(told[column].startswith(prefix[column]) for column in told)


@EVERY
@settings(max_examples=15)
@given(arrivals=ARRIVALS, said=TURNED)
def test_dials_leave_alone_what_is_learned(
    name: str, arrivals: list[Arrival], said: list[dict[str, float]]
) -> None:
    """What they bear on is what an episode remembers of itself."""
    whole = stream(arrivals)
    plain, other = build(name), build(name)

    plain.step(whole, KINDS, dials())
    other.step(whole, KINDS, turned(said))

    for part in ("_rows", "_profile", "_histogram"):
        mine, theirs = (getattr(one, part, None) for one in (plain, other))
        if mine is not None and theirs is not None:
            assert learned(mine.array) == learned(theirs.array)


def learned(array: np.ndarray[Any, Any]) -> list[bytes]:
    """The first slots' fields, but for those of episodes."""
    episode = {"since_ns", "peak", "began", "peaks", "calm", "phase", "top"}
    names = array.dtype.names
    if names is None or "peak" not in names or "top" in names:
        episode.discard("peak")  # of one that keeps the loudest of all that it heard
    if names is None:
        return [array[:N_SERIES].tobytes()]
    return [array[name][:N_SERIES].tobytes() for name in names if name not in episode]


@EVERY
@settings(max_examples=30)
@given(arrivals=ARRIVALS, at=st.integers(0, 120))
def test_a_restart_may_come_anywhere(name: str, arrivals: list[Arrival], at: int) -> None:
    whole = stream(arrivals)
    k = len(whole) - len(arrivals) + min(at, len(arrivals))
    everyone = slots(*range(N_SERIES))
    undisturbed, before, after = build(name), build(name), build(name)

    found = [before.step(cut(whole, 0, k), KINDS, dials())]
    after.load(everyone, before.dump(everyone))
    found.append(after.step(cut(whole, k), KINDS, dials()))

    assert joined(found) == columns(undisturbed.step(whole, KINDS, dials()))
    assert state(after, *range(N_SERIES)) == state(undisturbed, *range(N_SERIES))


@EVERY
@settings(max_examples=30)
@given(arrivals=ARRIVALS, seed=st.integers(0, 1_000))
def test_series_may_interleave_in_any_way(name: str, arrivals: list[Arrival], seed: int) -> None:
    whole = stream(arrivals)
    queues = [list(np.flatnonzero(whole.slot == slot)) for slot in range(N_SERIES)]
    turns = np.random.default_rng(seed).permutation(whole.slot)
    shuffled = pick(whole, np.array([queues[slot].pop(0) for slot in turns]))
    one, other = build(name), build(name)

    one.step(whole, KINDS, dials())
    other.step(shuffled, KINDS, dials())

    assert state(one, *range(N_SERIES)) == state(other, *range(N_SERIES))


@EVERY
@given(arrivals=ARRIVALS)
def test_all_that_is_told_is_finite(name: str, arrivals: list[Arrival]) -> None:
    findings = build(name).step(stream(arrivals), KINDS, dials())

    for column in (findings.value, findings.low, findings.high, findings.p_value, findings.streams):
        assert np.all(np.isfinite(column))
    assert np.all((findings.p_value > 0.0) & (findings.p_value <= 1.0))
    assert np.all(findings.low <= findings.high)
    assert np.all(findings.started_ns <= findings.time_ns)
    assert np.all(findings.started_ns >= MIDNIGHT_NS - 86_400 * NS_PER_S)


@EVERY
@settings(max_examples=30)
@given(arrivals=ARRIVALS)
def test_no_state_becomes_infinite_or_nan(name: str, arrivals: list[Arrival]) -> None:
    detector = build(name)
    whole = stream(arrivals)
    k = len(whole) - len(arrivals) // 2

    detector.step(cut(whole, 0, k), KINDS, dials())
    detector.admit(slots(1), slots(0))
    detector.step(cut(whole, k), KINDS, dials())
    detector.step(points([100.0], slot=1, start_ns=MIDNIGHT_NS + 10**18), KINDS, dials())
    detector.step(points([100.0], slot=1, start_ns=MIDNIGHT_NS + 10**18 + NS_PER_S), KINDS, dials())

    for part in ("_rows", "_profile", "_histogram"):
        array = getattr(getattr(detector, part, None), "array", None)
        if array is not None:
            fields = [array[n] for n in array.dtype.names or ()] or [array]
            for field in fields:
                assert np.all(np.isfinite(field[:N_SERIES].astype(np.float64)))


@EVERY
@settings(max_examples=30)
@given(scale=st.floats(1e-3, 1e6), seed=st.integers(0, 20))
def test_the_unit_of_a_value_does_not_matter(name: str, scale: float, seed: int) -> None:
    values = noise(2 * DAY, seed)
    values[1500:1506] += 40.0
    one = build(name).step(points(values), KINDS, dials())
    other = build(name).step(points(values * scale), KINDS, dials())

    assert other.change.tolist() == one.change.tolist()
    assert other.time_ns.tolist() == one.time_ns.tolist()
    np.testing.assert_allclose(other.p_value, one.p_value, rtol=1e-2)
    np.testing.assert_allclose(other.low, one.low * scale, rtol=1e-3)
