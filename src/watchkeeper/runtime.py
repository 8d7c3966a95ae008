"""The one loop that every stage runs in: own, restore, take, hand over, remember; try again.

Nothing is handed over before all in front of it was applied or put aside. A record that a stage
cannot apply is put aside alone; what cannot be applied *now* is tried again until it can.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol, TypeVar, cast

import msgspec
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.bus.base import ANOMALIES, MIXED, Bus, Checkpoint, Delivery
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import Tick
from watchkeeper.patience import Failure, Patience
from watchkeeper.store.base import Store

T = TypeVar("T")

_log: Final = telemetry.Log(__name__)
_HANDLED: Final = telemetry.counter(
    "watchkeeper_runtime_handled_records_total", "Records that a stage applied.", ("stage",)
)
_DEAD: Final = telemetry.counter(
    "watchkeeper_runtime_dead_records_total", "Records that a stage could not apply.", ("stage",)
)
_CHECKPOINTS: Final = telemetry.counter(
    "watchkeeper_runtime_checkpoints_total", "Checkpoints that are durable.", ("stage",)
)
_POSITION: Final = telemetry.gauge(
    "watchkeeper_runtime_stage_position",
    "Position up to which a stage has applied all.",
    ("stage",),
)
_LAG_S: Final = telemetry.gauge(
    "watchkeeper_runtime_lag_seconds", "Age of the newest tick that a stage came to.", ("stage",)
)
_TAKE_S: Final = 1.0  # so long does a stop take when nothing arrives
_RENEWALS: Final = 4
"""In the time in which a partition is taken over. A lease runs out one earlier, and so others, who
look as often, find it in time; two may fail."""
_RELAY_S: Final = 0.2
_RELAYED_AT_ONCE: Final = 500


class RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How stages take records, and how often they keep their state."""

    checkpoint_s: Annotated[
        float, Meta(gt=0, description="In this time every partition is checkpointed once.")
    ] = 300.0
    checkpoint_records: Annotated[
        int, Meta(ge=1, description="... or after so many records, if they come sooner.")
    ] = 20_000
    lease_s: Annotated[
        float,
        Meta(
            gt=0,
            description="In this time a partition is taken over whose owner is silent, and who "
            "joins others gets a fair share.",
        ),
    ] = 15.0
    retry_s: Annotated[
        float, Meta(gt=0, description="First pause before a stage is asked again; it doubles.")
    ] = 0.1
    retry_limit_s: Annotated[float, Meta(gt=0, description="Longest such pause.")] = 10.0
    dead_limit: Annotated[
        int, Meta(ge=1, description="Records put aside that are kept to be looked at.")
    ] = 1000


