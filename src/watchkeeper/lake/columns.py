"""Files of whole-number columns: plain Parquet for everyone, and a quick way back in for us.

Every column is required, of 32- or 64-bit whole numbers, delta-encoded, one page per row group, so
that any Parquet reader reads it. Where each chunk begins is handed to the writer's caller, who
keeps it in a sidecar; with that, a few row groups of thousands are read without the footer.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from xxhash import xxh3_64_intdigest

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.errors import Permanent
from watchkeeper.lake import page_kernel
from watchkeeper.lake.files import Files
from watchkeeper.model.series import I64, U64

_BUFFERED_ROWS: Final = 1 << 17
_WRITE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: pa.DataType
    packed: bool
    """Compressed with LZ4 after delta encoding; worth it where values repeat a pattern."""


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
        self._metadata: list[parquet.FileMetaData] = []
        schema = pa.schema([pa.field(c.name, c.type, nullable=False) for c in columns])
        self._sink = Sink(files, path)
        sink: Any = self._sink  # as much of a file as pyarrow asks for
        self._writer: Any = parquet.ParquetWriter(
            pa.PythonFile(sink, "w"),
            schema,
            compression={c.name: "lz4" if c.packed else "none" for c in columns},
            use_dictionary=False,
            column_encoding={c.name: "DELTA_BINARY_PACKED" for c in columns},
            write_statistics=False,
            store_schema=False,
            metadata_collector=self._metadata,
        )
        self._schema = schema
        self.n_rows = 0
        self.n = 0
        """Rows in the buffers."""
        size = max(1, _BUFFERED_ROWS // group_rows) * group_rows
        self.buffers = [np.empty(size, f"i{c.type.bit_width // 8}") for c in columns]

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
        self._writer.close()
        self._sink.finish()
        (metadata,) = self._metadata
        chunk = np.empty((metadata.num_row_groups, len(self._columns) + 1), np.int64)
        for g in range(len(chunk)):
            group = metadata.row_group(g)
            for c in range(len(self._columns)):
                of_column = group.column(c)
                chunk[g, c] = of_column.data_page_offset
            chunk[g, -1] = of_column.data_page_offset + of_column.total_compressed_size
        return Layout(chunk, self._checks(chunk))

    def _checks(self, chunk: I64) -> U64:
        """Read back: the file is in the page cache still."""
        spans = zip(chunk[:, 0].tolist(), chunk[:, -1].tolist(), strict=True)
        with (
            self._path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as content,
        ):
            checks = [xxh3_64_intdigest(content[a:b]) for a, b in spans]
        return np.array(checks, np.uint64)

    def abort(self) -> None:
        """Leave nothing behind. Safe at any time."""
        self._sink.abandon()
        self._files.remove(self._path)

    def _write(self) -> None:
        if not self.n:
            return
        arrays = [
            pa.Array.from_buffers(c.type, self.n, [None, pa.py_buffer(buffer.data)])
            for c, buffer in zip(self._columns, self.buffers, strict=True)
        ]
        self._writer.write_table(
            pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=self._group_rows
        )
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
        scratch = np.empty(16 * group_rows + 1024 + READ_SLACK, np.uint8)
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


class Sink:
    """What pyarrow writes into: gathers its many small writes, and reports faults as ours."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._fd: int | None = files.create(path, _WRITE_BYTES)
        self._path = path
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._written = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        self._waiting.append(bytes(content))
        self._waiting_bytes += len(content)
        if self._waiting_bytes >= _WRITE_BYTES:
            self.flush()
        return len(content)

    def tell(self) -> int:
        return self._written + self._waiting_bytes

    def flush(self) -> None:
        if self._waiting and self._fd is not None:
            self._files.write(self._fd, self._waiting, self._written)
            self._written += self._waiting_bytes
            self._waiting, self._waiting_bytes = [], 0

    def close(self) -> None:
        """pyarrow's word that it is done; the file stays open until it is synced."""

    def finish(self) -> None:
        self.flush()
        if self._fd is not None:
            self._files.truncate(self._fd, self._written)
            self._files.sync(self._fd)
        self.abandon()

    def abandon(self) -> None:
        if self._fd is not None:
            self._files.close(self._fd)
            self._fd = None
        self._waiting = []
