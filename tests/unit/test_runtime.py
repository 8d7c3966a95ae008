"""The loop that every stage runs in: order, patience, memory, and a clean end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import make
from tests.buses import MemoryWorld
from watchkeeper import runtime
from watchkeeper.bus.base import ANOMALIES, MIXED, SAMPLES, Checkpoint, Delivery, Leases
from watchkeeper.bus.memory import MemoryBus
from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import Tick
from watchkeeper.runtime import Loop, Relay, RuntimeConfig
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

CONFIG = RuntimeConfig(checkpoint_records=10**9)
SETTLED_S = 20


class Listener:
    """Writes down what it is handed, and fails when told to."""

    name = "listener"
    topic = SAMPLES

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.calls: list[list[int]] = []
        self.refuse: dict[int, list[Exception]] = {}
        """Position -> what to raise when it is met; each once."""
        self.held: asyncio.Event | None = None

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        self.calls.append([delivery.position for delivery in deliveries])
        for delivery in deliveries:
            if self.heard and delivery.position <= self.heard[-1]:
                continue
            if errors := self.refuse.get(delivery.position):
                raise errors.pop(0)
            self.heard.append(delivery.position)
        if self.held is not None:
            await self.held.wait()


class Digest(Listener):
    """State per partition that depends on every record and on their order."""

    name = "digest"

    def __init__(self) -> None:
        super().__init__()
        self.state = [0] * N_PARTITIONS
        self.covered = [0] * N_PARTITIONS
        self.loaded: list[int] = []
        self.n_dumped = 0

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        await super().handle(deliveries)
        for delivery in deliveries:
            for partition in range(N_PARTITIONS):
                if delivery.position > self.covered[partition]:
                    before = self.state[partition]
                    self.state[partition] = hash((before, delivery.position, partition))
                    self.covered[partition] = delivery.position

    async def dump(self, partition: int) -> bytes:
        self.n_dumped += 1
        return msgspec.msgpack.encode(self.state[partition])

    async def load(self, partition: int, position: int, state: bytes) -> None:
        self.loaded.append(partition)
        self.state[partition] = msgspec.msgpack.decode(state) if state else 0
        self.covered[partition] = position


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MemoryWorld]:
    one = MemoryWorld(tmp_path)
    yield one
    await one.stop()


@pytest.fixture
async def bus(world: MemoryWorld) -> MemoryBus:
    started = await world.start()
    assert isinstance(started, MemoryBus)
    return started


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def loop_of(stage: Any, bus: Any, clock: FakeClock, **settings: Any) -> Loop:
    config = msgspec.structs.replace(CONFIG, **settings)
    return Loop(stage, bus, clock, config, after=None if isinstance(stage, Digest) else 0)


@asynccontextmanager
async def running(loop: Loop | Relay) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(
    is_so: Callable[[], bool], clock: FakeClock | None = None, step_s: float = 0.05
) -> None:
    """Wait for it; if a clock is given, time passes while somebody waits for that."""
    async with asyncio.timeout(SETTLED_S):
        while not is_so():
            await asyncio.sleep(0)
            if clock is not None and clock.is_awaited:
                clock.advance(step_s)


async def ticks(bus: MemoryBus, n: int) -> int:
    return await bus.publish(SAMPLES, [make.tick(k) for k in range(n)])


# Handing over


async def test_everything_is_handed_over_in_order(bus: MemoryBus, clock: FakeClock) -> None:
    stage = Listener()
    loop = loop_of(stage, bus, clock)

    async with running(loop):
        for _ in range(5):
            await ticks(bus, 3)
        await until(lambda: loop.position == 15)

    assert stage.heard == list(range(1, 16))
    assert loop.failing is None


async def test_a_stage_that_keeps_its_own_state_begins_where_it_says(
    bus: MemoryBus, clock: FakeClock
) -> None:
    await ticks(bus, 5)
    stage = Listener()
    loop = Loop(stage, bus, clock, CONFIG, after=3)
    assert loop.position == 3

    async with running(loop):
        await until(lambda: loop.position == 5)

    assert stage.heard == [4, 5]


async def test_what_cannot_be_applied_now_is_tried_again_in_its_place(
    bus: MemoryBus, clock: FakeClock
) -> None:
    stage = Listener()
    stage.refuse = {2: [Retryable("store: locked", after_s=0.3)] * 3}
    loop = loop_of(stage, bus, clock)
    await ticks(bus, 3)

    async with running(loop):
        await until(lambda: loop.failing == "handle: Retryable: store: locked")
        assert loop.position == 0
        await until(lambda: loop.position == 3, clock)

    assert stage.calls == [[1, 2, 3]] * 4
    assert stage.heard == [1, 2, 3]
    assert loop.failing is None
    assert len(loop.dead) == 0


async def test_pauses_double_up_to_a_limit(bus: MemoryBus, clock: FakeClock) -> None:
    stage = Listener()
    stage.refuse = {1: [Retryable("not now", after_s=0)] * 6}
    loop = loop_of(stage, bus, clock, retry_s=1.0, retry_limit_s=5.0)
    pauses: list[float] = []
    sleep = clock.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(seconds)

    clock.sleep = noted  # type: ignore[method-assign]  # the same clock, overheard
    await ticks(bus, 1)

    async with running(loop):
        await until(lambda: loop.position == 1, clock, step_s=1)

    assert pauses == [1, 2, 4, 5, 5, 5]


@pytest.mark.parametrize("error", [Permanent("no such series"), KeyError("slot"), ValueError("x")])
async def test_a_record_that_cannot_be_applied_is_put_aside_alone(
    bus: MemoryBus, clock: FakeClock, error: Exception
) -> None:
    stage = Listener()
    stage.refuse = {3: [error, error]}
    loop = loop_of(stage, bus, clock)
    await ticks(bus, 5)

    async with running(loop):
        await until(lambda: loop.position == 5)

    assert stage.heard == [1, 2, 4, 5]
    (dead,) = loop.dead
    assert (dead.delivery.position, dead.delivery.record) == (3, make.tick(2))
    assert dead.reason == f"{type(error).__name__}: {error}"


async def test_records_put_aside_are_remembered_up_to_a_limit(
    bus: MemoryBus, clock: FakeClock
) -> None:
    stage = Listener()
    stage.refuse = {position: [ValueError("x")] * 2 for position in range(1, 11)}
    loop = loop_of(stage, bus, clock, dead_limit=4)
    await ticks(bus, 10)

    async with running(loop):
        await until(lambda: loop.position == 10)

    assert [dead.delivery.position for dead in loop.dead] == [7, 8, 9, 10]


async def test_a_bus_that_is_away_is_asked_until_it_is_back(
    bus: MemoryBus, clock: FakeClock
) -> None:
    class Away:
        n_asked = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(bus, name)

        async def take(
            self, topic: str, after: Mapping[int, int], *, wait_s: float
        ) -> Sequence[Delivery]:
            self.n_asked += 1
            if self.n_asked < 4:
                raise Retryable("bus redis: cannot read") if self.n_asked % 2 else OSError("odd")
            return await bus.take(topic, after, wait_s=wait_s)

    stage = Listener()
    loop = loop_of(stage, Away(), clock)
    await ticks(bus, 2)

    async with running(loop):
        await until(lambda: loop.failing == "take: Retryable: bus redis: cannot read")
        await until(lambda: loop.position == 2, clock)

    assert stage.heard == [1, 2]


async def test_the_age_of_the_newest_tick_is_measured(bus: MemoryBus, clock: FakeClock) -> None:
    loop = loop_of(Listener(), bus, clock)
    await bus.publish(SAMPLES, [Tick(clock.now_ns() - 7 * NS_PER_S)])

    async with running(loop):
        await until(lambda: loop.position == 1)

    assert runtime._LAG_S.value("listener") == 7  # noqa: SLF001


# Remembering


async def test_each_partition_is_checkpointed_once_in_the_time_given(
    bus: MemoryBus, clock: FakeClock
) -> None:
    stage = Digest()
    loop = loop_of(stage, bus, clock, checkpoint_s=64.0, lease_s=10**6)
    counts = []

    async with running(loop):
        await ticks(bus, 1)
        await until(lambda: loop.position == 1)
        for n in range(2, 6):
            clock.advance(16)
            await ticks(bus, 1)
            await until(lambda n=n: loop.position == n)  # type: ignore[misc]
            await until(lambda: stage.n_dumped >= 16 * (n - 1))  # noqa: B023
            counts.append(stage.n_dumped)

    assert counts == [16, 32, 48, 64]


async def test_many_records_bring_checkpoints_forward(bus: MemoryBus, clock: FakeClock) -> None:
    stage = Digest()
    loop = loop_of(stage, bus, clock, checkpoint_records=10)

    async with running(loop):
        await ticks(bus, 5)
        await until(lambda: stage.n_dumped >= 32)
        await ticks(bus, 5)
        await until(lambda: stage.n_dumped >= 64)

    kept = await bus.restore(SAMPLES, "digest")
    assert set(kept) == set(range(N_PARTITIONS))


async def test_a_partition_that_came_no_further_is_not_checkpointed_again(
    bus: MemoryBus, clock: FakeClock
) -> None:
    stage = Digest()
    await ticks(bus, 3)
    async with running(loop := loop_of(stage, bus, clock)):
        await until(lambda: loop.position == 3)
    assert stage.n_dumped == N_PARTITIONS

    async with running(loop := loop_of(again := Digest(), bus, clock)):
        await until(lambda: loop.position == 3)

    assert again.loaded == list(range(N_PARTITIONS))
    assert again.n_dumped == 0


async def test_a_restart_anywhere_gives_the_state_of_an_undisturbed_run(
    world: MemoryWorld, clock: FakeClock
) -> None:
    undisturbed = Digest()
    started = await world.start()
    assert isinstance(started, MemoryBus)
    total = await ticks(started, 60)
    async with running(loop := Loop(undisturbed, started, clock, CONFIG, after=0)):
        await until(lambda: loop.position == total)

    for life, checkpoint_records in enumerate((7, 11, 13, 5)):
        bus = await world.start(take_bytes=64)
        assert isinstance(bus, MemoryBus)
        stage = Digest()
        loop = loop_of(stage, bus, clock, checkpoint_records=checkpoint_records)
        task = asyncio.create_task(loop.run())
        goal = 15 * (life + 1)
        await until(lambda: loop.position >= goal)  # noqa: B023
        loop._is_halfway = True  # noqa: SLF001 - as if killed: no last checkpoint
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    bus = await world.start()
    stage = Digest()
    async with running(loop := loop_of(stage, bus, clock)):
        await until(lambda: loop.position == total)
    assert stage.state == undisturbed.state


async def test_a_state_that_cannot_be_loaded_is_learned_again_from_the_log(
    bus: MemoryBus, clock: FakeClock
) -> None:
    await ticks(bus, 5)
    async with running(loop := loop_of(first := Digest(), bus, clock)):
        await until(lambda: loop.position == 5)
    token = (await bus.lease(SAMPLES, "digest", 60)).fences[9]
    assert token is not None
    await bus.checkpoint(SAMPLES, "digest", 9, token, Checkpoint(5, b"\xc1"))

    async with running(loop := loop_of(second := Digest(), bus, clock)):
        await until(lambda: loop.position == 5)

    assert second.state == first.state


# Owning


class Contested:
    """A bus on which others want the same partitions."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.taken: set[int] = set()
        self.share = N_PARTITIONS
        self.let_go: list[list[int]] = []
        self.away = 0
        self.stale: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def lease(self, topic: str, group: str, ttl_s: float) -> Leases:
        if self.away:
            self.away -= 1
            raise Retryable("bus redis: cannot run a script")
        await self._bus.unlease(topic, group, self.taken)
        leases = await self._bus.lease(topic, group, ttl_s)
        return Leases(
            {p: fence for p, fence in leases.fences.items() if p not in self.taken}, self.share
        )

    async def unlease(self, topic: str, group: str, partitions: Collection[int]) -> None:
        self.let_go.append(sorted(partitions))
        self.taken |= set(partitions)

    async def checkpoint(
        self, topic: str, group: str, partition: int, fence: int, checkpoint: Checkpoint
    ) -> None:
        if partition in self.stale:
            self.stale.discard(partition)
            raise Permanent("bus: leased anew")
        await self._bus.checkpoint(topic, group, partition, fence, checkpoint)


