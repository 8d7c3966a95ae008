"""Sums and means of native histograms across series."""

from __future__ import annotations

from typing import Final

import numpy as np

from watchkeeper.lake.promql.native import Cells, Native, totals
from watchkeeper.lake.promql.values import Vector
from watchkeeper.lake.runs import offsets
from watchkeeper.model.series import I64

NATIVE_FOLDS: Final = frozenset({"sum", "avg"})


def with_native(op: str, native: Native, group: I64, found: Vector, most: int) -> Vector:
    """Given what was `found` of the values of each group. Where a group has both kinds at one
    step, there is nothing."""
    held = native.held
    n_groups, n_steps = found.held.shape
    row, step = np.nonzero(held)
    cell = group[row] * n_steps + step
    n = np.bincount(cell, minlength=n_groups * n_steps)
    order = np.argsort(cell, kind="stable")
    used = np.flatnonzero(n)
    cells = Cells.sums(offsets(n[used]), native.place[row, step][order])
    pool, sound = totals(native.pool, cells, most)
    if op == "avg":
        pool = pool.divided(n[used].astype(np.float64))
    place = np.full(n_groups * n_steps, -1, np.int64)
    place[used] = np.where(sound, np.arange(len(pool)), -1)
    is_native = (n > 0).reshape(found.held.shape)
    whole = Native(place.reshape(found.held.shape), pool).where(~found.held)
    return Vector(found.labels, found.value, found.held & ~is_native, whole)
