"""Ends a service again and again, as soon as it has come again."""

from __future__ import annotations

import signal
import time

from shop.breaks.agent import May
from shop.breaks.processes import born, signalled
from shop.control import NoAnswer, pids


def run(may: May, *, service: str, every_s: float) -> None:
    is_first = True
    while may:
        try:
            pid = pids(may.home).get(service)
        except NoAnswer:
            pid = None  # it is busy; next time
        born_at = None if pid is None else born(pid)
        if pid is not None and born_at is not None:
            signalled(pid, born_at, signal.SIGKILL)
            if is_first:
                may.ready()
                is_first = False
        time.sleep(every_s)
