"""The catalog's file: registrations and departures behind one another.

Frames as in the log, and read as the log is: a bad one with a later group behind it had been synced
and is damage, which is told and stepped over; else it is a torn tail, and cut. What is in the file
was synced before `append` returned. The file is written anew, with the living alone, when it has
grown to twice their size, or was damaged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import cramjam
import numpy as np

from watchkeeper import telemetry
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.lake.files import Buffer, Files
from watchkeeper.lake.frames import HEAD, Frame, frame_group, frame_size, search, walk
from watchkeeper.lake.log_segment import Damage
from watchkeeper.model import wire
from watchkeeper.model.series import I32
from watchkeeper.model.signal import NewSeries

FILE_NAME: Final = "series.log"
MAGIC: Final = b"wkseries"
_HEAD_BYTES: Final = 16
"""The magic word and the version."""
VERSION: Final = 1
_SALT: Final = 0x5E71E5
_REGISTERED, _LEFT = b"R", b"L"
_LEVEL: Final = 1
"""Of zstd: label sets of neighbours are nearly equal, so the quickest level finds it all."""
_SPARE_ROWS: Final = 10_000
"""A file of fewer rows is never worth writing anew."""

_log: Final = telemetry.Log(__name__)
_DAMAGED: Final = telemetry.counter(
    "watchkeeper_lake_series_damaged_records_total",
    "Records of the catalog's file that could not be read any more.",
)

Entry = NewSeries | I32
"""Series that were registered, or slots that became free."""
OnDamage = Callable[[Damage, memoryview], None]


class SeriesFile:
    """One file in a folder. Used by one thread at a time."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._path = folder / FILE_NAME
        self._files = files
        self._fd = -1
        self._end = 0
        self._position = 0
        self._n_rows = 0
        self._is_damaged = False

    def read(self) -> Iterator[Entry]:
        """All entries in order; damage is told and stepped over, a torn tail is cut. To be
        exhausted before anything is written."""
        try:
            if not self._path.exists():
                return
            self._fd = self._files.open(self._path)
            _check_head(self._fd, self._path)
            self._end = _HEAD_BYTES
            for frame in _frames(self._fd, self._note_damage):
                entry = _decoded(frame.payload)
                self._n_rows += len(entry)
                self._position = frame.position + 1
                self._end = frame.end
                yield entry
            self._files.truncate(self._fd, self._end)
            self._files.sync(self._fd)
        except OSError as error:
            raise self._translated(error) from error

    def is_bloated(self, n_living: int) -> bool:
        """Whether it is worth writing anew (or is not there yet)."""
        is_too_long = self._n_rows > 2 * n_living + _SPARE_ROWS
        return self._fd < 0 or self._is_damaged or is_too_long

    def append(self, entries: Iterable[Entry]) -> None:
        """Durable when it returns. Raises Retryable, and then nothing of it counts."""
        end, position, n_rows = self._end, self._position, self._n_rows
        try:
            self._write(entries, began=end)
            self._files.sync(self._fd)
        except OSError as error:
            self._end, self._position, self._n_rows = end, position, n_rows
            raise self._translated(error) from error

    def rewrite(self, entries: Iterable[Entry]) -> None:
        """Replace everything. Raises Retryable, and then the former file stands, or it must be
        written anew: `is_bloated` says so."""
        is_renamed = False
        former = (self._fd, self._end, self._position, self._n_rows)
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(MAGIC + VERSION.to_bytes(8, "little"))
            self._fd = self._files.open(fresh)
            self._end, self._position, self._n_rows = _HEAD_BYTES, 0, 0
            self._write(entries)
            self._files.sync(self._fd)
            self._files.rename(fresh, self._path)
            is_renamed = True
            self._files.sync_folder(self._path.parent)
        except OSError as error:
            if self._fd not in (-1, former[0]):
                self._files.close(self._fd)
            self._fd, self._end, self._position, self._n_rows = former
            if is_renamed:  # the former has no name any more: what it is given would be lost
                self.close()
            raise self._translated(error) from error
        self._is_damaged = False
        if former[0] >= 0:
            self._files.close(former[0])

    def close(self) -> None:
        if self._fd >= 0:
            self._files.close(self._fd)
            self._fd = -1

    def _write(self, entries: Iterable[Entry], began: int | None = None) -> None:
        """Without a sync. What lies behind is overwritten by the next write or cut at start.

        `began`: where the group began that they all are; of a file that has its name only when all
        of it is synced, each is a group of its own.
        """
        for entry in entries:
            payload = _encoded(entry)
            parts = frame_group(
                [payload], self._position, offset=self._end, salt=_SALT, began=began
            )
            self._files.write(self._fd, parts, self._end)
            self._end += frame_size(len(payload))
            self._position += 1
            self._n_rows += len(entry)

    def _note_damage(self, damage: Damage, content: memoryview) -> None:
        self._is_damaged = True
        _DAMAGED.add(damage.n_positions)
        kept = self._path.with_name(f"damaged-{damage.offset}.bytes")
        with suppress(OSError):
            kept.write_bytes(content)
        _log.error(
            "catalog damaged",
            file=self._path,
            offset=damage.offset,
            bytes=damage.size_bytes,
            lost_records=damage.n_positions,
            kept=kept if kept.exists() else "no",
            remedy="check the disk; queries find a lost series again once it is sent again",
        )

    def _translated(self, error: OSError) -> Retryable:
        return Retryable(
            f"catalog: {self._path}: {error.strerror}; check free space and permissions"
        )


