"""Functions of histograms: classic ones, whose buckets are series told apart by `le`, and native
ones, which are one sample each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from watchkeeper.lake.promql import groups_kernel as kernel
from watchkeeper.lake.promql import native_folds_kernel as folds
from watchkeeper.lake.promql.aggregate import members
from watchkeeper.lake.promql.native import Native
from watchkeeper.lake.promql.native_binary import below
from watchkeeper.lake.promql.native_kernel import COUNT, SUM
from watchkeeper.lake.promql.values import (
    Key,
    Scalar,
    Vector,
    groups,
    joined,
    key,
    nameless,
    without,
)
from watchkeeper.model.series import F64, I64, Mask

BUCKET: Final = "le"
_NUMBER: Final = re.compile(
    r"[+-]?(?:inf(?:inity)?|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)",
    re.IGNORECASE | re.ASCII,
)


def histogram_quantile(q: Scalar, vector: Vector) -> Vector:
    """One value per histogram and step. Values of series without a readable `le` are no buckets.

    Where a classic histogram and a native one are called the same, there is nothing.
    """
    keys = [
        key({name: value for name, value in labels.items() if name != BUCKET})
        for labels in vector.labels
    ]
    found, of_classic = _classic(q, vector, keys)
    if vector.native is None:
        return joined(found)
    stays = vector.native.held
    for row, own in enumerate(stays):
        at = of_classic.get(key(vector.labels[row]))
        if at is not None:
            clash = own & found.held[at]
            own &= ~clash
            found.held[at] &= ~clash
    labels = tuple(map(nameless, vector.labels))
    return joined(below(Vector(labels, _quantiles(vector.native, q.value), stays), found))


def _classic(q: Scalar, vector: Vector, keys: list[Key]) -> tuple[Vector, dict[Key, int]]:
    """Of the buckets; and which row is that of which histogram, by its labels and name."""
    bound = _bounds(vector)
    buckets = np.flatnonzero(~np.isnan(bound) & vector.held.any(axis=1))
    buckets = buckets[np.argsort(bound[buckets], kind="stable")]
    bound = bound[buckets]
    # Two metrics' buckets are never mixed, though the answer has no name.
    group, first = groups([keys[row] for row in buckets.tolist()])
    value, held = vector.value[buckets], vector.held[buckets]
    shape = (len(first), value.shape[1])
    out, found = np.zeros(shape), np.zeros(shape, np.bool_)
    by_group, offset = members(group, len(first))
    kernel.bucket_quantiles(q.value, bound, value, held, by_group, offset, out, found)
    rows = buckets[first].tolist()
    labels = tuple(without(vector.labels[row], (BUCKET,)) for row in rows)
    return Vector(labels, out, found), {keys[row]: at for at, row in enumerate(rows)}


def _bounds(vector: Vector) -> F64:
    texts = [labels.get(BUCKET, "") for labels in vector.labels]
    return np.array(
        [float(text) if _NUMBER.fullmatch(text) else np.nan for text in texts], np.float64
    )


# Native ones


def _quantiles(native: Native, q: F64) -> F64:
    def fill(row: I64, step: I64, out: F64) -> None:
        folds.quantiles(native.pool.columns, native.pool.bounds, row, q[step], out)

    return _numbers(native, fill)


def histogram_fraction(lower: Scalar, upper: Scalar, vector: Vector) -> Vector:
    """The share of observations between two numbers; of native histograms alone, as are the
    following."""
    low, high = lower.value, upper.value

    def made(native: Native) -> F64:
        columns, bounds = native.pool.columns, native.pool.bounds
        return _numbers(
            native,
            lambda row, step, out: folds.fractions(
                columns, bounds, row, low[step], high[step], out
            ),
        )

    return _of_native(vector, made)


def histogram_count(vector: Vector) -> Vector:
    return _of_native(vector, lambda native: _column(native, COUNT))


def histogram_sum(vector: Vector) -> Vector:
    return _of_native(vector, lambda native: _column(native, SUM))


def histogram_avg(vector: Vector) -> Vector:
    return _of_native(vector, lambda native: _column(native, SUM) / _column(native, COUNT))


def histogram_stdvar(vector: Vector) -> Vector:
    return _of_native(vector, _variances)


def histogram_stddev(vector: Vector) -> Vector:
    return _of_native(vector, lambda native: np.sqrt(_variances(native)))


def _variances(native: Native) -> F64:
    columns, bounds = native.pool.columns, native.pool.bounds
    return _numbers(native, lambda row, _, out: folds.variances(columns, bounds, row, out))


def _column(native: Native, which: int) -> F64:
    column = native.pool.head[:, which]
    return _numbers(native, lambda row, _, out: np.copyto(out, column[row]))


def _numbers(native: Native, fill: Callable[[I64, I64, F64], Any]) -> F64:
    """A number for each cell that has a histogram, made of its row of the pool and its step."""
    held: Mask = native.held
    row, step = native.place[held], np.nonzero(held)[1]
    out = np.empty(len(row))
    fill(row, step, out)
    whole = np.zeros(held.shape)
    whole[held] = out
    return whole


def _of_native(vector: Vector, made: Callable[[Native], F64]) -> Vector:
    native = vector.native
    labels = tuple(map(nameless, vector.labels))
    if native is None:
        nothing = np.zeros(vector.held.shape, np.bool_)
        return joined(Vector(labels, vector.value, nothing))
    return joined(Vector(labels, made(native), native.held))
