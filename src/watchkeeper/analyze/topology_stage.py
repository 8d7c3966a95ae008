"""The topology, discovered of what is accepted; each time that it changes it is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeVar

from watchkeeper.analyze.discovery import Discovery
from watchkeeper.bus.base import MIXED, SAMPLES, Delivery
from watchkeeper.bus.progress import Progress
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import SpanBatch, Tick
from watchkeeper.model.topology import Topology
from watchkeeper.model.topology_set import Discovered, TopologySet, is_same_graph, merged
from watchkeeper.store.base import Filter, Store

T = TypeVar("T")

STEP_NS: Final = 10 * NS_PER_S
"""Boundaries at which it is looked whether the graph has changed."""
PAUSE_NS: Final = 60 * NS_PER_S
"""So long after it was saved it is not saved again: what begins comes bit by bit."""
AFRESH_NS: Final = 3_600 * NS_PER_S
"""After so long it is saved although nothing but weights has changed."""
_HEARD: Final = (SpanBatch, Tick)


class TopologyStage:
    """Discovers on a thread of its own. To save the same again changes nothing."""

    name = "topology"
    topic = SAMPLES

    def __init__(
        self, partition_of: Callable[[TenantId, str], int], store: Store, executor: Executor
    ) -> None:
        """`executor` has one thread."""
        self._discovery = Discovery(partition_of)
        self._store = store
        self._executor = executor
        self._covered: dict[int, int] = {}
        self._boundary_ns = 0
        self._saved: dict[TenantId, Discovered] = {}
        self._unsaved: list[Discovered] = []
        self._known: dict[TenantId, Topology] = {}
        self._progress = Progress(0)
        self.caught_up = self._progress.caught_up

    def topology(self, tenant: TenantId) -> Topology:
        """As it was at the last boundary, with what people say of it. May be asked by anybody."""
        return self._known.get(tenant) or Topology()

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Learn of these. To learn twice would count twice, so where only saving failed only that
        is tried again."""
        if not self._unsaved:
            ours = [one for one in deliveries if isinstance(one.record, _HEARD)]
            found = await self._run(partial(self._take, ours)) if ours else []
            self._unsaved = found
        if self._unsaved:
            await self._tell(self._unsaved)
        self._unsaved = []
        self._progress.reach(max(delivery.position for delivery in deliveries))

    async def dump(self, partition: int) -> bytes:
        return await self._run(partial(self._discovery.dump, partition))

    async def load(self, partition: int, position: int, state: bytes) -> None:
        await self._run(partial(self._discovery.load, partition, state))
        self._covered[partition] = position

    async def _tell(self, found: Sequence[Discovered]) -> None:
        """Of each tenant the newest is what others are told; what changed is saved."""
        for one in found:
            if one.tenant not in self._saved:
                kept = await self._store.list(Discovered, Filter(one.tenant, limit=1))
                self._saved.update({kept_one.tenant: kept_one for kept_one in kept.items})
        changed = []
        before = dict(self._saved)
        for one in found:
            if _is_news(before.get(one.tenant), one):
                changed.append(one)
                before[one.tenant] = one
        if changed:
            await self._store.save(changed)
            self._saved = before
        newest = {one.tenant: one for one in found}
        for one in newest.values():
            said = await self._store.list(TopologySet, Filter(one.tenant, limit=1))
            self._known[one.tenant] = merged(one, said.items[0] if said.items else None)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _take(self, deliveries: Sequence[Delivery]) -> list[Discovered]:
        """The graphs of all tenants at each boundary that was passed."""
        found: list[Discovered] = []
        for delivery in deliveries:
            match delivery.record:
                case SpanBatch() as batch if self._is_new(delivery, batch.tenant):
                    self._discovery.of_spans(batch)
                case Tick(now_ns) if now_ns // STEP_NS > self._boundary_ns // STEP_NS:
                    self._boundary_ns = now_ns
                    self._discovery.tick(now_ns)
                    found += [
                        self._discovery.topology(one, delivery.position)
                        for one in self._discovery.tenants
                    ]
        return found

    def _is_new(self, delivery: Delivery, tenant: TenantId) -> bool:
        """Whether a delivery speaks of a tenant's partition, and no checkpoint covers that."""
        partition = self._discovery.partition(tenant)
        if delivery.partition not in (MIXED, partition):
            return False
        return self._covered.get(partition, 0) < delivery.position


def _is_news(saved: Discovered | None, found: Discovered) -> bool:
    if saved is None:
        return bool(found.edges)
    age_ns = found.time_ns - saved.time_ns
    return age_ns >= (AFRESH_NS if is_same_graph(saved, found) else PAUSE_NS)