async def test_partitions_of_others_are_left_alone_until_they_are_free(
    bus: MemoryBus, clock: FakeClock
) -> None:
    contested = Contested(bus)
    contested.taken = set(range(10, N_PARTITIONS))
    stage = Digest()
    loop = loop_of(stage, contested, clock, lease_s=3.0)
    await ticks(bus, 2)

    async with running(loop):
        await until(lambda: loop.position == 2)
        assert sorted(loop._done) == list(range(10))  # noqa: SLF001
        contested.taken.clear()
        clock.advance(2)
        await ticks(bus, 1)
        await until(lambda: len(loop._done) == N_PARTITIONS and loop.position == 3)  # noqa: SLF001

    assert set(await bus.restore(SAMPLES, "digest")) == set(range(N_PARTITIONS))


async def test_who_owns_nothing_waits(bus: MemoryBus, clock: FakeClock) -> None:
    contested = Contested(bus)
    contested.taken = set(range(N_PARTITIONS))
    stage = Digest()
    loop = loop_of(stage, contested, clock, lease_s=3.0)
    await ticks(bus, 2)

    async with running(loop):
        for _ in range(50):
            await asyncio.sleep(0)
        assert stage.calls == []
        contested.taken.clear()
        await until(lambda: loop.position == 2, clock)

    assert stage.heard == [1, 2]


