"""Where time comes from. The only module that reads the wall clock."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

NS_PER_S = 1_000_000_000


wall_ns: Final = time.time_ns
"""Nanoseconds since the epoch, for whom a call between would cost too much: the middleware, in
every request of somebody else's application."""


class Clock(Protocol):
    """What a shell needs of time; steps receive `now_ns` as a value instead."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that moves only when it is told to: the unit tests' double, and replay's clock."""

    def __init__(self, now_ns: int = 1_700_000_000 * NS_PER_S) -> None:
        self._now_ns = now_ns
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        return self._now_ns

    @property
    def is_awaited(self) -> bool:
        """Whether somebody sleeps by it."""
        return bool(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        due_ns = self._now_ns + round(seconds * NS_PER_S)
        if due_ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((due_ns, wake))
        await wake

    def advance(self, seconds: float) -> None:
        """Move on, and wake whoever's time has come."""
        self._now_ns += round(seconds * NS_PER_S)
        for due_ns, wake in self._sleepers:
            if due_ns <= self._now_ns and not wake.done():
                wake.set_result(None)
        self._sleepers = [(due_ns, wake) for due_ns, wake in self._sleepers if not wake.done()]
