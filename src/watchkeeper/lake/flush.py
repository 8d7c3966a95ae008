"""Writing a sealed head out as segments, one for each window of time that it touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from watchkeeper.lake import segment_kernel
from watchkeeper.lake.files import Files
from watchkeeper.lake.head import SortedRows
from watchkeeper.lake.manifest import SegmentInfo
from watchkeeper.lake.runs import offsets
from watchkeeper.lake.segment import Block, SegmentWriter
from watchkeeper.model.series import I64


def write_segments(
    files: Files, folder: Path, rows: SortedRows, *, window_ns: int, number: Callable[[], int]
) -> tuple[SegmentInfo, ...]:
    """Synced segments of these rows. `number` gives each an id, which is its order, too.

    After a fault nothing of them is left behind.
    """
    written: list[SegmentInfo] = []
    try:
        for window, part in _by_window(rows, window_ns):
            segment_id = number()
            info = SegmentInfo(
                id=segment_id, window=window, order=segment_id, tier=0,
                n_rows=0, n_series=0, start_ns=0, end_ns=0, n_bytes=0,
            )  # fmt: skip
            written.append(_write(files, folder, info, part))
    except OSError:
        for info in written:
            for name in info.names:
                files.remove(folder / name)
        raise
    return tuple(written)


def _write(files: Files, folder: Path, info: SegmentInfo, rows: SortedRows) -> SegmentInfo:
    unit_ns = segment_kernel.coarsest_unit(rows.time_ns)
    code = np.full(len(rows.identity), segment_kernel.UNDECIDED, np.uint8)
    segment_kernel.encode_runs(rows.bits.view(np.float64), rows.bits, rows.offset, code)
    writer = SegmentWriter(files, folder, info, unit_ns)
    try:
        writer.add(Block(rows.identity, rows.offset, code, rows.time_ns, rows.bits))
        return writer.finish()
    except OSError:
        writer.abort()
        raise


def _by_window(rows: SortedRows, window_ns: int) -> Iterator[tuple[int, SortedRows]]:
    first = int(rows.time_ns.min()) // window_ns
    last = int(rows.time_ns.max()) // window_ns
    if first == last:
        yield first, rows
        return
    for window in np.unique(rows.time_ns // window_ns).tolist():
        yield window, _within(rows, window * window_ns, (window + 1) * window_ns)


def _within(rows: SortedRows, start_ns: int, end_ns: int) -> SortedRows:
    """A copy of the rows with start <= time < end, and of the series that have some."""
    begin, stop = rows.offset[:-1].copy(), rows.offset[1:].copy()
    count: I64 = np.zeros(len(begin), np.int64)
    segment_kernel.narrow_runs(rows.time_ns, begin, stop, start_ns, end_ns - 1, count)
    held = count > 0
    offset = offsets(count[held])
    time_ns, bits = np.empty(offset[-1], np.int64), np.empty(offset[-1], np.int64)
    segment_kernel.copy_runs(rows.time_ns, begin[held], stop[held], 1, offset, time_ns)
    segment_kernel.copy_runs(rows.bits, begin[held], stop[held], 1, offset, bits)
    return SortedRows(rows.identity[held], offset, time_ns, bits, 0)
