"""Keeps what the log let go of: for a time, compressed if asked for, never in anybody's way.

A crash leaves a segment as it was, or compressed, or both, and then the one that was not compressed
goes. Nothing here is needed to start again, so whatever fails is told and left.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.files import Files
from watchkeeper.lake.log_segment import Damage, LogSegment
from watchkeeper.lake.recording.config import ReplayConfig
from watchkeeper.lake.recording.packed import Packed, Record, Times, pack
from watchkeeper.lake.recording.recording import KEPT_FOLDER, Piece, pieces, records
from watchkeeper.lake.recording.snapshot import snapshots
from watchkeeper.model import wire
from watchkeeper.model.signal import Tick

_log: Final = telemetry.Log(__name__)
_BYTES: Final = telemetry.gauge(
    "watchkeeper_lake_kept_bytes", "Size of what is kept to be replayed."
)
FREE_BYTES: Final = 1 << 30
"""Of the disk. Where less is free, what is kept goes first."""
_FORGET_NS: Final = 60 * NS_PER_S
"""How often is looked for what is too old."""


class Keeper:
    """Of one log. For one thread at a time."""

    def __init__(
        self,
        log_folder: Path,
        config: ReplayConfig,
        *,
        files: Files | None = None,
        free_bytes: int = FREE_BYTES,
    ) -> None:
        self._log_folder = log_folder
        self.folder = log_folder / KEPT_FOLDER
        self.config = config
        self._files = files or Files()
        self._free_bytes = free_bytes
        self._forgot_ns = 0

    def clean(self) -> None:
        """What was being written when the process ended. Before anything else."""
        for path in self.folder.glob("*.new"):
            path.unlink(missing_ok=True)

    def maintain(self, now_ns: int) -> None:
        """Make room, compress what is to be, and forget what is too old or too much."""
        if not self.folder.is_dir():
            return
        self._make_room()
        is_new = self.config.compress and any(self.folder.glob("*.log"))
        if is_new:
            self._compress()
        if is_new or not 0 <= now_ns - self._forgot_ns < _FORGET_NS:
            self._forgot_ns = now_ns
            self._forget(now_ns)
            _BYTES.set(sum(_size(path) for path in self.folder.iterdir()))

    # Below: one by one.

    def _make_room(self) -> None:
        if self._has_room():
            return
        for piece in list(self._kept()):
            if self._has_room():
                return
            _log.warning("the disk is nearly full: what is kept for replay goes", file=piece.path)
            self._remove(piece.path)

    def _has_room(self) -> bool:
        return shutil.disk_usage(self.folder).free >= self._free_bytes

    def _compress(self) -> None:
        everything = pieces(self._log_folder)
        packed = {piece.serial for piece in self._kept() if isinstance(piece, Packed)}
        first_behind = _firsts_behind(everything)
        for path in sorted(self.folder.glob("*.log")):
            segment = LogSegment.found(path)
            if segment is None:
                continue
            if segment.serial not in packed:
                self._compress_one(segment, first_behind[segment.serial] - 1)
            self._remove(path)

    def _compress_one(self, segment: LogSegment, stop: int) -> None:
        written_ns = segment.path.stat().st_mtime_ns
        times, damage = Times(written_ns, written_ns), list[Damage]()
        found = _timed(records(segment, segment.first, stop, damage), times)
        pack(self.folder, segment.serial, found, times=times, files=self._files)

    def _forget(self, now_ns: int) -> None:
        oldest_ns = now_ns - round(self.config.keep_s * NS_PER_S)
        kept = list(self._kept())
        shots = snapshots(self.folder)
        total = sum(_size(one.path) for one in [*kept, *shots])
        for piece in kept:
            if _end_ns(piece) >= oldest_ns and total <= self.config.max_bytes:
                break
            total -= _size(piece.path)
            self._remove(piece.path)
        first = next((piece.first for piece in pieces(self._log_folder)), 1)
        for shot in shots:
            if shot.position < first - 1 or total > self.config.max_bytes:
                total -= _size(shot.path)
                self._remove(shot.path)

    def _kept(self) -> Iterator[Piece]:
        for piece in pieces(self._log_folder):
            if piece.path.parent == self.folder:
                yield piece

    def _remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            self._files.remove(path)


def _firsts_behind(everything: list[Piece]) -> dict[int, int]:
    """By serial, the first position of the segment behind. The log's last one is never kept."""
    return {piece.serial: following.first for piece, following in pairwise(everything)}


def _timed(found: Iterator[Record], times: Times) -> Iterator[Record]:
    """The same, noting the time that they tell."""
    for position, payload in found:
        if wire.kind_of(payload) == wire.TICK:
            tick = wire.decode(payload)
            if isinstance(tick, Tick):
                times.note(tick.now_ns)
        yield position, payload


def _end_ns(piece: Piece) -> int:
    """The newest time of its records; of the log's own segments, when they were last written."""
    if isinstance(piece, Packed):
        return piece.end_ns
    try:
        return piece.path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
