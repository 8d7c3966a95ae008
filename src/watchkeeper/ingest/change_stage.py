"""What somebody changed is saved in the store, where people and later causes look it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from watchkeeper.bus.base import SAMPLES, Delivery
from watchkeeper.bus.progress import Progress
from watchkeeper.model.change import Change
from watchkeeper.store.base import Store


class ChangeStage:
    """Has no state but what is saved: to save the same again changes nothing."""

    name = "changes"
    topic = SAMPLES

    def __init__(self, store: Store) -> None:
        self._store = store
        self._progress = Progress(0)
        self.caught_up = self._progress.caught_up

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        told = [
            replace(delivery.record, position=delivery.position)
            for delivery in deliveries
            if isinstance(delivery.record, Change)
        ]
        if told:
            await self._store.save(told)
        self._progress.reach(max(delivery.position for delivery in deliveries))

    async def dump(self, partition: int) -> bytes:
        """Something, so that the runtime knows from where to go on."""
        return self.name.encode()

    async def load(self, partition: int, position: int, state: bytes) -> None:
        """There is nothing to be loaded."""
