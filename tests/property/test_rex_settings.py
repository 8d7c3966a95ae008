"""REX with whatever settings, those fitted to a benchmark included: the same promises."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.nab_entries import TUNED
from tests.detecting import (
    DAY,
    build,
    chain,
    columns,
    cut,
    dials,
    interleaved,
    joined,
    kinds,
    noise,
    points,
    slots,
    state,
)
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.detectors.rex import GROWTHS, HALVES, STREAMS, WEIGHTS

DEFAULTS: dict[str, Any] = {
    "weights": WEIGHTS,
    "halves": HALVES,
    "growths": GROWTHS,
    "memory_points": 360,
    "habit": 0.1,
    "young_points": 250,
}
"""Those of the configuration, spelt out."""


def some(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, float]]:
    return st.dictionaries(st.sampled_from(STREAMS), values)


SETTINGS = st.one_of(
    st.just({**TUNED, "threshold": 0.8}),
    st.fixed_dictionaries(
        {"threshold": st.floats(0.1, 3.0)},
        optional={
            "weights": some(st.sampled_from([0.0, 0.5, 1.0, 3.0])),
            "halves": some(st.floats(1e-3, 10.0)),
            "growths": some(st.floats(1e-3, 1e9)),
            "memory_points": st.floats(1.0, 10_000.0),
            "habit": st.floats(0.0, 10.0),
            "young_points": st.floats(0.0, 1_000.0),
        },
    ),
)
WEIRD = [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0.0]


def series(seed: int, slot: int = 0, n: int = 600) -> Points:
    """Noise of some width, with spikes, a shift and what no number should be."""
    rng = np.random.default_rng((seed, slot))
    values = noise(n, seed + slot, deviation=10.0 ** rng.uniform(-3, 2))
    values[rng.integers(60, n, 6)] += 200.0 * rng.standard_normal(6)
    values[rng.integers(60, n, 3)] = rng.choice(WEIRD, 3)
    values[rng.integers(100, n) :] += 30.0
    return points(values, slot=slot)


SEEDS = st.integers(0, 10_000)
CUTS = st.lists(st.integers(0, 1_200), max_size=5)


@given(asked=SETTINGS, seed=SEEDS, cuts=CUTS)
def test_batches_may_end_anywhere_and_later_points_change_nothing(
    asked: dict[str, Any], seed: int, cuts: list[int]
) -> None:
    whole = interleaved(series(seed), series(seed, 1))
    ends = sorted({*cuts, 0, len(whole)})
    at_once, in_parts = build("rex", **asked), build("rex", **asked)

    parts = [in_parts.step(cut(whole, a, b), kinds(), dials()) for a, b in pairwise(ends)]
    found = at_once.step(whole, kinds(), dials())

    assert joined(parts) == columns(found)
    assert state(in_parts, 0, 1) == state(at_once, 0, 1)


@given(asked=SETTINGS, seed=SEEDS, at=st.integers(0, 600))
def test_a_restart_may_come_anywhere(asked: dict[str, Any], seed: int, at: int) -> None:
    whole = series(seed)
    undisturbed, before, after = (build("rex", **asked) for _ in range(3))

    found = [before.step(cut(whole, 0, at), kinds(), dials())]
    after.load(slots(0), before.dump(slots(0)))
    found.append(after.step(cut(whole, at), kinds(), dials()))

    assert joined(found) == columns(undisturbed.step(whole, kinds(), dials()))
    assert state(after, 0) == state(undisturbed, 0)


@given(asked=SETTINGS, seed=SEEDS)
def test_findings_are_finite_and_silent_streams_say_nothing(
    asked: dict[str, Any], seed: int
) -> None:
    detector = build("rex", **asked)
    weights = WEIGHTS | asked.get("weights", {})

    found = detector.step(series(seed), kinds(), dials())

    assert found.streams.shape == (len(found), len(detector.streams))
    for column in (found.low, found.high, found.p_value, found.streams):
        assert np.all(np.isfinite(column))
    assert np.all(found.low <= found.high)
    for k, name in enumerate(detector.streams):
        assert weights[name] > 0.0 or not found.streams[:, k].any()


@given(threshold=st.floats(0.1, 3.0), seed=SEEDS)
def test_defaults_that_are_spelt_out_are_the_defaults_to_the_last_bit(
    threshold: float, seed: int
) -> None:
    whole = series(seed)
    plain = build("rex", threshold=threshold)
    spelt = build("rex", threshold=threshold, **DEFAULTS)

    assert columns(spelt.step(whole, kinds(), dials())) == columns(
        plain.step(whole, kinds(), dials())
    )
    assert state(spelt, 0) == state(plain, 0)


@given(seed=SEEDS)
def test_two_streams_more_change_nothing_of_what_the_six_say(seed: int) -> None:
    """Heard so softly that no alarm hangs on them."""
    whole = series(seed)
    plain, wide = build("rex"), build("rex", weights={"slow_level": 1e-9, "short_mean": 1e-9})

    six = plain.step(whole, kinds(), dials())
    eight = wide.step(whole, kinds(), dials())

    assert eight.time_ns.tolist() == six.time_ns.tolist()
    assert eight.change.tolist() == six.change.tolist()
    assert np.array_equal(eight.streams[:, :6], six.streams)


@pytest.mark.parametrize("asked", [{}, TUNED], ids=["plain", "tuned"])
def test_a_newcomer_of_a_donor_is_the_same_in_one_batch_and_in_many(asked: dict[str, Any]) -> None:
    past, own = points(noise(DAY), slot=0), series(7, 1)
    ends = [0, 1, 4, 6, 50, 111, 113, len(own)]
    at_once, in_parts = (build("rex", threshold=0.5, **asked) for _ in range(2))
    for detector in (at_once, in_parts):
        detector.step(past, kinds(), dials())
        detector.admit(slots(1), slots(0))

    parts = [in_parts.step(cut(own, a, b), kinds(), dials()) for a, b in pairwise(ends)]

    assert joined(parts) == columns(at_once.step(chain(own), kinds(), dials()))
    assert state(in_parts, 1) == state(at_once, 1)
