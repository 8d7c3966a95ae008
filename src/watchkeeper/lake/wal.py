"""The write-ahead log: what was accepted, in order, durable before anybody is told.

A group of records is one write and one sync. Each record gets the next position; positions have no
gaps. After a fault of the disk nothing of the group is kept: its segment is left behind at the last
synced record, and the log goes on in a new one as soon as the disk lets it.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.lake.files import Buffer, Files, PageBuffer, whole_pages
from watchkeeper.lake.frames import frame_group, frame_size
from watchkeeper.lake.log_segment import Damage, LogSegment
from watchkeeper.lake.log_spare import Spare
from watchkeeper.lake.recording.config import ReplayConfig

_log: Final = telemetry.Log(__name__)
_BYTES: Final = telemetry.gauge(
    "watchkeeper_lake_log_bytes", "Size of the write-ahead log on disk, reserved room included."
)
_SYNC_S: Final = telemetry.histogram(
    "watchkeeper_lake_log_sync_seconds", "How long one write and sync of a group took."
)
_FAULTS: Final = telemetry.counter(
    "watchkeeper_lake_log_faults_total", "Groups that the disk refused; their senders retry."
)
_DAMAGED: Final = telemetry.counter(
    "watchkeeper_lake_log_damaged_records_total", "Synced records that could not be read any more."
)
_CUT: Final = telemetry.counter(
    "watchkeeper_lake_log_cut_tails_total", "Torn tails cut off at start; nobody was told of them."
)

KEPT_DAMAGE: Final = 16
"""Damaged stretches that are kept as files for a person to look at; more are counted only."""


class WalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the log is cut into files, and how much of the disk it may take."""

    segment_bytes: Annotated[
        int,
        Meta(ge=4096, description="Size of a file of the log; it is deleted as a whole."),
    ] = 64 << 20
    limit_bytes: Annotated[
        int,
        Meta(ge=8192, description="All files together; beyond it senders are told to retry."),
    ] = 8 << 30
    replay: ReplayConfig = ReplayConfig()


