"""A new file that is filled from the front: many small writes become few."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from watchkeeper.lake.files import Buffer, Files

_WRITE_BYTES: Final = 1 << 20


class Sink:
    """As much of a file as pyarrow asks for, too. Faults come as the disk tells them."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._fd: int | None = files.create(path, _WRITE_BYTES)
        self._path = path
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._written = 0
        self.closed = False

    def write(self, content: Buffer) -> int:
        self._waiting.append(bytes(content))
        self._waiting_bytes += len(content)
        if self._waiting_bytes >= _WRITE_BYTES:
            self.flush()
        return len(content)

    def tell(self) -> int:
        return self._written + self._waiting_bytes

    def flush(self) -> None:
        if self._waiting and self._fd is not None:
            self._files.write(self._fd, self._waiting, self._written)
            self._written += self._waiting_bytes
            self._waiting, self._waiting_bytes = [], 0

    def close(self) -> None:
        """pyarrow's word that it is done; the file stays open until it is synced."""

    def finish(self) -> None:
        self.flush()
        if self._fd is not None:
            self._files.truncate(self._fd, self._written)
            self._files.sync(self._fd)
        self.abandon()

    def abandon(self) -> None:
        if self._fd is not None:
            self._files.close(self._fd)
            self._fd = None
        self._waiting = []
