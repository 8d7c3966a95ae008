"""Files of whole-number columns: plain Parquet for everyone, and a quick way back in for us.

Every column is required, of 32- or 64-bit whole numbers, delta-encoded, one page per row group, so
that any Parquet reader reads it: `pack_kernel` writes the pages, `footer` the rest. Where each
chunk begins is handed to the writer's caller, who keeps it in a sidecar; with that, a few row
groups of thousands are read without the footer.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from xxhash import xxh3_64_intdigest

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import Permanent
from watchkeeper.lake import pack_kernel, page_kernel
from watchkeeper.lake.files import Files
from watchkeeper.lake.footer import MAGIC, Column, Extent, footer
from watchkeeper.lake.sink import Sink
from watchkeeper.model.series import I64, U64

_BUFFERED_ROWS: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class Layout:
    """Where row groups lie in a file."""

    chunk: I64
    """Row g: where each of group g's chunks begins, and where the last of them ends."""
    check: U64
    """A hash of each group's bytes."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Row groups to be read, ascending, and how many of each one's rows are enough."""

    number: I64
    enough: I64


class ColumnWriter:
    """Fill `buffers` from `n` on, say `advance`, and again; then `finish`, or `abort`.

    The file is no part of anything until someone names it in a synced manifest.
    """

    def __init__(
        self, files: Files, path: Path, columns: Sequence[Column], *, group_rows: int
    ) -> None:
        self._files = files
        self._path = path
        self._columns = tuple(columns)
        self._group_rows = group_rows
        self._is_narrow = np.array([c.kind.is_narrow for c in columns])
        self._is_packed = np.array([c.packed for c in columns])
        n_groups = max(1, _BUFFERED_ROWS // group_rows)
        self.buffers: I64 = np.empty((len(columns), n_groups * group_rows), np.int64)
        """A row for each column."""
        self.n = 0
        """Rows in the buffers."""
        self.n_rows = 0
        page_bytes = pack_kernel.ROW_BYTES * group_rows + pack_kernel.PAGE_BYTES
        self._work = (
            np.empty(pack_kernel.BLOCK_ROWS, np.int64),
            np.empty(page_bytes, np.uint8),
            np.empty(page_bytes, np.uint8),
            np.empty(pack_kernel.TABLE_ROWS, np.int32),
        )
        self._out = np.empty(n_groups * len(columns) * page_bytes, np.uint8)
        self._chunk: list[I64] = [np.empty((0, len(columns) + 1), np.int64)]
        self._raw: list[I64] = [np.empty((0, len(columns)), np.int64)]
        self._check: list[int] = []
        self._sink = Sink(files, path)
        self._sink.write(MAGIC)

    @property
    def room(self) -> int:
        return len(self.buffers[0]) - self.n

    def advance(self, n: int) -> None:
        """`n` more rows are in the buffers."""
        self.n += n
        self.n_rows += n
        if not self.room:
            self._write()

    def finish(self) -> Layout:
        """Sync the file."""
        self._write()
        chunk, raw = np.concatenate(self._chunk), np.concatenate(self._raw)
        extent = Extent(chunk, raw, self.n_rows, self._group_rows)
        self._sink.write(footer(self._columns, extent))
        self._sink.finish()
        return Layout(chunk, np.array(self._check, np.uint64))

    def abort(self) -> None:
        """Leave nothing behind. Safe at any time."""
        self._sink.abandon()
        self._files.remove(self._path)

    def _write(self) -> None:
        n_groups, n_columns = -(-self.n // self._group_rows), len(self._columns)
        chunk = np.empty((n_groups, n_columns + 1), np.int64)
        raw = np.empty((n_groups, n_columns), np.int64)
        size = pack_kernel.pack_groups(
            self.buffers, self.n, self._group_rows, self._is_narrow, self._is_packed,
            self._work, self._out, chunk, raw,
        )  # fmt: skip
        content = self._out[:size].data
        spans = zip(chunk[:, 0].tolist(), chunk[:, -1].tolist(), strict=True)
        self._check += [xxh3_64_intdigest(content[a:b]) for a, b in spans]
        self._chunk.append(chunk + self._sink.tell())
        self._raw.append(raw)
        self._sink.write(content)
        self.n = 0


class ColumnReader:
    """Reads whole row groups. May be shared by threads; closes itself when nobody holds it."""

    def __init__(self, path: Path, columns: Sequence[Column], layout: Layout, n_rows: int) -> None:
        self._path = path
        self._packed = [c.packed for c in columns]
        self._chunk = layout.chunk
        self._check = layout.check
        self._n_rows = n_rows
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)

    def read(self, groups: Groups, group_rows: int, columns: Sequence[int]) -> list[I64]:
        """These columns of these groups, one group behind the other."""
        group = groups.number
        if not len(group):
            return [np.empty(0, np.int64) for _ in columns]
        rows = np.minimum(self._n_rows - group * group_rows, group_rows)
        enough = np.minimum(groups.enough, rows)
        buffer, moved = self._load(group)
        scratch = np.empty(16 * group_rows + 2048 + READ_SLACK, np.uint8)
        out = []
        for c in columns:
            column = np.empty(rows.sum(), np.int64)
            begin = self._chunk[group, c] + moved
            end = self._chunk[group, c + 1] + moved
            done = page_kernel.read_column(
                buffer, begin, end, rows, enough, self._packed[c], scratch, column
            )
            if done != len(column):
                raise self._damaged()
            out.append(column)
        return out

    def check(self) -> None:
        """Compare all groups with their hashes. Raises Permanent, which names the file."""
        for number in range(len(self._check)):
            self._load(np.array([number]))

    def _load(self, group: I64) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], I64]:
        """The groups' bytes, and by how much each moved from its place in the file."""
        first, last = self._chunk[group, 0], self._chunk[group, -1]
        breaks = np.flatnonzero(np.diff(group) != 1) + 1
        starts = np.concatenate([[0], breaks])
        stops = np.concatenate([breaks, [len(group)]])
        size = last[stops - 1] - first[starts]
        place = np.cumsum(size) - size
        buffer = np.empty(int(size.sum()) + READ_SLACK, np.uint8)
        view = buffer.data
        for a, n, at in zip(first[starts].tolist(), size.tolist(), place.tolist(), strict=True):
            if os.preadv(self._fd, [view[at : at + n]], a) != n:
                raise self._damaged()
        moved = np.repeat(place - first[starts], stops - starts)
        spans = zip((first + moved).tolist(), (last + moved).tolist(), strict=True)
        checks = [xxh3_64_intdigest(view[a:b]) for a, b in spans]
        if checks != self._check[group].tolist():
            raise self._damaged()
        return buffer, moved

    def _damaged(self) -> Permanent:
        return Permanent(
            f"lake: {self._path} is not what was written; restore it from a backup (without it, "
            "queries of its time are refused)"
        )
