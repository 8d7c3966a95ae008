"""Labels of many series in arrays: interned, found by identity, by pair, by slot.

One thread changes an index, holding `lock` while it does; any thread may read through the methods
that say so. The lock is never held for more than a few milliseconds. Room for the limits is
reserved at once and costs memory where it is used, so growth neither copies nor pauses, except for
the hash tables, which double.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np

from watchkeeper.compiled.columns import layout_of
from watchkeeper.compiled.memory import READ_SLACK, padded, reserve
from watchkeeper.lake import series_index_kernel as kernel
from watchkeeper.lake import series_layout_kernel as layout
from watchkeeper.lake import series_read_kernel as reading
from watchkeeper.lake import series_table_kernel as tables
from watchkeeper.model.series import I32, I64, U8, U64, LabelBlock

CHUNK: Final = 2048
"""Series per hold of the lock when many are registered, taken out or read."""
_TABLE_ENTRIES: Final = 1024
U16 = np.ndarray[Any, np.dtype[np.uint16]]
Texts = tuple[U8, I64]
"""UTF-8 of many texts, one behind the other, and where each ends."""


class Columns(NamedTuple):
    """What the kernels work on, in the order of `series_layout_kernel`. `text` holds names and
    values; tables hold numbers + 1."""

    counters: I64
    # by slot
    identity: U64
    tenant: U16
    n_labels: U8
    row: I32
    # by position in a row
    pair: I32
    links: I32
    # by pair
    pair_hash: U64
    pair_at: I64
    pair_size: I32
    pair_name: I32
    pair_tenant: U16
    pair_head: I32
    pair_count: I32
    # by name
    name_hash: U64
    name_at: I64
    name_size: I32
    name_pairs: I32
    text: U8
    # what is free, and what finds
    free_slots: I32
    row_free: I64
    text_free: I64
    identity_table: I32
    pair_table: I32
    name_table: I32


@dataclass(frozen=True, slots=True)
class IndexLimits:
    """What an index may come to hold."""

    n_slots: int
    n_pairs: int
    """Distinct pairs of name and value."""
    n_names: int
    text_bytes: int
    """Of distinct names and values."""
    labels: int
    """Of one series."""
    run_bytes: int
    """Of one name or value."""


class SeriesIndex:
    """Slots with an identity and labels, and the search structures over them."""

    def __init__(self, columns: Columns) -> None:
        self.lock = threading.Lock()
        self.columns = columns
        self.layout = layout_of(columns)
        """For kernels: good as long as `columns` is the same, so use it with the lock held."""

    @classmethod
    def empty(cls, limits: IndexLimits, seed: int) -> Self:
        """Room for `limits`; the seed keeps strangers from choosing labels that collide."""
        columns = _reserve(limits)
        columns.counters[layout.SEED] = np.uint64(seed).astype(np.int64)
        return cls(columns)

    @property
    def n_used(self) -> int:
        return self.count(layout.N_USED)

    @property
    def high_slot(self) -> int:
        """No slot from here on was ever in use."""
        return self.count(layout.HIGH)

    @property
    def n_released(self) -> int:
        """While this stands still, the numbers of pairs mean what they meant."""
        return self.count(layout.N_RELEASED)

    @property
    def text_bytes(self) -> int:
        """Memory that distinct names and values ever took; what became free is used again."""
        return self.count(layout.TEXT_END)

    def count(self, counter: int) -> int:
        """One of the counters of `series_layout_kernel`."""
        return int(self.columns.counters[counter])

    # For the owner alone. All but `make_room` change what readers see: hold the lock.

    def make_room(self, n_series: int) -> None:
        """Let the identity table hold so many more. The new table is filled without the lock."""
        columns, needed = self.columns, self.n_used + n_series
        if is_crowded(columns.identity_table, needed):
            table = grown(columns.identity_table, columns.identity.reshape(-1), 2, needed)
            with self.lock:
                self._replace(columns._replace(identity_table=table))

    def claim(
        self, identity: U64, verdict: U8, *, budget: tuple[int, int], refusals: tuple[int, int]
    ) -> tuple[I32, U8]:
        """The slot of every sound row, new where need be, and which are new; -1 where refused."""
        slots = np.empty(len(identity), np.int32)
        is_new = np.empty(len(identity), np.uint8)
        kernel.claim(self.layout, identity, verdict, slots, is_new, budget, refusals)
        return slots, is_new

    def occupy(self, identity: U64, slots: I32) -> None:
        """Claim these very slots, which are free, for identities that are not known.

        `collect_free` must follow before anything is claimed without naming its slot.
        """
        kernel.occupy(self.layout, identity, slots)

    def place(self, labels: LabelBlock, rows: I64, slots: I32, *, tenant: int, verdict: U8) -> None:
        """Write the canonical labels of some rows into their claimed slots.

        A row for which there is no room gives up its claim, and its verdict says so.
        """
        done = 0
        while True:
            done = kernel.place(
                self.layout, labels.buffer, labels.start, labels.end,
                rows, slots, tenant, done, verdict,
            )  # fmt: skip
            if done == len(rows):
                return
            self._make_room_for_labels()

    def displace(self, slots: I32) -> None:
        """Take series out of memory. Their slots are given to nobody before `give_back`."""
        kernel.displace(self.layout, slots)

    def give_back(self, slots: I32) -> None:
        """These slots may be claimed again."""
        columns = self.columns
        n_free = self.count(layout.N_FREE)
        columns.free_slots[n_free : n_free + len(slots)] = slots
        columns.counters[layout.N_FREE] += len(slots)

    def collect_free(self) -> None:
        """Find out anew which slots are free, after slots were occupied by number."""
        free = np.flatnonzero(self.columns.n_labels[: self.high_slot] == 0).astype(np.int32)
        self.columns.counters[layout.N_FREE] = 0
        self.give_back(free[::-1])

    def _make_room_for_labels(self) -> None:
        columns, n = self.columns, len(self.columns.row_free)
        n_pairs, n_names = self.count(layout.LIVE_PAIRS) + n, self.count(layout.LIVE_NAMES) + n
        if is_crowded(columns.pair_table, n_pairs):
            table = grown(columns.pair_table, columns.pair_hash, 1, n_pairs)
            columns = columns._replace(pair_table=table)
        if is_crowded(columns.name_table, n_names):
            table = grown(columns.name_table, columns.name_hash, 1, n_names)
            columns = columns._replace(name_table=table)
        self._replace(columns)

    def _replace(self, columns: Columns) -> None:
        self.columns = columns
        self.layout = layout_of(columns)

    # For any thread.

    def lookup(self, identity: U64) -> I32:
        """The slot of every identity, or -1."""
        wanted = np.require(identity.reshape(-1, 2), np.uint64, ["C", "A", "W"])
        slots = np.empty(len(wanted), np.int32)
        for part in parts(len(wanted), 8 * CHUNK):
            with self.lock:
                reading.find_identities(self.layout, wanted[part], slots[part])
        return slots

    def labels(self, slots: I32) -> list[dict[str, str]]:
        """The labels of some slots; empty for one that is free."""
        found: list[dict[str, str]] = []
        for part in parts(len(slots), CHUNK // 2):
            with self.lock:
                pairs, ends = reading.gather_pairs(self.layout, slots[part])
                known, place = np.unique(pairs, return_inverse=True)
                names, values = self._texts(known)
            words = list(zip(names, split(*values), strict=True))
            items = [words[k] for k in place.tolist()]
            begin = 0
            for end in ends.tolist():
                found.append(dict(items[begin:end]))
                begin = end
        return found

    def label_block(self, slots: I32) -> LabelBlock:
        """The canonical labels of some slots as bytes. Hold the lock."""
        text, start, end = reading.gather_labels(self.layout, slots)
        return LabelBlock(text, start, end)

    def names(self, tenant: int) -> list[str]:
        """The label names that a tenant's series have, sorted."""
        with self.lock:
            pairs = reading.live_pairs(self.layout, tenant, -1)
            names = np.unique(self.columns.pair_name[pairs])
            texts = self._gathered(self.columns.name_at[names], self.columns.name_size[names])
        return sorted(split(*texts))

    def name_number(self, name: str) -> int:
        """-1 if no series has a label of this name."""
        run = name.encode()
        with self.lock:
            return int(reading.find_name(self.layout, padded(run), len(run)))

    def pair_number(self, tenant: int, name: int, value: str) -> int:
        """-1 if none of the tenant's series has it."""
        run = value.encode()
        with self.lock:
            return int(reading.find_pair(self.layout, padded(run), len(run), name, tenant))

    def pairs(self, tenant: int, name: int) -> I32:
        """All pairs of a name that a tenant's series have."""
        with self.lock:
            found: I32 = reading.live_pairs(self.layout, tenant, name)
        return found

    def values(self, pairs: I32, released: int) -> Texts | None:
        """The values of some pairs, or None if pairs were released since `released`."""
        found = []
        for part in parts(len(pairs), 8 * CHUNK):
            with self.lock:
                if self.n_released != released:
                    return None
                found.append(self._values(pairs[part]))
        text = [some[: ends[-1]] for some, ends in found]
        size = [np.diff(ends, prepend=0) for _, ends in found]
        if not found:
            return np.zeros(0, np.uint8), np.zeros(0, np.int64)
        return np.concatenate(text), np.concatenate(size).cumsum(dtype=np.int64)

    # Below: hold the lock.

    def _texts(self, pairs: I32) -> tuple[list[str], Texts]:
        """Names and values of some pairs."""
        columns = self.columns
        names, place = np.unique(columns.pair_name[pairs], return_inverse=True)
        words = split(*self._gathered(columns.name_at[names], columns.name_size[names]))
        return [words[k] for k in place.tolist()], self._values(pairs)

    def _values(self, pairs: I32) -> Texts:
        return self._gathered(self.columns.pair_at[pairs], self.columns.pair_size[pairs])

    def _gathered(self, at: I64, size: I32) -> Texts:
        text, ends = reading.gather_text(self.layout, at, size)
        return text, ends


