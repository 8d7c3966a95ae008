"""Makes a service worse, step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence

from shop import directory
from shop.breaks.agent import May
from shop.breaks.hands import tell

LOOK_S = 0.2


def run(may: May, *, service: str, path: str, amounts: Sequence[float], every_s: float) -> None:
    """By telling it one amount after the other, each at the end of `path`; the last one stays."""
    shop = directory.read(may.home)
    for step, amount in enumerate(amounts):
        until = time.monotonic() + every_s
        tell(shop, service, f"{path}{amount:g}")
        if step == 0:
            may.ready()
        while time.monotonic() < until:
            if not may:
                return
            time.sleep(min(LOOK_S, every_s))
