"""A watcher's rows, one for each series that it watches, kept by slot and named by identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from watchkeeper.analyze.detectors.rows import Rows
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.model.series import I32, U64, Mask


class BySlot:
    """Who has which row, and whose row has something to say. For one thread."""

    def __init__(self, row: Any, catalog: KnownSeries, wants: Callable[[int], bool]) -> None:
        """`wants` says once of each slot's series whether it is watched."""
        self._catalog = catalog
        self._wants = wants
        n = len(catalog.kind)
        self._rows = Rows(row, n)
        self.watched: Final[Mask] = np.zeros(n, np.bool_)
        self.fresh: Final[Mask] = np.zeros(n, np.bool_)
        """By slot: there is something to look at since the last look."""
        self._whose: Final[U64] = np.zeros(n, np.uint64)
        """By slot: whose row it is, the low half of the series' identity."""

    @property
    def rows(self) -> Any:
        """Good for all slots that were met."""
        return self._rows.array

    def meet(self, slots: I32) -> I32:
        """Make rows for those that are others than before; which these are."""
        self._rows.hold(slots)
        strange = self._whose[slots] != self._catalog.identity[slots, 0]
        if not strange.any():
            return slots[:0]
        new = np.unique(slots[strange])
        self._begin(new)
        return new

    def take_fresh(self, partitions: Mask) -> list[int]:
        """Those with something to look at, in the order of their identities; not again."""
        slots = np.flatnonzero(self.fresh).astype(np.int32)
        slots = slots[partitions[self._catalog.partition[slots]]]
        self.fresh[slots] = False
        return [int(slot) for slot in self._in_order(slots)]

    def dump(self, partition: int) -> bytes:
        slots = self._in_order(self._of(partition))
        if not len(slots):
            return b""
        identity = np.ascontiguousarray(self._catalog.identity[slots])
        rows, fresh = self._rows.take(slots), self.fresh[slots]
        return msgspec.msgpack.encode((identity.tobytes(), rows.tobytes(), fresh.tobytes()))

    def load(self, partition: int, state: bytes) -> I32:
        """Instead of all that is known of a partition; which slots there are. Series that are not
        known here have left."""
        mine = self._of(partition)
        self._rows.array[mine] = 0
        for column in (self.watched, self.fresh, self._whose):
            column[mine] = 0
        if not state:
            return mine[:0]
        names, rows, fresh = msgspec.msgpack.decode(state, type=tuple[bytes, bytes, bytes])
        identity = np.frombuffer(names, np.uint64).reshape(-1, 2)
        slots = self._catalog.lookup(identity)
        here = slots >= 0
        kept = np.frombuffer(rows, np.uint8).reshape(len(slots), self._rows.bytes_per_row)
        self._rows.hold(slots[here])
        self._begin(slots[here])
        self._rows.put(slots[here], kept[here])
        self.fresh[slots[here]] = np.frombuffer(fresh, np.bool_)[here]
        return slots[here]

    def _begin(self, slots: I32) -> None:
        self._rows.array[slots] = 0
        self.fresh[slots] = False
        self._whose[slots] = self._catalog.identity[slots, 0]
        self.watched[slots] = [self._wants(slot) for slot in slots.tolist()]

    def _of(self, partition: int) -> I32:
        live = self.watched & (self._catalog.partition[: len(self.watched)] == partition)
        return np.flatnonzero(live).astype(np.int32)

    def _in_order(self, slots: I32) -> I32:
        return slots[np.lexsort(self._catalog.identity[slots].T)]
