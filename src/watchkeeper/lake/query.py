"""Answering queries over head and segments together, a block of series at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from watchkeeper.errors import BadInput
from watchkeeper.lake import segment_kernel
from watchkeeper.lake.base import Fold, Frame, SampleQuery, Sieve, TooManyRows
from watchkeeper.lake.fold import NO_CUT, Across, Cells, Stepping, cells_of, merge_cells, steps_of
from watchkeeper.lake.head import Head
from watchkeeper.lake.library import Library
from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.rollup import CELL_NS, Rollup
from watchkeeper.lake.runs import Runs, merge, offsets, sift
from watchkeeper.lake.segment import GROUP_ROWS, Segment
from watchkeeper.lake.selection import Wanted
from watchkeeper.model.series import I32, I64

_BLOCK_GROUPS = 256
"""Row groups that are in memory at a time, over all segments: two million rows."""
_EARLIEST_NS, _LATEST_NS = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Span:
    """Which time a query reads."""

    start_ns: int
    end_ns: int
    read_from_ns: int
    """Before the start, where the first samples' predecessors are needed."""
    by_cells: bool
    """Whether cells will do."""
    sieve: Sieve | None = None
    """Which samples will do; since the start."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one segment has of the wanted series."""

    info: SegmentInfo
    place: I64
    segment: Segment
    rollup: Rollup | None
    """Set where its cells stand for its samples."""


