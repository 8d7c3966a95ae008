"""Segments: samples sorted by series and time in a Parquet file, and a sidecar that finds them.

The Parquet file has the columns series (a series' place in the sidecar), time, and value as a whole
number; the sidecar has the identities, sorted, with each one's first row and the code of its values
(see segment_kernel), and where each row group's chunks begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from watchkeeper.lake import segment_kernel
from watchkeeper.lake.base import Sieve
from watchkeeper.lake.columns import ColumnReader, ColumnWriter, Groups, Layout
from watchkeeper.lake.files import Files
from watchkeeper.lake.footer import Column, Kind
from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.runs import Runs, offsets
from watchkeeper.lake.sidecar import map_arrays, write_arrays
from watchkeeper.model.series import I64, U8, U64

GROUP_ROWS: Final = 8192
"""Of a row group: what is decoded to read one sample. Smaller ones cost more bytes than they save
time (measured: 4,096 costs 2 % more bytes and is no faster)."""
_TIME: Final = 1
_VALUE: Final = 2


def _columns(unit_ns: int) -> list[Column]:
    return [
        Column("series", Kind.INT32, packed=True),
        Column("time", Kind(unit_ns), packed=True),
        Column("value", Kind.INT64, packed=False),
    ]


@dataclass(frozen=True, slots=True)
class Block:
    """Some series' samples on their way into a segment: whole series, in order of identity."""

    identity: U64
    offset: I64
    code: U8
    time_ns: I64
    number: I64
    """The values as whole numbers; `code` says how."""


class SegmentWriter:
    """Takes blocks in order of identity; then `finish`, or `abort`."""

    def __init__(self, files: Files, folder: Path, info: SegmentInfo, unit_ns: int) -> None:
        self._files = files
        self._folder = folder
        self._info = info
        self._unit_ns = unit_ns
        self._columns = ColumnWriter(
            files, folder / info.raw_name, _columns(unit_ns), group_rows=GROUP_ROWS
        )
        self._identity: list[U64] = []
        self._count: list[I64] = []
        self._code: list[U8] = []
        self._n_series = 0
        self._start_ns = np.iinfo(np.int64).max
        self._end_ns = np.iinfo(np.int64).min

    def add(self, block: Block) -> None:
        if not len(block.time_ns):
            return
        done, n_rows = 0, len(block.time_ns)
        while done < n_rows:
            n = min(self._columns.room, n_rows - done)
            segment_kernel.fill_rows(
                block.offset, done, n, self._n_series, block.time_ns, self._unit_ns, block.number,
                self._columns.n, *self._columns.buffers,
            )  # fmt: skip
            self._columns.advance(n)
            done += n
        self._identity.append(block.identity)
        self._count.append(np.diff(block.offset))
        self._code.append(block.code)
        self._n_series += len(block.identity)
        self._start_ns = min(self._start_ns, int(block.time_ns.min()))
        self._end_ns = max(self._end_ns, int(block.time_ns.max()))

    def finish(self) -> SegmentInfo:
        """Synced; what the manifest is to say of it."""
        layout = self._columns.finish()
        identity = np.concatenate(self._identity)
        index_bytes = write_arrays(
            self._files,
            self._folder / self._info.index_name,
            {
                "low": identity[:, 0],
                "high": identity[:, 1],
                "start": offsets(np.concatenate(self._count)),
                "code": np.concatenate(self._code),
                "chunk": layout.chunk,
                "check": layout.check,
                "unit_ns": np.array([self._unit_ns]),
            },
        )
        return msgspec.structs.replace(
            self._info,
            n_rows=self._columns.n_rows,
            n_series=self._n_series,
            start_ns=self._start_ns,
            end_ns=self._end_ns,
            n_bytes=index_bytes + (self._folder / self._info.raw_name).stat().st_size,
        )

    def abort(self) -> None:
        self._columns.abort()
        self._files.remove(self._folder / self._info.index_name)


