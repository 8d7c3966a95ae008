"""Stops a service for a moment, time and again, as a collector of garbage does."""

from __future__ import annotations

import signal
import time

from shop.breaks.agent import May
from shop.breaks.processes import born, signalled
from shop.control import NoAnswer, pids


def run(may: May, *, service: str, for_s: float, every_s: float) -> None:
    may.ready()
    while may:
        try:
            pid = pids(may.home).get(service)
        except NoAnswer:
            pid = None  # it is busy; next time
        born_at = None if pid is None else born(pid)
        if pid is not None and born_at is not None:
            try:
                signalled(pid, born_at, signal.SIGSTOP)
                time.sleep(for_s)
            finally:
                signalled(pid, born_at, signal.SIGCONT)
        time.sleep(every_s)
