"""Minutes of real telemetry, cut out of what a server recorded so that they can be laid anew.

A row belongs to the minute in which it was made; lines and spans to that in which their trace
began, so that no trace is cut. It comes as late behind its minute as it came to the server. Of a
counter is kept what was added since the sample before, and how long that was ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from quality.suite import Unmeasurable
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.row import Origin, Texts
from watchkeeper.model.series import F64, I32, I64, METRIC_NAME, U64, Kind, Mask
from watchkeeper.model.signal import (
    HistogramBatch,
    LogBatch,
    Logged,
    NewSeries,
    RowBatch,
    SampleBatch,
    SpanBatch,
    Tick,
    take,
)

MINUTE_NS: Final = 60 * NS_PER_S
COUNTED: Final = ("_bucket", "_count", "_sum", "_total")
"""Names of what only grows, where it is not scored and so is no counter to the catalog."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Of one second of coming, no series twice. Times are from the beginning of the minute."""

    slot: I32
    time_ns: I64
    value: F64
    """Of a counter: what was added."""
    gap_ns: I64
    """Of a counter: since when; 0 for all others."""


@dataclass(slots=True)
class Second:
    """What came with one tick. Times are from the beginning of the minute."""

    samples: list[Samples] = field(default_factory=list)
    lines: LogBatch | None = None
    spans: SpanBatch | None = None


@dataclass(frozen=True, slots=True)
class Minute:
    """Of the recording."""

    began_ns: int
    seconds: Mapping[int, Second]
    """By how many whole seconds behind the minute's beginning it came; more than 59 for what came
    late."""
    n_spans: int
    n_samples: int


@dataclass(frozen=True, slots=True)
class Recorded:
    series: Sequence[NewSeries]
    minutes: Sequence[Minute]


@dataclass(slots=True)
class _Columns:
    """All that was recorded of one kind, one row behind the other."""

    came_ns: list[I64] = field(default_factory=list)
    batches: list[Any] = field(default_factory=list)
    waiting: int = 0

    def add(self, batch: Any) -> None:
        self.batches.append(batch)

    def tick(self, now_ns: int) -> None:
        """What came since the last tick came with this one."""
        for batch in self.batches[self.waiting :]:
            self.came_ns.append(np.full(len(batch), now_ns, np.int64))
        self.waiting = len(self.batches)

    def end(self) -> I64:
        """When each row came. What came behind the last tick is left out."""
        del self.batches[self.waiting :]
        return np.concatenate([np.empty(0, np.int64), *self.came_ns])


def cut(records: Iterable[Logged], *, leave_s: float) -> Recorded:
    """The whole minutes of a recording, without its first `leave_s` seconds and its last minute.

    Raises Unmeasurable for what cannot be laid anew.
    """
    series: list[NewSeries] = []
    samples, lines, spans = _Columns(), _Columns(), _Columns()
    first_ns = last_ns = 0
    for record in records:
        match record:
            case NewSeries():
                series.append(record)
            case SampleBatch():
                samples.add(record)
            case LogBatch():
                lines.add(record)
            case SpanBatch():
                spans.add(record)
            case HistogramBatch():
                raise Unmeasurable("calm: native histograms were recorded; send classic ones")
            case Tick():
                first_ns, last_ns = first_ns or record.now_ns, record.now_ns
                for one in (samples, lines, spans):
                    one.tick(record.now_ns)
    begin_ns = first_ns + round(leave_s * NS_PER_S)
    n = (last_ns - begin_ns) // MINUTE_NS - 1
    if n < 1:
        raise Unmeasurable(f"calm: {(last_ns - first_ns) / 60e9:.1f} minutes are recorded; too few")
    seconds: list[dict[int, Second]] = [{} for _ in range(n)]
    sizes = np.zeros((n, 2), np.int64)
    _cut_samples(samples, (series, begin_ns), seconds, sizes[:, 1])
    _cut_rows(lines, spans, begin_ns, seconds, sizes[:, 0])
    return Recorded(
        series,
        [Minute(begin_ns + i * MINUTE_NS, of, *sizes[i].tolist()) for i, of in enumerate(seconds)],
    )


