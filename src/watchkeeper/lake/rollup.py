"""Five-minute cells of a segment's samples, in a second file beside it.

Written while samples are merged anyway. Queries with steps of whole cells read twenty times less
(at 15 seconds between samples), and when retention takes the samples, the cells stay.

Exact: count, least, most, first, last. Totals are those of the samples up to rounding (where all of
a series' values have few decimals, so has their total). `lost` is kept for what behaves like a
counter; others' rates are computed from samples, and are not known once those are gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from watchkeeper.clock import NS_PER_S
from watchkeeper.lake import fold_kernel, segment_kernel
from watchkeeper.lake.base import Fold
from watchkeeper.lake.columns import ColumnReader, ColumnWriter, Layout
from watchkeeper.lake.files import Files
from watchkeeper.lake.fold import Cells, cells_of
from watchkeeper.lake.footer import Column, Kind
from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.runs import Runs, offsets
from watchkeeper.lake.segment import Block, group_bounds, groups_of, rows_of
from watchkeeper.lake.sidecar import map_arrays, write_arrays
from watchkeeper.model.series import I64, U8

CELL_NS: Final = 300 * NS_PER_S
GROUP_CELLS: Final = 1024
"""Of a row group: three to four series' day."""
_MOST_CELLS_PER_ROW: Final = 1 / 2
"""More of them than that save nothing."""
_SELDOM: Final = 1 / 8
"""A series that falls more often than this is no counter."""

_NUMBERS: Final = ("cell", "count", "first_after", "last_after")
_VALUES: Final = ("total", "least_up", "most_up", "first_up", "last", "lost")
"""`least` and `most` are kept as the way from `first`, and `first` as that from `last`: nothing
where a counter only grows, little where a gauge stays where it is."""
_TOTAL, _LEAST, _MOST, _FIRST, _LAST, _LOST = range(6)
_OFTEN_NOTHING: Final = ("first_up", "lost")
_COLUMNS: Final = [
    Column("series", Kind.INT32, packed=True),
    *(Column(name, Kind.INT64, packed=True) for name in _NUMBERS),
    *(Column(name, Kind.INT64, packed=name in _OFTEN_NOTHING) for name in _VALUES),
]
_FIRST_VALUE: Final = 1 + len(_NUMBERS)
_NEEDS: Final[dict[Fold, tuple[int, ...]]] = {
    Fold.AVG: (_TOTAL,),
    Fold.SUM: (_TOTAL,),
    Fold.COUNT: (),
    Fold.MIN: (_LEAST, _FIRST, _LAST),
    Fold.MAX: (_MOST, _FIRST, _LAST),
    Fold.LAST: (_LAST,),
    Fold.RATE: (_FIRST, _LAST, _LOST),
}


def worth_keeping(n_rows: int, n_cells: int) -> bool:
    return 0 < n_cells <= _MOST_CELLS_PER_ROW * n_rows


