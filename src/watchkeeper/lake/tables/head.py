"""Rows in memory: columns of a fixed capacity, filled from the front, readable at once."""

from __future__ import annotations

from typing import Generic

import numpy as np

from watchkeeper.compiled.memory import reserve
from watchkeeper.lake.tables.base import B
from watchkeeper.lake.tables.definition import NUMBER, Definition
from watchkeeper.lake.tables.rows import Array, Rows, TenantOrigin
from watchkeeper.model.row import Texts


class Head(Generic[B]):
    """Appended to by one thread; what `rows` gave out stays as it is, so others may read it."""

    def __init__(
        self, definition: Definition[B], *, n_rows: int, size_bytes: int, number: int
    ) -> None:
        self._definition = definition
        self._room_rows = n_rows
        self._room_bytes = size_bytes
        self._columns: dict[str, Array] = {
            name: reserve((n_rows, column.width) if column.width > 1 else n_rows, column.kind)
            for name, column in definition.kind.COLUMNS.items()
        }
        self._columns[NUMBER] = np.arange(number, number + n_rows)
        self._texts = {
            name: Texts(reserve(size_bytes, np.uint8), reserve(n_rows + 1, np.int32))
            for name in definition.kind.TEXTS
        }
        self._index: dict[TenantOrigin, int] = {}
        self.sources: list[TenantOrigin] = []
        """Grows while it is appended to."""
        self.number = number
        """Of its first row."""
        self.n = 0
        self.size_bytes = 0
        """Of its texts."""
        self.newest_ns = np.iinfo(np.int64).min
        self.oldest_ns = np.iinfo(np.int64).max
        self.first = 0
        """The log position of its first row."""
        self.covered = 0
        """The log position up to which all is here or in files."""
        self.seen_ns: int | None = None
        """When maintenance first saw it with something in it."""

    def fits(self, batch: B) -> bool:
        return (
            self.n + len(batch) <= self._room_rows
            and self.size_bytes + text_bytes(batch) <= self._room_bytes
        )

    def append(self, batch: B, position: int) -> None:
        """All of it: a batch is of one position, and what is of one position stays together."""
        begin, end = self.n, self.n + len(batch)
        for name in self._definition.kind.COLUMNS:
            if name != "origin":
                self._columns[name][begin:end] = getattr(batch, name)
        known = np.array(
            [self._known(TenantOrigin(batch.tenant, one)) for one in batch.origins], np.int32
        )
        self._columns["origin"][begin:end] = known[batch.origin]
        for name, column in self._texts.items():
            fresh: Texts = getattr(batch, name)
            at, size = int(column.offset[begin]), int(fresh.offset[-1])
            column.data[at : at + size] = fresh.data[:size]
            column.offset[begin + 1 : end + 1] = fresh.offset[1:] + np.int32(at)
        time_ns: Array = getattr(batch, self._definition.time)
        self.newest_ns = max(self.newest_ns, int(time_ns.max()))
        self.oldest_ns = min(self.oldest_ns, int(time_ns.min()))
        self.size_bytes += text_bytes(batch)
        self.first = self.first or position
        self.n = end

    def rows(self, n: int) -> Rows:
        """The first `n` rows, not to be written to."""
        columns = {name: _shown(column[:n]) for name, column in self._columns.items()}
        return Rows(
            columns,
            {
                name: Texts(_shown(column.data[: column.offset[n]]), _shown(column.offset[: n + 1]))
                for name, column in self._texts.items()
            },
        )

    def _known(self, source: TenantOrigin) -> int:
        index = self._index.get(source)
        if index is None:
            index = self._index[source] = len(self.sources)
            self.sources.append(source)
        return index


def text_bytes(batch: B) -> int:
    return sum(int(getattr(batch, name).offset[-1]) for name in batch.TEXTS)


def _shown(column: Array) -> Array:
    column.flags.writeable = False  # of this view alone
    return column