async def test_a_partition_lost_meanwhile_is_dropped_and_gained_anew(
    bus: MemoryBus, clock: FakeClock
) -> None:
    contested = Contested(bus)
    stage = Digest()
    loop = loop_of(stage, contested, clock, checkpoint_records=1, lease_s=3.0)
    await ticks(bus, 1)

    async with running(loop):
        contested.stale = {5}
        await until(lambda: 5 not in contested.stale)
        await until(lambda: 5 not in loop._done)  # noqa: SLF001
        clock.advance(2)
        await ticks(bus, 1)
        await until(lambda: 5 in loop._done and loop.position == 2)  # noqa: SLF001

    assert (await bus.restore(SAMPLES, "digest"))[5].position == 2


@pytest.mark.parametrize("n_others", [0, 1])
async def test_a_lease_that_ran_out_costs_nothing_unless_another_had_it(
    bus: MemoryBus, clock: FakeClock, n_others: int
) -> None:
    """What this process knows of the partition is worth nothing then, checkpoint or not."""

    class RunsOut(Contested):
        jump = 0
        n_asked = 0

        async def lease(self, topic: str, group: str, ttl_s: float) -> Leases:
            self.n_asked += 1
            leases = await bus.lease(topic, group, ttl_s)
            fences = {**leases.fences, 5: leases.fences[5] + self.jump}
            return Leases(fences, leases.share)

    contested = RunsOut(bus)
    stage = Digest()
    loop = loop_of(stage, contested, clock, lease_s=3.0)
    await ticks(bus, 2)

    async with running(loop):
        await until(lambda: loop.position == 2)
        contested.jump = n_others
        clock.advance(4)
        await ticks(bus, 1)
        await until(lambda: contested.n_asked > 1)
        await until(lambda: stage.loaded == [5] * n_others and loop.position == 3)
        contested.jump = 0

    assert stage.state[5] == hash((hash((hash((0, 1, 5)), 2, 5)), 3, 5))


