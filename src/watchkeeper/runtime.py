"""The one loop that every stage runs in: lease, restore, take, handle, checkpoint, release.

The only place that catches whatever comes: a record that a stage cannot take is put aside, counted
and named, and the loop goes on with the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.bus.base import MIXED, Bus, Checkpoint, Delivery
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.model.series import N_PARTITIONS

_log: Final = telemetry.Log(__name__)
_POSITION: Final = telemetry.gauge(
    "watchkeeper_runtime_stage_position", "Position up to which a stage is done.", ("stage",)
)
_HANDLED: Final = telemetry.counter(
    "watchkeeper_runtime_handled_records_total", "Records that a stage has taken.", ("stage",)
)
_ASIDE: Final = telemetry.counter(
    "watchkeeper_runtime_dead_records_total", "Records that a stage could not take.", ("stage",)
)
_RETRIES: Final = telemetry.counter(
    "watchkeeper_runtime_retries_total", "Times that a stage was asked again.", ("stage",)
)
_CHECKPOINTS: Final = telemetry.counter(
    "watchkeeper_runtime_checkpoints_total", "Partitions checkpointed.", ("stage",)
)


class RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How stages take records, and how often they keep their state."""

    checkpoint_s: Annotated[
        float, Meta(gt=0, description="In this time every partition is checkpointed once.")
    ] = 300.0
    checkpoint_records: Annotated[
        int, Meta(ge=1, description="... or after so many records, if they come sooner.")
    ] = 20_000
    lease_s: Annotated[
        float, Meta(gt=0, description="A partition is taken over when its owner is silent so long.")
    ] = 15.0
    retry_s: Annotated[
        float, Meta(gt=0, description="First pause before a stage is asked again; it doubles.")
    ] = 0.1
    retry_limit_s: Annotated[float, Meta(gt=0, description="Longest such pause.")] = 10.0
    dead_limit: Annotated[
        int, Meta(ge=1, description="Records put aside that are kept to be looked at.")
    ] = 1000