class Stage(Protocol):
    """Takes records of one topic in order. Its name is its consumer group."""

    name: str
    topic: str

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Apply these, in order; never cancelled halfway.

        After Retryable it is called with the same ones again, and must not apply again what it had
        applied. After any other error, with each of them alone; what then fails is put aside.
        """
        ...


class StatefulStage(Stage, Protocol):
    """A stage whose state the runtime keeps for it, partition by partition."""

    async def dump(self, partition: int) -> bytes:
        """All that it knows of a partition. Called between two `handle`."""
        ...

    async def load(self, partition: int, position: int, state: bytes) -> None:
        """Go on from a dump instead of what is known, and skip what lies at or below `position`: it
        may be delivered because of other partitions. With 0 and b"": forget the partition."""
        ...


@dataclass(frozen=True, slots=True)
class Dead:
    """A record that a stage could not apply. It is in the log until that is released."""

    delivery: Delivery
    reason: str


class Loop:
    """Runs one stage. `after` is where one begins that keeps its own state, as the lake does; None
    for a StatefulStage, which begins at its checkpoints."""

    def __init__(
        self,
        stage: Stage | StatefulStage,
        bus: Bus,
        clock: Clock,
        config: RuntimeConfig,
        *,
        after: int | None = None,
    ) -> None:
        self.dead: deque[Dead] = deque(maxlen=config.dead_limit)
        """Records put aside, newest last."""
        self._now_ns = 0
        self._stage = stage
        self._stateful = cast(StatefulStage, stage) if after is None else None
        self._bus = bus
        self._clock = clock
        self._config = config
        self._patience = Patience(stage.name, clock, config.retry_s, config.retry_limit_s)
        # By partition: up to where all is applied, where that is durable, and was before that.
        self._done = {} if after is None else dict.fromkeys(range(N_PARTITIONS), after)
        self._covered: dict[int, int] = {}
        self._covered_before: dict[int, int] = {}
        self._fences: dict[int, int] = {}
        self._renew_ns = 0
        self._owned_until_ns = 0
        self._due: deque[int] = deque()
        self._cycle_ns, self._cycle_records = clock.now_ns(), 0
        self._stopping = False
        self._is_halfway = False
        """A batch is begun and not settled, so the stage's state fits no position."""

    @property
    def position(self) -> int:
        """Everything up to here is done."""
        return min(self._done.values(), default=0)

    def lag(self, newest: int) -> int:
        """Records up to `newest` that are to be done; none where others own them all."""
        return max(0, newest - self.position) if self._done else 0

    @property
    def now_ns(self) -> int | None:
        """Of the last tick that is done: the time of the log. None where others own all of it."""
        return self._now_ns if self._done else None

    @property
    def failing(self) -> str | None:
        return self._patience.failing

    async def run(self) -> None:
        """Until `stop`, then to the end of what there is; or until cancelled, then to the end of
        what is being handled. The state is kept."""
        try:
            while await self._turn():
                pass
        finally:
            if not self._is_halfway:
                await self._keep(list(self._done))

    def stop(self) -> None:
        """Finish what there is, keep the state, and return from `run`."""
        self._stopping = True

    async def _turn(self) -> bool:
        """One take, and what follows from it; whether to go on."""
        await self._own()
        wait_s = 0.0 if self._stopping else self._wait_s()
        taking = self._bus.take(self._stage.topic, dict(self._done), wait_s=wait_s)
        took = await self._patience.attempt("take", taking)
        if isinstance(took, Failure):
            if not self._stopping:
                await self._patience.pause(took)
        elif took and self._has_run_out():
            pass  # they may be another's by now; ours are taken again
        elif took:
            await self._apply(took)
            await self._keep(self._now_due(), twice=True)
            return not (self._stopping and self._is_halfway)
        else:
            await self._keep(self._now_due(), twice=True)
            if not self._done and not self._stopping:  # all are owned by others
                await self._clock.sleep(self._config.lease_s / _RENEWALS)
        return not self._stopping

    # Handing over

    async def _apply(self, deliveries: Sequence[Delivery]) -> None:
        """Until they are applied or put aside; or left, if we are to stop and it cannot be now."""
        self._is_halfway = True
        while failed := await self._patience.attempt("handle", self._hand_over(deliveries)):
            if not isinstance(failed.error, Retryable):
                await self._put_aside(deliveries, failed.error)
                return
            if self._stopping:
                return
            await self._patience.pause(failed)
        _HANDLED.add(len(deliveries), self._stage.name)

    async def _put_aside(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        """The one that is to blame; the others are tried one by one."""
        if len(deliveries) > 1:
            for delivery in deliveries:
                await self._apply([delivery])
            return
        dead = Dead(deliveries[0], f"{type(error).__name__}: {error}")
        self.dead.append(dead)
        _DEAD.add(1, self._stage.name)
        position = dead.delivery.position
        _log.error("put aside", stage=self._stage.name, position=position, why=dead.reason)
        self._settle(deliveries)

    async def _hand_over(self, deliveries: Sequence[Delivery]) -> None:
        """To its end, even if we are cancelled meanwhile: a state must fit a position."""
        handling = asyncio.ensure_future(self._stage.handle(deliveries))
        try:
            await asyncio.shield(handling)
        finally:
            if not handling.done():
                await asyncio.wait({handling})
            if not handling.cancelled() and handling.exception() is None:
                self._settle(deliveries)

    def _settle(self, deliveries: Sequence[Delivery]) -> None:
        """They are behind us."""
        newest: dict[int, int] = {}
        for delivery in deliveries:
            newest[delivery.partition] = max(newest.get(delivery.partition, 0), delivery.position)
            if isinstance(tick := delivery.record, Tick):
                self._now_ns = tick.now_ns
                _LAG_S.set((self._clock.now_ns() - tick.now_ns) / NS_PER_S, self._stage.name)
        mixed = newest.pop(MIXED, 0)
        if not newest and mixed >= max(self._done.values(), default=0):
            self._done = dict.fromkeys(self._done, mixed)  # as nearly always where one log has all
        else:
            self._done = {p: max(at, mixed, newest.get(p, 0)) for p, at in self._done.items()}
        self._cycle_records += len(deliveries)
        self._is_halfway = False
        _POSITION.set(self.position, self._stage.name)

    # Owning

    async def _own(self) -> None:
        """Renew what is owned, take over what is free, drop what was lost, let go of too much."""
        now_ns = self._clock.now_ns()
        stage = self._stateful
        if stage is None or now_ns < self._renew_ns:
            return
        part_s = self._config.lease_s / _RENEWALS
        ttl_s = part_s * (_RENEWALS - 1)
        leasing = self._bus.lease(stage.topic, stage.name, ttl_s)
        leases = await self._patience.attempt("lease", leasing)
        if isinstance(leases, Failure):
            if not self._stopping:
                await self._patience.pause(leases)
            return
        self._renew_ns = now_ns + round(part_s * NS_PER_S)
        self._owned_until_ns = now_ns + round(ttl_s * NS_PER_S)
        for partition in self._fences.keys() - leases.fences.keys():
            self._drop(partition)
        gained = [p for p, fence in leases.fences.items() if self._fences.get(p) != fence]
        self._fences = dict(leases.fences)
        if gained:
            await self._restore(stage, gained)
        await self._let_go(stage, sorted(self._fences)[leases.share :])

    def _wait_s(self) -> float:
        if self._stateful is None:
            return _TAKE_S
        return min(_TAKE_S, max(0.0, (self._renew_ns - self._clock.now_ns()) / NS_PER_S))

    def _has_run_out(self) -> bool:
        """Whether others may own by now what this took to be its own."""
        return self._stateful is not None and self._clock.now_ns() >= self._owned_until_ns

    async def _let_go(self, stage: StatefulStage, partitions: Sequence[int]) -> None:
        """Others have too few. They go on from where this one came to."""
        if not partitions or self._is_halfway:
            return
        await self._keep(partitions)
        kept = [p for p in partitions if self._done.get(p, 0) <= self._covered.get(p, 0)]
        if not kept:
            return
        for partition in kept:
            self._fences.pop(partition, None)
            self._done.pop(partition, None)
        unleasing = self._bus.unlease(stage.topic, stage.name, kept)
        await self._patience.attempt("unlease", unleasing)
        _log.info("partitions let go", stage=stage.name, n=len(kept), left=len(self._done))

    async def _restore(self, stage: StatefulStage, gained: Sequence[int]) -> None:
        restoring = self._bus.restore(stage.topic, stage.name, gained)
        kept = await self._patience.attempt("restore", restoring)
        if isinstance(kept, Failure):  # to be gained anew
            for partition in gained:
                self._drop(partition)
            self._renew_ns = 0
            return
        for partition in gained:
            found, position = kept.get(partition, Checkpoint(0, b"")), 0
            if found.state or partition in self._covered:
                load = stage.load(partition, found.position, found.state)
                if await self._patience.attempt("load", load) is None:
                    position = found.position
            self._done[partition] = self._covered[partition] = position
            self._covered_before[partition] = 0
        _log.info("partitions owned", stage=stage.name, n=len(gained), position=self.position)

    def _drop(self, partition: int) -> None:
        self._fences.pop(partition, None)
        if self._done.pop(partition, None) is not None:
            _log.warning("partition lost", stage=self._stage.name, partition=partition)

    # Remembering

    def _now_due(self) -> list[int]:
        """A few partitions at a time, so that nobody waits for long."""
        cycle_s = (self._clock.now_ns() - self._cycle_ns) / NS_PER_S
        progress = max(
            cycle_s / self._config.checkpoint_s,
            self._cycle_records / self._config.checkpoint_records,
        )
        if not self._due:
            self._due.extend(self._done)
        n_left = round(len(self._done) * max(0.0, 1 - progress))
        due = [self._due.popleft() for _ in range(len(self._due) - n_left)]
        if not self._due:
            self._cycle_ns, self._cycle_records = self._clock.now_ns(), 0
        return due

    async def _keep(self, partitions: Sequence[int], *, twice: bool = False) -> None:
        """Checkpoint those that have come further since they were last, or since the time before:
        the log is kept from there on, and one that is full takes nothing to come further by."""
        stage, kept = self._stateful, self._covered_before if twice else self._covered
        if stage is None:
            return
        for partition in partitions:
            if self._done.get(partition, 0) <= kept.get(partition, 0):
                continue
            failed = await self._patience.attempt("checkpoint", self._keep_one(stage, partition))
            if failed and isinstance(failed.error, Permanent):
                self._drop(partition)

    async def _keep_one(self, stage: StatefulStage, partition: int) -> None:
        checkpoint = Checkpoint(self._done[partition], await stage.dump(partition))
        fence = self._fences[partition]
        await self._bus.checkpoint(stage.topic, stage.name, partition, fence, checkpoint)
        self._covered_before[partition] = self._covered.get(partition, 0)
        self._covered[partition] = checkpoint.position
        _CHECKPOINTS.add(1, stage.name)


class Relay:
    """Publishes the store's outbox, from its beginning, so that followers of a former life go on:
    what was published before is passed over by the bus."""

    def __init__(self, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        usual = RuntimeConfig()
        self._patience = Patience("relay", clock, usual.retry_s, usual.retry_limit_s)
        self.position = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            n_relayed = await self._patience.attempt("relay", self.relay())
            if isinstance(n_relayed, Failure):
                await self._patience.pause(n_relayed)
            elif not n_relayed:
                await self._clock.sleep(_RELAY_S)

    async def relay(self) -> int:
        """Publish the next events, if there are any; how many."""
        events = await self._store.events(self.position, _RELAYED_AT_ONCE)
        if events:
            await self._bus.publish(ANOMALIES, events)
            self.position = events[-1].sequence
        return len(events)
