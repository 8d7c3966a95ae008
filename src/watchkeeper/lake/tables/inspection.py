"""Reads all files of a table, changing nothing, and says what cannot be read: for the doctor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from watchkeeper.errors import Permanent
from watchkeeper.lake.keeping.manifest import SEGMENTS
from watchkeeper.lake.sidecar import map_arrays
from watchkeeper.lake.tables.digest import Digest
from watchkeeper.lake.tables.manifest import SegmentInfo, load

Tell = Callable[[float], None]
"""Takes the share that is done, from 0 to 1."""


def table_damage(directory: Path, tell: Tell = lambda _share: None) -> list[str]:
    """What of a table's files is missing or cannot be read."""
    try:
        manifest = load(directory, 0)
    except Permanent as error:
        return [str(error)]
    found = []
    for number, info in enumerate(manifest.segments):
        fault = _fault(directory / SEGMENTS, info)
        # Where a server runs, what is gone may have been merged since the manifest was read.
        if fault and info in load(directory, 0).segments:
            found.append(fault)
        tell((number + 1) / len(manifest.segments))
    return found


def _fault(folder: Path, info: SegmentInfo) -> str | None:
    for name in info.names:
        if not (folder / name).is_file():
            return f"{folder / name}: is missing"
    try:
        digest = Digest.kept(map_arrays(folder / info.index_name))
    except (OSError, ValueError, KeyError, Permanent) as error:
        return f"{folder / info.index_name}: cannot be read: {error}"
    path = folder / info.rows_name
    try:
        content = pa.memory_map(str(path)).read_buffer()
        if not digest.has_all(memoryview(content)):
            return f"{path}: is not what was written"
        n_rows = parquet.read_metadata(pa.BufferReader(content)).num_rows
    except (OSError, pa.ArrowException) as error:
        return f"{path}: cannot be read: {error}"
    return None if n_rows == info.n_rows else f"{path}: holds {n_rows} rows, not {info.n_rows}"