def counted(series: Sequence[NewSeries]) -> Mask:
    """By slot: whether it is a counter, or counts as one. Raises Unmeasurable where two series had
    a slot one after the other."""
    slots = np.concatenate([one.slot for one in series])
    if len(np.unique(slots)) < len(slots):
        raise Unmeasurable("calm: a series left while it was recorded; record for a shorter time")
    found: Mask = np.zeros(int(slots.max()) + 1, np.bool_)
    for one in series:
        found[one.slot] = (one.kind == Kind.COUNTER) | (
            (one.kind == Kind.UNSCORED) & _named(one, COUNTED)
        )
    return found


def _named(new: NewSeries, ends: tuple[str, ...]) -> Mask:
    """Whether the metric's name ends so. Labels are read as bytes: a name is one of their runs."""
    view = new.labels.buffer.tobytes()
    runs = [view[a:b] for a, b in zip(new.labels.start, new.labels.end, strict=True)]
    return np.array([_metric(run).endswith(ends) for run in runs], np.bool_)


def _metric(run: bytes) -> str:
    key = METRIC_NAME.encode()
    at = run.find(b"\x0a" + bytes([len(key)]) + key + b"\x12")
    if at < 0:
        return ""
    at += len(key) + 3
    return run[at + 1 : at + 1 + run[at]].decode(errors="replace")


def _cut_samples(
    columns: _Columns,
    beginning: tuple[Sequence[NewSeries], int],
    seconds: list[dict[int, Second]],
    sizes: I64,
) -> None:
    series, begin_ns = beginning
    came_ns = columns.end()
    if not len(came_ns):
        raise Unmeasurable("calm: no samples are recorded")
    slot = np.concatenate([one.slot for one in columns.batches])
    time_ns = np.concatenate([one.time_ns for one in columns.batches])
    value = np.concatenate([one.value for one in columns.batches]).astype(np.float64)
    value, gap_ns, is_known = added(slot, time_ns, value, counted(series))
    minute = (time_ns - begin_ns) // MINUTE_NS
    for number, rows in _groups(minute, is_known, len(seconds)):
        own_ns = begin_ns + number * MINUTE_NS
        sizes[number] = len(rows)
        late = np.maximum(0, came_ns[rows] - own_ns) // NS_PER_S
        for second in np.unique(late).tolist():
            these = rows[late == second]
            of = seconds[number].setdefault(second, Second())
            for layer in _layers(slot[these]):
                at = these[layer]
                of.samples.append(Samples(slot[at], time_ns[at] - own_ns, value[at], gap_ns[at]))


def added(slot: I32, time_ns: I64, value: F64, is_counter: Mask) -> tuple[F64, I64, Mask]:
    """(values, since when, whether that is known): of counters what was added, all else as it
    was."""
    order = np.argsort(slot, kind="stable")
    same = np.zeros(len(slot), np.bool_)
    same[1:] = slot[order][1:] == slot[order][:-1]
    before, since = np.zeros(len(slot)), np.zeros(len(slot), np.int64)
    before[1:], since[1:] = value[order][:-1], time_ns[order][:-1]
    counts, step = is_counter[slot[order]], value[order] - before
    step = np.where(step < 0, value[order], step)  # it began again
    told, gap_ns, known = value.copy(), np.zeros(len(slot), np.int64), np.ones(len(slot), np.bool_)
    told[order] = np.where(counts, step, value[order])
    gap_ns[order] = np.where(counts & same, time_ns[order] - since, 0)
    known[order] = same | ~counts
    return told, gap_ns, known


def _layers(slot: I32) -> list[I64]:
    """Rows, so that in none of the parts a series is twice; of each series in their order."""
    order = np.argsort(slot, kind="stable")
    starts = np.flatnonzero(np.r_[True, slot[order][1:] != slot[order][:-1]])
    nth = np.arange(len(slot)) - np.repeat(starts, np.diff(np.r_[starts, len(slot)]))
    rank = np.empty(len(slot), np.int64)
    rank[order] = nth
    return [np.flatnonzero(rank == n) for n in range(int(rank.max()) + 1)]


