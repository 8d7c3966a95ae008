"""Alerts become incidents, in the order of the log; what people do about them takes effect there.

All of a tenant meets in one partition. The log is the truth: whoever reads it again comes to the
same incidents, under the same names.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

import msgspec

from watchkeeper import telemetry
from watchkeeper.analyze import lifecycle
from watchkeeper.analyze.correlate import CorrelateConfig
from watchkeeper.analyze.groupers.base import Grouper
from watchkeeper.analyze.incident_desk import Desk, Outcome
from watchkeeper.analyze.lifecycle import At, Step
from watchkeeper.bus.base import MIXED, SAMPLES, Delivery
from watchkeeper.bus.progress import Progress
from watchkeeper.errors import Retryable
from watchkeeper.model.alert import Alert
from watchkeeper.model.handling import Handling, IncidentHead, Verb
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import Tick
from watchkeeper.model.topology import Topology

A = TypeVarTuple("A")
T = TypeVar("T")

_HEARD: Final = (Alert, Handling, Tick)
"""Records that say anything here; most others are samples."""
_NEEDS_ALERTS: Final = frozenset({Verb.MERGE, Verb.SPLIT, Verb.UNLINK})
"""Not possible any more once nobody waits for the incident's alerts."""
_ALERTS: Final = telemetry.counter(
    "watchkeeper_incident_alerts_total", "Alerts that were sorted into incidents."
)
_CHANGES: Final = telemetry.counter(
    "watchkeeper_incident_changes_total", "States of incidents that were saved."
)

Decide = Callable[[IncidentHead | None], Sequence[Any]]
"""What is to be saved, given the incident as it is in the store; nothing where nothing changes."""


class Keeping(Protocol):
    """Saves incidents. To be told the same again changes nothing."""

    async def keep(self, records: Sequence[Any]) -> None: ...

    async def decide(self, handling: Handling, decide: Decide) -> None:
        """Save what somebody did, with its entry in the audit trail; once."""
        ...


class _Kept(msgspec.Struct, array_like=True):
    """A partition in a checkpoint."""

    desks: list[tuple[TenantId, bytes]]
    now_ns: int = 0


_decoder = msgspec.msgpack.Decoder(_Kept)


@dataclass(slots=True)
class _Work:
    """What is to be saved, in order. A handling without an outcome is of what is not in memory."""

    outcome: Outcome | None = field(default_factory=Outcome)
    handling: Handling | None = None


