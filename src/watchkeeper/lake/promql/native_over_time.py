"""Functions of range vectors that have native histograms, beside values or alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from watchkeeper.lake.promql import native_folds_kernel as folds
from watchkeeper.lake.promql import native_kernel
from watchkeeper.lake.promql import windows_kernel as kernel
from watchkeeper.lake.promql.native import Cells, Native, NativePoints, Pool, together, totals
from watchkeeper.lake.promql.over_time import Windows
from watchkeeper.lake.promql.values import Vector
from watchkeeper.lake.runs import offsets
from watchkeeper.model.series import I64, Mask

_GROWTHS: Final = {"rate": (True, True), "increase": (True, False), "delta": (False, False)}
_INSTANT_GROWTHS: Final = {"irate": True, "idelta": False}
_SUMS: Final = frozenset({"sum_over_time", "avg_over_time"})
_PRESENCES: Final = frozenset({"present_over_time", "absent_over_time"})
_TURNS: Final = {"resets": folds.resets, "changes": folds.changes}
NATIVE_FUNCTIONS: Final = frozenset(
    {*_GROWTHS, *_INSTANT_GROWTHS, *_SUMS, *_PRESENCES, *_TURNS, "count_over_time",
     "last_over_time"}
)  # fmt: skip
"""Of a range; others pass histograms over."""
_AT_ONCE: Final = 20_000_000
"""Histograms of windows, each as often as a window has it, that are looked at together."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Windows on the histograms of some series; those with values among them have none here."""

    given: Windows
    native: NativePoints
    begin: I64
    stop: I64

    @property
    def n(self) -> I64:
        return self.stop - self.begin


def with_native(
    name: str, given: Windows, found: Vector, most: int, go_on: Callable[[], None]
) -> Vector:
    """What a function makes of windows, given what it made of their values alone."""
    native = given.points.native
    if native is None or name not in NATIVE_FUNCTIONS:
        return found
    begin, stop = _windows(given, native.offset, native.time_ns)
    if name == "last_over_time":
        return _last(given, native, found, stop * (stop > begin))
    if name in _PRESENCES or name == "count_over_time":
        n = stop - begin
        value = np.where(found.held, found.value, 0) + n if name == "count_over_time" else 1.0
        held = found.held | (n > 0)
        return Vector(found.labels, np.where(held, value, 0.0), held)
    if name in _TURNS:
        return _turns(name, native, found, begin, stop)
    first, last = _windows(given, given.points.offset, given.points.time_ns)
    mixed = (last > first) & (stop > begin)
    found = found.where(~mixed)
    stop = np.where(mixed, begin, stop)
    parts = []
    for some in _blocks(stop - begin):
        go_on()
        parts.append(_folded(name, _Block(given, native, begin[some], stop[some]), most))
    place = [np.empty((0, found.value.shape[1]), np.int64)]
    before = 0
    for part in parts:
        place.append(np.where(part.held, part.place + before, -1))
        before += len(part.pool)
    pools = [part.pool for part in parts] or [native.pool.taken(np.empty(0, np.int64))]
    all_native = Native(np.concatenate(place), together(pools))
    return Vector(found.labels, found.value, found.held, all_native)


def _windows(given: Windows, offset: I64, time_ns: I64) -> tuple[I64, I64]:
    shape = (len(offset) - 1, len(given.ref_ns))
    begin, stop = np.empty(shape, np.int64), np.empty(shape, np.int64)
    kernel.windows(offset, time_ns, given.ref_ns, given.length_ns, begin, stop)
    return begin, stop


def _blocks(n: I64) -> list[slice]:
    """Series whose windows are looked at together."""
    work = np.cumsum(n.sum(axis=1)) // _AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(work)) + 1).tolist(), len(n)]
    return [slice(first, last) for first, last in pairwise(edges)]


def _last(given: Windows, native: NativePoints, found: Vector, stop: I64) -> Vector:
    """Whichever comes last."""
    first, last = _windows(given, given.points.offset, given.points.time_ns)
    earliest = np.iinfo(np.int64).min
    value_ns = np.append(given.points.time_ns, earliest)[np.where(last > first, last - 1, -1)]
    native_ns = np.append(native.time_ns, earliest)[np.where(stop > 0, stop - 1, -1)]
    is_native = (stop > 0) & (native_ns > value_ns)
    place = np.where(is_native, np.append(native.row, -1)[stop - 1], -1)
    return Vector(found.labels, found.value, found.held & ~is_native, Native(place, native.pool))


