"""The loop of every stage, whatever fails around it: each record counts once, in its order."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import make
from tests.buses import MemoryWorld
from watchkeeper.bus.base import SAMPLES, Bus, Delivery, Leases
from watchkeeper.clock import FakeClock
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.runtime import Loop, RuntimeConfig

CALLS = ("take", "lease", "restore", "checkpoint", "handle", "dump", "load")
FAULTS = st.dictionaries(
    st.sampled_from(CALLS), st.lists(st.sampled_from("  RO"), max_size=6), max_size=4
)
"""Of each call, how the next ones end: well, with a Retryable of ours, or with an odd OSError.
A stage that cannot load or apply with an odd error has records put aside, so it gets none."""
LIVES = st.lists(st.tuples(st.integers(0, 8), st.booleans(), FAULTS), min_size=1, max_size=4)
"""Records that come, whether the process dies without a goodbye, and what fails meanwhile."""


class Faults:
    """Scripted bad luck."""

    def __init__(self, script: Mapping[str, Sequence[str]]) -> None:
        self._script = {call: list(ends) for call, ends in script.items()}

    def meet(self, call: str) -> None:
        ends = self._script.get(call, [])
        how = ends.pop(0) if ends else " "
        if how == "O" and call not in ("handle", "load"):
            raise OSError(5, "odd")
        if how != " ":
            raise Retryable(f"{call}: not now", after_s=0.5)


class Shaky:
    """A bus that meets with bad luck, and that nobody waits for in vain."""

    def __init__(self, bus: Bus, faults: Faults) -> None:
        self._bus = bus
        self._faults = faults
        self.is_cut_off = False
        self.n_takes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def take(
        self, topic: str, after: Mapping[int, int], *, wait_s: float
    ) -> Sequence[Delivery]:
        self.n_takes += 1
        self._faults.meet("take")
        await asyncio.sleep(0)
        return await self._bus.take(topic, after, wait_s=0)

    async def lease(self, *arguments: Any) -> Leases:
        self._faults.meet("lease")
        return await self._bus.lease(*arguments)

    async def restore(self, *arguments: Any) -> Any:
        self._faults.meet("restore")
        return await self._bus.restore(*arguments)

    async def checkpoint(self, *arguments: Any) -> None:
        if self.is_cut_off:
            raise Retryable("bus: the process is dead")
        self._faults.meet("checkpoint")
        await self._bus.checkpoint(*arguments)


class Ledger:
    """Per partition, every position that counted, in order: what any state is made of."""

    name = "ledger"
    topic = SAMPLES

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.pages: list[list[int]] = [[] for _ in range(N_PARTITIONS)]
        self._covered = [0] * N_PARTITIONS
        self.n_dumped = 0

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            for partition, page in enumerate(self.pages):
                if delivery.position > self._covered[partition]:
                    page.append(delivery.position)
                    self._covered[partition] = delivery.position
            self._faults.meet("handle")  # after a part of them was applied, too

    async def dump(self, partition: int) -> bytes:
        self._faults.meet("dump")
        self.n_dumped += 1
        return msgspec.msgpack.encode(self.pages[partition])

    async def load(self, partition: int, position: int, state: bytes) -> None:
        self._faults.meet("load")
        self.pages[partition] = msgspec.msgpack.decode(state, type=list[int]) if state else []
        self._covered[partition] = position


async def until(is_so: Any, clock: FakeClock, step_s: float = 0.2) -> None:
    """Time passes, and slowly while nobody waits for it, until it is so: the disk needs longer than
    a lease may last."""
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0)
            clock.advance(step_s if clock.is_awaited else step_s / 50)


async def live(world: MemoryWorld, n: int, script: Mapping[str, Sequence[str]], *, dies: bool,
               **config: Any) -> tuple[Ledger, Loop]:  # fmt: skip
    """A process that comes to the end of what there is, and ends."""
    clock, faults = FakeClock(), Faults(script)
    bus = Shaky(await world.start(take_bytes=64), faults)
    stage = Ledger(faults)
    usual: dict[str, Any] = {"checkpoint_records": 6, "checkpoint_s": 10**6, "lease_s": 10.0}
    loop = Loop(stage, bus, clock, RuntimeConfig(**{**usual, **config}))
    last = await bus.publish(SAMPLES, [make.tick(k) for k in range(n)]) if n else world_last(bus)
    running = asyncio.create_task(loop.run())
    try:
        # `position` speaks of what is owned, which may not be all yet.
        await until(lambda: min(map(len, stage.pages)) >= last <= loop.position, clock)
        bus.is_cut_off = dies
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    return stage, loop


def world_last(bus: Shaky) -> int:
    return int(bus.last(SAMPLES))


@settings(max_examples=3)  # each life writes a file per partition and checkpoint
@given(LIVES)
@example([(5, True, {}), (0, True, {"load": ["R"]}), (3, False, {})])
@example([(4, False, {}), (0, False, {"restore": ["R", "O"], "lease": ["O"]}), (1, False, {})])
@example([(8, False, {"handle": [" ", "R", " ", "R"], "checkpoint": ["R", "O"], "dump": ["R"]})])
def test_every_record_counts_once_in_order_whatever_fails(
    lives: Sequence[tuple[int, bool, Mapping[str, Sequence[str]]]],
) -> None:
    async def all_lives(folder: Path) -> None:
        world, total = MemoryWorld(folder), 0
        for n, dies, script in lives:
            total += n
            stage, loop = await live(world, n, script, dies=dies)

            wanted = list(range(1, total + 1))
            assert [page for page in stage.pages if page != wanted] == []
            assert not loop.dead
        await world.stop()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(all_lives(Path(folder)))


# Remembering where one stands


async def stand(tmp_path: Path, n_cycles: int) -> tuple[Ledger, MemoryWorld]:
    """A stage that came to the end of the log, and then stood there for some cycles."""
    world, clock, faults = MemoryWorld(tmp_path), FakeClock(), Faults({})
    bus = Shaky(await world.start(), faults)
    stage = Ledger(faults)
    config = RuntimeConfig(checkpoint_s=10.0, checkpoint_records=10**9, lease_s=10**6)
    loop = Loop(stage, bus, clock, config)
    await bus.publish(SAMPLES, [make.tick(k) for k in range(3)])
    running = asyncio.create_task(loop.run())
    await until(lambda: loop.position == 3, clock, step_s=0.0)
    await until(lambda: stage.n_dumped >= 2 * N_PARTITIONS, clock)
    for _ in range(n_cycles):
        clock.advance(11.0)
        turns = bus.n_takes + 3
        await until(lambda turns=turns: bus.n_takes >= turns, clock, step_s=0.0)
    bus.is_cut_off = True
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return stage, world


async def test_who_stands_still_is_remembered_twice_and_no_more(
    tmp_path: Path,
) -> None:
    stage, world = await stand(tmp_path, 5)

    assert stage.n_dumped == 2 * N_PARTITIONS
    await world.stop()


async def test_a_log_that_takes_nothing_more_can_be_let_go_once_all_of_it_counts(
    tmp_path: Path,
) -> None:
    """The log is kept from the checkpoint before the newest, and a full one brings no records by
    which that could move on: it was stuck until somebody raised its limit."""
    _, world = await stand(tmp_path, 1)
    bus = await world.start()

    assert await bus.release(10**9, ["ledger"]) == 3
    await world.stop()


# Patience


class Moody:
    """A stage that refuses as often as its script says, record by record."""

    name = "moody"
    topic = SAMPLES

    def __init__(self, n_refusals: Mapping[int, int]) -> None:
        self._left = dict(n_refusals)
        self.heard: list[int] = []

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.position in self.heard:
                continue
            if self._left.get(delivery.position, 0) > 0:
                self._left[delivery.position] -= 1
                raise Retryable("not now", after_s=0.0)
            self.heard.append(delivery.position)


class Noting(FakeClock):
    """A clock that remembers for how long somebody lay down."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds)


