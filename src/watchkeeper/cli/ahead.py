"""What serves is compiled ahead of a server's start, where it was never done."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import numpy as np

from watchkeeper import telemetry
from watchkeeper.compiled.hashing import fast_hash128

_log: Final = telemetry.Log(__name__)


def compile_ahead() -> None:
    """For a server that is about to start: in a process of its own, where it was never done."""
    if not is_cold():
        return
    _log.info("compiling, once after an installation; takes a minute or two")
    command = [sys.executable, "-m", "watchkeeper", "compile", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        _log.warning("not compiled ahead; the first requests wait", why=done.stderr[-500:])


def is_cold() -> bool:
    """Whether compiled code can be kept, and none of it is there."""
    fast_hash128(np.zeros(8, np.uint8), 0, 0, np.uint64(1))
    stats = fast_hash128.stats
    return stats.cache_path is not None and bool(stats.cache_misses)
