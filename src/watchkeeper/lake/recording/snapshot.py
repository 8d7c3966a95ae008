"""What detection knew at a time, in one file: where a replay begins.

It is what a restart would begin with: which series is in which slot, and the newest checkpoint of
every partition, each at its own position. So a replay from a snapshot is a restart, in the past.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

import cramjam

from watchkeeper.errors import Permanent
from watchkeeper.lake.files import Files
from watchkeeper.lake.frames import frame_group, frame_size, walk
from watchkeeper.model import wire
from watchkeeper.model.signal import NewSeries

VERSION: Final = 1
_LEVEL: Final = 1
_SALT: Final = 0x5A9
_NAME: Final = re.compile(r"(\d{19})-(\d{19})\.snapshot")
_ENTRY: Final = struct.Struct("<BBBxiQ")  # version, kind, group, partition, position
_SERIES, _STATE, _END = range(1, 4)


@dataclass(frozen=True, slots=True)
class State:
    """A checkpoint."""

    group: int
    """Whose: the number of a stage that finds anomalies."""
    partition: int
    position: int
    content: bytes


Entry = NewSeries | State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Such a file. What it is of stands in its name."""

    path: Path
    position: int
    """Up to here none of its checkpoints needs a record."""
    taken_ns: int
    """All that its checkpoints cover came before."""

    @classmethod
    def found(cls, path: Path) -> Self | None:
        """The snapshot in a file; None if it is none."""
        match = _NAME.fullmatch(path.name)
        return None if match is None else cls(path, *map(int, match.groups()))

    def series(self) -> Iterator[NewSeries]:
        """What was in which slot. Raises Permanent where the snapshot is not whole."""
        for _, content in self._entries(_SERIES):
            series = wire.decode(content)
            if isinstance(series, NewSeries):
                yield series

    def states(self) -> Iterator[State]:
        """The checkpoints. Raises Permanent where the snapshot is not whole."""
        for (_, _, group, partition, position), content in self._entries(_STATE):
            yield State(group, partition, position, bytes(content))

    def _entries(self, wanted: int) -> Iterator[tuple[tuple[int, ...], bytearray]]:
        """(head, content) of one kind."""
        kind = 0
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Permanent(
                f"replay: {self.path} was deleted meanwhile; begin later, or let more be kept: "
                "log.replay.keep_s and log.replay.max_bytes"
            ) from error
        try:
            for frame in walk(partial(_read, fd), salt=_SALT, offset=0, position=0):
                head = _ENTRY.unpack_from(frame.payload)
                version, kind = head[:2]
                if version != VERSION:
                    raise Permanent(
                        f"replay: {self.path} is of version {version}, this release reads version "
                        f"{VERSION}; begin at a later one, or run the release that wrote it"
                    )
                if kind == wanted:
                    content = bytearray(cramjam.zstd.decompress(frame.payload[_ENTRY.size :]))
                    yield head, content
        finally:
            os.close(fd)
        if kind != _END:
            raise Permanent(f"replay: {self.path} is damaged; delete it, and begin at another time")


def snapshots(folder: Path) -> list[Snapshot]:
    """Oldest first."""
    if not folder.is_dir():
        return []
    found = (Snapshot.found(path) for path in folder.iterdir())
    return sorted((one for one in found if one), key=lambda one: (one.position, one.taken_ns))


def write(
    folder: Path, entries: Iterable[Entry], *, now: Callable[[], int], files: Files
) -> Snapshot:
    """Durably or not at all; `now` is asked once all entries were made. Raises OSError."""
    fresh = folder / "snapshot.new"
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    positions: list[int] = []
    try:
        offset = 0
        for number, payload in enumerate(_payloads(entries, positions)):
            files.write(fd, frame_group([payload], number, offset=offset, salt=_SALT), offset)
            offset += frame_size(len(payload))
        files.sync(fd)
    finally:
        files.close(fd)
    position, taken_ns = min(positions, default=0), now()
    path = folder / f"{position:019d}-{taken_ns:019d}.snapshot"
    fresh.replace(path)
    files.sync_folder(folder)
    return Snapshot(path, position, taken_ns)


def _payloads(entries: Iterable[Entry], positions: list[int]) -> Iterator[bytes]:
    """Positions of checkpoints are added to `positions`."""
    for entry in entries:
        if isinstance(entry, NewSeries):
            head, content = _ENTRY.pack(VERSION, _SERIES, 0, 0, 0), wire.encode(entry)
        else:
            head = _ENTRY.pack(VERSION, _STATE, entry.group, entry.partition, entry.position)
            content = entry.content
            positions.append(entry.position)
        yield head + bytes(cramjam.zstd.compress(content, _LEVEL))
    yield _ENTRY.pack(VERSION, _END, 0, 0, 0)


def _read(fd: int, offset: int, size: int) -> bytearray:
    left = os.fstat(fd).st_size - offset
    return bytearray(os.pread(fd, max(0, min(size, left)), offset))