def _turns(name: str, native: NativePoints, found: Vector, begin: I64, stop: I64) -> Vector:
    turned = np.zeros(len(native.row), np.bool_)
    _TURNS[name](native.pool.columns, native.offset, native.row, turned)
    before = offsets(turned.astype(np.int64))
    n = before[stop] - before[np.minimum(begin + 1, stop)]
    held = found.held | (stop > begin)
    return Vector(found.labels, np.where(found.held, found.value, 0) + n, held)


def _folded(name: str, block: _Block, most: int) -> Native:
    if name in _GROWTHS:
        return _growth(block, most, *_GROWTHS[name])
    if name in _INSTANT_GROWTHS:
        return _instant_growth(block, most, is_rate=_INSTANT_GROWTHS[name])
    held = block.n > 0
    cells = Cells.sums(*_runs(block.begin[held], block.n[held]))
    pool, sound = totals(block.native.pool, _of_pool(cells, block.native), most)
    if name == "avg_over_time":
        pool = pool.divided(block.n[held].astype(np.float64))
    return _placed(held, pool, sound)


def _growth(block: _Block, most: int, is_counter: bool, is_rate: bool) -> Native:
    native, windows = block.native, (block.begin, block.stop, block.n)
    held = block.n > 1
    schema = _schemas(native)
    turned = np.zeros(len(native.row), np.bool_)
    if is_counter:
        folds.resets(native.pool.columns, native.offset, native.row, turned)
    n = int(held.sum())
    cell, finest, factor = np.zeros(n + 1, np.int64), np.empty(n, np.int64), np.empty(n)
    row, sign = np.empty(0, np.int64), np.empty(0)
    size = folds.growth_rows(windows, turned, schema, is_counter, (cell, row, sign, finest))
    row, sign = np.empty(size, np.int64), np.empty(size)
    folds.growth_rows(windows, turned, schema, is_counter, (cell, row, sign, finest))
    folds.growth_factors(
        windows, native.time_ns, block.given.ref_ns, block.given.length_ns, is_rate, factor
    )
    cells = _of_pool(Cells(cell, row, sign, finest), native)
    pool, sound = totals(native.pool, cells, most, is_compact=True)
    return _placed(held, pool.scaled(factor), sound)


def _instant_growth(block: _Block, most: int, *, is_rate: bool) -> Native:
    """Of the last two."""
    native, held = block.native, block.n > 1
    last = block.stop[held] - 1
    turned = np.zeros(len(native.row), np.bool_)
    if is_rate:
        folds.resets(native.pool.columns, native.offset, native.row, turned)
    n = np.where(turned[last], 1, 2)
    offset, row = _runs(last, n)
    row = 2 * np.repeat(last, n) - row  # the last first
    sign = np.where(row == np.repeat(last, n), 1.0, -1.0)
    schema = _schemas(native)
    cells = Cells(offset, row, sign, np.minimum(schema[last], schema[last - 1]))
    pool, sound = totals(native.pool, _of_pool(cells, native), most, is_compact=True)
    if is_rate:
        pool = pool.divided((native.time_ns[last] - native.time_ns[last - 1]) / 1e9)
    return _placed(held, pool, sound)


def _runs(begin: I64, n: I64) -> tuple[I64, I64]:
    """Where each run begins, and begin, begin + 1, ... of each."""
    offset = offsets(n)
    return offset, np.arange(offset[-1]) + np.repeat(begin - offset[:-1], n)


def _schemas(native: NativePoints) -> I64:
    schema: I64 = native.pool.head[native.row, native_kernel.SCHEMA].astype(np.int64)
    return schema


def _of_pool(cells: Cells, native: NativePoints) -> Cells:
    """Samples named by their rows in the pool."""
    return Cells(cells.offset, native.row[cells.row], cells.sign, cells.schema)


def _placed(held: Mask, pool: Pool, sound: Mask) -> Native:
    place = np.full(held.shape, -1, np.int64)
    place[held] = np.where(sound, np.arange(len(pool)), -1)
    return Native(place, pool)
