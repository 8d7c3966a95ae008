"""A service whose wall clock may be ahead, or behind: `python -m shop.skew shop.serve NAME PLAN`.

It stands before whatever takes the clock's functions for its own as it is imported.
"""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shop.effects import Felt


@contextmanager
def shifted(ahead_s: Callable[[], float]) -> Iterator[None]:
    """Whoever asks this process for the time is told one that is so far ahead, until the end."""
    true_s, true_ns = time.time, time.time_ns
    time.time = lambda: true_s() + ahead_s()
    time.time_ns = lambda: true_ns() + int(ahead_s() * 1e9)
    try:
        yield
    finally:
        time.time, time.time_ns = true_s, true_ns


def main(module: str, name: str, plan_file: str) -> None:
    sys.argv[1:] = [name, plan_file]
    with shifted(Felt(Path(plan_file).parent, name).ahead_s):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