class Scan:
    """One query's way through heads and segments."""

    def __init__(
        self,
        wanted: Wanted,
        span: Span,
        *,
        segments: Sequence[SegmentInfo],
        heads: Sequence[tuple[Head, int]],
        library: Library,
    ) -> None:
        self._n = len(wanted)
        self._span_ns = (span.read_from_ns, span.end_ns)
        self._edges_ns = (span.read_from_ns, span.start_ns, span.end_ns)
        self._sieve = span.sieve
        self._heads = [
            self._sifted(head.read(n, wanted.identity, wanted.slot, self._span_ns))
            for head, n in heads
        ]
        self._parts = list(self._find(wanted, segments, library, span.by_cells))
        self.has_cells = any(part.rollup for part in self._parts)
        self._cost = self._group_costs()

    @property
    def n_rows(self) -> int:
        """That must be looked at, at most."""
        return int(self._cost.sum()) * GROUP_ROWS + sum(map(len, self._heads))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Stretches of the wanted series that fit in memory together."""
        block = np.cumsum(self._cost) // _BLOCK_GROUPS
        edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), self._n]
        return pairwise(edges)

    def held(self) -> I64:
        """Which of the wanted series have something in this time, to the grain of the files."""
        held = np.zeros(self._n, np.bool_)
        for part in self._parts:
            held |= part.place >= 0
        for runs in self._heads:
            held |= np.diff(runs.offset) > 0
        return np.flatnonzero(held)

    def samples(self, first: int, last: int) -> Runs:
        """All samples of these series."""
        return self._samples(first, last, [part for part in self._parts if part.info.has_raw])

    def cells(self, first: int, last: int, fold: Fold, cut_ns: int) -> Cells:
        """Five-minute cells of these series, with what `fold` needs of them."""
        n = last - first
        raw = [part for part in self._parts if part.rollup is None]
        rolled = [part for part in self._parts if part.rollup is not None]
        cells, clash = merge_cells(
            [
                *(self._rolled(part, first, last, fold) for part in rolled),
                cells_of(self._samples(first, last, raw), CELL_NS, cut_ns),
            ],
            n,
        )
        if fold is Fold.RATE:
            unknown = np.isnan(cells.values[5])
            in_series = np.repeat(np.arange(n), np.diff(cells.offset))
            clash[in_series[unknown]] = True
        if not clash.any():
            return cells
        # Late samples, or gauges: their cells do not say enough, so back to the samples.
        gone = [part for part in rolled if not part.info.has_raw]
        again, _ = merge_cells(
            [
                *(self._rolled(part, first, last, fold) for part in gone),
                cells_of(self.samples(first, last), CELL_NS, cut_ns),
            ],
            n,
        )
        both, _ = merge_cells([cells.of_series(~clash), again.of_series(clash)], n)
        return both

    def _find(
        self, wanted: Wanted, segments: Sequence[SegmentInfo], library: Library, by_cells: bool
    ) -> Iterator[Part]:
        start_ns, end_ns = self._span_ns
        for info in segments:
            use_cells = by_cells and info.has_cells and self._is_whole(info)
            if info.end_ns < start_ns or info.start_ns >= end_ns or not (use_cells or info.has_raw):
                continue
            segment = library.segment(info)
            place = segment.find(wanted.identity)
            if (place >= 0).any():
                yield Part(info, place, segment, library.rollup(info) if use_cells else None)

    def _is_whole(self, info: SegmentInfo) -> bool:
        """No edge cuts a cell of this segment, or there is nothing else left of it."""
        cuts = (edge for edge in self._edges_ns if edge % CELL_NS)
        return not info.has_raw or not any(info.start_ns < cut <= info.end_ns for cut in cuts)

    def _group_costs(self) -> I64:
        cost = np.zeros(self._n, np.int64)
        for part in self._parts:
            begin, end = (part.rollup or part.segment).groups(part.place)
            reached = np.maximum.accumulate(end)
            before = np.append(0, reached[:-1])[: self._n]
            cost += np.maximum(end - np.maximum(begin, before), 0)
        return cost

    def _samples(self, first: int, last: int, parts: Sequence[Part]) -> Runs:
        sources = [
            part.segment.read(part.place[first:last], *self._span_ns, self._sieve) for part in parts
        ]
        return merge([*sources, *(head.part(first, last) for head in self._heads)], last - first)

    def _sifted(self, runs: Runs) -> Runs:
        return runs if self._sieve is None else sift(runs, self._span_ns[0], self._sieve)

    def _rolled(self, part: Part, first: int, last: int, fold: Fold) -> Cells:
        start_ns, end_ns = self._span_ns
        return part.rollup.read(  # type: ignore[union-attr]  # called for those that have one
            part.place[first:last], start_ns // CELL_NS * CELL_NS, end_ns, fold
        )


def answer(query: SampleQuery, wanted: Wanted, scan: Callable[[Span], Scan]) -> Frame:
    """The query's answer; `scan` opens a way through the lake."""
    _check(query)
    if query.step_ns is None:
        return _frame(wanted, _raw(query, wanted, scan))
    gap_ns = max(CELL_NS, query.step_ns) if query.over_time is Fold.RATE else 0
    how = Stepping(query.over_time, query.step_ns, query.start_ns, gap_ns)
    by_cells = query.step_ns % CELL_NS == 0
    read_from_ns = max(_EARLIEST_NS, query.start_ns - gap_ns)
    way = scan(Span(query.start_ns, query.end_ns, read_from_ns, by_cells))
    if query.across is None:
        found = _Bounded(query.limit)
        for first, last in way.blocks():
            found.add(steps_of(_cells(way, first, last, how), how))
        return _frame(wanted, found.together(len(wanted)))
    return _folded_across(query, wanted, way, how)


def _check(query: SampleQuery) -> None:
    if query.start_ns >= query.end_ns:
        raise BadInput(f"query: start {query.start_ns} is not before end {query.end_ns}")
    if query.start_ns < _EARLIEST_NS or query.end_ns > _LATEST_NS:
        raise BadInput(
            f"query: {query.start_ns} to {query.end_ns} goes beyond 1677 and 2262, between which "
            "nanoseconds name a time; narrow the range"
        )
    if query.step_ns is not None and not 0 < query.step_ns <= _LATEST_NS:
        raise BadInput(f"query: a step of {query.step_ns} ns is none; it is 1 to {_LATEST_NS}")
    if query.sieve is not None and query.step_ns is not None:
        raise BadInput("query: a sieve is for raw samples; leave out either it or the step")
    if query.across in (Fold.LAST, Fold.RATE):
        raise BadInput(f"query: '{query.across}' folds over time only; use it as `over_time`")
    if query.across is not None and query.step_ns is None:
        raise BadInput("query: folding across series needs a step that brings their times together")


