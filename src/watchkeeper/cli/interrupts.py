"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever it happens to be. In a callback of the import machinery it
is printed and forgotten, and a command that waits for ever would go on waiting; there it is raised
a moment later.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

LATER_S: Final = 0.02
_DEAF: Final = "importlib"
"""Of the names of files in which it would be lost."""


@contextmanager
def heard() -> Iterator[None]:
    """Interrupts are raised within where somebody hears them; in the main thread alone, as Python
    gives none to others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {one: signal.signal(one, _hear) for one in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in former.items():
            signal.signal(one, handler)


def _hear(_number: int, frame: FrameType | None) -> None:
    if frame is not None and _DEAF in frame.f_code.co_filename:
        signal.setitimer(signal.ITIMER_REAL, LATER_S)
        return
    raise KeyboardInterrupt
