"""Watchkeeper on a frail disk: `python -m bench.frail run --config FILE`.

What is written to the log stays in this process until it is synced, so that a SIGKILL loses all
unsynced pages, as a power cut would. With BENCH_TORN_AFTER=n the n-th sync tears: a random part of
the group's pages reaches the disk, then the process kills itself.
"""

from __future__ import annotations

import os
import random
import runpy
import signal
from collections import defaultdict
from collections.abc import Sequence

from watchkeeper.lake.files import Buffer, Files

PAGE_BYTES = 4096


class Pages:
    """Writes by file that no sync has taken to the disk yet."""

    def __init__(self, tear_at: int) -> None:
        self._waiting: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
        self._tear_at = tear_at
        self._n_syncs = 0

    def write(self, fd: int, parts: Sequence[Buffer], offset: int) -> None:
        self._waiting[fd].append((offset, b"".join(parts)))

    def sync(self, fd: int) -> None:
        waiting = self._waiting.pop(fd, [])
        self._n_syncs += bool(waiting)
        if waiting and self._n_syncs == self._tear_at:
            self._tear(fd, waiting)
        for offset, content in waiting:
            os.pwrite(fd, content, offset)
        os.fdatasync(fd)

    def close(self, fd: int) -> None:
        self._waiting.pop(fd, None)
        os.close(fd)

    def _tear(self, fd: int, waiting: list[tuple[int, bytes]]) -> None:
        """Some pages of a group in any order, and the end of one of them missing."""
        chance = random.Random(self._tear_at)
        for offset, content in waiting:
            for at in range(0, len(content), PAGE_BYTES):
                if chance.random() < 0.5:
                    page = content[at : at + PAGE_BYTES]
                    os.pwrite(fd, page[: chance.randint(1, len(page))], offset + at)
        os.kill(os.getpid(), signal.SIGKILL)


def weaken(pages: Pages) -> None:
    """Put `pages` under everything in this process that promises durability."""
    frail = {
        "write": lambda _, fd, parts, offset: pages.write(fd, parts, offset),
        "sync": lambda _, fd: pages.sync(fd),
        "close": lambda _, fd: pages.close(fd),
    }
    for name, call in frail.items():
        setattr(Files, name, call)


if __name__ == "__main__":
    weaken(Pages(tear_at=int(os.environ.get("BENCH_TORN_AFTER", "0"))))
    runpy.run_module("watchkeeper", run_name="__main__")
