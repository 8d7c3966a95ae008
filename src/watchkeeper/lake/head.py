"""The newest samples, in memory: appended, readable at once, written out when sealed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.lake import head_kernel, segment_kernel
from watchkeeper.lake.runs import Runs, merge, offsets
from watchkeeper.model.series import I32, I64, U64
from watchkeeper.model.signal import SampleBatch

_SCAN_BEYOND: Final = 1 / 8
"""Of the head's series: from there on one pass over all rows is quicker than following chains
(measured: 20 to 30 ns a row of a chain, 3 ns a row passed over)."""
_NEVER: Final = (np.iinfo(np.int64).max, np.iinfo(np.int64).min)


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

    def __init__(self, number: int, *, rows: int, slots: int, memory: I64 | None = None) -> None:
        """`memory` is a former head's, whose pages need not be taken from the system again."""
        self.number = number
        """Of its first row."""
        self.covered = 0
        """The log position up to which everything is in this head or in an earlier one."""
        self.seen_ns: int | None = None
        """When maintenance first met something in it."""
        self._rows: I64 = np.empty((rows, 3), np.int64) if memory is None else memory
        self._owner: U64 = np.zeros((slots, 3), np.uint64)
        self._tally = np.array([0, 0, 0, *_NEVER], np.int64)
        self._lock = threading.Lock()

    @property
    def n(self) -> int:
        """Rows in it."""
        return int(self._tally[0])

    @property
    def room(self) -> int:
        return len(self._rows) - self.n

    @property
    def memory(self) -> I64:
        """For the next head, once nobody reads this one any more."""
        return self._rows

    def append(self, batch: SampleBatch, begin: int, identity: U64) -> int:
        """Take rows from `begin` on; where it stopped.

        Short of the batch's end it stops when it is full, and at a slot that has another owner now:
        then it is to be sealed, and the next head goes on.
        """
        bits = batch.value.view(np.int64)
        with self._lock:
            stopped = head_kernel.append_rows(
                batch.slot, batch.time_ns, bits, begin, identity,
                self._owner, self._rows, self._tally,
            )  # fmt: skip
        return int(stopped)

    def read(self, n: int, identity: U64, slot: I32, span_ns: tuple[int, int]) -> Runs:
        """Samples of these series, sorted by (low, high) identity, among the first `n` rows.

        `slot` is -1 where the catalog has forgotten the series, which this head may still hold.
        """
        newest, count = np.empty(len(slot), np.int64), np.empty(len(slot), np.int64)
        with self._lock:
            _, n_series, top, least_ns, greatest_ns = self._tally.tolist()
            if not n or least_ns >= span_ns[1] or greatest_ns < span_ns[0]:
                return merge([], len(slot))
            owner = self._owner[:top]
            if (slot < 0).any():
                slot = slot.copy()
                head_kernel.find_owners(owner, identity, slot)
            head_kernel.newest_rows(owner, slot, identity, self._rows, n, newest, count)
        offset = offsets(count)
        begin, stop = offset[:-1].copy(), offset[1:].copy()
        time_ns, bits = np.empty(offset[-1], np.int64), np.empty(offset[-1], np.int64)
        if (count > 0).sum() > _SCAN_BEYOND * n_series:
            wanted = np.full(top, -1, np.int32)
            held = np.flatnonzero(count)
            wanted[slot[held]] = held
            stop = begin.copy()
            head_kernel.copy_rows(wanted, self._rows, n, *span_ns, stop, time_ns, bits)
        else:
            begin = stop.copy()
            head_kernel.copy_chains(newest, self._rows, *span_ns, begin, time_ns, bits)
        return _settled(begin, stop, time_ns, bits)

    def sorted_rows(self, into: I64 | None = None) -> SortedRows:
        """All rows by series and time. Only for a sealed head, which nobody appends to.

        They lie in `into`, (2, n) or larger, where that is given.
        """
        owner = self._owner[: self._tally[2]]
        slot = np.flatnonzero(owner[:, 2])
        order = sort_identities(owner[slot, :2])
        slot = slot[order]
        rank = np.empty(len(owner), np.int32)
        rank[slot] = np.arange(len(slot), dtype=np.int32)
        offset = offsets((owner[slot, 2] >> np.uint64(32)).astype(np.int64))
        time_ns, bits = np.empty((2, self.n), np.int64) if into is None else into[:, : self.n]
        head_kernel.sort_rows(rank, self._rows, self.n, offset[:-1].copy(), time_ns, bits)
        kept = segment_kernel.settle_runs(offset, time_ns, bits)
        return SortedRows(owner[slot, :2], offset, time_ns[:kept], bits[:kept], self.n - kept)


def sort_identities(identity: U64) -> I64:
    """The order by low half, then high half. Low halves are hashes: two equal ones are a marvel."""
    order = np.argsort(identity[:, 0])
    low = identity[order, 0]
    if (low[1:] == low[:-1]).any():
        return np.lexsort((identity[:, 1], identity[:, 0]))
    return order


def _settled(begin: I64, stop: I64, time_ns: I64, bits: I64) -> Runs:
    """Runs that lie apart, moved together, sorted, and no time twice."""
    offset = offsets(stop - begin)
    if offset[-1] < len(time_ns):
        apart = time_ns, bits
        time_ns, bits = np.empty(offset[-1], np.int64), np.empty(offset[-1], np.int64)
        segment_kernel.copy_runs(apart[0], begin, stop, 1, offset, time_ns)
        segment_kernel.copy_runs(apart[1], begin, stop, 1, offset, bits)
    kept = segment_kernel.settle_runs(offset, time_ns, bits)
    return Runs(offset, time_ns[:kept], bits[:kept].view(np.float64))
