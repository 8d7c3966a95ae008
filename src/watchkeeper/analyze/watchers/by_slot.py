"""A watcher's rows, one for each series that it watches, kept by slot and named by identity.

Rows of series that this process has not met yet wait for them, as in `analyze/absent.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from watchkeeper.analyze.detectors.rows import Rows
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.watchers.slots_kernel import has_stranger
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import I32, I64, N_PARTITIONS, U64, Mask

WAIT_NS: Final = 3600 * NS_PER_S


@dataclass(slots=True)
class _Waiting:
    """The row of a series that is not known here."""

    partition: int
    row: bytes
    fresh: bool
    since_ns: int = 0
    """The first tick after it came."""


class BySlot:
    """Who has which row, and whose row has something to say. For one thread."""

    def __init__(
        self, row: Any, catalog: KnownSeries, wants: Callable[[I32], Sequence[bool]]
    ) -> None:
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
        self._waiting: dict[bytes, _Waiting] = {}
        """By identity."""

    @property
    def rows(self) -> Any:
        """Good for all slots that were met."""
        return self._rows.array

    def meet(self, slots: I32) -> I32:
        """Make rows for those that are others than before; which these are."""
        if not has_stranger(slots, self._whose, self._catalog.identity):
            return slots[:0]
        new = np.unique(slots[self._whose[slots] != self._catalog.identity[slots, 0]])
        self._rows.hold(new)
        self._begin(new)
        return new

    def take_fresh(
        self, now_ns: int, partitions: Mask, worth: Callable[[I32], I32] | None = None
    ) -> list[int]:
        """Those with something to look at, in the order of their identities; not again. `worth`
        says which of them are worth a look."""
        for identity, one in list(self._waiting.items()):
            one.since_ns = one.since_ns or now_ns
            if now_ns - one.since_ns > WAIT_NS:
                del self._waiting[identity]
        slots = self._own(np.flatnonzero(self.fresh))
        slots = slots[partitions[self._catalog.partition[slots]]]
        self.fresh[slots] = False
        if worth is not None and len(slots):
            slots = worth(slots)
        found: list[int] = self._in_order(slots).tolist()
        return found

    def row_of(self, series: str) -> Any:
        """The row of a series by its name in hex, even while it waits; None where there is none."""
        identity = bytes.fromhex(series)
        waiting = self._waiting.get(identity)
        if waiting is not None:
            return np.frombuffer(waiting.row, self._rows.array.dtype)[0]
        own = self._at(identity)
        return self._rows.array[own[0]] if len(own) else None

    def clear(self, series: str, field: str) -> None:
        """Of a series that is silent, a field of its row; what waits for it does so no more."""
        identity = bytes.fromhex(series)
        self._waiting.pop(identity, None)
        self._rows.array[field][self._at(identity)] = 0

    def dump(self, partition: int) -> bytes:
        slots = self._of(partition)
        names = [one.tobytes() for one in np.ascontiguousarray(self._catalog.identity[slots])]
        rows = [one.tobytes() for one in self._rows.take(slots)]
        kept = list(zip(names, rows, self.fresh[slots].tolist(), strict=True))
        kept += [
            (identity, one.row, one.fresh)
            for identity, one in self._waiting.items()
            if one.partition == partition
        ]
        return msgspec.msgpack.encode(sorted(kept)) if kept else b""

    def load(self, partition: int, state: bytes) -> I32:
        """Instead of all that is known of a partition; which slots there are now."""
        mine = self._of(partition)
        self._rows.array[mine] = 0
        for column in (self.watched, self.fresh, self._whose):
            column[mine] = 0
        for identity in [one for one, kept in self._waiting.items() if kept.partition == partition]:
            del self._waiting[identity]
        if not state:
            return mine[:0]
        kept = msgspec.msgpack.decode(state, type=list[tuple[bytes, bytes, bool]])
        for identity, row, fresh in kept:
            self._waiting[identity] = _Waiting(partition, row, fresh)
        names = np.frombuffer(b"".join(identity for identity, _, _ in kept), np.uint64)
        slots = self._catalog.lookup(names.reshape(-1, 2))
        known = slots[slots >= 0]
        self._rows.hold(known)
        self._begin(known)
        return known

    def _begin(self, slots: I32) -> None:
        """With the row that waited for its series, or an empty one."""
        self._rows.array[slots] = 0
        self.fresh[slots] = False
        self._whose[slots] = self._catalog.identity[slots, 0]
        self.watched[slots] = self._wants(slots)
        for slot in slots.tolist() if self._waiting else ():
            kept = self._waiting.pop(self._catalog.identity[slot].tobytes(), None)
            if kept is not None and self.watched[slot]:
                row = np.frombuffer(kept.row, np.uint8)[None]
                self._rows.put(np.array([slot], np.int32), row)
                self.fresh[slot] = kept.fresh

    def _of(self, partition: int) -> I32:
        live = self.watched & (self._catalog.partition[: len(self.watched)] == partition)
        return self._own(np.flatnonzero(live))

    def _at(self, identity: bytes) -> I32:
        """The slot of a series that has a row, or none."""
        slots = self._catalog.lookup(np.frombuffer(identity, np.uint64).reshape(1, 2))
        return self._own(slots[slots >= 0].astype(np.int64))

    def _own(self, slots: I64) -> I32:
        """Without those whose series has left, or whose slot another has by now."""
        is_same = self._whose[slots] == self._catalog.identity[slots, 0]
        here = is_same & (self._catalog.partition[slots] < N_PARTITIONS)
        found: I32 = slots[here].astype(np.int32)
        return found

    def _in_order(self, slots: I32) -> I32:
        return slots[np.lexsort(self._catalog.identity[slots].T)]
