"""A disk that forgets what was not synced, fails when told to, and stops in the middle."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watchkeeper.lake.files import Buffer, Files

SECTOR = 512
"""What a disk writes whole or not at all."""


class UnsyncedFiles(Files):
    """Quick, for tests that lose no power."""

    def reserve(self, fd: int, size_bytes: int) -> None:
        os.truncate(fd, size_bytes)

    def sync(self, fd: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


class Inline(Executor):
    """Does at once what is to be done in the background, so that a test knows when."""

    def submit(self, job: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(job(*arguments, **named))
        return done


class Crash(BaseException):
    """The process ends here: nothing of ours catches it."""


@dataclass
class _File:
    path: Path
    durable: bytearray
    dirty: set[int] = field(default_factory=set)
    """Sectors written since the last sync."""
    is_cut: bool = False
    """Truncated since the last sync."""


class FaultyFiles(Files):
    """Really writes into a folder, and knows what of it a loss of power would leave.

    Calls are named as the methods are: create, reserve, write, sync, truncate, remove, rename,
    sync_folder.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self.chance = chance or random.Random(0)
        self.calls: list[str] = []
        self._faults: dict[str, list[int]] = {}
        self._crash_at: str | None = None
        self._open: dict[int, _File] = {}
        self._files: dict[Path, _File] = {}
        self._durable_names: dict[Path, _File] = {}

    def fail(self, call: str, number: int, *, times: int = 1) -> None:
        """Let the next calls of this name fail with an errno."""
        self._faults.setdefault(call, []).extend([number] * times)

    def mend(self) -> None:
        self._faults.clear()
        self._crash_at = None

    def crash_at(self, call: str) -> None:
        """End the process in the next call of this name, somewhere in the middle of it."""
        self._crash_at = call

    def lose_power(self) -> None:
        """Put onto the disk what a loss of power would leave of it; this object is done then."""
        for fd in list(self._open):
            self.close(fd)
        names = {}
        for path in {*self._files, *self._durable_names}:
            now, then = self._files.get(path), self._durable_names.get(path)
            kept = now if now is then or self.chance.random() < 0.5 else then
            if kept is not None:
                names[path] = self._remains(kept)
        for path in {*self._files, *self._durable_names}:
            path.unlink(missing_ok=True)
        for path, content in names.items():
            path.write_bytes(content)

    # The calls

    def create(self, path: Path, size_bytes: int) -> int:
        self._enter("create")
        fd = super().create(path, size_bytes)
        file = _File(path, bytearray(path.read_bytes()))
        self._open[fd] = self._files[path] = file
        return fd

    def open(self, path: Path) -> int:
        fd = super().open(path)
        file = _File(path, bytearray(path.read_bytes()))
        self._open[fd] = self._files[path] = self._durable_names[path] = file
        return fd

    def reserve(self, fd: int, size_bytes: int) -> None:
        self._enter("reserve")
        super().reserve(fd, size_bytes)
        if fd in self._open:
            self._settle(self._open[fd])

    def write(self, fd: int, parts: Sequence[Buffer], offset: int) -> None:
        content = b"".join(parts)
        try:
            self._enter("write")
        except BaseException:
            some = content[: self.chance.randint(0, len(content))]
            self._write(fd, some, offset)
            raise
        self._write(fd, content, offset)

    def sync(self, fd: int) -> None:
        file = self._open.get(fd)
        try:
            self._enter("sync")
        except OSError:  # pages are called clean now, whether they reached the disk or not
            if file is not None:
                file.durable[:] = self._remains(file)
                file.dirty.clear()
            raise
        if file is not None:
            self._settle(file)

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._enter("truncate")
        super().truncate(fd, size_bytes)
        if fd in self._open:
            self._open[fd].is_cut = True

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)
        super().close(fd)

    def remove(self, path: Path) -> None:
        self._enter("remove")
        if path not in self._files and path.exists():
            self._durable_names[path] = _File(path, bytearray(path.read_bytes()))
        super().remove(path)
        self._files.pop(path, None)

    def rename(self, path: Path, name: Path) -> None:
        self._enter("rename")
        super().rename(path, name)
        file = self._files.pop(path)
        file.path = name
        self._files[name] = file

    def bypass_cache(self, fd: int) -> None:
        """What is lost with the power is what was in the cache."""

    def sync_folder(self, folder: Path) -> None:
        self._enter("sync_folder")
        self._durable_names = dict(self._files)

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        if self._crash_at == call:
            self._crash_at = None
            raise Crash(call)
        if self._faults.get(call):
            number = self._faults[call].pop(0)
            raise OSError(number, os.strerror(number))

    def _write(self, fd: int, content: bytes, offset: int) -> None:
        super().write(fd, [content], offset)
        if fd in self._open and content:
            sectors = range(offset // SECTOR, (offset + len(content) - 1) // SECTOR + 1)
            self._open[fd].dirty.update(sectors)

    def _settle(self, file: _File) -> None:
        """What is dirty is on the disk now; what an earlier fault dropped is not."""
        now = file.path.read_bytes()
        for sector in file.dirty:
            span = slice(sector * SECTOR, (sector + 1) * SECTOR)
            _put(file.durable, span, now[span])
        del file.durable[len(now) :]
        file.durable.extend(bytes(len(now) - len(file.durable)))
        file.dirty.clear()
        file.is_cut = False

    def _remains(self, file: _File) -> bytes:
        """Durable content, with unsynced sectors there or not."""
        left = bytearray(file.durable)
        if not file.path.exists():  # a removal that was not durable is undone
            return bytes(left)
        now = file.path.read_bytes()
        if file.is_cut and self.chance.random() < 0.5:
            del left[len(now) :]
        for sector in sorted(file.dirty):
            span = slice(sector * SECTOR, (sector + 1) * SECTOR)
            if self.chance.random() < 0.5:
                _put(left, span, now[span])
        return bytes(left)


def _put(into: bytearray, span: slice, content: bytes) -> None:
    if len(into) < span.start:
        into.extend(bytes(span.start - len(into)))
    into[span.start : span.start + len(content)] = content
