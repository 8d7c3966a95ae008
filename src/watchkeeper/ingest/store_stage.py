"""Storing: accepted samples go into the lake, in the order of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np

from watchkeeper.bus.base import SAMPLES, Delivery
from watchkeeper.lake.base import Lake
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import SampleBatch

_NOTHING: Final = SampleBatch(
    DEFAULT_TENANT, np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64)
)


class StoreStage:
    """The lake's writer: one more consumer of the log, so there is never a write to both.

    It keeps no checkpoint of its own: what the lake has in synced files is one.
    """

    name = "store"
    topic = SAMPLES

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._moved = asyncio.Event()
        self.position = lake.stored()
        """Up to here the lake can be read."""

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.position <= self.position:
                continue
            is_batch = isinstance(delivery.record, SampleBatch)
            # Nothing is appended too: so that the log of a quiet night, all ticks, can be released.
            self._lake.append(delivery.record if is_batch else _NOTHING, delivery.position)
            self.position = delivery.position
        self._moved.set()

    async def caught_up(self, position: int, timeout_s: float = 5.0) -> None:
        """Wait until the lake can be read up to `position`; at most `timeout_s`, then read what
        there is: a reader is better served with all but the last second than with nothing."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.position < position:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return
