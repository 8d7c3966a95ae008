"""The newest samples, in memory: appended in columns, readable at once, written out when sealed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.lake import head_kernel, segment_kernel
from watchkeeper.lake.runs import Runs, offsets
from watchkeeper.model.series import F64, I32, I64, U64
from watchkeeper.model.signal import SampleBatch

_SCAN_BEYOND: Final = 1 / 150
"""Of the head's rows. Following a chain costs about 150 ns a row, passing over one about 1 ns."""


@dataclass(frozen=True, slots=True)
class SortedRows:
    """All of a head, in the order of a segment."""

    identity: U64
    """(n, 2), sorted by low half, then high half."""
    offset: I64
    time_ns: I64
    bits: I64
    """The values' 64 bits."""
    n_duplicates: int


class Head:
    """One appending thread, many readers. A reader sees what was there when it came.

    Rows never move and never change. The lock covers what does: the newest row of each slot, from
    which a chain leads through all of its rows.
    """

    def __init__(self, number: int, *, rows: int, slots: int) -> None:
        self.number = number
        self.n = 0
        self.covered = 0
        """The log position up to which everything is in this head or in an earlier one."""
        self.least_ns = np.iinfo(np.int64).max
        self.greatest_ns = np.iinfo(np.int64).min
        self.seen_ns: int | None = None
        """When maintenance first met a row in it."""
        self._columns = (
            np.empty(rows, np.int32),
            np.empty(rows, np.int64),
            np.empty(rows, np.float64),
            np.empty(rows, np.int32),
        )
        self._owner: U64 = np.zeros((slots, 3), np.uint64)
        self._lock = threading.Lock()

    @property
    def room(self) -> int:
        return len(self._columns[0]) - self.n

    def append(self, batch: SampleBatch, begin: int, identity: U64) -> int:
        """Take rows from `begin` on; where it stopped.

        Short of the batch's end it stops when it is full, and at a slot that has another owner now:
        then it is to be sealed, and the next head goes on.
        """
        with self._lock:
            stopped, self.n, least, greatest = head_kernel.append_rows(
                batch.slot, batch.time_ns, batch.value, begin, identity,
                self._owner, self._columns, self.n,
            )  # fmt: skip
            self.least_ns = min(self.least_ns, least)
            self.greatest_ns = max(self.greatest_ns, greatest)
        return int(stopped)

    def read(self, n: int, identity: U64, slot: I32, span_ns: tuple[int, int]) -> Runs:
        """Samples of these series, sorted by (low, high) identity, among the first `n` rows.

        `slot` is -1 where the catalog has forgotten the series, which this head may still hold.
        """
        start_ns, end_ns = span_ns
        newest = np.empty(len(slot), np.int64)
        with self._lock:
            least_ns, greatest_ns = self.least_ns, self.greatest_ns
            if n and (slot < 0).any():
                slot = slot.copy()
                owner = self._owner[: self._top_slot(n)]
                head_kernel.find_owners(owner, identity, slot)
            head_kernel.newest_rows(self._owner, slot, identity, self._columns, n, newest)
        if not n or greatest_ns < start_ns or least_ns >= end_ns or not (newest >= 0).any():
            return Runs(np.zeros(len(slot) + 1, np.int64), np.empty(0, np.int64), np.empty(0))
        if (newest >= 0).sum() > _SCAN_BEYOND * self._n_series_about(n):
            return self._scan(newest, slot, span_ns, n)
        count = np.zeros(len(slot), np.int64)
        head_kernel.count_chains(newest, self._columns, start_ns, end_ns, count)
        offset = offsets(count)
        time_ns, value = np.empty(offset[-1], np.int64), np.empty(offset[-1])
        head_kernel.copy_chains(newest, self._columns, start_ns, end_ns, offset, time_ns, value)
        return _settled(offset, time_ns, value)

    def sorted_rows(self) -> SortedRows:
        """All rows by series and time. Only for a sealed head, which nobody appends to."""
        slot = np.flatnonzero(self._owner[: self._top_slot(self.n), 2])
        identity = self._owner[slot, :2]
        order = sort_identities(identity)
        identity, slot = identity[order], slot[order]
        rank = np.empty(self._top_slot(self.n), np.int32)
        rank[slot] = np.arange(len(slot), dtype=np.int32)
        count = np.zeros(len(slot), np.int64)
        head_kernel.rank_counts(rank, self._columns, self.n, count)
        offset = offsets(count)
        time_ns, value = np.empty(self.n, np.int64), np.empty(self.n)
        head_kernel.sort_rows(rank, self._columns, self.n, offset[:-1].copy(), time_ns, value)
        bits = value.view(np.int64)
        kept = segment_kernel.settle_runs(offset, time_ns, bits)
        return SortedRows(identity, offset, time_ns[:kept], bits[:kept], self.n - kept)

    def _top_slot(self, n: int) -> int:
        """One beyond the greatest slot among the first `n` rows."""
        return int(self._columns[0][:n].max()) + 1

    def _n_series_about(self, n: int) -> int:
        """A guess from a sample of rows, for choosing between two ways to the same answer."""
        some = self._columns[0][: n : max(1, n // 1024)]
        return max(1, int(some.max()) - int(some.min()))

    def _scan(self, newest: I64, slot: I32, span_ns: tuple[int, int], n: int) -> Runs:
        wanted = np.full(self._top_slot(n), -1, np.int32)
        held = np.flatnonzero(newest >= 0)
        wanted[slot[held]] = held
        count = np.zeros(len(slot), np.int64)
        found = head_kernel.scan_rows(wanted, self._columns, n, *span_ns, count)
        offset = offsets(count)
        time_ns, value = np.empty(len(found), np.int64), np.empty(len(found))
        head_kernel.copy_rows(found, wanted, self._columns, offset, time_ns, value)
        return _settled(offset, time_ns, value)


def sort_identities(identity: U64) -> I64:
    """The order by low half, then high half. Low halves are hashes: two equal ones are a marvel."""
    order = np.argsort(identity[:, 0])
    low = identity[order, 0]
    if (low[1:] == low[:-1]).any():
        return np.lexsort((identity[:, 1], identity[:, 0]))
    return order


def _settled(offset: I64, time_ns: I64, value: F64) -> Runs:
    kept = segment_kernel.settle_runs(offset, time_ns, value.view(np.int64))
    return Runs(offset, time_ns[:kept], value[:kept])
