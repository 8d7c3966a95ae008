"""Reads all that is stored, changing nothing, and says what cannot be read: for the doctor."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from watchkeeper.errors import Permanent
from watchkeeper.lake.keeping.manifest import SEGMENTS
from watchkeeper.lake.log_segment import Damage, LogSegment, OnDamage
from watchkeeper.lake.manifest import SegmentInfo, load
from watchkeeper.lake.rollup import Rollup
from watchkeeper.lake.segment import Segment
from watchkeeper.lake.series_file import FILE_NAME, damage_of
from watchkeeper.lake.sidecar import map_arrays

Tell = Callable[[float], None]
"""Takes the share that is done, from 0 to 1."""


def log_damage(folder: Path, tell: Tell = lambda _share: None) -> list[str]:
    """What of a write-ahead log was synced and cannot be read any more.

    A torn tail is no damage: nobody was told of it, and the next start cuts it off.
    """
    found: list[str] = []

    def note(segment: LogSegment, damage: Damage, _content: memoryview) -> None:
        found.append(
            f"{segment.path}: {damage.size_bytes} bytes at {damage.offset} cannot be read; records "
            f"from position {damage.first_position} on are lost with them"
        )

    segments = _segments(folder)
    for number, (segment, following) in enumerate(itertools.zip_longest(segments, segments[1:])):
        try:
            _read_segment(segment, following, note)
        except FileNotFoundError:  # a running server released it meanwhile
            continue
        except OSError as error:
            found.append(f"{segment.path}: cannot be read: {error.strerror}")
        tell((number + 1) / len(segments))
    return found


def lake_damage(directory: Path, tell: Tell = lambda _share: None) -> list[str]:
    """What of a lake's files is missing or cannot be read."""
    try:
        manifest = load(directory, 0)
    except Permanent as error:
        return [str(error)]
    found: list[str] = []
    for number, info in enumerate(manifest.segments):
        fault = _segment_fault(directory / SEGMENTS, info)
        # Where a server runs, what is gone may have been compacted since the manifest was read.
        if fault and info in load(directory, 0).segments:
            found.append(fault)
        tell((number + 1) / len(manifest.segments))
    return found


def catalog_damage(folder: Path) -> list[str]:
    """What of the catalog's file was synced and cannot be read any more; a torn tail is none."""
    path = folder / FILE_NAME
    try:
        found = damage_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        return [f"{path}: cannot be read: {error.strerror}"]
    except Permanent as error:
        return [str(error).removeprefix("catalog: ")]
    return [
        f"{path}: {one.size_bytes} bytes at {one.offset} cannot be read; {one.n_positions} records "
        "of series are lost with them"
        for one in found
    ]


def _segments(folder: Path) -> list[LogSegment]:
    if not folder.is_dir():
        return []
    found: list[LogSegment] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # released since the folder was read, oldest first
            found += filter(None, [LogSegment.found(path)])
    return sorted(found, key=lambda segment: segment.serial)


def _read_segment(segment: LogSegment, following: LogSegment | None, note: OnDamage) -> None:
    if following is None:
        segment.end(note)
        return
    for _ in segment.frames(segment.first, following.first - 1, note):
        pass


def _segment_fault(folder: Path, info: SegmentInfo) -> str | None:
    missing = [name for name in info.names if not (folder / name).is_file()]
    if missing:
        return f"{folder / missing[0]}: is missing"
    indexes = [info.index_name, *([info.cells_index_name] if info.has_cells else [])]
    for path in [folder / name for name in info.names]:
        try:
            if path.name in indexes:
                map_arrays(path)
                continue
            n_rows = _read(path)
        except (OSError, ValueError, pa.ArrowException, Permanent) as error:
            return f"{path}: cannot be read: {error}"
        if path.name == info.raw_name and n_rows != info.n_rows:
            return f"{path}: holds {n_rows} rows, not {info.n_rows}"
    return _content_fault(folder, info)


def _content_fault(folder: Path, info: SegmentInfo) -> str | None:
    """What can be decoded may still be other than what was written; hashes tell."""
    try:
        Segment(folder, info).check()
        if info.has_cells:
            Rollup(folder, info).check()
    except (OSError, Permanent) as error:
        return str(error).removeprefix("lake: ")
    return None


def _read(path: Path) -> int:
    """Decode all of a file, and count its rows."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return sum(batch.num_rows for batch in file.iter_batches())