def _raw(query: SampleQuery, wanted: Wanted, scan: Callable[[Span], Scan]) -> Runs:
    way = scan(
        Span(query.start_ns, query.end_ns, query.start_ns, by_cells=False, sieve=query.sieve)
    )
    found = _Bounded(query.limit)
    for first, last in way.blocks():
        found.add(way.samples(first, last))
    return found.together(len(wanted))


def _cells(way: Scan, first: int, last: int, how: Stepping) -> Cells:
    cut_ns = how.start_ns if how.fold is Fold.RATE else NO_CUT
    if way.has_cells:
        return way.cells(first, last, how.fold, cut_ns)
    return cells_of(way.samples(first, last), how.step_ns, cut_ns)


def _folded_across(query: SampleQuery, wanted: Wanted, way: Scan, how: Stepping) -> Frame:
    group, labels = _groups(wanted, query.by)
    across = Across(
        query.across or Fold.AVG, how.step_ns, span_ns=(query.start_ns, query.end_ns),
        n_groups=len(labels), limit=query.limit,
    )  # fmt: skip
    for first, last in way.blocks():
        steps = steps_of(_cells(way, first, last, how), how)
        across.add(steps, group[first:last])
    found = _Bounded(query.limit)
    found.add(across.finish())
    return _sorted_frame(labels, found.together(len(labels)))


def _groups(wanted: Wanted, by: Sequence[str]) -> tuple[I32, list[dict[str, str]]]:
    """Each series' group, and the groups' labels."""
    if not by:
        return np.zeros(len(wanted), np.int32), [{}] if len(wanted) else []
    number: dict[tuple[str, ...], int] = {}
    group = np.empty(len(wanted), np.int32)
    for place, labels in enumerate(wanted.labels(np.arange(len(wanted)))):
        key = tuple(labels.get(name, "") for name in by)
        group[place] = number.setdefault(key, len(number))
    named = [{name: value for name, value in zip(by, key, strict=True) if value} for key in number]
    return group, named


class _Bounded:
    """Blocks of an answer, up to its limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: list[Runs] = []
        self._n = 0

    def add(self, block: Runs) -> None:
        self._n += len(block)
        if self._n > self._limit:
            raise too_large(self._limit)
        self._blocks.append(block)

    def together(self, n_series: int) -> Runs:
        count = [np.diff(block.offset) for block in self._blocks]
        return Runs(
            offsets(np.concatenate(count) if count else np.zeros(n_series, np.int64)),
            np.concatenate([block.time_ns for block in self._blocks] or [np.empty(0, np.int64)]),
            np.concatenate([block.value for block in self._blocks] or [np.empty(0)]),
        )


def too_large(limit: int) -> TooManyRows:
    return TooManyRows(
        f"query: the answer has more than {limit} rows; narrow the range or the selector, "
        "take a longer step, or raise limit"
    )


def _frame(wanted: Wanted, found: Runs) -> Frame:
    """Series that have rows, with their labels."""
    held = np.flatnonzero(np.diff(found.offset))
    begin = found.offset[held]
    stop = found.offset[held + 1]
    runs = Runs(np.append(begin, stop[-1:]), found.time_ns, found.value)
    return _sorted_frame(wanted.labels(held), runs)


def _sorted_frame(labels: Sequence[Mapping[str, str]], runs: Runs) -> Frame:
    """Sorted by labels, so that an answer is the same whatever slots the series have."""
    count = np.diff(runs.offset)
    held = [i for i in range(len(labels)) if count[i]]
    held.sort(key=lambda i: sorted(labels[i].items()))
    order = np.array(held, np.int64)
    begin, stop = runs.offset[order], runs.offset[order + 1]
    offset = offsets(stop - begin)
    time_ns, value = np.empty(offset[-1], np.int64), np.empty(offset[-1])
    segment_kernel.copy_runs(runs.time_ns, begin, stop, 1, offset, time_ns)
    bits = runs.value.view(np.int64)
    segment_kernel.copy_runs(bits, begin, stop, 1, offset, value.view(np.int64))
    row = np.repeat(np.arange(len(order), dtype=np.int32), stop - begin)
    return Frame(tuple(labels[i] for i in held), row, time_ns, value)
