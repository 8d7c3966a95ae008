"""Every bus keeps the promises of `bus/base.py`, whatever carries its records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from tests import make
from tests.buses import (
    FROM_THE_START,
    MemoryWorld,
    RedisWorld,
    World,
    batch,
    by_series,
    rows,
    rows_of,
    take_all,
)
from watchkeeper import plugins
from watchkeeper.bus.base import ANOMALIES, MIXED, SAMPLES, Bus, Checkpoint, Delivery
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.model.event import Event
from watchkeeper.model.series import N_PARTITIONS, Entity
from watchkeeper.model.signal import (
    NewSeries,
    SampleBatch,
    Tick,
)

EVERY = sorted(plugins.BUILTIN["bus"])
GROUP = "detect"


async def worlds(
    request: pytest.FixtureRequest, folder: Path, *, small: bool = False
) -> AsyncIterator[World]:
    world: World
    if request.param == "redis":
        world = RedisWorld(request.getfixturevalue("redis_url"), folder, small=small)
    else:
        world = MemoryWorld(folder, small=small)
    yield world
    await world.stop()


@pytest.fixture(params=EVERY)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async for one in worlds(request, tmp_path):
        yield one


@pytest.fixture(params=EVERY)
async def small(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """With little room for samples."""
    async for one in worlds(request, tmp_path, small=True):
        yield one


def series(world: World, n: int = 6, n_services: int = 3) -> NewSeries:
    return world.catalog.register(
        *(make.labels("up", service=f"s{i % n_services}", instance=str(i)) for i in range(n))
    )


def event(sequence: int, service: str = "checkout") -> Event:
    return Event(sequence, make.anomaly(started_ns=sequence, entity=Entity(service=service)))


async def first(following: AsyncIterator[Delivery | None], n: int) -> list[int | None]:
    """Positions of the next `n`; None for a gap."""
    found: list[int | None] = []
    async with asyncio.timeout(20):
        while len(found) < n:
            one = await anext(following)
            found.append(None if one is None else one.position)
    return found


# Publishing and taking


async def test_samples_come_as_they_went_each_series_in_order(world: World) -> None:
    bus = await world.start()
    new = series(world)
    sent = [batch(new, 0), batch(new, 100), batch(new, 200)]

    await bus.publish(SAMPLES, [new, sent[0]])
    await bus.publish(SAMPLES, sent[1:])

    found = rows(await take_all(bus, SAMPLES), world.catalog)
    expected = [row for one in sent for row in rows_of(one, world.catalog)]
    assert by_series(found) == by_series(expected)
    assert len(found) == len(expected)


async def test_values_travel_to_the_last_bit(world: World) -> None:
    bus = await world.start()
    new = series(world, 1)
    bits = [0x7FF8_0000_0000_0001, 0x7FF0_0000_0000_0002, 0x8000_0000_0000_0000, 1, 0xFFF0 << 48]
    value = np.array(bits, np.uint64).view(np.float64)
    times = np.array([make.START_NS + t for t in (0, 1, -(10**9), 3 * 10**9 + 1, 7)], np.int64)
    await bus.publish(
        SAMPLES, [new, SampleBatch(new.tenant, np.repeat(new.slot, 5), times, value, b"h" * 16)]
    )

    found = [d.record for d in await take_all(bus, SAMPLES) if isinstance(d.record, SampleBatch)]

    assert [one.body_hash for one in found] == [b"h" * 16]
    assert found[0].value.tobytes() == value.tobytes()
    assert found[0].time_ns.tolist() == times.tolist()


async def test_new_series_come_before_their_first_sample(world: World) -> None:
    bus = await world.start()
    new = series(world)
    await bus.publish(SAMPLES, [new, batch(new)])

    known: set[str] = set()
    for delivery in await take_all(bus, SAMPLES):
        if isinstance(delivery.record, NewSeries):
            known |= {one.tobytes().hex() for one in delivery.record.identity}
            assert delivery.record.slot.tolist() == [
                int(slot) for slot in world.catalog.lookup(delivery.record.identity)
            ]
        elif isinstance(delivery.record, SampleBatch):
            assert {name for name, _, _ in rows_of(delivery.record, world.catalog)} <= known
    assert len(known) == len(new)


async def test_labels_and_entities_of_new_series_come_along(world: World) -> None:
    bus = await world.start()
    new = series(world)
    await bus.publish(SAMPLES, [new, batch(new)])

    found = {}
    for delivery in await take_all(bus, SAMPLES):
        if isinstance(one := delivery.record, NewSeries):
            for row in range(len(one)):
                entity = one.entities[int(one.entity[row])]
                found[one.identity[row].tobytes()] = (make.read_labels(one.labels, row), entity)

    assert found == {
        new.identity[row].tobytes(): (
            make.read_labels(new.labels, row),
            new.entities[int(new.entity[row])],
        )
        for row in range(len(new))
    }


async def test_a_tick_comes_to_every_partition_between_the_same_records(world: World) -> None:
    bus = await world.start()
    new = series(world)
    await bus.publish(SAMPLES, [new, batch(new, 0), make.tick(1), batch(new, 100)])

    for partition in range(N_PARTITIONS):
        seen: list[str] = []
        for delivery in await take_all(bus, SAMPLES, {partition: 0}):
            if isinstance(delivery.record, Tick):
                seen.append("tick")
            elif isinstance(delivery.record, SampleBatch):
                seen.append("samples")
        assert seen in (["samples", "tick", "samples"], ["tick"])


async def test_positions_grow_and_publish_says_the_last(world: World) -> None:
    bus = await world.start()
    new = series(world)

    first_group = await bus.publish(SAMPLES, [new, batch(new, 0)])
    second_group = await bus.publish(SAMPLES, [batch(new, 100), make.tick()])

    assert await bus.publish(SAMPLES, []) == second_group
    positions = [delivery.position for delivery in await take_all(bus, SAMPLES)]
    assert positions == sorted(positions)
    assert first_group in positions
    assert positions[-1] == second_group > first_group


async def test_the_newest_position_is_told_whoever_published_there(world: World) -> None:
    bus = await world.start()
    before = await bus.newest(SAMPLES)

    last = await bus.publish(SAMPLES, [make.tick()])

    assert before == 0 < last
    assert await bus.newest(SAMPLES) == last
    assert await bus.newest(ANOMALIES) == 0


async def test_what_lies_behind_a_position_is_taken_and_nothing_else(world: World) -> None:
    bus = await world.start()
    new = series(world)
    await bus.publish(SAMPLES, [new, batch(new, 0)])
    middle = await bus.publish(SAMPLES, [batch(new, 100)])
    await bus.publish(SAMPLES, [batch(new, 200)])

    found = await take_all(bus, SAMPLES, dict.fromkeys(FROM_THE_START, middle))

    assert rows(found, world.catalog) != []
    assert {value for _, value, _ in rows(found, world.catalog)} == {
        value for _, value, _ in rows_of(batch(new, 200), world.catalog)
    }


async def test_a_partition_that_is_not_asked_for_is_not_delivered(world: World) -> None:
    bus = await world.start()
    new = series(world)
    await bus.publish(SAMPLES, [new, batch(new)])
    mine = int(new.partition[0])

    found = await take_all(bus, SAMPLES, {mine: 0})

    assert {delivery.partition for delivery in found} <= {mine, MIXED}
    assert await bus.take(SAMPLES, {}, wait_s=0) == ()


async def test_take_waits_for_what_comes(world: World) -> None:
    bus = await world.start()
    new = series(world)
    await bus.open()

    async with asyncio.TaskGroup() as tasks:
        taking = tasks.create_task(bus.take(SAMPLES, FROM_THE_START, wait_s=20))
        await asyncio.sleep(0)
        await bus.publish(SAMPLES, [new, batch(new)])

    assert len(taking.result()) > 0


async def test_whoever_waited_is_handed_no_record_before_an_older_one(world: World) -> None:
    """A Redis before 7.2 answers who waits with one stream alone: the store, which passes over
    what is older than the newest that it has, lost what lay between its records in others."""
    bus = await world.start()
    new = series(world)
    await bus.publish(SAMPLES, [new])
    position = await bus.newest(SAMPLES)
    found: list[Delivery] = []

    for start in range(0, 500, 100):
        async with asyncio.TaskGroup() as tasks:
            everywhere = dict.fromkeys(range(N_PARTITIONS), position)
            taking = tasks.create_task(bus.take(SAMPLES, everywhere, wait_s=20))
            await asyncio.sleep(0)
            await bus.publish(SAMPLES, [make.tick(), batch(new, start), make.tick()])
        found += taking.result()
        position = found[-1].position

    positions = [delivery.position for delivery in found]
    assert positions == sorted(positions)
    assert len(rows(found, world.catalog)) == 5 * len(batch(new))


async def test_take_returns_nothing_when_nothing_comes(world: World) -> None:
    bus = await world.start()

    assert await bus.take(SAMPLES, FROM_THE_START, wait_s=0) == ()
    assert await bus.take(ANOMALIES, FROM_THE_START, wait_s=0.01) == ()


async def test_groups_of_several_publishers_stay_whole(world: World) -> None:
    bus = await world.start()
    new = series(world, 8, 1)
    await bus.publish(SAMPLES, [new])

    async with asyncio.TaskGroup() as tasks:
        for k in range(8):
            group = [batch(new, 1000 * k + 100 * n) for n in range(5)]
            tasks.create_task(bus.publish(SAMPLES, group))

    times = [time_ns for _, time_ns, _ in rows(await take_all(bus, SAMPLES), world.catalog)]
    seconds = [(time_ns - make.START_NS) // make.NS_PER_S for time_ns in times]
    groups = [second // 1000 for second in seconds]
    assert len(seconds) == 8 * 5 * 16
    assert [k for n, k in enumerate(groups) if n == 0 or groups[n - 1] != k] == list(
        dict.fromkeys(groups)
    )


async def test_everything_is_delivered_again_after_a_restart(world: World) -> None:
    bus = await world.start()
    new = series(world)
    await bus.publish(SAMPLES, [new, batch(new), make.tick(), batch(new, 100)])
    before = await take_all(bus, SAMPLES)

    bus = await world.start()

    after = await take_all(bus, SAMPLES)
    assert [(d.partition, d.position, type(d.record)) for d in after] == [
        (d.partition, d.position, type(d.record)) for d in before
    ]
    assert rows(after, world.catalog) == rows(before, world.catalog)
    assert await bus.publish(SAMPLES, [batch(new, 200)]) > after[-1].position


# Room


async def publish_until_refused(bus: Bus, new: NewSeries) -> list[SampleBatch]:
    """What was acknowledged."""
    kept: list[SampleBatch] = []
    for n in range(5000):
        one = batch(new, 100 * n)
        try:
            await bus.publish(SAMPLES, [one, make.tick(n)])
        except Retryable:
            return kept
        kept.append(one)
    raise AssertionError("there is no limit")


async def test_a_full_bus_refuses_whole_groups_and_loses_none(small: World) -> None:
    bus = await small.start()
    new = series(small)
    await bus.publish(SAMPLES, [new])

    kept = await publish_until_refused(bus, new)

    with pytest.raises(Retryable, match="limit"):
        await bus.publish(SAMPLES, [batch(new), make.tick()])
    found = await take_all(bus, SAMPLES)
    assert by_series(rows(found, small.catalog)) == by_series(
        [row for one in kept for row in rows_of(one, small.catalog)]
    )


async def test_a_full_bus_takes_more_once_every_checkpoint_allows_release(small: World) -> None:
    bus = await small.start()
    new = series(small)
    await bus.publish(SAMPLES, [new])
    await publish_until_refused(bus, new)
    last = (await take_all(bus, SAMPLES))[-1].position

    assert await bus.release(last, [GROUP]) == 0
    with pytest.raises(Retryable):
        await bus.publish(SAMPLES, [batch(new), make.tick()])

    for _ in range(2):  # one to start from, and one to spare
        await checkpoint_all(bus, last)
    assert await bus.release(last, [GROUP]) == last
    assert await bus.publish(SAMPLES, [batch(new), make.tick()]) > last


async def test_release_stops_at_what_the_caller_still_needs(small: World) -> None:
    bus = await small.start()
    new = series(small)
    await bus.publish(SAMPLES, [new])
    await publish_until_refused(bus, new)
    before = await take_all(bus, SAMPLES)
    needed = before[len(before) // 2].position
    for _ in range(2):
        await checkpoint_all(bus, before[-1].position)

    await bus.release(needed, [GROUP])

    after = await take_all(bus, SAMPLES)
    missing = {d.position for d in before} - {d.position for d in after}
    assert max(missing, default=0) <= needed


async def checkpoint_all(bus: Bus, position: int) -> None:
    leases = await bus.lease(SAMPLES, GROUP, 60)
    for partition, fence in leases.fences.items():
        await bus.checkpoint(SAMPLES, GROUP, partition, fence, Checkpoint(position, b""))


# Following


async def test_events_have_the_position_that_they_bring(world: World) -> None:
    bus = await world.start()

    assert await bus.publish(ANOMALIES, [event(5), event(9)]) == 9

    found = await take_all(bus, ANOMALIES)
    assert [delivery.position for delivery in found] == [5, 9]
    assert [delivery.record for delivery in found] == [event(5), event(9)]


async def test_an_event_that_was_published_before_is_passed_over(world: World) -> None:
    bus = await world.start()
    await bus.publish(ANOMALIES, [event(1), event(2)])

    assert await bus.publish(ANOMALIES, [event(1), event(2), event(3)]) == 3

    assert [d.position for d in await take_all(bus, ANOMALIES)] == [1, 2, 3]


async def test_events_of_a_service_are_in_one_partition(world: World) -> None:
    bus = await world.start()
    events = [event(n, service=f"s{n % 5}") for n in range(1, 41)]
    await bus.publish(ANOMALIES, events)

    partition_by_service: dict[str, set[int]] = {}
    for delivery in await take_all(bus, ANOMALIES):
        service = delivery.record.record.entity.service
        partition_by_service.setdefault(service, set()).add(delivery.partition)

    assert all(len(partitions) == 1 for partitions in partition_by_service.values())
    (mine,) = partition_by_service["s1"]
    found = await take_all(bus, ANOMALIES, {mine: 0})
    assert {d.record.record.entity.service for d in found} >= {"s1"}
    assert {d.partition for d in found} == {mine}


async def test_a_follower_gets_what_comes_from_now_on(world: World) -> None:
    bus = await world.start()
    await bus.publish(ANOMALIES, [event(1), event(2)])

    async with aclosing(bus.follow(ANOMALIES, None)) as following, asyncio.TaskGroup() as tasks:
        got = tasks.create_task(first(following, 2))
        for _ in range(3):
            await asyncio.sleep(0)
        if not isinstance(bus, plugins.load("bus", "memory")):
            await bus.take(ANOMALIES, FROM_THE_START, wait_s=0)  # one way there and back
        await bus.publish(ANOMALIES, [event(3)])
        await bus.publish(ANOMALIES, [event(4)])

    assert got.result() == [3, 4]


async def test_a_follower_resumes_where_it_was(world: World) -> None:
    bus = await world.start()
    await bus.publish(ANOMALIES, [event(n) for n in range(1, 6)])

    async with aclosing(bus.follow(ANOMALIES, 3)) as following:
        assert await first(following, 2) == [4, 5]


@pytest.mark.parametrize("after", [0, 5, 57])
async def test_a_follower_who_missed_something_is_told_to_start_over(
    world: World, after: int
) -> None:
    """57: a position of another life."""
    bus = await world.start()
    await bus.publish(ANOMALIES, [event(7), event(8)])

    async with aclosing(bus.follow(ANOMALIES, after)) as following:
        assert await first(following, 1) == [None]
        await bus.publish(ANOMALIES, [event(9)])
        assert await first(following, 1) == [9]


async def test_a_follower_from_now_on_misses_nothing_though_it_was_the_first_to_come(
    world: World,
) -> None:
    bus = await world.start()
    await bus.open()

    async with aclosing(bus.follow(ANOMALIES, None)) as following, asyncio.TaskGroup() as tasks:
        got = tasks.create_task(first(following, 1))
        await asyncio.sleep(0)
        await bus.publish(ANOMALIES, [event(41)])

    assert got.result() == [41]


async def test_samples_can_be_followed_without_owning_them(world: World) -> None:
    bus = await world.start()
    new = series(world)
    await bus.publish(SAMPLES, [new, batch(new), make.tick()])
    taken = [delivery.position for delivery in await take_all(bus, SAMPLES)]

    async with aclosing(bus.follow(SAMPLES, 0)) as following:
        assert await first(following, len(taken)) == taken
    async with aclosing(bus.follow(SAMPLES, taken[-2])) as following:
        assert await first(following, 1) == taken[-1:]


async def test_a_follower_of_samples_is_told_of_what_was_released(small: World) -> None:
    bus = await small.start()
    new = series(small)
    await bus.publish(SAMPLES, [new])
    await publish_until_refused(bus, new)
    last = (await take_all(bus, SAMPLES))[-1].position
    for _ in range(2):
        await checkpoint_all(bus, last)
    await bus.release(last, [GROUP])
    await bus.publish(SAMPLES, [make.tick()])

    async with aclosing(bus.follow(SAMPLES, 1)) as following:
        assert await first(following, 1) == [None]


# Owning and remembering


async def token_of(bus: Bus, partition: int = 3, group: str = GROUP) -> int:
    """Of one who is alone, and so owns all."""
    return (await bus.lease(SAMPLES, group, 60)).fences[partition]


async def test_who_is_alone_owns_everything(world: World) -> None:
    bus = await world.start()

    leases = await bus.lease(SAMPLES, GROUP, 60)

    assert sorted(leases.fences) == list(range(N_PARTITIONS))
    assert leases.share == N_PARTITIONS


async def test_a_lease_is_renewed_under_the_same_token(world: World) -> None:
    bus = await world.start()

    first = await bus.lease(SAMPLES, GROUP, 60)

    assert await bus.lease(SAMPLES, GROUP, 60) == first
    assert await bus.lease(SAMPLES, "other", 60) == first


async def test_what_was_let_go_of_is_owned_anew_under_a_greater_token(world: World) -> None:
    bus = await world.start()
    before = (await bus.lease(SAMPLES, GROUP, 60)).fences

    await bus.unlease(SAMPLES, GROUP, [3, 9])

    after = (await bus.lease(SAMPLES, GROUP, 60)).fences
    assert {p for p in after if after[p] > before[p]} == {3, 9}
    assert {p for p in after if after[p] == before[p]} == set(range(N_PARTITIONS)) - {3, 9}


async def test_letting_go_of_what_one_never_owned_is_no_harm(world: World) -> None:
    bus = await world.start()

    await bus.unlease(SAMPLES, GROUP, [3])

    assert await token_of(bus) == 1


async def test_tokens_grow_over_restarts(world: World) -> None:
    tokens = []
    for _ in range(3):
        bus = await world.start()
        tokens.append(await token_of(bus))
        await bus.checkpoint(SAMPLES, GROUP, 3, tokens[-1], Checkpoint(len(tokens), b""))

    assert tokens == sorted(set(tokens))


async def test_the_newest_checkpoint_is_restored(world: World) -> None:
    bus = await world.start()
    for partition in (0, 63):
        token = await token_of(bus, partition)
        for position in (10, 20 + partition):
            state = bytes([partition]) * 100_000 + bytes([position])
            await bus.checkpoint(SAMPLES, GROUP, partition, token, Checkpoint(position, state))

    assert await bus.restore(SAMPLES, GROUP) == {
        0: Checkpoint(20, bytes(100_000) + bytes([20])),
        63: Checkpoint(83, bytes([63]) * 100_000 + bytes([83])),
    }
    assert await bus.restore(SAMPLES, GROUP, [7, 63]) == {
        63: Checkpoint(83, bytes([63]) * 100_000 + bytes([83]))
    }
    assert await bus.restore(SAMPLES, "other") == {}
    bus = await world.start()
    assert {p: kept.position for p, kept in (await bus.restore(SAMPLES, GROUP)).items()} == {
        0: 20,
        63: 83,
    }


async def test_a_checkpoint_under_an_old_token_is_refused_and_changes_nothing(world: World) -> None:
    bus = await world.start()
    old = await token_of(bus)
    await bus.checkpoint(SAMPLES, GROUP, 3, old, Checkpoint(10, b"old"))
    bus = await world.start()
    new = await token_of(bus)

    with pytest.raises(Permanent, match=f"token {new}.*restore"):
        await bus.checkpoint(SAMPLES, GROUP, 3, old, Checkpoint(20, b"too late"))

    assert await bus.restore(SAMPLES, GROUP) == {3: Checkpoint(10, b"old")}
    await bus.checkpoint(SAMPLES, GROUP, 3, new, Checkpoint(30, b"new"))
    assert await bus.restore(SAMPLES, GROUP) == {3: Checkpoint(30, b"new")}


async def test_a_checkpoint_without_a_lease_is_refused(world: World) -> None:
    bus = await world.start()

    with pytest.raises(Permanent):
        await bus.checkpoint(SAMPLES, GROUP, 3, 1, Checkpoint(20, b""))


# Closing


async def test_closing_is_safe_twice_and_without_use(world: World) -> None:
    bus = await world.start()

    await bus.close()
    await bus.close()


async def test_whoever_waits_is_let_go_at_the_close(world: World) -> None:
    bus = await world.start()
    await bus.open()
    following = bus.follow(ANOMALIES, None)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        taking = tasks.create_task(bus.take(SAMPLES, FROM_THE_START, wait_s=600))
        going = tasks.create_task(anext(following, None))
        for _ in range(5):
            await asyncio.sleep(0)
        await bus.close()

    assert taking.result() == ()
    assert going.result() is None


async def test_a_closed_bus_takes_nothing_in(world: World) -> None:
    bus = await world.start()
    await bus.close()

    with pytest.raises(Permanent, match="stopping"):
        await bus.publish(SAMPLES, [make.tick()])
    assert await bus.take(SAMPLES, FROM_THE_START, wait_s=0) == ()
