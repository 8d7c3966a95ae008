"""Lets coroutines wait for what threads bring, and misses nothing in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


class Arrivals:
    """One lock over some state, and those who wait for it to change."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: set[asyncio.Future[None]] = set()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Change the state, from any thread; afterwards everyone who waits looks again."""
        with self._lock:
            yield
            waiting, self._waiting = self._waiting, set()
        for one in waiting:
            # A loop that was closed meanwhile has nobody left who waits.
            with suppress(RuntimeError):
                one.get_loop().call_soon_threadsafe(_wake, one)

    async def wait_for(self, look: Callable[[], T | None], wait_s: float) -> T | None:
        """What `look` finds, as soon as it is not None; None when `wait_s` passed before that."""
        with self._lock:  # whoever is behind finds something at once, and needs no timeout
            found = look()
        if found is not None:
            return found
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait_s)):
                while True:
                    with self._lock:
                        found = look()
                        if found is not None:
                            return found
                        change = asyncio.get_running_loop().create_future()
                        self._waiting.add(change)
                    try:
                        await change
                    finally:
                        self._waiting.discard(change)
        return None


def _wake(change: asyncio.Future[None]) -> None:
    if not change.done():
        change.set_result(None)
