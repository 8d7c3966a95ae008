"""The contract of a table: rows that bring text with them, appended once, read newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from watchkeeper.model.detail import DetailRows
from watchkeeper.model.series import I64, Matcher, TenantId
from watchkeeper.model.signal import RowBatch

B = TypeVar("B", bound=RowBatch | DetailRows)

Cursor = tuple[int, int]
"""Time and number of a row: what comes behind it is older, or as old and came earlier."""


@dataclass(frozen=True, slots=True)
class TextQuery:
    """What must occur in a row's searched text, all of it."""

    words: tuple[bytes, ...] = ()
    """Whole words, in small letters; the case of ASCII letters in the text does not matter."""
    phrases: tuple[bytes, ...] = ()
    """As they are, beginning and ending where words do."""
    parts: tuple[bytes, ...] = ()
    """As they are, anywhere."""

    def __bool__(self) -> bool:
        return bool(self.words or self.phrases or self.parts)


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Rows of a tenant with start <= time < end that fulfil every condition, newest first."""

    tenant: TenantId
    start_ns: int
    end_ns: int
    matchers: tuple[Matcher, ...] = ()
    """Of entity fields, labels of the origin and attributes of the row; the first that has the
    name and is not empty counts."""
    between: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Column of numbers -> the least and the most that it may be."""
    among: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Column of numbers -> what it may be."""
    equal: Mapping[str, bytes] = field(default_factory=dict)
    """Column of text -> what it must be."""
    traces: tuple[tuple[int, int], ...] = ()
    """One of these traces; any where there is none."""
    text: TextQuery = field(default_factory=TextQuery)
    limit: int = 100
    before: Cursor | None = None
    """Only what comes behind this row."""
    texts: tuple[str, ...] | None = None
    """Columns of text to be answered; the others are empty. None: all."""


@dataclass(frozen=True, slots=True)
class Found(Generic[B]):
    """The newest rows that fit. Of one time, what came last is first."""

    batch: B
    number: I64
    """(n,): which row of the table each is, counted from the table's beginning."""
    cursor: Cursor | None
    """Where to go on; None where there is no more."""


class Searchable(Protocol[B]):
    """What is read of a table, here or in another process. Called by many threads at a time."""

    def search(self, query: RowQuery) -> Found[B]:
        """Raises BadInput, which names the setting, where too much would have to be looked at."""
        ...


class Table(Searchable[B], Protocol[B]):
    """Append-only rows. Called by one appending thread and many reading ones at a time.

    A row appended is readable at once, and is one row whether it is in memory, in files, or on its
    way. Closing is safe twice and without use.
    """

    def append(self, batch: B, position: int) -> None:
        """Take over durable rows. Positions grow; what was stored before the start is passed over,
        and an empty batch only says that nothing up to its position is missing. Raises Retryable
        when memory is full and cannot be written out."""
        ...

    def stored(self) -> int:
        """The log position up to which everything is in synced files."""
        ...

    def maintain(self, now_ns: int, *, everything: bool = False) -> None:
        """Write out, merge, drop what is past retention; bounded work per call. `everything`: write
        out what is in memory even if it is little (at a graceful stop)."""
        ...

    def close(self) -> None: ...
