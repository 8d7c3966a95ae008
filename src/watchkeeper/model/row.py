"""What rows are made of that bring text with them: log lines and spans, in columns all the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from watchkeeper.model.series import I32, I64, U8, Entity


@dataclass(frozen=True, slots=True)
class Texts:
    """n runs of bytes, one behind the other: row i is data[offset[i]:offset[i + 1]].

    Text is UTF-8. Arrow has strings in this form too, so that they pass without a copy.
    """

    data: U8 = field(repr=False)
    offset: I32 = field(repr=False)
    """(n + 1,); the first is 0."""

    def __len__(self) -> int:
        return len(self.offset) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.data[self.offset[row] : self.offset[row + 1]].tobytes()

    def text(self, row: int) -> str:
        """What is no UTF-8 is shown as such, never an error."""
        return self[row].decode(errors="replace")

    def take(self, rows: I64) -> Texts:
        """These rows, in this order."""
        start = self.offset[rows].astype(np.int64)
        size = self.offset[rows + 1] - start
        offset = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(size, out=offset[1:])
        at = np.arange(offset[-1]) + np.repeat(start - offset[:-1], size)
        return Texts(self.data[at], offset.astype(np.int32))


def texts(runs: Iterable[bytes]) -> Texts:
    """Runs of bytes as a column; all together below 2 GiB."""
    listed = list(runs)
    offset = np.zeros(len(listed) + 1, np.int32)
    np.cumsum([len(run) for run in listed], out=offset[1:])
    return Texts(np.frombuffer(bytearray().join(listed), np.uint8), offset)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where lines or spans come from: what a sender says once for many of them."""

    labels: tuple[tuple[str, str], ...]
    """Sorted by name, unique, no empty value: a stream's labels, a resource's attributes."""
    entity: Entity = field(default_factory=Entity)
    """Decided by enrichment."""


def origin(labels: Iterable[tuple[str, str]]) -> Origin:
    """As receivers find it: in any order; of a name that comes twice the last value counts."""
    return Origin(tuple(sorted((name, value) for name, value in dict(labels).items() if value)))
