"""Folding samples over steps of time and across series, by way of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from watchkeeper.errors import BadInput
from watchkeeper.lake import fold_kernel
from watchkeeper.lake.base import Fold
from watchkeeper.lake.runs import Runs, offsets
from watchkeeper.model.series import F64, I32, I64, Mask

NO_CUT: Final = np.iinfo(np.int64).min

_CODE: Final = {
    Fold.AVG: fold_kernel.AVG,
    Fold.MIN: fold_kernel.MIN,
    Fold.MAX: fold_kernel.MAX,
    Fold.SUM: fold_kernel.SUM,
    Fold.COUNT: fold_kernel.COUNT,
    Fold.LAST: fold_kernel.LAST,
    Fold.RATE: fold_kernel.RATE,
}


@dataclass(frozen=True, slots=True)
class Cells:
    """What is known of each series in each stretch of time that holds a value; sorted by both.

    Cells of one series do not overlap. From them follow average, least, most, total, count and last
    of any stretch made of whole cells, exactly but for the rounding of totals.
    """

    offset: I64
    """Series s has cells offset[s]..offset[s + 1]."""
    numbers: I64
    """(4, n): when the stretch begins, samples, time of the first, time of the last."""
    values: F64
    """(6, n): total, least, most, first, last, and `lost`: the values from which the series fell.

    A counter grew by last - first + lost. `lost` is NaN where nobody kept it.
    """

    def __len__(self) -> int:
        return int(self.numbers.shape[1])

    def of_series(self, chosen: Mask) -> Cells:
        """The same, with no cells for the series that are not chosen."""
        count = np.diff(self.offset)
        kept = np.repeat(chosen, count)
        return Cells(
            offsets(np.where(chosen, count, 0)), self.numbers[:, kept], self.values[:, kept]
        )


def cells_of(runs: Runs, grain_ns: int, cut_ns: int = NO_CUT) -> Cells:
    """Cells that begin at multiples of `grain_ns`; the one that `cut_ns` lies in becomes two."""
    count = np.empty(len(runs.offset) - 1, np.int64)
    fold_kernel.count_cells(runs.offset, runs.time_ns, runs.value, grain_ns, cut_ns, count)
    offset = offsets(count)
    cells = Cells(offset, np.empty((4, offset[-1]), np.int64), np.empty((6, offset[-1])))
    fold_kernel.fill_cells(
        runs.offset, runs.time_ns, runs.value, grain_ns, cut_ns,
        cells.offset, cells.numbers, cells.values,
    )  # fmt: skip
    return cells


def merge_cells(sources: Sequence[Cells], n_series: int) -> tuple[Cells, Mask]:
    """Several sources' cells together, and for which series they overlap in time."""
    clash = np.zeros(n_series, np.bool_)
    if len(sources) == 1:
        return sources[0], clash
    before = offsets(np.array([len(source) for source in sources], np.int64))[:-1, None]
    bounds = np.stack([source.offset for source in sources]) + before
    numbers = np.concatenate([source.numbers for source in sources], axis=1)
    values = np.concatenate([source.values for source in sources], axis=1)
    take, offset = np.empty(numbers.shape[1], np.int64), np.empty(n_series + 1, np.int64)
    fold_kernel.order_cells(
        bounds[:, :-1], bounds[:, 1:], numbers[2], numbers[3], take, offset, clash
    )
    return Cells(offset, numbers[:, take], values[:, take]), clash


@dataclass(frozen=True, slots=True)
class Stepping:
    """How cells become steps."""

    fold: Fold
    step_ns: int
    start_ns: int
    """Cells that end before it only serve as predecessors."""
    gap_ns: int = 0
    """For a rate: a predecessor further back than this is none."""


def steps_of(cells: Cells, how: Stepping) -> Runs:
    """One value per series and step; a step without a value is left out."""
    count = np.empty(len(cells.offset) - 1, np.int64)
    fold_kernel.count_steps(
        cells.offset, cells.numbers[0], cells.numbers[3], how.step_ns, how.start_ns, count
    )
    offset = offsets(count)
    time_ns, value = np.empty(offset[-1], np.int64), np.empty(offset[-1])
    fold_kernel.fill_steps(
        cells.offset, cells.numbers, cells.values, _CODE[how.fold], how.step_ns, how.start_ns,
        how.gap_ns, offset, time_ns, value,
    )  # fmt: skip
    if how.fold is not Fold.RATE:
        return Runs(offset, time_ns, value)
    kept = value == value  # not NaN: a rate needs two samples
    in_run = np.repeat(np.arange(len(count)), count)[kept]
    count = np.bincount(in_run, minlength=len(count))
    return Runs(offsets(count), time_ns[kept], value[kept])


class Across:
    """Steps of many series folded into few groups, block after block, in bounded memory."""

    def __init__(
        self, fold: Fold, step_ns: int, *, span_ns: tuple[int, int], n_groups: int, limit: int
    ) -> None:
        self._fold = fold
        self._step_ns = step_ns
        self._first_step = span_ns[0] // step_ns
        shape = (n_groups, -(-span_ns[1] // step_ns) - self._first_step)
        if shape[0] * shape[1] > limit:
            raise BadInput(
                f"query: {shape[0]} groups of {shape[1]} steps are more than {limit} rows; "
                "narrow the range, take a longer step, group by fewer labels, or raise limit"
            )
        self._numbers = np.zeros(shape, np.int64)
        self._values = np.zeros((4, *shape))

    def add(self, steps: Runs, group: I32) -> None:
        """`group[s]` of the series in `steps`."""
        fold_kernel.add_across(
            steps.offset, steps.time_ns, steps.value, group, self._step_ns, self._first_step,
            self._numbers, self._values,
        )  # fmt: skip

    def finish(self) -> Runs:
        """One run per group."""
        held = self._numbers > 0
        offset = offsets(held.sum(axis=1))
        step = np.nonzero(held)[1]
        return Runs(offset, (step + self._first_step) * self._step_ns, self._folded()[held])

    def _folded(self) -> F64:
        total, carry, least, most = self._values
        with np.errstate(invalid="ignore", divide="ignore"):
            total = np.where(np.isfinite(carry), total + carry, total)
            by_fold: dict[Fold, Any] = {
                Fold.SUM: total,
                Fold.AVG: total / self._numbers,
                Fold.MIN: least,
                Fold.MAX: most,
                Fold.COUNT: self._numbers.astype(np.float64),
            }
        folded: F64 = by_fold[self._fold]
        return folded
