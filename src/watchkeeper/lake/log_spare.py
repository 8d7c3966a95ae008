"""The next file of the log, made ready in the background while the present one fills."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchkeeper.lake.files import Files

_NAME: Final = "next.spare"


class Spare:
    """At most one file, of one size, full of zeroes. Whatever fails here is no loss: who finds no
    spare creates a file in the usual way, and learns then what is wrong."""

    def __init__(
        self, folder: Path, size_bytes: int, *, files: Files, executor: Executor | None
    ) -> None:
        self._path = folder / _NAME
        self._size_bytes = size_bytes
        self._files = files
        # A pool starts its thread when it is first given something to do.
        self._executor = executor or ThreadPoolExecutor(1, "log-spare")
        self._is_own = executor is None
        self._making: Future[int | None] | None = None
        with suppress(OSError):  # of a former life, and perhaps not full
            files.remove(self._path)

    def prepare(self) -> None:
        """Begin, unless it was begun."""
        if self._making is None:
            self._making = self._executor.submit(self._make)

    def take(self, path: Path, size_bytes: int) -> int | None:
        """The spare's handle, after giving it this name; None if there is no fitting one. Its name
        is durable once the folder is synced."""
        if self._making is None or size_bytes != self._size_bytes:
            return None
        fd, self._making = self._making.result(), None
        if fd is None:
            return None
        try:
            self._files.rename(self._path, path)
        except OSError:
            self._discard(fd)
            return None
        return fd

    def close(self) -> None:
        making, self._making = self._making, None
        if making is not None and (fd := making.result()) is not None:
            self._discard(fd)
        if self._is_own:
            self._executor.shutdown()

    def _make(self) -> int | None:
        try:
            fd = self._files.create(self._path, self._size_bytes)
        except OSError:
            return None
        try:
            self._files.bypass_cache(fd)
            self._files.fill(fd, self._size_bytes)
        except OSError:
            self._discard(fd)
            return None
        return fd

    def _discard(self, fd: int) -> None:
        self._files.close(fd)
        with suppress(OSError):
            self._files.remove(self._path)
