"""How far a consumer of the log has come, for those who wait for it."""

from __future__ import annotations

import asyncio


class Progress:
    """How far a stage has come, for those who wait for it."""

    def __init__(self, position: int) -> None:
        self.position = position
        """Up to here all is done."""
        self._moved = asyncio.Event()

    def reach(self, position: int) -> None:
        self.position = position
        self._moved.set()

    async def caught_up(self, position: int, timeout_s: float = 5.0) -> bool:
        """Wait until all is done up to `position`, at most `timeout_s`; whether it is. A reader in
        the same process is better served with all but the last second than with nothing."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.position < position:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True
