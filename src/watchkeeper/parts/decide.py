"""How what people decide about detection comes into the log, from whichever part serves them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from watchkeeper.bus.base import SAMPLES, Bus
from watchkeeper.config.sent import built, read, written
from watchkeeper.ingest.stage import Ingest
from watchkeeper.model.series import Series, SeriesId, TenantId
from watchkeeper.model.signal import Logged
from watchkeeper.model.topology_set import TopologyDocument, check
from watchkeeper.parts.ground import Ground


def log_of(ground: Ground, bus: Bus, ingest: Ingest | None) -> Callable[[Logged], Awaitable[int]]:
    """How one record comes into the log. Where this process has it, its door is the one that
    appends."""

    async def publish(record: Logged) -> int:
        return await bus.publish(SAMPLES, [record])

    return ingest.log if ingest is not None and ground.log is not None else publish


@dataclass(frozen=True, slots=True)
class Deciding:
    """Implements `know.settings_stage.Writing`."""

    ground: Ground
    bus: Bus
    ingest: Ingest | None
    stored: Callable[[int], Awaitable[bool]]
    file: str

    async def log(self, record: Logged) -> int:
        return await log_of(self.ground, self.bus, self.ingest)(record)

    async def caught_up(self, position: int) -> bool:
        return await self.stored(position)

    def partition_of(self, tenant: TenantId, service: str) -> int:
        return self.ground.catalog.partition_of(tenant, service)

    def series(self, identity: SeriesId) -> Series | None:
        catalog = self.ground.catalog
        (slot,) = catalog.lookup(np.frombuffer(identity, np.uint64).reshape(1, 2)).tolist()
        return None if slot < 0 else catalog.series(slot)

    def read(self, body: bytes, media: str) -> str:
        return written(read("detection", body, media))

    def read_topology(self, body: bytes, media: str) -> TopologyDocument:
        return built(TopologyDocument, body, media, check)


def deciding(
    ground: Ground, bus: Bus, ingest: Ingest | None, stored: Callable[[int], Awaitable[bool]]
) -> Deciding:
    """`stored` waits for the store."""
    return Deciding(ground, bus, ingest, stored, written(ground.config.detection))
