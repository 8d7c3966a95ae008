"""Native histograms as vectors carry them: places in a pool that operations share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.lake.promql import native_folds_kernel as folds
from watchkeeper.lake.promql import native_kernel as kernel
from watchkeeper.lake.promql.tree import refusal
from watchkeeper.lake.runs import offsets
from watchkeeper.model.histogram import Reader
from watchkeeper.model.histogram_kernel import CUSTOM
from watchkeeper.model.row import Texts
from watchkeeper.model.series import F64, I64, Mask

_SCALED: Final = [kernel.ZERO, kernel.COUNT, kernel.SUM]
ANY_SCHEMA: Final = 127
"""Finer than any."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Many histograms, in columns. Row i has the buckets offset[i]..offset[i + 1]: those of the
    negative side, then those of the positive one, each by ascending index."""

    head: F64
    """(n, N_HEAD); see native_kernel."""
    offset: I64
    index: I64
    count: F64
    layouts: tuple[bytes, ...] = ()
    """Distinct bounds that some of them list, as bytes of float64."""

    def __len__(self) -> int:
        return len(self.head)

    @property
    def columns(self) -> tuple[Any, ...]:
        """For kernels."""
        return self.head, self.offset, self.index, self.count

    @property
    def bounds(self) -> tuple[I64, F64]:
        """For kernels: where each layout's bounds begin, and all of them."""
        listed = [np.frombuffer(layout, np.float64) for layout in self.layouts]
        sizes = np.array([len(one) for one in listed], np.int64)
        return offsets(sizes), np.concatenate([*listed, np.empty(0)])

    def taken(self, row: I64) -> Pool:
        """These histograms, in this order."""
        size = (self.offset[1:] - self.offset[:-1])[row]
        offset = offsets(size)
        at = np.arange(offset[-1]) + np.repeat(self.offset[row] - offset[:-1], size)
        return Pool(self.head[row], offset, self.index[at], self.count[at], self.layouts)

    def ladders(self, row: I64) -> tuple[I64, F64, F64, F64]:
        """(where each begins, low, high, count) of the buckets of some histograms that are not
        empty, ascending."""
        room = int((self.offset[1:] - self.offset[:-1] + 1)[row].sum())
        ends, low, high, count = np.zeros(len(row) + 1, np.int64), *np.empty((3, room))
        folds.ladders(self.columns, self.bounds, row, ends, low, high, count)
        n = ends[-1]
        return ends, low[:n], high[:n], count[:n]

    def scaled(self, factor: F64) -> Pool:
        """Each times its factor."""
        return self._changed(np.multiply, factor)

    def divided(self, divisor: F64) -> Pool:
        return self._changed(np.divide, divisor)

    def _changed(self, operation: np.ufunc, by: F64) -> Pool:
        head = self.head.copy()
        head[:, _SCALED] = operation(head[:, _SCALED], by[:, None])
        count = operation(self.count, np.repeat(by, np.diff(self.offset)))
        return Pool(head, self.offset, self.index, count, self.layouts)


NONE: Final = Pool(
    np.empty((0, kernel.N_HEAD)), np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0)
)


@dataclass(frozen=True, slots=True)
class Native:
    """The histograms of a vector."""

    place: I64
    """(series, steps): a row of the pool, or -1 where there is none."""
    pool: Pool

    @property
    def held(self) -> Mask:
        held: Mask = self.place >= 0
        return held

    def rows(self, chosen: I64) -> Native:
        return Native(self.place[chosen], self.pool)

    def where(self, stays: Mask) -> Native:
        """Those of these cells alone."""
        return Native(np.where(stays, self.place, -1), self.pool)


@dataclass(frozen=True, slots=True)
class NativePoints:
    """Histograms of the series of a range vector; sample k is row[k] of the pool."""

    offset: I64
    time_ns: I64
    row: I64
    pool: Pool


