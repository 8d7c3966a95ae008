"""Has a service leak, in a group that holds only so much, until the system ends it; then again."""

from __future__ import annotations

import time
from pathlib import Path

from shop import directory
from shop.breaks import groups
from shop.breaks.agent import May
from shop.breaks.hands import tell
from shop.breaks.processes import Failed
from shop.control import NoAnswer, pids


def run(may: May, *, service: str, group: str, megabytes: int, every_s: float) -> None:
    shop = directory.read(may.home)
    may.ready()
    while may:
        try:
            pid = pids(may.home).get(service)
            if pid is not None:
                groups.enter(Path(group), pid)  # the one that has come again is not in it yet
                tell(shop, service, f"/simulate/leak?megabytes={megabytes}")
        except (NoAnswer, Failed, OSError):
            pass  # it is on its way out, or on its way in
        time.sleep(every_s)