class Segment:
    """A segment that can be read; by many threads at a time."""

    def __init__(self, folder: Path, info: SegmentInfo) -> None:
        self.info = info
        index = map_arrays(folder / info.index_name)
        self.low: U64 = index["low"]
        self.high: U64 = index["high"]
        self.start: I64 = index["start"]
        self.code: U8 = index["code"]
        self.unit_ns = int(index["unit_ns"][0])
        self._reader: ColumnReader | None = None
        if info.has_raw:
            self._reader = ColumnReader(
                folder / info.raw_name,
                _columns(self.unit_ns),
                Layout(index["chunk"], index["check"]),
                info.n_rows,
            )

    def check(self) -> None:
        """Raises Permanent if its samples are not what was written."""
        if self._reader is not None:
            self._reader.check()

    def find(self, identity: U64) -> I64:
        """Each series' place in this segment, or -1."""
        place = np.empty(len(identity), np.int64)
        segment_kernel.find_series(self.low, self.high, identity, place)
        return place

    def groups(self, place: I64) -> tuple[I64, I64]:
        """For each series its first row group, and the one behind its last."""
        return group_bounds(*rows_of(self.start, place), GROUP_ROWS)

    def read(self, place: I64, start_ns: int, end_ns: int, sieve: Sieve | None = None) -> Runs:
        """The samples of the series at these places, start <= time < end."""
        count = np.zeros(len(place), np.int64)
        time, number, begin, stop = self._load(*rows_of(self.start, place))
        if sieve is not None:
            segment_kernel.sift_runs(
                time, number, begin, stop, self.unit_ns, start_ns, sieve.every_ns, sieve.length_ns
            )
        least, most = -(-start_ns // self.unit_ns), (end_ns - 1) // self.unit_ns
        segment_kernel.narrow_runs(time, begin, stop, least, most, count)
        offset = offsets(count)
        time_ns, value = np.empty(offset[-1], np.int64), np.empty(offset[-1])
        segment_kernel.copy_runs(time, begin, stop, self.unit_ns, offset, time_ns)
        segment_kernel.decode_runs(
            number, begin, stop, self.code[place], offset, value, value.view(np.int64)
        )
        return Runs(offset, time_ns, value)

    def read_block(self, first: int, last: int) -> Block:
        """All samples of the series at places first..last, as they are stored."""
        begin, stop = self.start[first:last], self.start[first + 1 : last + 1]
        time, number, begin, stop = self._load(begin, stop)
        a, b = int(begin[0]), int(stop[-1])
        time = time[a:b]
        if self.unit_ns > 1:
            time *= self.unit_ns
        return Block(
            np.stack([self.low[first:last], self.high[first:last]], axis=1),
            np.append(begin, b) - a,
            self.code[first:last],
            time,
            number[a:b],
        )

    def _load(self, begin: I64, stop: I64) -> tuple[I64, I64, I64, I64]:
        """Times and numbers of the row groups with these rows, and where the rows are in them."""
        group, begin, stop = groups_of(begin, stop, GROUP_ROWS, self.info.n_rows)
        if self._reader is None:
            return np.empty(0, np.int64), np.empty(0, np.int64), begin * 0, stop * 0
        time, number = self._reader.read(group, GROUP_ROWS, (_TIME, _VALUE))
        return time, number, begin, stop


def rows_of(start: I64, place: I64) -> tuple[I64, I64]:
    """First row, and the one behind the last, of the series at these places; none at place -1."""
    held = place >= 0
    return np.where(held, start[place], 0), np.where(held, start[place + held], 0)


def group_bounds(begin: I64, stop: I64, group_rows: int) -> tuple[I64, I64]:
    first = begin // group_rows
    return first, np.where(stop > begin, -(-stop // group_rows), first)


def groups_of(begin: I64, stop: I64, group_rows: int, n_rows: int) -> tuple[Groups, I64, I64]:
    """The row groups that hold these rows, and where the rows are when only those are read."""
    enough = np.zeros(-(-n_rows // group_rows), np.int64)
    segment_kernel.mark_groups(begin, stop, group_rows, enough)
    wanted = enough > 0
    left_out = (np.arange(1, len(wanted) + 1) - np.cumsum(wanted)) * group_rows
    held = stop > begin
    shift = np.where(held, left_out[np.minimum(begin // group_rows, len(wanted) - 1)], 0)
    groups = Groups(np.flatnonzero(wanted), enough[wanted])
    return groups, np.where(held, begin - shift, 0), np.where(held, stop - shift, 0)
