"""One file of the log: its name, and reading it past whatever became of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np

from watchkeeper.lake.files import PAGE_BYTES
from watchkeeper.lake.frames import Frame, Source, search, walk

MARK_BYTES: Final = 1 << 20
"""A reader that wants a position finds a mark at most this far in front of it, if the segment was
written or read before in this process."""
ANY_POSITION: Final = 1 << 62

_NAME: Final = re.compile(r"([0-9a-f]{8})-(\d{19})-([0-9a-f]{16})\.log")


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of the log that cannot be read although it had been synced."""

    segment: str
    offset: int
    size_bytes: int
    first_position: int
    n_positions: int
    """How many records are lost with it."""


OnDamage = Callable[["LogSegment", Damage, memoryview], None]


@dataclass(slots=True)
class LogSegment:
    """A file of frames. Its records end where the next segment's begin, whatever else is in it.

    So a segment whose sync failed is left behind with its unacknowledged tail, which is never read.
    Serial numbers order segments that begin at the same position.
    """

    path: Path
    serial: int
    first: int
    """Position of its first record."""
    salt: int
    size_bytes: int
    _marks: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def named(cls, folder: Path, serial: int, first: int, salt: int) -> Self:
        return cls(folder / f"{serial:08x}-{first:019d}-{salt:016x}.log", serial, first, salt, 0)

    @classmethod
    def found(cls, path: Path) -> Self | None:
        """The segment in a file; None if it is none of ours."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        serial, first, salt = match.groups()
        return cls(path, int(serial, 16), int(first), int(salt, 16), path.stat().st_size)

    def frames(self, wanted: int, stop: int, on_damage: OnDamage) -> Iterator[Frame]:
        """The frames of positions wanted <= position <= stop; damage is told and stepped over."""
        with _opened(self.path) as fd:
            yield from self._frames(fd, wanted, stop, on_damage)

    def end(self, on_damage: OnDamage) -> tuple[int, int, bool]:
        """(position, offset, is_clean): its last whole group, and whether nothing lies behind it.

        For the segment that was being written when the process ended. A bad frame with a later
        group behind it had been synced, and is damage; else it is the torn tail of a group that
        nobody was told of.
        """
        with _opened(self.path) as fd:
            last, end = self._find_end(fd, on_damage)
            return last, end, _is_blank(fd, end)

    def mark(self, position: int, offset: int) -> None:
        """Remember where a record is, if none close by is remembered yet."""
        self._marks.setdefault(offset // MARK_BYTES, (position, offset))

    def _frames(self, fd: int, wanted: int, stop: int, on_damage: OnDamage) -> Iterator[Frame]:
        position, offset = self._mark_before(wanted)
        while position <= stop:
            for frame in self._run(fd, offset, position):
                position, offset = frame.position + 1, frame.end
                if wanted <= frame.position <= stop:
                    yield frame
            if position <= stop:
                missing = range(position, stop + 1)
                position, offset = self._step_over(fd, offset, missing, on_damage)

    def _find_end(self, fd: int, on_damage: OnDamage) -> tuple[int, int]:
        position, offset = self.first, 0
        last, end = self.first - 1, 0
        while True:
            for frame in self._run(fd, offset, position):
                position, offset = frame.position + 1, frame.end
                if not frame.left:
                    last, end = frame.position, frame.end
            if not self._was_synced(fd, offset, position):
                return last, end
            behind = range(position, ANY_POSITION)
            position, offset = self._step_over(fd, offset, behind, on_damage)

    def _mark_before(self, wanted: int) -> tuple[int, int]:
        """(position, offset) of a frame at or before `wanted`."""
        near = [mark for mark in list(self._marks.values()) if mark[0] <= wanted]
        return max(near, default=(self.first, 0))

    def _run(self, fd: int, offset: int, position: int) -> Iterator[Frame]:
        frames = walk(
            _source(fd),
            salt=self.salt,
            offset=offset,
            position=position,
            group_bytes=PAGE_BYTES,
        )
        for frame in frames:
            self.mark(frame.position, frame.offset)
            yield frame

    def _was_synced(self, fd: int, offset: int, position: int) -> bool:
        """Whether a group was begun behind `offset`: then all up to there had been synced."""
        content = _content(fd)
        positions = range(position, ANY_POSITION)
        behind = search(content, salt=self.salt, offset=offset, positions=positions)
        return any(frame.group > offset for frame in behind)

    def _step_over(
        self, fd: int, offset: int, positions: range, on_damage: OnDamage
    ) -> tuple[int, int]:
        """Where to read on behind a bad frame at `offset`, after telling of it."""
        content = _content(fd)
        behind = search(content, salt=self.salt, offset=offset, positions=positions)
        found = next(((frame.position, frame.offset) for frame in behind), None)
        position, resume = found or (positions.stop, len(content))
        n_lost = position - positions.start
        damage = Damage(self.path.name, offset, resume - offset, positions.start, n_lost)
        on_damage(self, damage, content[offset:resume])
        return position, resume


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _source(fd: int) -> Source:
    size = os.fstat(fd).st_size

    def read(offset: int, n_bytes: int) -> bytearray:
        room = bytearray(max(0, min(n_bytes, size - offset)))
        done = os.preadv(fd, [room], offset) if room else 0
        return room if done == len(room) else room[:done]

    return read


def _content(fd: int) -> memoryview:
    """All of a segment. Not mapped: a reader of mapped memory dies when the file is cut."""
    return memoryview(_source(fd)(0, os.fstat(fd).st_size))


def _is_blank(fd: int, offset: int) -> bool:
    return not np.frombuffer(_content(fd)[offset:], np.uint8).any()