class Stage(Protocol):
    """Takes records of one topic in order. Delivered again, a record must have no second effect."""

    name: str
    topic: str

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Raises Retryable to be asked again with the same; Permanent to have them put aside."""
        ...


class StatefulStage(Stage, Protocol):
    """A stage whose state the runtime keeps for it, partition by partition."""

    async def dump(self, partition: int) -> bytes: ...

    async def load(self, partition: int, position: int, state: bytes) -> None:
        """Go on from this state, and skip what lies at or below `position`."""
        ...


class Loop:
    """Runs one stage. `after` is where a stage begins that keeps its own state, as the lake does;
    None for a StatefulStage, which begins at its checkpoints."""

    def __init__(
        self,
        stage: Stage | StatefulStage,
        bus: Bus,
        clock: Clock,
        config: RuntimeConfig,
        *,
        after: int | None = None,
    ) -> None:
        self._stage = stage
        self._bus = bus
        self._clock = clock
        self._config = config
        self._keeps_state = after is None
        self._done: dict[int, int] = {} if after is None else dict.fromkeys(range(64), after)
        self._fences: dict[int, int] = {}
        self._leased_ns = 0
        self._due: deque[int] = deque()
        self._cycle_ns = 0
        self._cycle_records = 0
        self._stopping = False
        self.dead: deque[Delivery] = deque(maxlen=config.dead_limit)
        """Records put aside, newest last."""

    @property
    def position(self) -> int:
        """Everything up to here is done."""
        return min(self._done.values(), default=0)

    async def run(self) -> None:
        """Until `stop`; whatever was published before that is still handled."""
        self._cycle_ns = self._clock.now_ns()
        while True:
            await self._lease()
            wait_s = 0.0 if self._stopping else 1.0
            deliveries = await self._bus.take(self._stage.topic, self._done, wait_s=wait_s)
            if deliveries:
                await self._handle(deliveries)
                self._advance(deliveries)
            elif self._stopping:
                break
            await self._checkpoint()
        if self._keeps_state:
            await self._checkpoint_all()

    def stop(self) -> None:
        """Finish what there is, keep the state, and return from `run`."""
        self._stopping = True

    async def _lease(self) -> None:
        """Take or renew what can be had, and restore what is new. Nothing to own: no leases."""
        if not self._keeps_state:
            return
        now_ns = self._clock.now_ns()
        if self._leased_ns and now_ns - self._leased_ns < self._config.lease_s * NS_PER_S / 3:
            return
        self._leased_ns = now_ns
        stage, ttl_s = self._stage, self._config.lease_s
        fresh: list[int] = []
        for partition in range(N_PARTITIONS):
            fence = await self._bus.lease(stage.topic, stage.name, partition, ttl_s)
            if fence is None:
                self._fences.pop(partition, None)
                self._done.pop(partition, None)
            elif self._fences.get(partition) != fence:
                self._fences[partition] = fence
                fresh.append(partition)
        if fresh:
            await self._restore(fresh)

    async def _restore(self, partitions: Sequence[int]) -> None:
        kept = await self._bus.restore(self._stage.topic, self._stage.name)
        for partition in partitions:
            checkpoint = kept.get(partition)
            self._done[partition] = 0 if checkpoint is None else checkpoint.position
            if checkpoint is not None:
                await self._stage.load(partition, checkpoint.position, checkpoint.state)  # type: ignore[union-attr]  # only a StatefulStage leases

    async def _handle(self, deliveries: Sequence[Delivery]) -> None:
        """Handed over as one; if that fails for good, one by one, and what fails is put aside."""
        if await self._try(deliveries):
            return
        for delivery in deliveries:
            if len(deliveries) == 1 or not await self._try([delivery]):
                self.dead.append(delivery)
                _ASIDE.add(1, self._stage.name)

    async def _try(self, deliveries: Sequence[Delivery]) -> bool:
        pause_s = self._config.retry_s
        while True:
            try:
                await self._stage.handle(deliveries)
            except Retryable as refusal:
                _RETRIES.add(1, self._stage.name)
                _log.warning("stage asks for time", stage=self._stage.name, why=str(refusal))
                await self._clock.sleep(max(pause_s, refusal.after_s if pause_s > 1 else 0))
                pause_s = min(2 * pause_s, self._config.retry_limit_s)
            except Permanent as fault:
                self._report(deliveries, fault)
                return False
            except Exception as fault:  # noqa: BLE001 - the one broad catch: a stage's fault is its own
                self._report(deliveries, fault)
                return False
            else:
                return True

    def _report(self, deliveries: Sequence[Delivery], fault: Exception) -> None:
        _log.error(
            "stage failed",
            stage=self._stage.name,
            first_position=deliveries[0].position,
            records=len(deliveries),
            fault=f"{type(fault).__name__}: {fault}",
        )

    def _advance(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.partition == MIXED:
                for partition in self._done:
                    self._done[partition] = max(self._done[partition], delivery.position)
            elif delivery.partition in self._done:
                self._done[delivery.partition] = delivery.position
        self._cycle_records += len(deliveries)
        _HANDLED.add(len(deliveries), self._stage.name)
        _POSITION.set(self.position, self._stage.name)

    async def _checkpoint(self) -> None:
        """A few partitions at a time, so that nobody waits for long."""
        if not self._keeps_state:
            return
        elapsed = (self._clock.now_ns() - self._cycle_ns) / NS_PER_S / self._config.checkpoint_s
        progress = max(elapsed, self._cycle_records / self._config.checkpoint_records)
        wanted = min(1.0, progress) * N_PARTITIONS
        if not self._due:
            self._due.extend(self._done)
        while self._due and N_PARTITIONS - len(self._due) < wanted:
            await self._keep(self._due.popleft())
        if not self._due:
            self._cycle_ns = self._clock.now_ns()
            self._cycle_records = 0

    async def _checkpoint_all(self) -> None:
        for partition in list(self._done):
            await self._keep(partition)

    async def _keep(self, partition: int) -> None:
        if partition not in self._done:
            return
        stage = self._stage
        state = await stage.dump(partition)  # type: ignore[union-attr]  # only a StatefulStage is kept
        checkpoint = Checkpoint(self._done[partition], state)
        try:
            await self._bus.checkpoint(
                stage.topic, stage.name, partition, self._fences[partition], checkpoint
            )
        except Permanent as lost:
            _log.warning("partition lost", stage=stage.name, partition=partition, why=str(lost))
            del self._done[partition], self._fences[partition]
        except Retryable as refusal:
            _log.warning("checkpoint refused", stage=stage.name, why=str(refusal))
        else:
            _CHECKPOINTS.add(1, stage.name)
