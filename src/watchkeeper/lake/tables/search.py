"""Searching: the newest rows that fit, from head and segments, reading as little as may be.

Whatever is looked at is looked at newest first, so that a search ends as soon as nothing left can
be newer than what it has. Of a row group, columns are read one by one, the telling ones first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol

import numpy as np

from watchkeeper.errors import BadInput
from watchkeeper.lake.tables import words_kernel as kernel
from watchkeeper.lake.tables.base import B, Found, RowQuery, TextQuery
from watchkeeper.lake.tables.definition import NUMBER, Definition
from watchkeeper.lake.tables.rows import (
    Chunk,
    Rows,
    TenantOrigin,
    concat,
    empty,
    gather,
    take,
    to_batch,
)
from watchkeeper.lake.tables.segment import Segment
from watchkeeper.lake.tables.sources import Wanted, keep_asked, wanted
from watchkeeper.lake.tables.words import (
    keep_fitting,
    known_words,
    may_know,
    trace_hashes,
    word_hashes,
)
from watchkeeper.model.row import Texts
from watchkeeper.model.series import I64, Mask

_EARLIEST: Final = -(2**63)
_KEPT_ROWS: Final = 1 << 16
"""Of row groups with hits: so many stay read until the answer is made of them; more are read again.
"""


class Place(Protocol):
    """Chunks with the same sources: a head, or a segment."""

    @property
    def newest_ns(self) -> int: ...

    @property
    def sources(self) -> Sequence[TenantOrigin]: ...

    def chunks(self, query: RowQuery, mask: Mask) -> Iterator[tuple[int, Chunk]]:
        """Those that may hold a fitting row of a source of the mask, each with the time of its
        newest row, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class HeadPlace:
    """What a head held at one moment."""

    sources: Sequence[TenantOrigin]
    newest_ns: int
    rows: Rows

    def chunks(self, query: RowQuery, mask: Mask) -> Iterator[tuple[int, Chunk]]:
        if self.rows.n_rows:
            yield self.newest_ns, self.rows


class SegmentPlace(Generic[B]):
    """A segment, of which the index says what need not be read. Opened when it is looked at."""

    def __init__(self, newest_ns: int, opened: Callable[[], Segment[B]]) -> None:
        self.newest_ns = newest_ns
        self._opened = opened

    @property
    def sources(self) -> Sequence[TenantOrigin]:
        return self._opened().sources

    def chunks(self, query: RowQuery, mask: Mask) -> Iterator[tuple[int, Chunk]]:
        segment = self._opened()
        newest = segment.high[segment.definition.time]
        groups = np.flatnonzero(_may_hold(segment, query, mask))
        for number in groups[np.argsort(-newest[groups], kind="stable")].tolist():
            chunk = segment.group(number)
            yield int(newest[number]), chunk


def _may_hold(segment: Segment[B], query: RowQuery, mask: Mask) -> Mask:
    """Of each row group, whether a fitting row may be in it."""
    time = segment.definition.time
    may = (segment.low[time] < query.end_ns) & (segment.high[time] >= query.start_ns)
    if query.before is not None:
        may &= segment.low[time] <= query.before[0]
    may &= (segment.present & np.packbits(mask)).any(axis=1)
    for name, (least, most) in query.between.items():
        if name in segment.low:
            may &= (segment.low[name] <= most) & (segment.high[name] >= least)
    for name, values in query.among.items():
        if name in segment.low:
            known = np.sort(np.array(values, segment.low[name].dtype))
            may &= np.searchsorted(known, segment.low[name]) < np.searchsorted(
                known, segment.high[name], "right"
            )
    if query.traces:
        may &= may_know(*segment.traces, trace_hashes(query.traces)) > 0
    if query.text and segment.definition.text is not None:
        may &= _may_say(segment, query.text)
    return may


def _may_say(segment: Segment[B], text: TextQuery) -> Mask:
    words = known_words(text)
    may: Mask = may_know(*segment.words, word_hashes(words)) == len(words)
    return may & segment.parts.may_have((*text.phrases, *text.parts))


