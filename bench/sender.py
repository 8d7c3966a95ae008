"""A sender that keeps its word as Prometheus does: in order per shard, again until it is taken.

The same bytes are sent again after a broken connection and after 5xx, with a growing pause; a 4xx
is dropped and counted. See Prometheus' `queue_config`: this is its behaviour with
`min_backoff: 30ms` and `max_backoff: 250ms`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.client import Connection, Door

MIN_BACKOFF_S = 0.03
MAX_BACKOFF_S = 0.25


@dataclass(slots=True)
class Delivered:
    """What became of a shard's bodies."""

    acknowledged: int = 0
    dropped: int = 0
    """Answered with 4xx. The first answer is in `refusal`."""
    retries: int = 0
    refusal: str = ""

    @property
    def n_bodies(self) -> int:
        """That were sent to their end."""
        return self.acknowledged + self.dropped


@dataclass(slots=True)
class Shard:
    """One queue of bodies. `body(i)` gives the i-th, the same bytes whenever it is asked."""

    door: Door
    body: Callable[[int], bytes]
    delivered: Delivered

    async def send(self, go_on: Callable[[int], bool], *, per_second: float | None) -> None:
        """Send body after body while `go_on(i)`; the last one is seen through to its end."""
        connection = Connection(self.door.port)
        began = time.perf_counter()
        index = 0
        try:
            while go_on(index):
                if per_second is not None:
                    due = began + index / per_second
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await self._deliver(connection, self.door.request(self.body(index)))
                index += 1
        finally:
            await connection.close()

    async def _deliver(self, connection: Connection, request: bytes) -> None:
        backoff_s = MIN_BACKOFF_S
        while True:
            try:
                status, text = await connection.post(request)
            except OSError:
                status, text = 503, "the connection broke"
            if 200 <= status < 300:
                self.delivered.acknowledged += 1
                return
            if 400 <= status < 500:
                self.delivered.dropped += 1
                self.delivered.refusal = self.delivered.refusal or f"{status}: {text[:300]}"
                return
            self.delivered.retries += 1
            await asyncio.sleep(backoff_s)
            backoff_s = min(MAX_BACKOFF_S, 2 * backoff_s)