def split(text: U8, ends: I64) -> list[str]:
    """Texts that stand one behind the other."""
    run = text.tobytes()
    begin, found = 0, []
    for end in ends.tolist():
        found.append(run[begin:end].decode())
        begin = end
    return found


def parts(n: int, size: int) -> list[slice]:
    """0 to n in slices of a size."""
    return [slice(first, min(n, first + size)) for first in range(0, n, size)]


def is_crowded(table: I32, needed: int) -> bool:
    """Whether a hash table is too small for so many entries."""
    return 3 * needed > 2 * len(table)


def grown(table: I32, hashes: U64, stride: int, needed: int) -> I32:
    """A hash table that is not crowded with `needed` numbers."""
    size = len(table)
    while 3 * needed > 2 * size:
        size *= 2
    larger: I32 = reserve(size, np.int32)
    tables.refill(larger, table, hashes, stride)
    return larger


def _reserve(limits: IndexLimits) -> Columns:
    n, n_pairs, n_names = limits.n_slots, limits.n_pairs, limits.n_names
    n_positions = min(n * limits.labels, 2**31 - 1)
    kinds: Mapping[str, tuple[int | tuple[int, int], type[np.generic]]] = {
        "counters": (layout.N_COUNTERS, np.int64),
        "identity": ((n, 2), np.uint64),
        "tenant": (n, np.uint16),
        "n_labels": (n, np.uint8),
        "row": (n, np.int32),
        "pair": (n_positions, np.int32),
        "links": ((n_positions, 2), np.int32),
        "pair_hash": (n_pairs, np.uint64),
        "pair_at": (n_pairs, np.int64),
        "pair_size": (n_pairs, np.int32),
        "pair_name": (n_pairs, np.int32),
        "pair_tenant": (n_pairs, np.uint16),
        "pair_head": (n_pairs, np.int32),
        "pair_count": (n_pairs, np.int32),
        "name_hash": (n_names, np.uint64),
        "name_at": (n_names, np.int64),
        "name_size": (n_names, np.int32),
        "name_pairs": (n_names, np.int32),
        "text": (limits.text_bytes + READ_SLACK, np.uint8),
        "free_slots": (n, np.int32),
        "row_free": (limits.labels + 1, np.int64),
        "text_free": (limits.run_bytes // 8 + 2, np.int64),
        "identity_table": (_TABLE_ENTRIES, np.int32),
        "pair_table": (_TABLE_ENTRIES, np.int32),
        "name_table": (_TABLE_ENTRIES, np.int32),
    }
    return Columns(**{name: reserve(shape, kind) for name, (shape, kind) in kinds.items()})
