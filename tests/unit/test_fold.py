"""Cells, steps and groups, on small numbers that can be checked by eye."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.lakes import CELL, NOON, S
from watchkeeper.errors import BadInput
from watchkeeper.lake.base import Fold
from watchkeeper.lake.fold import Across, Cells, Stepping, cells_of, merge_cells, steps_of
from watchkeeper.lake.runs import Runs, offsets

MINUTE = 60 * S


def runs(*series: dict[int, float]) -> Runs:
    """Series as {seconds after noon: value}."""
    return Runs(
        offsets(np.array([len(one) for one in series])),
        np.array([NOON + round(t * S) for one in series for t in one], np.int64),
        np.array([value for one in series for value in one.values()], np.float64),
    )


def folded(given: Runs, fold: Fold, step_ns: int = MINUTE, start_ns: int = NOON) -> list[float]:
    cut_ns = start_ns if fold is Fold.RATE else NOON - 2**60
    cells = cells_of(given, step_ns, cut_ns)
    return steps_of(cells, Stepping(fold, step_ns, start_ns, CELL)).value.tolist()


@pytest.mark.parametrize(
    ("fold", "want"),
    [
        (Fold.AVG, [2.0, 10.0]),
        (Fold.SUM, [6.0, 10.0]),
        (Fold.MIN, [1.0, 10.0]),
        (Fold.MAX, [3.0, 10.0]),
        (Fold.COUNT, [3.0, 1.0]),
        (Fold.LAST, [2.0, 10.0]),
    ],
)
def test_each_fold_by_hand(fold: Fold, want: list[float]) -> None:
    assert folded(runs({0: 1.0, 10: 3.0, 59: 2.0, 125: 10.0}), fold) == want


@pytest.mark.parametrize(
    ("samples", "want"),
    [
        ({0: 0, 30: 30}, [1.0]),
        ({0: 100, 10: 110, 20: 5, 30: 15}, [25 / 30]),
        ({0: 7}, []),
        ({-30: 0, 30: 60}, [1.0]),
        ({-400: 0, 30: 60}, []),
        ({-400: 0, 30: 60, 40: 70}, [1.0]),
        ({50: 10, 70: 30}, [1.0]),
        ({0: 0, 30: float("nan"), 60: 60}, [1.0]),
    ],
)
def test_rates_by_hand(samples: dict[int, float], want: list[float]) -> None:
    assert folded(runs(samples), Fold.RATE) == want


def test_totals_do_not_depend_on_how_samples_were_grouped() -> None:
    """A naive sum of these loses every small one."""
    values = [1e16, *([1.0] * 1000), -1e16]
    given = runs({i / 10: value for i, value in enumerate(values)})

    assert folded(given, Fold.SUM, step_ns=CELL) == [1000.0] == [math.fsum(values)]


def test_an_infinite_total_is_infinite() -> None:
    given = runs({0: 1.0, 1: math.inf, 2: 1.0}, {0: math.inf, 1: -math.inf})

    total = folded(given, Fold.SUM)
    assert total[0] == math.inf
    assert math.isnan(total[1])
    assert folded(given, Fold.MAX) == [math.inf, math.inf]


def test_a_cell_around_the_cut_becomes_two() -> None:
    cells = cells_of(runs({0: 1.0, 20: 2.0, 40: 3.0}), MINUTE, NOON + 20 * S)

    assert cells.numbers[1].tolist() == [1, 2]
    assert cells.values[4].tolist() == [1.0, 3.0]


def test_cells_of_several_sources_are_put_in_order() -> None:
    early, late = runs({0: 1.0}, {0: 5.0}), runs({100: 2.0}, {})

    merged, clash = merge_cells([cells_of(late, MINUTE), cells_of(early, MINUTE)], 2)

    assert merged.values[0].tolist() == [1.0, 2.0, 5.0]
    assert merged.offset.tolist() == [0, 2, 3]
    assert not clash.any()


def test_cells_that_overlap_in_time_are_reported_by_series() -> None:
    one = cells_of(runs({0: 1.0, 20: 2.0}, {0: 1.0}), MINUTE)
    other = cells_of(runs({10: 3.0}, {1: 3.0}), MINUTE)

    _, clash = merge_cells([one, other], 2)

    assert clash.tolist() == [True, False]


def test_cells_can_be_narrowed_to_some_series() -> None:
    cells = cells_of(runs({0: 1.0, 70: 2.0}, {0: 3.0}, {0: 4.0}), MINUTE)

    some = cells.of_series(np.array([True, False, True]))

    assert some.offset.tolist() == [0, 2, 2, 3]
    assert some.values[0].tolist() == [1.0, 2.0, 4.0]
    assert len(some) == 3


@pytest.mark.parametrize(
    ("fold", "want"),
    [
        (Fold.AVG, [2.0, 4.0, 7.0]),
        (Fold.SUM, [4.0, 4.0, 7.0]),
        (Fold.MIN, [1.0, 4.0, 7.0]),
        (Fold.MAX, [3.0, 4.0, 7.0]),
        (Fold.COUNT, [2.0, 1.0, 1.0]),
    ],
)
def test_series_fold_into_groups_block_by_block(fold: Fold, want: list[float]) -> None:
    across = Across(fold, MINUTE, span_ns=(NOON, NOON + CELL), n_groups=2, limit=100)

    across.add(runs({0: 1.0, 60: 4.0}), np.array([0], np.int32))
    across.add(runs({0: 3.0}, {240: 7.0, 0: math.nan}), np.array([0, 1], np.int32))

    found = across.finish()
    assert found.offset.tolist() == [0, 2, 3]
    assert found.time_ns.tolist() == [NOON, NOON + MINUTE, NOON + 4 * MINUTE]
    assert found.value.tolist() == want


def test_more_groups_and_steps_than_the_limit_are_refused() -> None:
    with pytest.raises(BadInput, match="3 groups of 5 steps"):
        Across(Fold.SUM, MINUTE, span_ns=(NOON, NOON + CELL), n_groups=3, limit=14)


def test_cells_know_their_number() -> None:
    assert len(Cells(np.zeros(1, np.int64), np.empty((4, 0), np.int64), np.empty((6, 0)))) == 0
