"""Stops a service for a moment, time and again, as a collector of garbage does."""

from __future__ import annotations

import signal
import time

from shop.breaks.agent import May
from shop.breaks.processes import running, signalled


def run(may: May, *, service: str, for_s: float, every_s: float) -> None:
    may.ready()
    while may:
        if at_work := running(may.home, service):
            try:
                signalled(*at_work, signal.SIGSTOP)
                time.sleep(for_s)
            finally:
                signalled(*at_work, signal.SIGCONT)
        time.sleep(every_s)