@dataclass(frozen=True, slots=True)
class _Hit:
    """A chunk that has, or had, some of the newest rows so far."""

    place: int
    chunk: Chunk


class Search(Generic[B]):
    """One search over places; `scan_rows` bounds what it may look at."""

    def __init__(self, definition: Definition[B], query: RowQuery, scan_rows: int) -> None:
        self._definition = definition
        self._query = query
        self._scan_rows = scan_rows
        self._most = query.limit + 1  # one more, so that we know whether there is more
        self._hits: list[_Hit] = []
        self._hit = np.empty(0, np.int64)
        self._row = np.empty(0, np.int64)
        self._time = np.empty(0, np.int64)
        self._number = np.empty(0, np.int64)
        self._n_kept = 0
        self.n_scanned = 0

    def run(self, places: Sequence[Place]) -> Found[B]:
        sources = []
        for number, place in enumerate(sorted(places, key=lambda one: -one.newest_ns)):
            if place.newest_ns < self._floor_ns:
                break
            sources.append(place.sources)
            self._look_through(number, place, sources[-1])
        return self._found(sources)

    @property
    def _floor_ns(self) -> int:
        """Nothing older can be among the newest."""
        return int(self._time[-1]) if len(self._time) == self._most else _EARLIEST

    def _look_through(self, number: int, place: Place, sources: Sequence[TenantOrigin]) -> None:
        chosen = wanted(
            sources,
            self._query.tenant,
            self._query.matchers,
            has_attributes="attributes" in self._definition.kind.TEXTS,
        )
        if not chosen.mask.any():
            return
        for newest_ns, chunk in place.chunks(self._query, chosen.mask):
            if newest_ns < self._floor_ns:
                return
            self._spend(chunk.n_rows)
            rows = self._fitting(chunk, chosen)
            if len(rows):
                self._add(_Hit(number, chunk), rows)
                self._n_kept += chunk.n_rows
            if not len(rows) or self._n_kept > _KEPT_ROWS:
                chunk.forget()

    def _spend(self, n_rows: int) -> None:
        self.n_scanned += n_rows
        if self.n_scanned > self._scan_rows:
            name = self._definition.name
            raise BadInput(
                f"{name}: would look at more than {self._scan_rows} rows ({name}.scan_rows); "
                "narrow the time range, or ask for a service, a trace or whole words"
            )

    def _fitting(self, chunk: Chunk, chosen: Wanted) -> I64:
        """The rows of a chunk that fit and may be among the newest: telling conditions first."""
        query = self._query
        soon = [self._definition.time, "origin", *query.between, *query.among]
        rows = np.arange(chunk.n_rows)
        if query.traces:
            rows = rows[_of_traces(chunk.column(self._definition.trace), query.traces)]
            soon = self._columns()  # hardly any row that is left will be left out
        # Mostly no row has the text; but where there is a floor, hardly any is new enough.
        has_floor = self._floor_ns > _EARLIEST
        if not has_floor:
            rows = self._saying(chunk, rows)
        if len(rows):
            chunk.load(soon)
            rows = rows[chosen.mask[chunk.column("origin")[rows]]]
        for condition in (self._in_time, self._numbered, self._equal):
            if len(rows):
                rows = condition(chunk, rows)
        if has_floor:
            rows = self._saying(chunk, rows)
        return keep_asked(chunk, rows, chosen.asked) if len(rows) else rows

    def _numbered(self, chunk: Chunk, rows: I64) -> I64:
        for name, (least, most) in self._query.between.items():
            values = chunk.column(name)[rows]
            rows = rows[(values >= least) & (values <= most)]
        for name, known in self._query.among.items():
            values = chunk.column(name)[rows]
            rows = rows[np.isin(values, np.array(known, values.dtype))]
        return rows

    def _equal(self, chunk: Chunk, rows: I64) -> I64:
        for name, whole in self._query.equal.items():
            if len(rows):
                rows = _equal(chunk.text(name), rows, whole)
        return rows

    def _saying(self, chunk: Chunk, rows: I64) -> I64:
        """Those whose searched text fits."""
        asked, name = self._query.text, self._definition.text
        if not asked or name is None or not len(rows):
            return rows
        text = chunk.text(name)
        return keep_fitting(text.data, text.offset, rows, asked)

    def _in_time(self, chunk: Chunk, rows: I64) -> I64:
        query = self._query
        time_ns = chunk.column(self._definition.time)[rows]
        keep = (time_ns >= max(query.start_ns, self._floor_ns)) & (time_ns < query.end_ns)
        if query.before is not None:
            at_ns, number = query.before
            keep &= time_ns <= at_ns
            tied = keep & (time_ns == at_ns)
            if tied.any():
                keep[tied] = chunk.column(NUMBER)[rows[tied]] < number
        return rows[keep]

    def _add(self, hit: _Hit, rows: I64) -> None:
        """The newest of what we had and what came, in order."""
        time = np.concatenate([self._time, hit.chunk.column(self._definition.time)[rows]])
        number = np.concatenate([self._number, hit.chunk.column(NUMBER)[rows]])
        which = np.concatenate([self._hit, np.full(len(rows), len(self._hits))])
        row = np.concatenate([self._row, rows])
        self._hits.append(hit)
        newest = np.lexsort((-number, -time))[: self._most]
        self._time, self._number = time[newest], number[newest]
        self._hit, self._row = which[newest], row[newest]

    def _found(self, sources: Sequence[Sequence[TenantOrigin]]) -> Found[B]:
        """All columns of the newest rows, in order."""
        limit = self._query.limit
        which, row = self._hit[:limit], self._row[:limit]
        cursor = None
        if len(self._time) > limit:
            cursor = (int(self._time[limit - 1]), int(self._number[limit - 1]))
        everywhere: dict[TenantOrigin, int] = {}
        parts, order = [empty(self._definition)], []
        for number in np.unique(which).tolist():
            hit, at = self._hits[number], np.flatnonzero(which == number)
            part = self._taken(hit.chunk, row[at])
            known = sources[hit.place]
            hit.chunk.forget()
            moved = {
                index: everywhere.setdefault(known[index], len(everywhere))
                for index in np.unique(part.columns["origin"]).tolist()
            }
            origin = [moved[index] for index in part.columns["origin"].tolist()]
            parts.append(Rows({**part.columns, "origin": np.array(origin, np.int32)}, part.texts))
            order.append(at)
        rows = concat(parts)
        if order:
            back = np.argsort(np.concatenate(order))
            rows = take(rows, self._definition, back)
        batch = to_batch(rows, self._definition, tuple(everywhere))
        return Found(batch, rows.columns[NUMBER], cursor)

    def _columns(self) -> list[str]:
        """All that an answer is made of."""
        kind, texts = self._definition.kind, self._query.texts
        return [*kind.COLUMNS, NUMBER, *(kind.TEXTS if texts is None else texts)]

    def _taken(self, chunk: Chunk, rows: I64) -> Rows:
        kind, asked = self._definition.kind, self._columns()
        chunk.load(asked)
        columns = {name: chunk.column(name)[rows] for name in (*kind.COLUMNS, NUMBER)}
        nothing = Texts(np.empty(0, np.uint8), np.zeros(len(rows) + 1, np.int32))
        return Rows(
            columns,
            {
                name: gather(chunk.text(name), rows) if name in asked else nothing
                for name in kind.TEXTS
            },
        )


def _of_traces(ids: I64, traces: Sequence[tuple[int, int]]) -> Mask:
    """Rows of one of these traces."""
    wanted_ids = np.array(traces, np.uint64)
    keep = np.isin(ids[:, 1], wanted_ids[:, 1])
    if keep.any():
        known = {tuple(one) for one in wanted_ids.tolist()}
        keep[keep] = [tuple(one) in known for one in ids[keep].tolist()]
    return keep


def _equal(column: Texts, rows: I64, whole: bytes) -> I64:
    kept = rows.copy()
    needle = np.frombuffer(bytearray(whole), np.uint8)
    return kept[: kernel.keep_equal(column.data, column.offset, kept, needle)]