@dataclass(frozen=True, slots=True)
class Cells:
    """What is to be added up: cell c has row[offset[c]:offset[c + 1]], the first not negated."""

    offset: I64
    row: I64
    sign: F64
    schema: I64
    """How fine each sum may be."""

    @staticmethod
    def sums(offset: I64, row: I64) -> Cells:
        return Cells(offset, row, np.ones(len(row)), np.full(len(offset) - 1, ANY_SCHEMA, np.int64))


def unpacked(payload: Texts, row: I64, most: int) -> Pool:
    """These rows of what was received, each a sound `prometheus.Histogram`. Raises BadInput beyond
    `most` buckets."""
    n = len(row)
    data = np.concatenate([payload.data, np.zeros(READ_SLACK, np.uint8)])
    begin: I64 = payload.offset.astype(np.int64)
    runs, reader = (begin[row], begin[row + 1]), Reader()
    head, offset = np.empty((n, kernel.N_HEAD)), np.zeros(n + 1, np.int64)
    listed = np.zeros(n + 1, np.int64)
    index, count, bounds = np.empty(0, np.int64), np.empty(0), np.empty(0)
    out = head, offset, index, count, listed, bounds
    folds.unpacked(data, runs, reader.scratch, False, out)
    _check(int(offset[-1]), most)
    index, count = np.empty(offset[-1], np.int64), np.empty(offset[-1])
    out = head, offset, index, count, listed, np.empty(listed[-1])
    folds.unpacked(data, runs, reader.scratch, True, out)
    layouts = _number_layouts(head, listed, out[-1])
    return Pool(head, offset, index, count, layouts)


def _number_layouts(head: F64, listed: I64, bounds: F64) -> tuple[bytes, ...]:
    number: dict[bytes, int] = {}
    for row in np.flatnonzero(head[:, kernel.SCHEMA] == CUSTOM).tolist():
        layout = bounds[listed[row] : listed[row + 1]].tobytes()
        head[row, kernel.LAYOUT] = number.setdefault(layout, len(number))
    return tuple(number)


def together(pools: Sequence[Pool]) -> Pool:
    """One behind the other."""
    number: dict[bytes, int] = {}
    heads = []
    for pool in pools:
        known = [number.setdefault(layout, len(number)) for layout in pool.layouts]
        head = pool.head
        if known:
            head = head.copy()
            head[:, kernel.LAYOUT] = np.array([*known, -1])[head[:, kernel.LAYOUT].astype(np.int64)]
        heads.append(head)
    return Pool(
        np.concatenate(heads),
        offsets(np.concatenate([np.diff(pool.offset) for pool in pools])),
        np.concatenate([pool.index for pool in pools]),
        np.concatenate([pool.count for pool in pools]),
        tuple(number),
    )


def stacked(parts: Sequence[Native]) -> Native:
    """The rows of one vector below those of another, in a pool of both."""
    before = np.cumsum([0, *(len(part.pool) for part in parts)])
    place = [
        np.where(part.held, part.place + shift, -1)
        for part, shift in zip(parts, before.tolist(), strict=False)
    ]
    return Native(np.concatenate(place), together([part.pool for part in parts]))


def totals(pool: Pool, cells: Cells, most: int, *, is_compact: bool = False) -> tuple[Pool, Mask]:
    """The sum of each cell, and which of them can be had; bounded by `most` buckets."""
    n = len(cells.offset) - 1
    head, ends, found = (
        np.empty((n, kernel.N_HEAD)),
        np.zeros(n + 1, np.int64),
        np.ones(n, np.bool_),
    )
    given = cells.offset, cells.row, cells.sign, cells.schema
    index, count, size = folds.totals(pool.columns, given, is_compact, most, (head, ends, found))
    _check(size, most)
    return Pool(head, ends, index, count, pool.layouts), found


def _check(n_buckets: int, most: int) -> None:
    if n_buckets > most:
        raise refusal(
            f"the native histograms have more than server.query_samples ({most}) buckets; narrow "
            "the range or the selector, take a longer step, or raise the setting"
        )