async def test_leases_that_cannot_be_asked_for_are_asked_for_again(
    bus: MemoryBus, clock: FakeClock
) -> None:
    contested = Contested(bus)
    contested.away = 3
    stage = Digest()
    loop = loop_of(stage, contested, clock)
    await ticks(bus, 2)

    async with running(loop):
        await until(lambda: loop.position == 2, clock)

    assert stage.heard == [1, 2]


async def test_who_owns_more_than_its_share_lets_go_of_what_it_has_kept(
    bus: MemoryBus, clock: FakeClock
) -> None:
    contested = Contested(bus)
    stage = Digest()
    loop = loop_of(stage, contested, clock, lease_s=3.0)
    await ticks(bus, 2)

    async with running(loop):
        await until(lambda: loop.position == 2)
        contested.share = 60
        clock.advance(1)
        await until(lambda: bool(contested.let_go))
        kept = await bus.restore(SAMPLES, "digest")
        await ticks(bus, 1)
        await until(lambda: loop.position == 3)

    assert contested.let_go == [[60, 61, 62, 63]]
    assert {partition: kept[partition].position for partition in kept} == dict.fromkeys(
        (60, 61, 62, 63), 2
    )


async def test_what_could_not_be_kept_is_not_let_go_of(bus: MemoryBus, clock: FakeClock) -> None:
    """Whoever got it would begin where its checkpoint is, and all since then be done twice."""

    class Full(Contested):
        n_refused: int | None = 0

        async def checkpoint(
            self, topic: str, group: str, partition: int, fence: int, checkpoint: Checkpoint
        ) -> None:
            if self.n_refused is not None:
                self.n_refused += 1
                raise Retryable("checkpoint: no space left")
            await super().checkpoint(topic, group, partition, fence, checkpoint)

    contested = Full(bus)
    stage = Digest()
    loop = loop_of(stage, contested, clock, lease_s=3.0)
    await ticks(bus, 2)

    async with running(loop):
        await until(lambda: loop.position == 2)
        contested.share = 60
        clock.advance(1)
        await until(lambda: contested.n_refused == 4)
        assert contested.let_go == []
        contested.n_refused = None
        clock.advance(1)
        await until(lambda: bool(contested.let_go))

    assert contested.let_go == [[60, 61, 62, 63]]


