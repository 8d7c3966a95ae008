"""More buyers than the shop is made for. Who has his answer asks again at once."""

from __future__ import annotations

import itertools
import threading
import time

from shop import directory
from shop.breaks.agent import May
from shop.breaks.users import Errand, ask

LOOK_S = 0.2


def run(may: May, *, n: int, method: str, path: str) -> None:
    url = directory.read(may.home).gateway
    assert url is not None
    errand, numbers = Errand(method, path), itertools.count()
    open_for = threading.Event()
    open_for.set()

    def buy() -> None:
        while open_for.is_set():
            ask(url, errand, next(numbers))

    crowd = [threading.Thread(target=buy, daemon=True) for _ in range(n)]
    for buyer in crowd:
        buyer.start()
    may.ready()
    while may:
        time.sleep(LOOK_S)
    open_for.clear()
