"""What is recorded: the log and what was kept of it, read beside the server that writes it.

Nothing is locked and nothing is changed. What the server moves or compresses while it is read is
found again; what it deletes is missed, and said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchkeeper.errors import Permanent
from watchkeeper.lake.log_segment import Damage, LogSegment
from watchkeeper.lake.recording.packed import Packed, Record

KEPT_FOLDER: Final = "kept"
"""Below the log's: on one disk, so that a segment is moved there without copying it."""

Piece = Packed | LogSegment


class Recording:
    """The records that there were when this was made."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the log's."""
        self._folder = folder
        self.damage: list[Damage] = []
        """What could not be read so far."""
        self._pieces = pieces(folder)
        self.last = self._end()
        """Position of the newest record; 0 if there is none."""

    @property
    def first(self) -> int:
        """Position of the oldest record; 1 if there is none."""
        return self._pieces[0].first if self._pieces else 1

    def read(self, after: int) -> Iterator[Record]:
        """(position, payload) of every record behind `after`. What is missing was damaged.

        Raises Permanent where a file was deleted before it was read.
        """
        for piece, following in itertools.zip_longest(self._pieces, self._pieces[1:]):
            stop = self.last if following is None else following.first - 1
            wanted = max(after + 1, piece.first)
            if wanted <= stop:
                yield from self._records(piece, wanted, stop)

    def _records(self, piece: Piece, wanted: int, stop: int) -> Iterator[Record]:
        while True:
            try:  # only opening it can fail so, and then nothing was yielded
                yield from records(piece, wanted, stop, self.damage)
            except FileNotFoundError:
                piece = self._found_again(piece)
            else:
                return

    def _found_again(self, lost: Piece) -> Piece:
        for piece in pieces(self._folder):
            if piece.serial == lost.serial and piece.path != lost.path:
                return piece
        raise Permanent(
            f"replay: records from position {lost.first} on were deleted while they were read; "
            "begin later, or let more be kept: log.replay.keep_s and log.replay.max_bytes"
        )

    def _end(self) -> int:
        """Of the segment that is being written nothing but reading it tells where it ends."""
        while self._pieces:
            newest = self._pieces[-1]
            if isinstance(newest, Packed):
                return newest.last
            try:
                return newest.end(lambda _segment, damage, _content: self.damage.append(damage))[0]
            except FileNotFoundError:
                self._pieces = pieces(self._folder)
        return 0


def pieces(folder: Path) -> list[Piece]:
    """Of the log in a folder and of what was kept, in order; one that is moved or compressed just
    now is there once."""
    found: dict[int, Piece] = {}
    for path in [*_files(folder), *_files(folder / KEPT_FOLDER)]:  # as segments move
        with suppress(FileNotFoundError):
            piece = Packed.found(path) or LogSegment.found(path)
            if piece is not None:
                found[piece.serial] = piece
    return [found[serial] for serial in sorted(found)]


def records(piece: Piece, wanted: int, stop: int, damage: list[Damage]) -> Iterator[Record]:
    """Those of one piece from `wanted` to `stop`."""
    if isinstance(piece, Packed):
        yield from piece.records(wanted, damage)
        return
    for frame in piece.frames(wanted, stop, lambda _segment, one, _content: damage.append(one)):
        yield frame.position, frame.payload


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
