"""Templates of log lines, learned from what was accepted, in the order of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar, TypeVarTuple

from watchkeeper.analyze.template_groups import TemplatesConfig
from watchkeeper.analyze.templates import Templates
from watchkeeper.bus.base import MIXED, SAMPLES, Delivery
from watchkeeper.bus.progress import Progress
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import LogBatch, Tick
from watchkeeper.model.template import Template

A = TypeVarTuple("A")
T = TypeVar("T")


class TemplateStage:
    """Knows templates on a thread of its own, which is asked what it knows."""

    name = "templates"
    topic = SAMPLES

    def __init__(
        self,
        config: TemplatesConfig,
        partition_of: Callable[[TenantId, str], int],
        executor: Executor,
    ) -> None:
        """`executor` has one thread."""
        self._templates = Templates(config, partition_of)
        self._executor = executor
        self._covered: dict[int, int] = {}
        self._progress = Progress(0)
        self.caught_up = self._progress.caught_up

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        await self._run(self._take, deliveries)
        self._progress.reach(max(delivery.position for delivery in deliveries))

    async def dump(self, partition: int) -> bytes:
        return await self._run(self._templates.dump, partition)

    async def load(self, partition: int, position: int, state: bytes) -> None:
        await self._run(self._templates.load, partition, state)
        self._covered[partition] = position

    async def templates(self, tenant: TenantId, service: str | None) -> Sequence[Template]:
        """Those that stand for a tenant's lines now."""
        return await self._run(self._templates.templates, tenant, service)

    async def fingerprints(self, tenant: TenantId, template: int) -> Sequence[int]:
        """What a template means; nothing where it is not known."""
        return sorted(await self._run(self._templates.fingerprints, tenant, template))

    async def _run(self, work: Callable[[*A], T], *given: *A) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *given)

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            match delivery.record:
                case LogBatch() as batch:
                    self._templates.take(batch, partial(self._is_new, delivery))
                case Tick() as tick:
                    self._templates.tick(tick.now_ns, partial(self._is_new, delivery))

    def _is_new(self, delivery: Delivery, partition: int) -> bool:
        """Whether a delivery speaks of a partition, and no checkpoint covers that."""
        if delivery.partition not in (MIXED, partition):
            return False
        return self._covered.get(partition, 0) < delivery.position
