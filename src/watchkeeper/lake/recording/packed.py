"""A segment of the log that nobody needs any more, as it is kept: compressed, in one file.

Blocks of records behind one another, each in a frame as those of the log. The file gets its name
when all of it is synced, so a bad frame is damage: it is told, and the next whole one is looked
for. The name says which records are in it, and of what time.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

import cramjam
import numpy as np

from watchkeeper.lake.files import Files
from watchkeeper.lake.frames import Frame, frame_group, frame_size, search, walk
from watchkeeper.lake.log_segment import Damage

BLOCK_BYTES: Final = 1 << 20
"""Records that are compressed together, about: what a reader holds in memory."""

_NAME: Final = re.compile(r"([0-9a-f]{8})-(\d{19})-(\d{19})-(\d{19})-(\d{19})\.kept")
_HEAD: Final = struct.Struct("<QI4x")  # first position, records

Record = tuple[int, memoryview]
"""A position, and what the log holds there."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Such a file. Everything but the path stands in its name."""

    path: Path
    serial: int
    """That of the log's segment."""
    first: int
    last: int
    """Positions, of the segment's first record and of its last."""
    start_ns: int
    end_ns: int
    """By the ticks in it; of one without any, when it was last written."""

    @classmethod
    def found(cls, path: Path) -> Self | None:
        """The segment in a file; None if it is none of ours."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        serial, *numbers = match.groups()
        return cls(path, int(serial, 16), *map(int, numbers))

    @property
    def size_bytes(self) -> int:
        """On the disk; nothing where it is gone."""
        with suppress(FileNotFoundError):
            return self.path.stat().st_size
        return 0

    def records(self, wanted: int, damage: list[Damage]) -> Iterator[Record]:
        """Those from `wanted` on. What cannot be read is added to `damage`, and stepped over."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        behind, n_known, end = self.first, len(damage), 0
        try:
            for frame in self._frames(fd, damage):
                first, n = _HEAD.unpack_from(frame.payload)
                behind, end = first + n, frame.end
                if behind > wanted:
                    yield from _unpacked(frame.payload, first, n, wanted)
        finally:
            os.close(fd)
        if behind <= self.last and len(damage) == n_known:  # cut between two blocks
            damage.append(Damage(self.path.name, end, 0, behind, self.last + 1 - behind))

    def _frames(self, fd: int, damage: list[Damage]) -> Iterator[Frame]:
        size = os.fstat(fd).st_size
        number, offset = 0, 0
        while offset < size:
            for frame in walk(partial(_read, fd), salt=self.serial, offset=offset, position=number):
                number, offset = frame.position + 1, frame.end
                yield frame
            if offset >= size:
                return
            behind = search(
                _read(fd, 0, size), salt=self.serial, offset=offset, positions=range(number, size)
            )
            found = next(iter(behind), None)
            resume = size if found is None else found.offset
            damage.append(Damage(self.path.name, offset, resume - offset, self.first, 0))
            if found is None:
                return
            number, offset = found.position, found.offset


def pack(
    folder: Path, serial: int, records: Iterable[Record], *, times: Times, files: Files
) -> Packed | None:
    """Write a segment's records, durably or not at all; None if there are none.

    Raises OSError.
    """
    fresh = folder / f"{serial:08x}.new"
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    first, last = 0, 0
    try:
        offset = 0
        for number, block in enumerate(_blocks(records)):
            payload = _packed(block)
            parts = frame_group([payload], number, offset=offset, salt=serial)
            files.write(fd, parts, offset)
            offset += frame_size(len(payload))
            first, last = first or block[0][0], block[-1][0]
        files.sync(fd)
    finally:
        files.close(fd)
    if not first:
        fresh.unlink()
        return None
    numbers = (first, last, times.start_ns, times.end_ns)
    path = folder / f"{serial:08x}-{'-'.join(f'{number:019d}' for number in numbers)}.kept"
    fresh.replace(path)
    files.sync_folder(folder)
    return Packed(path, serial, *numbers)


@dataclass(slots=True)
class Times:
    """Of the records that passed, as far as they tell; before that, what is assumed."""

    start_ns: int
    end_ns: int
    is_known: bool = False

    def note(self, now_ns: int) -> None:
        self.start_ns = min(self.start_ns, now_ns) if self.is_known else now_ns
        self.end_ns = max(self.end_ns, now_ns) if self.is_known else now_ns
        self.is_known = True


def _blocks(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Of records without a gap in their positions."""
    block: list[Record] = []
    size = 0
    for position, payload in records:
        if block and (size >= BLOCK_BYTES or position != block[-1][0] + 1):
            yield block
            block, size = [], 0
        block.append((position, payload))
        size += len(payload)
    if block:
        yield block


def _packed(block: list[Record]) -> bytes:
    lengths = np.array([len(payload) for _, payload in block], np.uint32)
    whole = b"".join([lengths.tobytes(), *(payload for _, payload in block)])
    head = _HEAD.pack(block[0][0], len(block))
    return head + bytes(cramjam.lz4.compress_block(whole))


def _unpacked(payload: memoryview, first: int, n: int, wanted: int) -> Iterator[Record]:
    whole = bytes(cramjam.lz4.decompress_block(payload[_HEAD.size :]))
    at = 4 * n
    for position, size in enumerate(np.frombuffer(whole, np.uint32, n).tolist(), start=first):
        if position >= wanted:  # memory of its own: kernels want columns that are aligned
            yield position, memoryview(bytearray(whole[at : at + size]))
        at += size


def _read(fd: int, offset: int, size: int) -> bytearray:
    left = os.fstat(fd).st_size - offset
    return bytearray(os.pread(fd, max(0, min(size, left)), offset))
