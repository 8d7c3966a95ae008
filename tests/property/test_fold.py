"""Cells, steps and groups follow their definitions, however the samples were grouped."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lakes
from watchkeeper.errors import BadInput
from watchkeeper.lake import fold_kernel
from watchkeeper.lake.base import Fold
from watchkeeper.lake.fold import (
    NO_CUT,
    Across,
    Cells,
    Stepping,
    cells_of,
    merge_cells,
    steps_of,
)
from watchkeeper.lake.runs import Runs, offsets

GRAIN = 10
GAP = 25
PLAIN = [fold for fold in Fold if fold is not Fold.RATE]

Points = dict[int, float]
"""Time -> value, in order of time."""

TIMES = st.integers(-60, 120)
VALUES = st.one_of(
    st.integers(-50, 50).map(float),
    st.integers(-500, 500).map(lambda i: i / 10),
    st.just(math.nan),
)
SERIES = st.dictionaries(TIMES, VALUES, max_size=25).map(lambda drawn: dict(sorted(drawn.items())))
MANY = st.lists(SERIES, min_size=1, max_size=4)
STEPS = st.integers(1, 6).map(lambda n: n * GRAIN)


def runs(series: Sequence[Points]) -> Runs:
    return Runs(
        offsets(np.array([len(one) for one in series], np.int64)),
        np.array([t for one in series for t in one], np.int64),
        np.array([value for one in series for value in one.values()], np.float64),
    )


def by_series(found: Runs) -> list[Points]:
    pairs = list(zip(found.time_ns.tolist(), found.value.tolist(), strict=True))
    bounds = zip(found.offset[:-1].tolist(), found.offset[1:].tolist(), strict=True)
    return [dict(pairs[a:b]) for a, b in bounds]


def real(one: Points) -> list[tuple[int, float]]:
    return [(t, value) for t, value in one.items() if not math.isnan(value)]


def stepped(one: Points, fold: Fold, step: int, start: int) -> Points:
    """By the definition."""
    steps: dict[int, list[float]] = defaultdict(list)
    for t, value in real(one):
        if t >= start:
            steps[t // step * step].append(value)
    return {t: lakes.fold(values, fold) for t, values in sorted(steps.items())}


def rated(one: Points, step: int, start: int) -> Points:
    samples = real(one)
    grown: dict[int, float] = defaultdict(float)
    elapsed: dict[int, int] = defaultdict(int)
    for (before_t, before), (t, value) in pairwise(samples):
        if t >= start and t - before_t <= GAP:
            grown[t // step * step] += value - before if value >= before else value
            elapsed[t // step * step] += t - before_t
    return {at: grown[at] / (elapsed[at] / 1e9) for at in sorted(grown)}


def assert_same(got: list[Points], want: list[Points]) -> None:
    assert [list(one) for one in got] == [list(one) for one in want]
    for left, right in zip(got, want, strict=True):
        np.testing.assert_allclose(
            list(left.values()), list(right.values()), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("fold", PLAIN)
@given(series=MANY, step=STEPS, start=TIMES)
def test_each_fold_follows_its_definition(
    fold: Fold, series: list[Points], step: int, start: int
) -> None:
    cells = cells_of(runs(series), GRAIN, start)

    found = steps_of(cells, Stepping(fold, step, start))

    assert_same(by_series(found), [stepped(one, fold, step, start) for one in series])


@given(series=MANY, step=STEPS, start=TIMES)
def test_a_rate_follows_its_definition(series: list[Points], step: int, start: int) -> None:
    """Predecessors before the start count, if they are not too far back."""
    cells = cells_of(runs(series), GRAIN, start)

    found = steps_of(cells, Stepping(Fold.RATE, step, start, GAP))

    assert_same(by_series(found), [rated(one, step, start) for one in series])


@given(series=MANY, step=STEPS, fold=st.sampled_from(list(Fold)))
def test_coarse_cells_say_what_fine_ones_say(series: list[Points], step: int, fold: Fold) -> None:
    given_runs, how = runs(series), Stepping(fold, step, -60, 1000)

    fine = steps_of(cells_of(given_runs, GRAIN), how)
    coarse = steps_of(cells_of(given_runs, step), how)

    assert_same(by_series(coarse), by_series(fine))


@given(series=MANY, cut=TIMES)
def test_cells_hold_what_their_stretch_holds(series: list[Points], cut: int) -> None:
    cells = cells_of(runs(series), GRAIN, cut)

    for s, one in enumerate(series):
        stretches: dict[tuple[int, bool], list[tuple[int, float]]] = defaultdict(list)
        for t, value in real(one):
            stretches[t // GRAIN * GRAIN, t >= cut].append((t, value))
        a, b = int(cells.offset[s]), int(cells.offset[s + 1])
        assert b - a == len(stretches)
        for c, ((begin, _), samples) in zip(range(a, b), sorted(stretches.items()), strict=True):
            values = [value for _, value in samples]
            assert cells.numbers[:, c].tolist() == [
                begin, len(samples), samples[0][0], samples[-1][0],
            ]  # fmt: skip
            fallen = sum(x for x, y in pairwise(values) if y < x)
            want = [math.fsum(values), min(values), max(values), values[0], values[-1], fallen]
            np.testing.assert_allclose(cells.values[:, c], want, rtol=1e-12, atol=1e-12)


@given(series=MANY)
def test_without_a_cut_no_cell_is_split(series: list[Points]) -> None:
    cells = cells_of(runs(series), GRAIN, NO_CUT)

    for a, b in zip(cells.offset[:-1], cells.offset[1:], strict=True):
        begins = cells.numbers[0][a:b].tolist()
        assert begins == sorted(set(begins))


# Several sources


@given(series=SERIES, cuts=st.sets(TIMES, max_size=3), step=STEPS, fold=st.sampled_from(list(Fold)))
def test_cells_of_stretches_one_behind_the_other_merge_to_those_of_the_whole(
    series: Points, cuts: set[int], step: int, fold: Fold
) -> None:
    edges = [-1000, *sorted(cuts), 1000]
    parts = [{t: value for t, value in series.items() if a <= t < b} for a, b in pairwise(edges)]

    merged, clash = merge_cells([cells_of(runs([part]), GRAIN) for part in reversed(parts)], 1)

    assert not clash.any()
    how = Stepping(fold, step, -60, GAP)
    whole = cells_of(runs([series]), GRAIN)
    assert_same(by_series(steps_of(merged, how)), by_series(steps_of(whole, how)))


@given(st.lists(st.lists(SERIES, min_size=2, max_size=2), min_size=2, max_size=3))
def test_a_clash_is_told_where_cells_overlap_and_nowhere_else(
    sources: list[list[Points]],
) -> None:
    cells = [cells_of(runs(source), GRAIN) for source in sources]

    merged, clash = merge_cells(cells, 2)

    for s in range(2):
        spans = [
            (int(one.numbers[2][c]), int(one.numbers[3][c]))
            for one in cells
            for c in range(int(one.offset[s]), int(one.offset[s + 1]))
        ]
        spans.sort()
        overlaps = any(b[0] <= a[1] for a, b in pairwise(spans))
        assert bool(clash[s]) == overlaps
        firsts = merged.numbers[2][merged.offset[s] : merged.offset[s + 1]].tolist()
        assert firsts == [first for first, _ in spans]


@given(MANY, st.data())
def test_cells_of_the_chosen_stay_as_they_are(series: list[Points], data: st.DataObject) -> None:
    chosen = np.array([data.draw(st.booleans()) for _ in series])
    cells = cells_of(runs(series), GRAIN)

    some = cells.of_series(chosen)

    for s, is_chosen in enumerate(chosen):
        a, b = cells.offset[s : s + 2]
        c, d = some.offset[s : s + 2]
        assert d - c == (b - a if is_chosen else 0)
        if is_chosen:
            assert some.numbers[:, c:d].tolist() == cells.numbers[:, a:b].tolist()
            assert some.values[:, c:d].tolist() == cells.values[:, a:b].tolist()


def test_one_source_is_its_own_merger() -> None:
    cells = cells_of(runs([{0: 1.0}]), GRAIN)

    merged, clash = merge_cells([cells], 1)

    assert merged is cells
    assert clash.tolist() == [False]


# Across series

GROUPED = st.lists(st.tuples(st.integers(0, 2), SERIES), min_size=1, max_size=6)


@pytest.mark.parametrize("fold", [Fold.AVG, Fold.MIN, Fold.MAX, Fold.SUM, Fold.COUNT])
@given(drawn=GROUPED, size=st.integers(1, 6))
def test_groups_hold_the_fold_of_their_series_whatever_the_blocks(
    fold: Fold, drawn: list[tuple[int, Points]], size: int
) -> None:
    across = Across(fold, GRAIN, span_ns=(-60, 121), n_groups=3, limit=1000)
    for first in range(0, len(drawn), size):
        some = drawn[first : first + size]
        steps = [{t // GRAIN * GRAIN: value for t, value in one.items()} for _, one in some]
        across.add(runs(steps), np.array([group for group, _ in some], np.int32))

    found = by_series(across.finish())

    for number in range(3):
        values: dict[int, list[float]] = defaultdict(list)
        for group, one in drawn:
            if group == number:
                steps_of_one = {t // GRAIN * GRAIN: value for t, value in one.items()}
                for t, value in real(steps_of_one):
                    values[t].append(value)
        want = {t: lakes.fold(some, fold) for t, some in sorted(values.items())}
        assert_same([found[number]], [want])


@given(st.integers(-1000, 1000), st.integers(1, 500), st.integers(1, 50), st.integers(1, 20))
def test_the_limit_counts_every_step_that_the_span_touches(
    start: int, length: int, step: int, n_groups: int
) -> None:
    n_steps = len({t // step for t in range(start, start + length)})
    span = (start, start + length)

    Across(Fold.SUM, step, span_ns=span, n_groups=n_groups, limit=n_groups * n_steps)

    with pytest.raises(BadInput, match=f"{n_groups} groups of {n_steps} steps"):
        Across(Fold.SUM, step, span_ns=span, n_groups=n_groups, limit=n_groups * n_steps - 1)


# What is kept of a counter


@given(MANY)
def test_falls_are_counted_by_series(series: list[Points]) -> None:
    given_runs, falls = runs(series), np.zeros(len(series), np.int64)

    fold_kernel.count_falls(given_runs.offset, given_runs.value, falls)

    assert falls.tolist() == [
        sum(b < a for a, b in pairwise(values)) for values in (list(one.values()) for one in series)
    ]


def test_totals_beyond_what_rounding_can_hold_are_left_alone() -> None:
    values = np.zeros((6, 3))
    values[0] = [1e15 / 100, 2e15 / 100 + 0.001, math.inf]
    before = values.copy()

    fold_kernel.tidy_cells(np.array([0, 3]), np.array([100.0]), np.array([False]), values)

    assert values.tolist() == before.tolist()


def test_no_samples_are_no_cells_and_no_steps() -> None:
    empty: list[list[Points]] = [[], [{}], [{0: math.nan}, {}]]
    for series in empty:
        cells = cells_of(runs(series), GRAIN)
        assert len(cells) == 0
        assert isinstance(cells, Cells)
        for fold in Fold:
            assert len(steps_of(cells, Stepping(fold, GRAIN, 0, GAP))) == 0


@pytest.mark.parametrize(("apart", "n_rates"), [(GAP, 1), (GAP + 1, 0)])
def test_a_predecessor_counts_up_to_the_gap_itself(apart: int, n_rates: int) -> None:
    cells = cells_of(runs([{100: 1.0, 100 + apart: 2.0}]), GRAIN)

    found = steps_of(cells, Stepping(Fold.RATE, GRAIN, 0, GAP))

    assert len(found) == n_rates
