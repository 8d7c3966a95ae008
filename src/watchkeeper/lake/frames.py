"""The frames of the log: records behind a header that tells whether they are whole.

A frame is checksum, position, length, where its group began, how many frames of the group follow,
then the payload, padded to eight bytes. The checksum is seeded with the segment's salt, so bytes
that a sender chose can never pass for a frame. Where the group began tells damage from a torn tail:
a group is written only when all before it is synced.

Groups may begin on pages of their own. Then no write touches a page that holds what was
acknowledged, and syncing costs a third less than where the last page is written twice.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xxhash

from watchkeeper.lake.files import PAGE_BYTES, Buffer

ALIGNMENT: Final = 8
HEAD: Final = struct.Struct("<QQIII4x")  # checksum position length group left
READ_BYTES: Final = 1 << 20
"""Read at once, at least; a longer frame is read as a whole."""

_PADDING: Final = tuple(bytes(n) for n in range(ALIGNMENT))
_CHECKED: Final = 8
"""The checksum covers the header from here on."""

Source = Callable[[int, int], bytearray]
"""(offset, size) -> bytes of a segment, fewer at its end."""


@dataclass(frozen=True, slots=True)
class Frame:
    position: int
    payload: memoryview
    offset: int
    end: int
    """Offset of whatever comes behind it."""
    group: int
    """Offset at which its group began."""
    left: int
    """Frames of its group that follow."""


def frame_size(payload_bytes: int) -> int:
    return HEAD.size + -(-payload_bytes // ALIGNMENT) * ALIGNMENT


def frame_group(
    payloads: Sequence[Buffer], position: int, *, offset: int, salt: int, began: int | None = None
) -> list[Buffer]:
    """The parts to write at `offset` for a group whose first record has this position.

    `began`: where the group began, if these are not its first records.
    """
    parts: list[Buffer] = []
    group = (offset if began is None else began) // ALIGNMENT
    left = len(payloads)
    for payload in payloads:
        left -= 1
        size = len(payload)
        head = bytearray(HEAD.pack(0, position, size, group, left))
        struct.pack_into("<Q", head, 0, _checksum(head, payload, salt))
        parts += (head, payload, _PADDING[-size % ALIGNMENT])
        position += 1
    return parts


def walk(
    source: Source, *, salt: int, offset: int, position: int, group_bytes: int = ALIGNMENT
) -> Iterator[Frame]:
    """Frames from `offset` on, the first at `position`, until one is not as it should be. Groups
    begin at multiples of `group_bytes`.

    Memory is bounded by READ_BYTES or the longest frame; payloads stay valid as long as they are
    held, and are writable.
    """
    view, at = memoryview(b""), 0
    while True:
        if len(view) - at < HEAD.size:
            view, at = memoryview(source(offset, READ_BYTES)), 0
        size = _announced(view, at, position)
        if size > len(view) - at:
            view, at = memoryview(source(offset, max(size, READ_BYTES))), 0
        frame = _parse(view, at, offset, salt, group_bytes)
        if frame is None or frame.position != position:
            return
        yield frame
        at += frame.end - offset
        offset = frame.end
        position += 1


def search(segment: Buffer, *, salt: int, offset: int, positions: range) -> Iterator[Frame]:
    """Whole frames anywhere behind `offset` whose position is in a range: what is left behind
    damage. `segment` is all of it."""
    view = memoryview(segment)
    words = np.frombuffer(view[: len(view) // 8 * 8], np.uint64)
    found = words[offset // 8 + 1 :]
    is_near = (found >= positions.start) & (found < positions.stop)
    for word in np.flatnonzero(is_near):
        at = offset + int(word) * 8
        frame = _parse(view, at, at, salt, PAGE_BYTES)
        if frame is not None:
            yield frame


def _announced(view: memoryview, at: int, position: int) -> int:
    """Bytes of the frame at `at`, if it is the one at `position`; else 0."""
    if len(view) - at < HEAD.size:
        return 0
    _, announced, size, _, _ = HEAD.unpack_from(view, at)
    return frame_size(size) if announced == position else 0


def _parse(view: memoryview, at: int, offset: int, salt: int, group_bytes: int) -> Frame | None:
    """The frame at `at` in `view`, which is `offset` in the segment; None if it is not whole."""
    if len(view) - at < HEAD.size:
        return None
    checksum, position, size, group, left = HEAD.unpack_from(view, at)
    begin = at + HEAD.size
    payload = view[begin : begin + size]
    if len(payload) < size or checksum != _checksum(view[at:begin], payload, salt):
        return None
    end = offset + frame_size(size)
    if not left:
        end = -(-end // group_bytes) * group_bytes
    return Frame(position, payload, offset, end, group * ALIGNMENT, left)


def _checksum(head: Buffer, payload: Buffer, salt: int) -> int:
    seed = xxhash.xxh3_64_intdigest(head[_CHECKED:], salt)
    return xxhash.xxh3_64_intdigest(payload, seed)