class IncidentStage:
    """Groups on a thread of its own."""

    name = "incidents"
    topic = SAMPLES

    def __init__(
        self,
        config: CorrelateConfig,
        *,
        grouper: Grouper,
        partition_of: Callable[[TenantId, str], int],
        executor: Executor,
        keeping: Keeping,
        topology: Callable[[TenantId], Topology] = lambda _: Topology(),
    ) -> None:
        """`executor` has one thread."""
        self._config = config
        self._grouper = grouper
        self._partition_of = partition_of
        self._executor = executor
        self._keeping = keeping
        self._topology = topology
        self._desks: dict[TenantId, tuple[int, Desk]] = {}
        """Each with the partition where all of the tenant meets."""
        self._covered: dict[int, int] = {}
        self._now_ns: dict[int, int] = {}
        """By the newest tick of each partition, so that a new tenant's desk knows the time."""
        self._unsaved: deque[_Work] | None = None
        self._progress = Progress(0)
        self.caught_up = self._progress.caught_up

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Apply these, and save what changed. To apply twice would be wrong, so where only saving
        failed only what is left of that is tried again."""
        if self._unsaved is None:
            ours = [one for one in deliveries if isinstance(one.record, _HEARD)]
            self._unsaved = await self._run(self._take, ours) if ours else deque()
        try:
            while self._unsaved:
                await self._save(self._unsaved[0])
                self._unsaved.popleft()
        except Retryable:
            raise
        except BaseException:
            self._unsaved = None
            raise
        self._unsaved = None
        self._progress.reach(max(delivery.position for delivery in deliveries))

    async def dump(self, partition: int) -> bytes:
        return await self._run(self._dump, partition)

    async def load(self, partition: int, position: int, state: bytes) -> None:
        await self._run(self._load, partition, state)
        self._covered[partition] = position

    async def _run(self, work: Callable[[*A], T], *given: *A) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *given)

    async def _save(self, work: _Work) -> None:
        handling, outcome = work.handling, work.outcome
        if handling is None:
            records = outcome.records() if outcome is not None else []
            if records:
                await self._keeping.keep(records)
        elif outcome is None:
            await self._keeping.decide(handling, partial(_revisited, handling))
        else:
            records = outcome.records()
            await self._keeping.decide(handling, lambda _: records)
        if outcome is not None:
            _CHANGES.add(len(outcome.heads))

    # Below: on the stage's thread.

    def _take(self, deliveries: Sequence[Delivery]) -> deque[_Work]:
        works: deque[_Work] = deque()
        for delivery in deliveries:
            match delivery.record:
                case Alert() as alert:
                    self._sort(alert, delivery)
                case Tick() as tick:
                    self._tick(tick.now_ns, delivery, works)
                case Handling() as handling:
                    self._do(handling, delivery, works)
        return works

    def _sort(self, alert: Alert, delivery: Delivery) -> None:
        desk = self._desk(alert.tenant, delivery)
        if desk is not None:
            desk.take(alert)
            _ALERTS.add(1)

    def _do(self, handling: Handling, delivery: Delivery, works: deque[_Work]) -> None:
        desk = self._desk(handling.tenant, delivery)
        if desk is None:
            return
        outcome = desk.handle(handling, delivery.position)
        if outcome is None or outcome.heads:
            works.append(_Work(outcome, replace(handling, position=delivery.position)))

    def _tick(self, now_ns: int, delivery: Delivery, works: deque[_Work]) -> None:
        self._now_ns[delivery.partition] = max(now_ns, self._now_ns.get(delivery.partition, 0))
        for home, desk in self._desks.values():
            if not self._is_new(delivery, home):
                continue
            desk.know(self._topology(desk.tenant))
            outcome = desk.tick(now_ns, delivery.position)
            if works and works[-1].handling is None and works[-1].outcome is not None:
                works[-1].outcome.add(outcome)
            else:
                works.append(_Work(outcome))

    def _desk(self, tenant: TenantId, delivery: Delivery) -> Desk | None:
        """Of a tenant; None where a checkpoint covers what is delivered."""
        known = self._desks.get(tenant)
        home = self._partition_of(tenant, "") if known is None else known[0]
        if not self._is_new(delivery, home):
            return None
        if known is None:
            known = self._desks[tenant] = home, self._made(tenant, home, delivery.position)
        return known[1]

    def _made(self, tenant: TenantId, home: int, position: int) -> Desk:
        desk = Desk(self._grouper, self._config, tenant)
        desk.know(self._topology(tenant))
        now_ns = self._time(home)
        if now_ns:
            desk.tick(now_ns, position)
        return desk

    def _time(self, partition: int) -> int:
        return max(self._now_ns.get(MIXED, 0), self._now_ns.get(partition, 0))

    def _dump(self, partition: int) -> bytes:
        return msgspec.msgpack.encode(
            _Kept(
                [
                    (tenant, desk.dump())
                    for tenant, (home, desk) in self._desks.items()
                    if home == partition
                ],
                self._time(partition),
            )
        )

    def _load(self, partition: int, state: bytes) -> None:
        self._desks = {
            tenant: known for tenant, known in self._desks.items() if known[0] != partition
        }
        kept = _decoder.decode(state) if state else _Kept([])
        self._now_ns[partition] = kept.now_ns
        for tenant, content in kept.desks:
            desk = Desk(self._grouper, self._config, tenant)
            desk.load(content)
            self._desks[tenant] = partition, desk

    def _is_new(self, delivery: Delivery, partition: int) -> bool:
        """Whether a delivery speaks of a partition, and no checkpoint covers that."""
        if delivery.partition not in (MIXED, partition):
            return False
        return self._covered.get(partition, 0) < delivery.position


def _revisited(handling: Handling, head: IncidentHead | None) -> Sequence[Any]:
    """What somebody does about an incident of which no alert is waited for any more."""
    if head is None or head.position >= handling.position or handling.verb in _NEEDS_ALERTS:
        return ()
    step = lifecycle.handled(head, handling, At(handling.position, handling.time_ns))
    return (step.head, *step.entries) if isinstance(step, Step) else ()
