"""A segment: rows sorted by tenant and service in Parquet, with what finds them beside it.

The index holds, for each row group, the least and the most of some columns, which sources it has
rows of, filters that know its traces, its words and parts of them, and a digest of the Parquet
file. All of it is small, and mapped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Generic

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files
from watchkeeper.lake.sidecar import map_arrays, write_arrays
from watchkeeper.lake.sink import Sink
from watchkeeper.lake.tables.base import B
from watchkeeper.lake.tables.definition import NUMBER, Definition
from watchkeeper.lake.tables.digest import Digest
from watchkeeper.lake.tables.manifest import SegmentInfo
from watchkeeper.lake.tables.parts import PartsReader, PartsWriter
from watchkeeper.lake.tables.rows import (
    Array,
    Rows,
    TenantOrigin,
    decode_sources,
    encode_sources,
    part,
)
from watchkeeper.lake.tables.words import FilterWriter
from watchkeeper.model.row import Texts
from watchkeeper.model.series import I64, U8, U64

_GROUP_BYTES: Final = 16 << 20
"""Of text, in a row group: what a reader has in memory at a time."""
_LEVEL: Final = 1
"""Of zstd: higher ones cost more time than the bytes are worth here."""
_FACES: Final = ("tenant", "service", "environment", "node", "owner", "labels")
"""Of a source, spelled out for whoever reads the file with other tools."""


def _schema(definition: Definition[B]) -> pa.Schema:
    numbers = [
        pa.field(n, pa.from_numpy_dtype(np.dtype(k)), nullable=False)
        for n, k in definition.fields()
    ]
    texts = [pa.field(name, pa.binary(), nullable=False) for name in definition.kind.TEXTS]
    faces = [pa.field(n, pa.dictionary(pa.int32(), pa.string()), nullable=False) for n in _FACES]
    return pa.schema([*faces, *numbers, *texts])


class SegmentWriter(Generic[B]):
    """Takes sorted rows, block by block; then `finish`, or `abort`."""

    def __init__(
        self,
        files: Files,
        folder: Path,
        info: SegmentInfo,
        definition: Definition[B],
        sources: Sequence[TenantOrigin],
    ) -> None:
        """`origin` of the rows is an index into `sources`, which are sorted by place."""
        self._files = files
        self._folder = folder
        self._info = info
        self._definition = definition
        self._sources = sources
        self._faces = _faces(sources)
        self._schema = _schema(definition)
        self._sink = Sink(files, folder / info.rows_name)
        sink: Any = self._sink  # as much of a file as pyarrow asks for
        self._metadata: list[parquet.FileMetaData] = []
        repeating: Any = [*definition.repeating, *_FACES]  # the stubs know of True and False
        self._writer: Any = parquet.ParquetWriter(
            pa.PythonFile(sink, "w"),
            self._schema,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=repeating,
            column_encoding=dict.fromkeys((definition.time, NUMBER), "DELTA_BINARY_PACKED"),
            write_statistics=False,
            write_page_checksum=True,  # for other readers: ours have the digest
            metadata_collector=self._metadata,
        )
        self._start = [0]
        self._low: dict[str, list[int]] = {name: [] for name in definition.ranged}
        self._high: dict[str, list[int]] = {name: [] for name in definition.ranged}
        self._present: list[U8] = []
        self._traces = FilterWriter()
        self._words = FilterWriter()
        self._parts = PartsWriter()

    def add(self, block: Rows) -> None:
        for begin, end in self._groups(block):
            self._add_group(part(block, begin, end))

    def finish(self) -> SegmentInfo:
        """Synced; what the manifest is to say of it."""
        self._writer.close()
        self._sink.finish()
        arrays: dict[str, Array] = {
            "start": np.array(self._start, np.int64),
            "present": np.stack(self._present),
            "sources": np.frombuffer(encode_sources(self._sources), np.uint8),
            **Digest.of(self._folder / self._info.rows_name, *self._metadata).arrays(),
        }
        arrays["traces"], arrays["traces_start"] = self._traces.arrays()
        arrays["words"], arrays["words_start"] = self._words.arrays()
        arrays |= self._parts.arrays()
        for name in self._definition.ranged:
            kind = self._definition.kind.COLUMNS[name].kind
            arrays[f"low {name}"] = np.array(self._low[name], kind)
            arrays[f"high {name}"] = np.array(self._high[name], kind)
        index_bytes = write_arrays(self._files, self._folder / self._info.index_name, arrays)
        time = self._definition.time
        return msgspec.structs.replace(
            self._info,
            n_rows=self._start[-1],
            start_ns=min(self._low[time]),
            end_ns=max(self._high[time]),
            n_bytes=index_bytes + (self._folder / self._info.rows_name).stat().st_size,
        )

    def abort(self) -> None:
        """Leave nothing behind. Safe at any time."""
        self._sink.abandon()
        for name in self._info.names:
            self._files.remove(self._folder / name)

    def _groups(self, block: Rows) -> Iterator[tuple[int, int]]:
        """Stretches of about equal length, small enough in rows and in bytes."""
        n = block.n_rows
        n_groups = -(-n // self._definition.group_rows)
        size = np.zeros(n + 1, np.int64)
        for column in block.texts.values():
            size += column.offset
        begin = 0
        while begin < n:
            end = begin + -(-n // n_groups)
            fits = int(np.searchsorted(size, size[begin] + _GROUP_BYTES, "right")) - 1
            end = min(end, max(fits, begin + 1), n)
            yield begin, end
            begin = end

    def _add_group(self, rows: Rows) -> None:
        self._start.append(self._start[-1] + rows.n_rows)
        for name in self._definition.ranged:
            self._low[name].append(int(rows.columns[name].min()))
            self._high[name].append(int(rows.columns[name].max()))
        present = np.zeros(len(self._sources), np.uint8)
        present[rows.columns["origin"]] = 1
        self._present.append(np.packbits(present))
        self._traces.add_ids(rows.columns[self._definition.trace])
        if self._definition.text is not None:
            searched = rows.texts[self._definition.text]
            self._words.add_words(searched.data, searched.offset)
            self._parts.add(searched.data, searched.offset)
        table = pa.Table.from_arrays(list(self._arrays(rows)), schema=self._schema)
        self._writer.write_table(table, row_group_size=rows.n_rows)

    def _arrays(self, rows: Rows) -> Iterator[pa.Array[Any]]:
        origin = rows.columns["origin"]
        for codes, values in self._faces:
            yield pa.DictionaryArray.from_arrays(codes[origin], values, safe=False)
        for name, column in self._definition.kind.COLUMNS.items():
            if column.width == 1:
                yield pa.array(np.ascontiguousarray(rows.columns[name]))
            else:
                halves = rows.columns[name]
                yield from (pa.array(halves[:, i].copy()) for i in range(column.width))
        yield pa.array(np.ascontiguousarray(rows.columns[NUMBER]))
        for name in self._definition.kind.TEXTS:
            text = rows.texts[name]
            yield pa.Array.from_buffers(
                pa.binary(),
                rows.n_rows,
                [None, pa.py_buffer(text.offset.data), pa.py_buffer(text.data.data)],
            )


def _faces(sources: Sequence[TenantOrigin]) -> list[tuple[Array, pa.StringArray]]:
    """For each face, its different values, and which of them each source has."""
    found = []
    for face in _FACES:
        values: dict[str, int] = {}
        codes = [values.setdefault(_face(one, face), len(values)) for one in sources]
        found.append((np.array(codes, np.int32), pa.array(list(values), pa.string())))
    return found


def _face(source: TenantOrigin, face: str) -> str:
    if face == "tenant":
        return source.tenant
    if face == "labels":
        return msgspec.json.encode(dict(source.origin.labels)).decode()
    value: str = getattr(source.origin.entity, face)
    return value


class Segment(Generic[B]):
    """A segment that can be read; by many threads at a time."""

    def __init__(self, folder: Path, info: SegmentInfo, definition: Definition[B]) -> None:
        self.info = info
        self.definition = definition
        index = map_arrays(folder / info.index_name)
        self.start: I64 = index["start"]
        self.present: Array = index["present"]
        self.low = {name: index[f"low {name}"] for name in definition.ranged}
        self.high = {name: index[f"high {name}"] for name in definition.ranged}
        self.traces: tuple[U64, I64] = index["traces"], index["traces_start"]
        self.words: tuple[U64, I64] = index["words"], index["words_start"]
        self.parts = PartsReader(index)
        self.sources = decode_sources(index["sources"].tobytes())
        self._path = folder / info.rows_name
        self._digest = Digest.kept(index)
        self._place = {name: place for place, name in enumerate(_schema(definition).names)}
        with self._translated():
            # Mapped once: it can be read on after it was removed.
            self._content = pa.memory_map(str(self._path)).read_buffer()
            if not self._digest.has_frame(memoryview(self._content)):
                raise self._damaged()
            self._metadata = parquet.read_metadata(pa.BufferReader(self._content))

    @property
    def n_groups(self) -> int:
        return len(self.start) - 1

    def group(self, number: int) -> GroupChunk:
        return GroupChunk(self, number)

    def rows(self, first: int, last: int) -> Rows:
        """All rows of these groups, as they are stored."""
        kind = self.definition.kind
        read = self.columns(range(first, last), [*kind.COLUMNS, NUMBER, *kind.TEXTS])
        return Rows(
            {name: found for name, found in read.items() if isinstance(found, np.ndarray)},
            {name: found for name, found in read.items() if isinstance(found, Texts)},
        )

    def columns(self, groups: Sequence[int], names: Sequence[str]) -> dict[str, Array | Texts]:
        """These columns of these groups. Raises Permanent where they are not what was written."""
        if not names:
            return {}
        kind = self.definition.kind
        widths = {name: kind.COLUMNS[name].width for name in names if name in kind.COLUMNS}
        spelled = [
            part
            for name in names
            for part in ([name] if widths.get(name, 1) == 1 else _halves(name, widths[name]))
        ]
        chunks = (len(self._place) * g + self._place[name] for g in groups for name in spelled)
        if not self._digest.has_chunks(memoryview(self._content), chunks):
            raise self._damaged()
        with self._translated():
            file = parquet.ParquetFile(pa.BufferReader(self._content), metadata=self._metadata)
            table = file.read_row_groups(list(groups), columns=spelled, use_threads=False)
            return {
                name: _text(table, name)
                if name in kind.TEXTS
                else _numbers(table, name, widths.get(name, 1))
                for name in names
            }

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What pyarrow says of a damaged file, in our words."""
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged() from error

    def _damaged(self) -> Permanent:
        return Permanent(
            f"lake: {self._path} is not what was written; restore it from a backup (without "
            "it, searches of its time are refused)"
        )