class WriteAheadLog:
    """Owned by one process, appended to by one thread at a time, read by many.

    A group that `append` refused is gone, with one exception that no log can avoid: if the machine
    stops before the disk took a single write after the fault, it may be there again, whole.
    """

    Config = WalConfig

    def __init__(
        self,
        folder: Path,
        config: WalConfig | None = None,
        *,
        files: Files | None = None,
        executor: Executor | None = None,
        kept: Path | None = None,
    ) -> None:
        """`executor` makes the next segment ready; by default a thread of the log's own. Segments
        that are released go to the folder `kept`, on the same disk; without one, for good."""
        self.folder = folder
        self._kept = kept
        self._config = config or WalConfig()
        self._files = files or Files()
        self._pages = PageBuffer()
        self._state = Lock()
        self._writing = Lock()
        self._damage: dict[tuple[str, int], Damage] = {}
        self._segments: list[LogSegment] = []
        self._serial = 0
        self._last = 0
        self._end = 0
        self._is_broken = False
        self._owner_fd = own(folder)
        self._spare = Spare(
            folder,
            whole_pages(self._config.segment_bytes),
            files=self._files,
            executor=executor,
        )
        try:
            self._open()
        except OSError as error:
            os.close(self._owner_fd)
            raise ConfigError(
                f"log: cannot use '{folder}': {error.strerror}; give `data_dir` a folder that this "
                "process may write to, on a disk with room"
            ) from error

    @property
    def first(self) -> int:
        """Position of the oldest record that is kept; last + 1 if there is none."""
        return self._segments[0].first

    @property
    def last(self) -> int:
        """Position of the newest durable record; 0 if there never was one."""
        return self._last

    @property
    def size_bytes(self) -> int:
        return sum(segment.size_bytes for segment in self._segments)

    @property
    def damage(self) -> Sequence[Damage]:
        """What could not be read, as far as it was tried in this process."""
        return tuple(self._damage.values())

    @property
    def is_broken(self) -> bool:
        """Whether the disk refused the last group and has not taken a new segment since."""
        return self._is_broken

    def append(self, payloads: Sequence[Buffer]) -> int:
        """Make a group durable, all or none; its last position. Raises Retryable."""
        with self._writing:
            if not payloads:
                return self._last
            size = sum(frame_size(len(payload)) for payload in payloads)
            if self._is_broken or self._end + size > self._active.size_bytes:
                self._roll(size)
            parts = frame_group(payloads, self._last + 1, offset=self._end, salt=self._active.salt)
            began = time.perf_counter()
            try:
                self._files.write(self._fd, [self._pages.fill(parts)], self._end)
                self._files.sync(self._fd)
            except OSError as error:
                self._abandon()
                raise self._refusal(error) from error
            _SYNC_S.observe(time.perf_counter() - began)
            with self._state:
                self._active.mark(self._last + 1, self._end)
                self._end = whole_pages(self._end + size)
                self._last += len(payloads)
            self._look_ahead()
            return self._last

    def read(self, after: int) -> Iterator[tuple[int, memoryview]]:
        """(position, payload) of every record behind `after` that was durable when this began.

        Payloads are writable memory of their own. Positions that are missing were released, or are
        in `damage`.
        """
        with self._state:
            last = self._last
            segments = list(self._segments)
        for segment, following in itertools.zip_longest(segments, segments[1:]):
            stop = min(last, following.first - 1) if following else last
            wanted = max(after + 1, segment.first)
            if wanted > stop:
                continue
            try:
                for frame in segment.frames(wanted, stop, self._note_damage):
                    yield frame.position, frame.payload
            except FileNotFoundError:  # released since we began
                continue

    def release(self, position: int) -> None:
        """Let go of the segments whose records all lie at or below a position."""
        with self._state:
            n_gone = 0
            while (
                n_gone + 1 < len(self._segments)
                and self._segments[n_gone + 1].first - 1 <= position
            ):
                n_gone += 1
            gone, self._segments = self._segments[:n_gone], self._segments[n_gone:]
        if not gone:
            return
        try:
            for segment in gone:  # oldest first, so that what a crash leaves has no hole
                self._let_go(segment)
            self._files.sync_folder(self.folder)
        except OSError as error:  # found again at the next start, and released then
            _log.warning("log segment not deleted", folder=self.folder, why=error.strerror)
        _BYTES.set(self.size_bytes)

    def _let_go(self, segment: LogSegment) -> None:
        if self._kept is None:
            self._files.remove(segment.path)
            return
        self._kept.mkdir(exist_ok=True)
        self._files.rename(segment.path, self._kept / segment.path.name)

    def close(self) -> None:
        with self._writing:
            if self._owner_fd < 0:
                return
            self._spare.close()
            self._files.close(self._fd)
            os.close(self._owner_fd)
            self._owner_fd = -1

    # Opening

    def _open(self) -> None:
        found = (LogSegment.found(path) for path in self.folder.iterdir())
        self._segments = sorted(
            (segment for segment in found if segment), key=lambda segment: segment.serial
        )
        if self._segments:
            self._active = self._segments[-1]
            self._serial = self._active.serial
            self._fd = self._files.open(self._active.path)
            self._find_end()
            self._files.bypass_cache(self._fd)
        else:
            self._active, self._fd = self._create(self._config.segment_bytes)
            self._segments = [self._active]
        _BYTES.set(self.size_bytes)

    def _find_end(self) -> None:
        self._last, self._end, is_clean = self._active.end(self._note_damage)
        size = self._active.size_bytes
        if not is_clean:
            self._files.truncate(self._fd, self._end)
            self._files.sync(self._fd)
            size = self._end
            _CUT.add()
            _log.warning(
                "torn tail cut", segment=self._active.path, offset=self._end, position=self._last
            )
        if size < self._config.segment_bytes:
            with suppress(OSError):  # a full disk can still be read; appending will say so
                self._files.reserve(self._fd, self._config.segment_bytes)
                size = self._config.segment_bytes
        self._active.size_bytes = size

    # Writing

    def _roll(self, size: int) -> None:
        """Go on in a new segment that has room for `size`."""
        room = whole_pages(max(self._config.segment_bytes, size))
        total = self.size_bytes - self._active.size_bytes + self._end + room
        if total > self._config.limit_bytes:
            raise Retryable(
                f"log: '{self.folder}' would grow to {total} bytes, beyond log.limit_bytes "
                f"({self._config.limit_bytes}); whoever reads it is behind: give it time or more "
                "cores, or raise the limit"
            )
        try:
            fresh, fd = self._create(room)
        except OSError as error:
            raise self._refusal(error) from error
        self._cut_off()
        self._files.close(self._fd)
        with self._state:
            self._segments.append(fresh)
            self._active, self._fd, self._end = fresh, fd, 0
            self._is_broken = False
        _BYTES.set(self.size_bytes)

    def _create(self, room: int) -> tuple[LogSegment, int]:
        """A new segment, durable by name and size before anything is written into it."""
        self._serial += 1
        fresh = LogSegment.named(self.folder, self._serial, self._last + 1, secrets.randbits(64))
        fd = self._spare.take(fresh.path, room)
        if fd is None:
            fd = self._files.create(fresh.path, room)
            self._files.bypass_cache(fd)
        try:
            self._files.sync_folder(self.folder)
        except OSError:
            self._files.close(fd)
            with suppress(OSError):
                self._files.remove(fresh.path)
            raise
        fresh.size_bytes = room
        return fresh, fd

    def _look_ahead(self) -> None:
        """Have the next segment made ready, in time and within the limit."""
        is_half_full = 2 * self._end > self._active.size_bytes
        if (
            is_half_full
            and self.size_bytes + self._config.segment_bytes <= self._config.limit_bytes
        ):
            self._spare.prepare()

    def _abandon(self) -> None:
        """After a fault nothing that this file's pages hold can be trusted: leave it, at once if
        the disk allows."""
        _FAULTS.add()
        self._is_broken = True
        self._cut_off()
        with suppress(Retryable):
            self._roll(0)

    def _cut_off(self) -> None:
        """Give back what the active segment does not use, and forget a refused tail. If that fails,
        the next segment's name still says where this one's records end."""
        with suppress(OSError):
            self._files.truncate(self._fd, self._end)
            self._files.sync(self._fd)
            self._active.size_bytes = self._end

    def _refusal(self, error: OSError) -> Retryable:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = (
            "free space there, or move `data_dir` to a larger disk" if is_full
            else "check the disk and its mount; what was acknowledged is safe"
        )  # fmt: skip
        return Retryable(f"log: cannot write to '{self.folder}': {error.strerror}; {remedy}")

    def _note_damage(self, segment: LogSegment, damage: Damage, content: memoryview) -> None:
        key = (damage.segment, damage.offset)
        if key in self._damage:
            return
        self._damage[key] = damage
        _DAMAGED.add(damage.n_positions)
        kept = self.folder / "damaged" / f"{segment.path.stem}-{damage.offset}.bytes"
        with suppress(OSError):
            kept.parent.mkdir(exist_ok=True)
            if not kept.exists() and len(list(kept.parent.iterdir())) < KEPT_DAMAGE:
                kept.write_bytes(content)
        _log.error(
            "log damaged",
            segment=segment.path,
            offset=damage.offset,
            bytes=damage.size_bytes,
            first_position=damage.first_position,
            lost_records=damage.n_positions,
            kept=kept if kept.exists() else "no",
        )


def own(folder: Path) -> int:
    """Keep every other process out, for as long as the handle is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ConfigError(
            f"log: cannot use '{folder}': {error.strerror}; give `data_dir` a folder that this "
            "process may write to"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise ConfigError(
            f"log: '{folder}' is in use by another process; stop that one, or give this one "
            "another `data_dir`"
        ) from error
    return fd
