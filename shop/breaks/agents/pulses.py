"""Begins and ends another fault, or makes it worse, step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle

from shop.breaks.agent import May
from shop.breaks.begin import begin
from shop.breaks.undo import stop

LOOK_S = 0.2


def run(
    may: May, *, fault: str, name: str, steps: Sequence[tuple[float, float]], again: bool
) -> None:
    """`steps` are (intensity, seconds); an intensity below 0 is none at all. Either they come over
    and over, or the last one stays."""
    is_first = True
    for intensity, for_s in cycle(steps) if again else steps:
        stop(may.home, name)
        if not may:
            return
        if intensity >= 0:
            begin(may.home, fault, intensity, name=name)
        if is_first:
            may.ready()
            is_first = False
        _wait(may, for_s)
    while may:
        time.sleep(LOOK_S)


def _wait(may: May, for_s: float) -> None:
    until = time.monotonic() + for_s
    while may and time.monotonic() < until:
        time.sleep(LOOK_S)
