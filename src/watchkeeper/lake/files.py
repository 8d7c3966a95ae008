"""The disk, as far as promises of durability depend on it. Tests put a failing one in its place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

Buffer = bytes | bytearray | memoryview

_MAX_PARTS: Final = 1000
"""Per call of writev; POSIX systems take 1024."""


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

    def write(self, fd: int, parts: Sequence[Buffer], offset: int) -> None:
        """All parts, one behind the other. After a fault some of them may be there."""
        for first in range(0, len(parts), _MAX_PARTS):
            some = parts[first : first + _MAX_PARTS]
            size = sum(map(len, some))
            done = os.pwritev(fd, some, offset)
            if done < size:
                self._write_rest(fd, memoryview(b"".join(some)), offset, done)
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

    def _write_rest(self, fd: int, rest: memoryview, offset: int, done: int) -> None:
        while done < len(rest):
            done += os.pwrite(fd, rest[done:], offset + done)