class RollupWriter:
    """Takes the same blocks as the segment's writer."""

    def __init__(self, files: Files, folder: Path, info: SegmentInfo, unit_ns: int) -> None:
        self._files = files
        self._folder = folder
        self._info = info
        self._unit_ns = unit_ns
        self._columns = ColumnWriter(
            files, folder / info.cells_name, _COLUMNS, group_rows=GROUP_CELLS
        )
        self._count: list[I64] = []
        self._code: list[U8] = []
        self._total_code: list[U8] = []
        self._lost_code: list[U8] = []
        self._n_series = 0

    @property
    def n_cells(self) -> int:
        return self._columns.n_rows

    def add(self, block: Block) -> None:
        """Fold a block; its series continue the numbering of the blocks before."""
        value = np.empty(len(block.number))
        begin, stop = block.offset[:-1], block.offset[1:]
        segment_kernel.decode_runs(
            block.number, begin, stop, block.code, begin, value, value.view(np.int64)
        )
        cells = cells_of(Runs(block.offset, block.time_ns, value), CELL_NS)
        falls = np.zeros(len(block.code), np.int64)
        fold_kernel.count_falls(block.offset, value, falls)
        is_gauge = falls > _SELDOM * np.diff(block.offset)
        power = np.where(
            block.code < segment_kernel.RAW,
            segment_kernel.POWER[np.minimum(block.code, segment_kernel.MAX_DECIMALS)],
            0.0,
        )
        fold_kernel.tidy_cells(cells.offset, power, is_gauge, cells.values)
        self._write(cells, [*self._numbers(cells), *self._values(cells, block.code)])

    def finish(self) -> int:
        """Synced; the bytes of its two files."""
        layout = self._columns.finish()
        index_bytes = write_arrays(
            self._files,
            self._folder / self._info.cells_index_name,
            {
                "start": offsets(np.concatenate(self._count)),
                "code": np.concatenate(self._code),
                "total_code": np.concatenate(self._total_code),
                "lost_code": np.concatenate(self._lost_code),
                "chunk": layout.chunk,
                "check": layout.check,
                "unit_ns": np.array([self._unit_ns]),
            },
        )
        return index_bytes + (self._folder / self._info.cells_name).stat().st_size

    def abort(self) -> None:
        self._columns.abort()
        self._files.remove(self._folder / self._info.cells_index_name)

    def _numbers(self, cells: Cells) -> list[I64]:
        time, count, *ends = cells.numbers
        return [time // CELL_NS, count, *((end - time) // self._unit_ns for end in ends)]

    def _values(self, cells: Cells, code: U8) -> I64:
        """The cells' values as whole numbers, in place; how is kept for the sidecar."""
        bits = cells.values.view(np.int64)
        for row, kept in ((_TOTAL, self._total_code), (_LOST, self._lost_code)):
            chosen = np.full(len(code), segment_kernel.UNDECIDED, np.uint8)
            segment_kernel.encode_runs(cells.values[row], bits[row], cells.offset, chosen)
            kept.append(chosen)
        for row in (_LEAST, _MOST, _FIRST, _LAST):
            segment_kernel.encode_as(cells.values[row], bits[row], cells.offset, code)
        bits[[_LEAST, _MOST]] -= bits[_FIRST]
        bits[_FIRST] -= bits[_LAST]
        self._code.append(code)
        return bits

    def _write(self, cells: Cells, columns: list[I64]) -> None:
        count = np.diff(cells.offset)
        series = np.repeat(np.arange(self._n_series, self._n_series + len(count)), count)
        done = 0
        while done < len(series):
            n = min(self._columns.room, len(series) - done)
            at = self._columns.n
            for buffer, column in zip(self._columns.buffers, [series, *columns], strict=True):
                buffer[at : at + n] = column[done : done + n]
            self._columns.advance(n)
            done += n
        self._count.append(count)
        self._n_series += len(count)


class Rollup:
    """The cells of a segment, readable by many threads at a time."""

    def __init__(self, folder: Path, info: SegmentInfo) -> None:
        index = map_arrays(folder / info.cells_index_name)
        self._start: I64 = index["start"]
        self._code: dict[int, U8] = dict.fromkeys((_LEAST, _MOST, _FIRST, _LAST), index["code"])
        self._code |= {_TOTAL: index["total_code"], _LOST: index["lost_code"]}
        self._unit_ns = int(index["unit_ns"][0])
        self._n_cells = int(self._start[-1])
        self._reader = ColumnReader(
            folder / info.cells_name,
            _COLUMNS,
            Layout(index["chunk"], index["check"]),
            self._n_cells,
        )

    def check(self) -> None:
        """Raises Permanent if the cells are not what was written."""
        self._reader.check()

    def groups(self, place: I64) -> tuple[I64, I64]:
        """For each series its first row group, and the one behind its last."""
        return group_bounds(*rows_of(self._start, place), GROUP_CELLS)

    def read(self, place: I64, start_ns: int, end_ns: int, fold: Fold) -> Cells:
        """The cells that begin at start <= time < end, of the series at these places.

        Of their values those that `fold` needs; the others are zero.
        """
        begin, stop = rows_of(self._start, place)
        group, begin, stop = groups_of(begin, stop, GROUP_CELLS, self._n_cells)
        needs = _NEEDS[fold]
        numbers_and_values = (*range(1, _FIRST_VALUE), *(_FIRST_VALUE + row for row in needs))
        columns = self._reader.read(group, GROUP_CELLS, numbers_and_values)
        count = np.zeros(len(place), np.int64)
        first, last = -(-start_ns // CELL_NS), (end_ns - 1) // CELL_NS
        segment_kernel.narrow_runs(columns[0], begin, stop, first, last, count)
        offset = offsets(count)
        cells = Cells(offset, np.empty((4, offset[-1]), np.int64), np.zeros((6, offset[-1])))
        for row, unit in enumerate((CELL_NS, 1, self._unit_ns, self._unit_ns)):
            segment_kernel.copy_runs(columns[row], begin, stop, unit, offset, cells.numbers[row])
        cells.numbers[2:] += cells.numbers[0]
        held = dict(zip(needs, columns[len(_NUMBERS) :], strict=True))
        if _FIRST in needs:
            held[_FIRST] += held[_LAST]
        for row in {_LEAST, _MOST} & set(needs):
            held[row] += held[_FIRST]
        for row, column in held.items():
            segment_kernel.decode_runs(
                column, begin, stop, self._code[row][place], offset,
                cells.values[row], cells.values[row].view(np.int64),
            )  # fmt: skip
        return cells
