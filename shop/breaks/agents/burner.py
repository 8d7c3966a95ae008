"""Computes for nothing, as a noisy neighbour does."""

from __future__ import annotations

import os
import time

from shop.breaks.agent import May

LOOK_S = 0.2


def run(may: May, *, n: int = 1, nice: int = 0, on_s: float = 1.0, off_s: float = 0.0) -> None:
    """In so many processes, for so long at a time, with so long between, and so ready to stand
    back. Those that it makes are called as it is, so they end with it."""
    os.nice(nice)
    may.ready()
    for _ in range(n - 1):
        if os.fork() == 0:
            os.setsid()  # systems that share out CPU by session would give all of us one share
            break
    while may:
        _burn(may, on_s)
        time.sleep(off_s)


def _burn(may: May, for_s: float) -> None:
    until = time.monotonic() + for_s
    while may and time.monotonic() < until:
        look = time.monotonic() + LOOK_S
        n = 1
        while time.monotonic() < look:
            for _ in range(10_000):
                n = n * 1_664_525 % 4_294_967_291
