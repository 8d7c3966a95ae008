"""The contract of a lake: telemetry in columns, appended once, read while writing goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from watchkeeper.errors import BadInput
from watchkeeper.model.series import F64, I32, I64, Matcher, TenantId
from watchkeeper.model.signal import SampleBatch


class TooManyRows(BadInput):
    """The answer has more rows than its query's `limit`."""


class Fold(StrEnum):
    """How many values become one: over a step of time, or across series. NaN is no value."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    LAST = "last"
    """Over time only."""
    RATE = "rate"
    """Over time only: per-second growth of a counter.

    Growth of each sample of the step over its predecessor, by the time in which it came about. A
    fall is a restart from zero; a predecessor more than five minutes (or a step) before is none.
    """


@dataclass(frozen=True, slots=True)
class Sieve:
    """Of raw samples only those in the first `length_ns` of every `every_ns` since the start."""

    every_ns: int
    length_ns: int


@dataclass(frozen=True, slots=True)
class SampleQuery:
    """Samples of some series, start <= time < end; raw, or folded over steps and across series."""

    tenant: TenantId
    matchers: tuple[Matcher, ...]
    start_ns: int
    end_ns: int
    step_ns: int | None = None
    """None: raw samples. Steps begin at multiples of `step_ns` since the epoch."""
    over_time: Fold = Fold.AVG
    across: Fold | None = None
    """None: every series by itself."""
    by: tuple[str, ...] = ()
    """Labels that keep series apart when folding across."""
    limit: int = 1_000_000
    """Rows of the answer; a larger one is refused with BadInput that names the remedy."""
    sieve: Sieve | None = None
    """None: all samples. For raw samples only."""


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Series that may have samples in start <= time < end, to the grain of the lake's files."""

    tenant: TenantId
    matchers: tuple[Matcher, ...]
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Frame:
    """An answer: columns, sorted by series (in the order of their labels) and time."""

    labels: tuple[Mapping[str, str], ...]
    row: I32
    """(n,) index into `labels`."""
    time_ns: I64
    """Of the sample, or of the step's beginning."""
    value: F64


class Readings(Protocol):
    """What is read of a lake, here or in another process. Called by many threads at a time."""

    def query(self, query: SampleQuery) -> Frame: ...

    def series(self, query: SeriesQuery) -> Sequence[Mapping[str, str]]:
        """The labels of every such series, in any order."""
        ...


class Lake(Readings, Protocol):
    """Append-only telemetry. Called by one appending thread and many reading ones at a time.

    A sample appended is readable at once. Where a series has two samples of one time, the first
    that was appended is the one that is read. Closing is safe twice and without use.
    """

    def append(self, batch: SampleBatch, position: int) -> None:
        """Take over accepted, durable samples. Raises Retryable when the head is full and cannot be
        written out."""
        ...

    def stored(self) -> int:
        """The log position up to which everything is in synced files, new series included."""
        ...

    def maintain(self, now_ns: int, *, everything: bool = False) -> None:
        """Write out full heads, compact, roll up, drop what is past retention; bounded work
        per call. `everything`: write out the head even if it is not full (at a graceful stop)."""
        ...

    def close(self) -> None: ...
