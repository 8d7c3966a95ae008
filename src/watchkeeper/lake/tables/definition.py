"""What a table is: the columns of its batches, how they are sorted, and what finds them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic

import numpy as np

from watchkeeper.lake.tables.base import B
from watchkeeper.model.signal import LogBatch, SpanBatch

NUMBER: Final = "number"
"""The column that every table has besides those of its batches: which row of the table it is."""


@dataclass(frozen=True, slots=True)
class Definition(Generic[B]):
    """A table over one kind of batch. Tenant and service come first in every order."""

    name: str
    kind: type[B]
    time: str
    """The column that queries, windows and retention go by."""
    order: tuple[str, ...]
    """Columns that rows are sorted by within a service."""
    ranged: tuple[str, ...]
    """Columns of which each row group knows its least and its most."""
    trace: str
    """The column of trace ids, which each row group knows by a filter."""
    text: str | None
    """The column that is searched by word, of which each row group knows its words by a filter."""
    repeating: frozenset[str]
    """Columns with few values, which files name once."""
    group_rows: int
    """Rows that are read together: fewer make a point query quicker, more make files smaller."""

    def fields(self) -> Iterator[tuple[str, type[np.generic]]]:
        """Names and kinds of the numbers in a file; those of a wide column are one behind the
        other."""
        for name, column in self.kind.COLUMNS.items():
            if column.width == 1:
                yield name, column.kind
            else:
                yield from ((f"{name}_{i}", column.kind) for i in range(column.width))
        yield NUMBER, np.int64


LOGS: Final = Definition(
    name="logs",
    kind=LogBatch,
    time="time_ns",
    order=("template", "time_ns"),
    ranged=("time_ns", "severity", "template"),
    trace="trace",
    text="body",
    repeating=frozenset({"template", "severity", "origin", "attributes"}),
    group_rows=1 << 14,
)

SPANS: Final = Definition(
    name="spans",
    kind=SpanBatch,
    time="start_ns",
    order=("start_ns",),
    ranged=("start_ns", "duration_ns", "status", "kind"),
    trace="trace",
    text=None,
    repeating=frozenset({"kind", "status", "origin", "name", "message"}),
    group_rows=1 << 12,
)
