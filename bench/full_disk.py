"""A disk that fills up under load, and has room again later: senders wait, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.peers import Unmeasurable, binary
from bench.report import progress
from bench.sender import Delivered

SIZE_BYTES: Final = 1 << 30
ROOM_BYTES: Final = 200 << 20
"""What is left when the sending begins: a few files of the log."""
REFUSALS: Final = 40
AFTERWARDS: Final = 100
"""Bodies of every shard that must be taken once there is room again."""
PATIENCE_S: Final = 120.0


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own in memory, with a ballast file that can be thrown off it."""
    if os.geteuid() != 0:
        raise Unmeasurable("a disk is filled on a file system of its own: run this suite as root")
    folder.mkdir(parents=True)
    mount = [binary("mount", "mount"), "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "bench"]
    subprocess.run([*mount, str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([binary("umount", "mount"), str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave ROOM_BYTES on the disk; the file that takes the rest."""
    ballast = folder / "ballast"
    stat = os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, stat.f_bavail * stat.f_frsize - ROOM_BYTES)
    return ballast


async def relieve(throw_off: Callable[[], None], delivered: list[Delivered]) -> None:
    """Wait until the server refuses for want of room, make room, wait until all is taken again."""
    await _until(lambda: sum(one.retries for one in delivered) >= REFUSALS, "was never full")
    progress("the disk is full; throwing off ballast")
    throw_off()
    taken = [one.acknowledged + AFTERWARDS for one in delivered]
    await _until(
        lambda: all(one.acknowledged >= n for one, n in zip(delivered, taken, strict=True)),
        "did not go on after there was room again",
    )


async def _until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.perf_counter() + PATIENCE_S
    while not condition():
        if time.perf_counter() > deadline:
            raise Unmeasurable(f"full disk: the server {otherwise} in {PATIENCE_S:g} s")
        await asyncio.sleep(0.02)