async def test_records_of_a_lease_that_ran_out_are_not_handed_over(
    bus: MemoryBus, clock: FakeClock
) -> None:
    """They were taken while it was good; by now another may be at them."""

    class Slow(Contested):
        async def take(
            self, topic: str, after: Mapping[int, int], *, wait_s: float
        ) -> Sequence[Delivery]:
            took = await self._bus.take(topic, after, wait_s=0)
            if took and not self.taken:
                clock.advance(60)
                self.taken = set(range(10, N_PARTITIONS))
            await asyncio.sleep(0)
            return took

    contested = Slow(bus)
    stage = Digest()
    loop = loop_of(stage, contested, clock, lease_s=3.0)
    await ticks(bus, 2)

    async with running(loop):
        await until(lambda: loop.position == 2)

    assert sorted(loop._done) == list(range(10))  # noqa: SLF001
    assert len(stage.calls) == 1


# Ending


async def test_a_stop_finishes_what_there_is_and_remembers(
    bus: MemoryBus, clock: FakeClock
) -> None:
    stage = Digest()
    loop = loop_of(stage, bus, clock)
    task = asyncio.create_task(loop.run())
    await ticks(bus, 50)
    loop.stop()

    await asyncio.wait_for(task, SETTLED_S)

    assert loop.position == 50
    kept = await bus.restore(SAMPLES, "digest")
    assert {one.position for one in kept.values()} == {50}


