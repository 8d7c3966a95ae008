"""What a disk lets anybody have who answers for what it wrote: a writer that does nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FILE_BYTES: Final = 16 << 20
"""Written once beforehand, then over and over: no sync waits for a file that grows."""


@contextmanager
def beside(folder: Path, *, every_s: float, n_bytes: int) -> Iterator[list[float]]:
    """Meanwhile bodies of `n_bytes` are due, `every_s` apart, and are made durable at once: seconds
    from when each was due. All that have become due in the meantime share the next sync."""
    waits: list[float] = []
    over = threading.Event()
    descriptor = os.open(folder / "bare-writer", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, bytes(FILE_BYTES), 0)
        os.fsync(descriptor)
        job = (descriptor, every_s, os.urandom(n_bytes), waits, over)
        writer = threading.Thread(target=_write, args=job)
        writer.start()
        try:
            yield waits
        finally:
            over.set()
            writer.join()
    finally:
        os.close(descriptor)


def _write(
    descriptor: int, every_s: float, body: bytes, waits: list[float], over: threading.Event
) -> None:
    due, at = time.perf_counter(), 0
    while not over.wait(max(0.0, due - time.perf_counter())):
        started = time.perf_counter()
        n = 1 + int((started - due) / every_s)
        for _ in range(n):
            os.pwrite(descriptor, body, at)
            at = (at + len(body)) % (FILE_BYTES - len(body))
        os.fdatasync(descriptor)
        ended = time.perf_counter()
        waits += [ended - due - index * every_s for index in range(n)]
        due += n * every_s