def _cut_rows(
    lines: _Columns,
    spans: _Columns,
    begin_ns: int,
    seconds: list[dict[int, Second]],
    sizes: I64,
) -> None:
    """Lines and spans, each in the minute in which its trace began."""
    lines_came, spans_came = lines.end(), spans.end()
    line, span = joined(lines.batches), joined(spans.batches)
    if span is None:
        raise Unmeasurable("calm: no spans are recorded")
    assert isinstance(span, SpanBatch)
    traces, first = np.unique(span.trace[:, 1], return_inverse=True)
    begun_ns = np.full(len(traces), np.iinfo(np.int64).max)
    np.minimum.at(begun_ns, first, span.start_ns)
    for number, rows in _groups((begun_ns[first] - begin_ns) // MINUTE_NS, None, len(seconds)):
        sizes[number] = len(rows)
        for second, these in _by_second(spans_came, rows, begin_ns + number * MINUTE_NS):
            part = take(span, these)
            start_ns = part.start_ns - (begin_ns + number * MINUTE_NS)
            seconds[number].setdefault(second, Second()).spans = replace(part, start_ns=start_ns)
    if line is None:
        return
    assert isinstance(line, LogBatch)
    at = np.minimum(np.searchsorted(traces, line.trace[:, 1]), len(traces) - 1)
    made_ns = np.where(traces[at] == line.trace[:, 1], begun_ns[at], line.time_ns)
    for number, rows in _groups((made_ns - begin_ns) // MINUTE_NS, None, len(seconds)):
        for second, these in _by_second(lines_came, rows, begin_ns + number * MINUTE_NS):
            some = take(line, these)
            time_ns = some.time_ns - (begin_ns + number * MINUTE_NS)
            seconds[number].setdefault(second, Second()).lines = replace(some, time_ns=time_ns)


def _groups(minute: I64, wanted: Mask | None, n: int) -> list[tuple[int, I64]]:
    """Minutes with their rows, in the order of coming."""
    here = (minute >= 0) & (minute < n)
    if wanted is not None:
        here &= wanted
    rows = np.flatnonzero(here)
    if not len(rows):
        return []
    order = rows[np.argsort(minute[rows], kind="stable")]
    numbers, starts = np.unique(minute[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def _by_second(came_ns: I64, rows: I64, own_ns: int) -> list[tuple[int, I64]]:
    late = np.maximum(0, came_ns[rows] - own_ns) // NS_PER_S
    return [(second, rows[late == second]) for second in np.unique(late).tolist()]


def joined(batches: Sequence[RowBatch]) -> RowBatch | None:
    """All of one kind as one."""
    if not batches:
        return None
    first = batches[0]
    if len(batches) == 1:
        return first
    numbers: dict[Origin, int] = {}
    origin = [
        np.array([numbers.setdefault(one, len(numbers)) for one in batch.origins], np.int32)[
            batch.origin
        ]
        for batch in batches
    ]
    whole: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in batches]) for name in first.COLUMNS
    }
    whole |= {name: _texts([getattr(one, name) for one in batches]) for name in first.TEXTS}
    whole |= {"origins": tuple(numbers), "origin": np.concatenate(origin), "body_hash": b""}
    return replace(first, **whole)


def _texts(parts: Sequence[Texts]) -> Texts:
    sizes = np.concatenate([np.diff(one.offset) for one in parts])
    offset = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offset[1:])
    used = [one.data[one.offset[0] : one.offset[-1]] for one in parts]
    return Texts(np.concatenate(used), offset.astype(np.int32))


def mixed(ids: U64, nonce: np.uint64) -> U64:
    """Ids of another life: as different as they were, and 0 stays 0."""
    return np.where(ids == 0, ids, ids ^ nonce)