async def test_what_is_being_handled_at_a_cancellation_is_finished_and_remembered(
    bus: MemoryBus, clock: FakeClock
) -> None:
    stage = Digest()
    stage.held = asyncio.Event()
    loop = loop_of(stage, bus, clock)
    task = asyncio.create_task(loop.run())
    await ticks(bus, 3)
    await until(lambda: bool(stage.calls))

    task.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    stage.held.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, SETTLED_S)

    kept = await bus.restore(SAMPLES, "digest")
    assert {one.position for one in kept.values()} == {stage.heard[-1]}


async def test_a_batch_that_is_half_applied_is_in_no_checkpoint(
    bus: MemoryBus, clock: FakeClock
) -> None:
    stage = Digest()
    stage.refuse = {2: [Retryable("store: locked")] * 10**4}
    loop = loop_of(stage, bus, clock)
    await ticks(bus, 3)

    async with running(loop):
        await until(lambda: bool(stage.calls))

    assert await bus.restore(SAMPLES, "digest") == {}


async def test_a_stop_does_not_wait_for_what_cannot_be_applied(
    bus: MemoryBus, clock: FakeClock
) -> None:
    stage = Listener()
    stage.refuse = {1: [Retryable("store: locked")] * 10**4}
    loop = loop_of(stage, bus, clock)
    await ticks(bus, 1)
    task = asyncio.create_task(loop.run())
    await until(lambda: bool(stage.calls))

    loop.stop()

    await until(task.done, clock)
    assert task.exception() is None
    assert loop.position == 0


# The relay


async def test_saved_changes_are_published_once_each_in_order(
    bus: MemoryBus, clock: FakeClock
) -> None:
    store = MemoryStore(MemoryStore.Config())
    relay = Relay(store, bus, clock)

    async with running(relay):
        await store.save([make.anomaly(started_ns=n) for n in range(1, 4)])
        await until(lambda: bus.last(ANOMALIES) == 3, clock)
        await store.save([make.anomaly(started_ns=n) for n in range(1, 6)])
        await until(lambda: bus.last(ANOMALIES) == 5, clock)

    took = await bus.take(ANOMALIES, dict.fromkeys(range(MIXED, N_PARTITIONS), 0), wait_s=0)
    assert [delivery.record.record.started_ns for delivery in took] == [1, 2, 3, 4, 5]
    assert (await store.list(type(make.anomaly()), Filter(make.anomaly().tenant))).items


async def test_followers_of_a_former_life_go_on_where_they_were(
    world: MemoryWorld, clock: FakeClock
) -> None:
    store = MemoryStore(MemoryStore.Config())
    await store.save([make.anomaly(started_ns=n) for n in range(1, 4)])
    for _ in range(2):
        bus = await world.start()
        assert isinstance(bus, MemoryBus)
        async with running(Relay(store, bus, clock)):
            await until(lambda: bus.last(ANOMALIES) == 3, clock)  # noqa: B023

    async with aclosing(bus.follow(ANOMALIES, 2)) as following:
        delivery = await anext(following)
    assert delivery is not None
    assert delivery.position == 3


async def test_a_store_that_is_away_holds_the_relay_up_and_no_more(
    bus: MemoryBus, clock: FakeClock
) -> None:
    store = MemoryStore(MemoryStore.Config())
    await store.save([make.anomaly()])

    class Away:
        n_asked = 0

        async def events(self, after: int, limit: int) -> Any:
            self.n_asked += 1
            if self.n_asked < 3:
                raise Retryable("store: locked")
            return await store.events(after, limit)

    async with running(Relay(Away(), bus, clock)):  # type: ignore[arg-type]  # all that it needs
        await until(lambda: bus.last(ANOMALIES) == 1, clock)