async def test_after_a_success_patience_begins_anew(tmp_path: Path) -> None:
    world, clock = MemoryWorld(tmp_path), Noting()
    bus = Shaky(await world.start(take_bytes=1), Faults({}))
    stage = Moody({1: 3, 2: 2})
    loop = Loop(stage, bus, clock, RuntimeConfig(retry_s=1.0, retry_limit_s=60.0), after=0)
    await bus.publish(SAMPLES, [make.tick(k) for k in range(2)])
    running = asyncio.create_task(loop.run())

    await until(lambda: loop.position == 2, clock, step_s=1.0)

    assert clock.slept == [1.0, 2.0, 4.0, 1.0, 2.0]
    assert stage.heard == [1, 2]
    loop.stop()
    await running
    await world.stop()


@settings(max_examples=20)
@given(st.integers(0, 12), st.floats(0.01, 5.0), st.floats(0.01, 60.0), st.floats(0.0, 100.0))
def test_pauses_grow_and_stay_between_what_is_set_and_what_is_asked(
    n_refusals: int, first_s: float, longest_s: float, asked_s: float
) -> None:
    class Asking(Moody):
        async def handle(self, deliveries: Sequence[Delivery]) -> None:
            try:
                await super().handle(deliveries)
            except Retryable as refusal:
                raise Retryable(str(refusal), after_s=asked_s) from refusal

    async def patient(folder: Path) -> list[float]:
        world, clock = MemoryWorld(folder), Noting()
        bus = Shaky(await world.start(), Faults({}))
        config = RuntimeConfig(retry_s=first_s, retry_limit_s=longest_s)
        loop = Loop(Asking({1: n_refusals}), bus, clock, config, after=0)
        await bus.publish(SAMPLES, [make.tick()])
        running = asyncio.create_task(loop.run())
        await until(lambda: loop.position == 1, clock, step_s=30.0)
        loop.stop()
        await running
        await world.stop()
        return clock.slept

    with tempfile.TemporaryDirectory() as folder:
        slept = asyncio.run(patient(Path(folder)))

    assert len(slept) == n_refusals
    assert slept == sorted(slept)
    assert all(min(first_s, longest_s, asked_s or first_s) <= one <= longest_s for one in slept)
    assert all(one >= min(asked_s, longest_s) for one in slept)


@pytest.mark.parametrize("error", [Permanent("never"), ValueError("odd")])
async def test_one_bad_record_among_many_is_put_aside_and_all_others_count_in_order(
    tmp_path: Path, error: Exception
) -> None:
    class Picky(Moody):
        async def handle(self, deliveries: Sequence[Delivery]) -> None:
            if any(delivery.position in (3, 7) for delivery in deliveries):
                raise error
            await super().handle(deliveries)

    world, clock = MemoryWorld(tmp_path), Noting()
    bus = Shaky(await world.start(), Faults({}))
    stage = Picky({})
    loop = Loop(stage, bus, clock, RuntimeConfig(), after=0)
    await bus.publish(SAMPLES, [make.tick(k) for k in range(9)])
    running = asyncio.create_task(loop.run())

    await until(lambda: loop.position == 9, clock)

    assert stage.heard == [1, 2, 4, 5, 6, 8, 9]
    assert [dead.delivery.position for dead in loop.dead] == [3, 7]
    assert clock.slept == []
    loop.stop()
    await running
    await world.stop()
