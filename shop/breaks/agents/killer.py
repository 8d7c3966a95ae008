"""Ends a service again and again, as soon as it has come again."""

from __future__ import annotations

import signal
import time

from shop.breaks.agent import May
from shop.breaks.processes import running, signalled


def run(may: May, *, service: str, every_s: float) -> None:
    is_first = True
    while may:
        if at_work := running(may.home, service):
            signalled(*at_work, signal.SIGKILL)
            if is_first:
                may.ready()
                is_first = False
        time.sleep(every_s)
