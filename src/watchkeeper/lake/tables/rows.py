"""Rows of a table in memory: columns by name, and the sources that they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from watchkeeper.errors import BadInput
from watchkeeper.lake.tables import words_kernel as kernel
from watchkeeper.lake.tables.base import B
from watchkeeper.lake.tables.definition import NUMBER, Definition
from watchkeeper.model.row import Origin, Texts, texts
from watchkeeper.model.series import I64, TenantId

_MOST_BYTES: Final = np.iinfo(np.int32).max
"""Of one column of text."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class TenantOrigin:
    """Whose rows, and where they come from: `origin` of a row is an index into a list of these."""

    tenant: TenantId
    origin: Origin

    def place(self) -> tuple[str, str]:
        """What every order begins with."""
        return self.tenant, self.origin.entity.service


class Chunk(Protocol):
    """Some rows that are read together; a column is read when it is asked for."""

    @property
    def n_rows(self) -> int: ...

    def column(self, name: str) -> Array:
        """(n,), or (n, width) of a wide one."""
        ...

    def text(self, name: str) -> Texts: ...

    def load(self, names: Sequence[str]) -> None:
        """These will be asked for: read them together, which is quicker."""
        ...

    def forget(self) -> None:
        """Give back memory; what is asked for again is read again."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with all their columns: a Chunk that is in memory."""

    columns: Mapping[str, Array]
    texts: Mapping[str, Texts]

    @property
    def n_rows(self) -> int:
        return len(self.columns[NUMBER])

    def column(self, name: str) -> Array:
        return self.columns[name]

    def text(self, name: str) -> Texts:
        return self.texts[name]

    def load(self, names: Sequence[str]) -> None:
        """They are in memory already."""

    def forget(self) -> None:
        """They are in memory whatever happens."""


def take(chunk: Chunk, definition: Definition[B], rows: I64) -> Rows:
    """These rows of a chunk, in this order."""
    columns = {name: chunk.column(name)[rows] for name in (*definition.kind.COLUMNS, NUMBER)}
    return Rows(columns, {name: gather(chunk.text(name), rows) for name in definition.kind.TEXTS})


def gather(column: Texts, rows: I64) -> Texts:
    """As `Texts.take`, without an index of every byte."""
    offset = np.zeros(len(rows) + 1, np.int64)
    np.cumsum((column.offset[rows + 1] - column.offset[rows]), dtype=np.int64, out=offset[1:])
    data = np.empty(int(offset[-1]), np.uint8)
    gathered = Texts(data, offset.astype(np.int32))
    kernel.gather(column.data, column.offset, rows, gathered.offset, data)
    return gathered


def part(rows: Rows, begin: int, end: int) -> Rows:
    """A stretch of rows, without a copy of numbers."""
    columns = {name: column[begin:end] for name, column in rows.columns.items()}
    cut = {}
    for name, column in rows.texts.items():
        first, last = int(column.offset[begin]), int(column.offset[end])
        cut[name] = Texts(column.data[first:last], column.offset[begin : end + 1] - np.int32(first))
    return Rows(columns, cut)


def concat(parts: Sequence[Rows]) -> Rows:
    """One behind the other; at least one. Raises BadInput beyond 2 GiB of text."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns}
    joined = {}
    for name in parts[0].texts:
        runs = [p.texts[name] for p in parts]
        size = sum(int(run.offset[-1]) for run in runs)
        if size > _MOST_BYTES:
            raise BadInput(f"{name}: {size} bytes at once are too many; ask for fewer rows (limit)")
        sizes = np.concatenate([np.diff(run.offset) for run in runs])
        offset = np.zeros(len(sizes) + 1, np.int32)
        np.cumsum(sizes, out=offset[1:])
        joined[name] = Texts(np.concatenate([run.data[: run.offset[-1]] for run in runs]), offset)
    return Rows(columns, joined)


def sort_key(rows: Rows, definition: Definition[B], rank: I64) -> list[Array]:
    """For `np.lexsort`, the most important last. `rank` is the place of each source."""
    names = (*definition.order, NUMBER)
    return [rows.columns[name] for name in reversed(names)] + [rank[rows.columns["origin"]]]


def ranks(sources: Sequence[TenantOrigin]) -> I64:
    """Of each source, how many different places (tenant and service) come before its own."""
    number = {place: n for n, place in enumerate(sorted({one.place() for one in sources}))}
    return np.array([number[one.place()] for one in sources], np.int64)


def to_batch(rows: Rows, definition: Definition[B], sources: Sequence[TenantOrigin]) -> B:
    """As a batch of the tenant that all of these rows are of."""
    used, origin = np.unique(rows.columns["origin"], return_inverse=True)
    columns: dict[str, Any] = {name: rows.columns[name] for name in definition.kind.COLUMNS}
    columns |= rows.texts
    columns["origin"] = origin.astype(np.int32)
    whose = [sources[index] for index in used.tolist()]
    if whose:
        columns["tenant"] = whose[0].tenant
    return definition.kind(origins=tuple(one.origin for one in whose), **columns)


def empty(definition: Definition[B]) -> Rows:
    columns: dict[str, Array] = {
        name: np.empty((0, column.width) if column.width > 1 else 0, column.kind)
        for name, column in definition.kind.COLUMNS.items()
    }
    columns[NUMBER] = np.empty(0, np.int64)
    return Rows(columns, dict.fromkeys(definition.kind.TEXTS, texts(())))


def nothing(definition: Definition[B]) -> B:
    """A batch without rows."""
    return to_batch(empty(definition), definition, ())


_sources = msgspec.msgpack.Decoder(tuple[TenantOrigin, ...])


def encode_sources(sources: Sequence[TenantOrigin]) -> bytes:
    return msgspec.msgpack.encode(tuple(sources))


def decode_sources(content: bytes) -> tuple[TenantOrigin, ...]:
    return _sources.decode(content)
