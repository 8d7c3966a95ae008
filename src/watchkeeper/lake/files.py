"""The disk, as far as promises of durability depend on it. Tests put a failing one in its place."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

Buffer = bytes | bytearray | memoryview

PAGE_BYTES: Final = 4096

_MAX_PARTS: Final = 1000
"""Per call of writev; POSIX systems take 1024."""
_FILL_BYTES: Final = 1 << 20


def whole_pages(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


class Files:
    """Thin calls of the operating system. Every fault is an OSError."""

    def create(self, path: Path, size_bytes: int) -> int:
        """A new file with room reserved, so that writing into it meets no full disk; its handle.

        It is durable when this returns, and its name once the folder is synced.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            self.reserve(fd, size_bytes)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        return fd

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def reserve(self, fd: int, size_bytes: int) -> None:
        """Give the file at least this size, as zeroes that own their place on the disk."""
        os.posix_fallocate(fd, 0, size_bytes)
        os.fsync(fd)

    def bypass_cache(self, fd: int) -> None:
        """From now on only whole pages are written, out of a PageBuffer, and go straight to the
        disk. Where that is not possible nothing changes but the speed."""
        with suppress(OSError, AttributeError):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)

    def fill(self, fd: int, size_bytes: int) -> None:
        """Write zeroes, durably. Overwriting them later is quicker than writing where nothing ever
        was: the file system has nothing to note down, and a sync waits for no journal."""
        zeroes = mmap.mmap(-1, _FILL_BYTES)
        for offset in range(0, size_bytes, _FILL_BYTES):
            self.write(fd, [memoryview(zeroes)[: size_bytes - offset]], offset)
        self.sync(fd)

    def write(self, fd: int, parts: Sequence[Buffer], offset: int) -> None:
        """All parts, one behind the other. After a fault some of them may be there."""
        for first in range(0, len(parts), _MAX_PARTS):
            some = parts[first : first + _MAX_PARTS]
            size = sum(map(len, some))
            try:
                done = os.pwritev(fd, some, offset)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._use_cache(fd):
                    raise
                done = os.pwritev(fd, some, offset)
            if done < size:
                whole = some[0] if len(some) == 1 else b"".join(some)
                self._write_rest(fd, memoryview(whole), offset, done)
            offset += size

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Not durable before the next sync."""
        os.ftruncate(fd, size_bytes)

    def close(self, fd: int) -> None:
        os.close(fd)

    def remove(self, path: Path) -> None:
        """Not durable before the folder is synced."""
        path.unlink(missing_ok=True)

    def rename(self, path: Path, name: Path) -> None:
        """Not durable before the folder is synced."""
        path.rename(name)

    def sync_folder(self, folder: Path) -> None:
        """Make creations, renames and removals in it durable."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def write_whole(self, path: Path, content: Buffer) -> None:
        """Replace a file's content durably: afterwards it is the old one or the new, never less."""
        fresh = path.with_name(f"{path.name}.new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            self.write(fd, [content], 0)
            self.sync(fd)
        finally:
            self.close(fd)
        fresh.replace(path)
        self.sync_folder(path.parent)

    def _use_cache(self, fd: int) -> bool:
        """Undo `bypass_cache`, for a file system that promised more than it does."""
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        direct = getattr(os, "O_DIRECT", 0)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~direct)
        return bool(flags & direct)

    def _write_rest(self, fd: int, rest: memoryview, offset: int, done: int) -> None:
        while done < len(rest):
            done += os.pwrite(fd, rest[done:], offset + done)


class PageBuffer:
    """Whole pages of memory, from which a disk can read without a copy in between."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 64 * PAGE_BYTES)

    def fill(self, parts: Sequence[Buffer]) -> memoryview:
        """The parts one behind the other, and zeroes to the end of the page. Valid until the next
        call."""
        size = whole_pages(sum(map(len, parts)))
        if size > len(self._memory):
            self._memory = mmap.mmap(-1, 2 * size)
        view = memoryview(self._memory)
        at = 0
        for part in parts:
            view[at : at + len(part)] = part
            at += len(part)
        view[at:size] = bytes(size - at)
        return view[:size]
