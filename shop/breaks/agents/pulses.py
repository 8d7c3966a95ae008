"""Begins and ends another fault, over and over."""

from __future__ import annotations

import time

from shop.breaks.agent import May
from shop.breaks.begin import begin
from shop.breaks.undo import stop

LOOK_S = 0.2


def run(may: May, *, fault: str, name: str, intensity: float, on_s: float, off_s: float) -> None:
    """For so long at a time, with so long between."""
    is_first = True
    while may:
        begin(may.home, fault, intensity, name=name)
        if is_first:
            may.ready()
            is_first = False
        _wait(may, on_s)
        stop(may.home, name)
        _wait(may, off_s)


def _wait(may: May, for_s: float) -> None:
    until = time.monotonic() + for_s
    while may and time.monotonic() < until:
        time.sleep(LOOK_S)
