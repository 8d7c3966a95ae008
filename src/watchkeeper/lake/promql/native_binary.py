"""Operators where native histograms take part."""

from __future__ import annotations

from typing import Final

import numpy as np

from watchkeeper.lake.promql import native_folds_kernel as folds
from watchkeeper.lake.promql.native import (
    ANY_SCHEMA,
    NONE,
    Cells,
    Native,
    Pool,
    stacked,
    together,
    totals,
)
from watchkeeper.lake.promql.tree import Binary
from watchkeeper.lake.promql.values import Vector, nameless
from watchkeeper.model.series import F64, I64, Mask

_SIGNS: Final = {"+": 1.0, "-": -1.0}
_COMPARISONS: Final = {"==": True, "!=": False}


def negative(vector: Vector) -> Vector:
    """Every value and every histogram times -1."""
    labels = tuple(map(nameless, vector.labels))
    native = vector.native
    if native is not None:
        native = _times(native, np.full(native.place.shape, -1.0))
    return Vector(labels, -vector.value, vector.held, native)


def with_numbers(op: str, native: Native, number: F64, *, is_swapped: bool) -> Native | None:
    """Histograms and a number for each cell; None where they do not go together."""
    if op == "*":
        return _times(native, number)
    if op == "/" and not is_swapped:
        return _times(native, number, is_divided=True)
    return None


def pairwise_native(
    how: Binary, left: Vector, right: Vector, found: Vector, most_values: int
) -> Vector:
    """Row by row, beside what was `found` of values: two histograms, or one and a number."""
    theirs, ours = _native(left), _native(right)
    both = theirs.held & ours.held
    if how.op in _COMPARISONS:
        return _compared(how, (theirs, ours), both, found)
    parts = [
        with_numbers(how.op, theirs.where(right.held), right.value, is_swapped=False),
        with_numbers(how.op, ours.where(left.held), left.value, is_swapped=True),
        _added(how.op, theirs, ours, most_values) if how.op in _SIGNS else None,
    ]
    native = None
    for part in parts:  # no cell is in two of them
        if part is not None:
            native = part if native is None else _overlaid(native, part)
    return Vector(found.labels, found.value, found.held, native)


def below(upper: Vector, lower: Vector) -> Vector:
    """The series of both, one vector's behind the other's."""
    native = None
    if upper.native is not None or lower.native is not None:
        native = stacked([_native(upper), _native(lower)])
    return Vector(
        (*upper.labels, *lower.labels),
        np.concatenate([upper.value, lower.value]),
        np.concatenate([upper.held, lower.held]),
        native,
    )


def _native(vector: Vector) -> Native:
    return vector.native or Native(np.full(vector.held.shape, -1, np.int64), NONE)


def _times(native: Native, factor: F64, *, is_divided: bool = False) -> Native:
    """Each histogram times, or by, the number of its cell."""
    held = native.held
    pool, by = native.pool.taken(native.place[held]), factor[held]
    return _placed(held, pool.divided(by) if is_divided else pool.scaled(by))


def _placed(held: Mask, pool: Pool) -> Native:
    place = np.full(held.shape, -1, np.int64)
    place[held] = np.arange(len(pool))
    return Native(place, pool)


def _overlaid(one: Native, other: Native) -> Native:
    both = stacked([one, other])
    n = len(one.place)
    return Native(np.maximum(both.place[:n], both.place[n:]), both.pool)


def _pairs(left: Native, right: Native, both: Mask) -> tuple[Pool, I64]:
    pool = together([left.pool, right.pool])
    return pool, np.stack([left.place[both], right.place[both] + len(left.pool)], axis=1)


def _added(op: str, left: Native, right: Native, most: int) -> Native:
    both = left.held & right.held
    pool, pairs = _pairs(left, right, both)
    n = len(pairs)
    sign = np.tile([1.0, _SIGNS[op]], n)
    cells = Cells(np.arange(n + 1) * 2, pairs.ravel(), sign, np.full(n, ANY_SCHEMA))
    total, sound = totals(pool, cells, most, is_compact=op == "-")
    stays = both.copy()
    stays[both] = sound
    return _placed(both, total).where(stays)


def _compared(how: Binary, sides: tuple[Native, Native], both: Mask, found: Vector) -> Vector:
    pool, pairs = _pairs(*sides, both)
    same = np.empty(len(pairs), np.bool_)
    folds.equals(pool.columns, pairs, same)
    is_so = np.zeros(both.shape, np.bool_)
    is_so[both] = same == _COMPARISONS[how.op]
    if how.is_bool:
        value = np.where(both, is_so.astype(np.float64), found.value)
        return Vector(found.labels, value, found.held | both)
    return Vector(found.labels, found.value, found.held, sides[0].where(is_so))