class GroupChunk:
    """One row group: a Chunk whose columns are read when they are asked for."""

    def __init__(self, segment: Segment[Any], number: int) -> None:
        self._segment = segment
        self._number = number
        self._read: dict[str, Array | Texts] = {}
        self.n_rows = int(segment.start[number + 1] - segment.start[number])

    def column(self, name: str) -> Array:
        self.load([name])
        found = self._read[name]
        assert isinstance(found, np.ndarray)  # noqa: S101 - what a definition calls a column
        return found

    def text(self, name: str) -> Texts:
        self.load([name])
        found = self._read[name]
        assert isinstance(found, Texts)  # noqa: S101 - what a definition calls a text
        return found

    def load(self, names: Sequence[str]) -> None:
        self._read |= self._segment.columns(
            range(self._number, self._number + 1), [one for one in names if one not in self._read]
        )

    def forget(self) -> None:
        self._read.clear()


def _halves(name: str, width: int) -> list[str]:
    return [f"{name}_{i}" for i in range(width)]


def _numbers(table: pa.Table, name: str, width: int) -> Array:
    if width == 1:
        column: Array = _whole(table.column(name)).to_numpy(zero_copy_only=True)
        return column
    halves = [_whole(table.column(half)).to_numpy() for half in _halves(name, width)]
    return np.stack(halves, axis=1)


def _text(table: pa.Table, name: str) -> Texts:
    array = _whole(table.column(name))
    _, offsets, data = array.buffers()
    offset = np.frombuffer(offsets, np.int32, len(array) + 1, 4 * array.offset)
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    if offset[0]:
        content, offset = content[offset[0] :], offset - offset[0]
    return Texts(content[: offset[-1]], offset)


def _whole(column: pa.ChunkedArray[Any]) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