def damage_of(path: Path) -> list[Damage]:
    """What of such a file was synced and cannot be read any more; nothing is changed."""
    found: list[Damage] = []
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check_head(fd, path)
        for _ in _frames(fd, lambda damage, _content: found.append(damage)):
            pass
    finally:
        os.close(fd)
    return found


def _check_head(fd: int, path: Path) -> None:
    head = os.pread(fd, _HEAD_BYTES, 0)
    if head[:8] != MAGIC or int.from_bytes(head[8:], "little") != VERSION:
        raise Permanent(
            f"catalog: {path} is no series file of version {VERSION}; run the release "
            "that wrote it, or restore it from a backup"
        )


def _frames(fd: int, on_damage: OnDamage) -> Iterator[Frame]:
    """All that are whole, in front of the torn tail."""
    offset, position = _HEAD_BYTES, 0
    while True:
        for frame in walk(partial(_read, fd), salt=_SALT, offset=offset, position=position):
            offset, position = frame.end, frame.position + 1
            yield frame
        behind = _behind(fd, offset, position)
        if not any(frame.group > offset for frame in behind):
            return
        first = behind[0]
        lost = first.position - position
        damage = Damage(FILE_NAME, offset, first.offset - offset, position, lost)
        on_damage(damage, memoryview(_read(fd, offset, damage.size_bytes)))
        offset, position = first.offset, first.position


def _behind(fd: int, offset: int, position: int) -> list[Frame]:
    """Whole frames behind a bad one, of which there are as many as fit in at most."""
    size = os.fstat(fd).st_size
    if size - offset < HEAD.size:
        return []
    positions = range(position, position + (size - offset) // HEAD.size + 1)
    return list(search(_read(fd, 0, size), salt=_SALT, offset=offset, positions=positions))


def _read(fd: int, offset: int, size: int) -> bytearray:
    # A length that went bad may announce gigabytes, for which memory would be taken.
    left = os.fstat(fd).st_size - offset
    return bytearray(os.pread(fd, max(0, min(size, left)), offset))


def _encoded(entry: Entry) -> Buffer:
    if isinstance(entry, NewSeries):
        mark, run = _REGISTERED, wire.encode(entry)
    else:
        mark, run = _LEFT, np.ascontiguousarray(entry, np.int32).tobytes()
    return mark + bytes(cramjam.zstd.compress(run, _LEVEL))


def _decoded(payload: memoryview) -> Entry:
    run = bytearray(cramjam.zstd.decompress(payload[1:]))
    if payload[:1] == _LEFT:
        return np.frombuffer(run, np.int32)
    entry = wire.decode(run)
    if not isinstance(entry, NewSeries):
        raise Permanent("catalog: series.log holds a record that is no series; restore a backup")
    return entry
