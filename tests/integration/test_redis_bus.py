"""What only a bus between processes must get right, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from bench.peers import free_port
from bench.servers import redis_server
from tests import make
from tests.buses import FROM_THE_START, RedisWorld, batch, by_series, rows, rows_of, take_all
from tests.catalogs import ToyCatalog
from watchkeeper.bus.base import ANOMALIES, SAMPLES, Bus, Checkpoint
from watchkeeper.bus.redis import RedisBus
from watchkeeper.bus.redis_scripts import PUBLISH_SAMPLES
from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.event import Event
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import NewSeries, SampleBatch
from watchkeeper.telemetry import Secret

GROUP = "detect"


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[RedisWorld]:
    one = RedisWorld(redis_url, tmp_path)
    yield one
    await one.stop()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """To look behind the bus."""
    async with Redis.from_url(redis_url) as one:
        yield one


def some_series(catalog: ToyCatalog, n: int = 6) -> NewSeries:
    return catalog.register(
        *(make.labels("up", service=f"s{i % 3}", instance=str(i)) for i in range(n))
    )


async def consume(world: RedisWorld, first_slot: int = 500) -> tuple[Bus, ToyCatalog]:
    """Another process, with slots of its own."""
    catalog = ToyCatalog(first_slot=first_slot)
    return await world.another(catalog), catalog


async def test_another_process_learns_the_series_from_the_stream(world: RedisWorld) -> None:
    bus = await world.start()
    new = some_series(world.catalog)
    sent = batch(new)
    await bus.publish(SAMPLES, [new, sent])

    other, catalog = await consume(world)
    found = await take_all(other, SAMPLES)

    assert by_series(rows(found, catalog)) == by_series(rows_of(sent, world.catalog))
    slots = {int(s) for d in found if isinstance(d.record, SampleBatch) for s in d.record.slot}
    assert slots == set(range(500, 506))


async def test_who_comes_when_the_registrations_are_gone_from_the_stream_fetches_them(
    world: RedisWorld,
) -> None:
    bus = await world.start()
    new = some_series(world.catalog)
    before = await bus.publish(SAMPLES, [new, batch(new)])
    await bus.release(before, [])
    sent = batch(new, 100)
    await bus.publish(SAMPLES, [sent])

    other, catalog = await consume(world)
    found = await take_all(other, SAMPLES)

    assert by_series(rows(found, catalog)) == by_series(rows_of(sent, world.catalog))
    seen: set[bytes] = set()
    for delivery in found:
        if isinstance(delivery.record, NewSeries):
            seen |= {one.tobytes() for one in delivery.record.identity}
        else:
            assert {catalog.identity[slot].tobytes() for slot in delivery.record.slot} <= seen
    labels = [make.read_labels(d.record.labels, 0) for d in found if type(d.record) is NewSeries]
    assert ("__name__", "up") in labels[0]


async def test_registrations_outlive_any_number_of_generations_and_no_more(
    world: RedisWorld, client: Any
) -> None:
    """A series that goes on is known to late comers for ever; one that ended leaves no trace."""
    bus = await world.start(stream_limit=100)
    lasting = world.catalog.register(make.labels("up", service="a", i="lasting"))
    ended = world.catalog.register(make.labels("up", service="a", i="ended"))
    partition = int(lasting.partition[0])
    await bus.publish(SAMPLES, [lasting, ended, batch(ended)])
    sent = []
    for n in range(45):
        group = [batch(lasting, 100 * n + 10 * k, 1) for k in range(10)]
        last = await bus.publish(SAMPLES, group)
        sent += group
        await bus.release(last - 30, [])

    other, catalog = await consume(world)
    found = rows(await take_all(other, SAMPLES), catalog)

    expected = [row for one in sent for row in rows_of(one, world.catalog)]
    assert found == expected[-len(found) :]
    assert len(found) >= 20
    keys = await client.keys(f"*{world.prefix}*:series:{partition}:*")
    assert 1 <= len(keys) <= 3
    known = {name for key in keys for name in await client.hkeys(key)}
    assert known == {lasting.identity[0].tobytes()}


async def test_two_publishers_of_one_series_register_it_without_knowing_of_each_other(
    world: RedisWorld,
) -> None:
    one = await world.start(stream_limit=100)
    catalog = ToyCatalog(first_slot=300)
    two = await world.another(catalog, stream_limit=100)
    mine, theirs = some_series(world.catalog), some_series(catalog)
    expected = []
    for n in range(60):
        bus, new, known = (one, mine, world.catalog) if n % 2 else (two, theirs, catalog)
        sent = batch(new, 100 * n)
        last = await bus.publish(SAMPLES, [new, sent] if n < 2 else [sent])
        await bus.release(last - 20, [])
        expected += rows_of(sent, known)

    other, strange = await consume(world)
    found = rows(await take_all(other, SAMPLES), strange)

    assert found
    assert set(found) <= set(expected)
    assert set(expected[-12:]) <= set(found)


async def test_a_slot_that_changed_hands_is_registered_for_its_new_owner(
    world: RedisWorld,
) -> None:
    bus = await world.start()
    former = world.catalog.register(make.labels("up", service="a", i="former"))
    await bus.publish(SAMPLES, [former, batch(former)])
    slot = int(former.slot[0])
    world.catalog.forget(former.identity[0].tobytes())
    world.catalog._next_slot = slot  # noqa: SLF001 - the toy gives slots in order
    latter = world.catalog.register(make.labels("up", service="b", i="latter"))
    sent = batch(latter, 100)
    last = await bus.publish(SAMPLES, [latter, sent])
    await bus.release(last - 1, [])

    other, catalog = await consume(world)
    found = rows(await take_all(other, SAMPLES), catalog)

    assert latter.slot[0] == slot
    assert found == rows_of(sent, world.catalog)


async def test_rows_that_nobody_can_name_are_dropped_and_the_rest_is_kept(
    world: RedisWorld, client: Any
) -> None:
    bus = await world.start()
    new = some_series(world.catalog)
    await bus.publish(SAMPLES, [new, batch(new)])
    await bus.release(10**6, [])
    for key in await client.keys(f"*{world.prefix}*:series:*"):
        await client.hdel(key, new.identity[0].tobytes())
    await bus.publish(SAMPLES, [batch(new, 100)])

    other, catalog = await consume(world)
    found = rows(await take_all(other, SAMPLES), catalog)

    assert len({name for name, _, _ in found}) == 5


async def test_the_publisher_itself_gets_its_own_slots_and_donors_back(world: RedisWorld) -> None:
    bus = await world.start()
    new = some_series(world.catalog)
    new.donor[:] = np.arange(10, 16)
    await bus.publish(SAMPLES, [new, batch(new)])

    found = [d.record for d in await take_all(bus, SAMPLES) if isinstance(d.record, NewSeries)]

    pairs = {(int(s), int(d)) for one in found for s, d in zip(one.slot, one.donor, strict=True)}
    assert pairs == set(zip(new.slot.tolist(), range(10, 16), strict=True))


async def test_a_group_whose_answer_was_lost_is_kept_once(world: RedisWorld, client: Any) -> None:
    """The connection breaks after the server did its work; the driver sends the script again."""
    bus = await world.start()
    new = some_series(world.catalog)
    await bus.publish(SAMPLES, [new])
    assert isinstance(bus, RedisBus)
    arguments = bus._arguments(bus._writer.group([batch(new)]), 2)  # noqa: SLF001
    base = f"{{{world.prefix}}}:{SAMPLES}"

    first = await client.eval(PUBLISH_SAMPLES, 1, base, *arguments)
    again = await client.eval(PUBLISH_SAMPLES, 1, base, *arguments)

    assert (first[0], again[0]) == (b"ok", b"done")
    assert first[1] == again[1]
    assert len(rows(await take_all(bus, SAMPLES), world.catalog)) == 12


async def test_series_stay_in_memory_for_as_long_as_any_door_takes_something_of_them(
    world: RedisWorld,
) -> None:
    """By the time of the log, whatever the clock of the process says."""
    bus = await world.start()
    new, silent = some_series(world.catalog), world.catalog.register(make.labels("silent"))
    catalog = Catalog(bytes(16), CatalogConfig(max_series=100, max_donors=0), Enrich())
    other = await world.another(catalog)
    await bus.publish(SAMPLES, [new, silent, batch(new), batch(silent)])
    position = (await take_all(other, SAMPLES))[-1].position
    await bus.publish(SAMPLES, [make.tick(3000.0), batch(new, 100)])
    await take_all(other, SAMPLES, dict.fromkeys(FROM_THE_START, position))

    catalog.recycle(make.tick(4000.0).now_ns, 3600.0)

    assert (catalog.lookup(new.identity) >= 0).all()
    assert catalog.lookup(silent.identity).tolist() == [-1]


async def test_what_is_read_at_once_is_bounded_and_stays_in_order(world: RedisWorld) -> None:
    await world.start()
    catalog = ToyCatalog(first_slot=200)
    bus = await world.another(catalog, take_limit=3)
    new = some_series(catalog)
    sent = [batch(new, 100 * n) for n in range(20)]
    await bus.publish(SAMPLES, [new, *sent])

    took = await bus.take(SAMPLES, FROM_THE_START, wait_s=0)
    every = await take_all(bus, SAMPLES)

    assert 0 < len(took) <= 9
    assert [d.position for d in every] == sorted(d.position for d in every)
    assert rows(every, catalog) != []
    assert by_series(rows(every, catalog)) == by_series(
        [row for one in sent for row in rows_of(one, catalog)]
    )


async def test_old_events_are_forgotten_and_their_followers_told(world: RedisWorld) -> None:
    bus = await world.start(event_limit=10)
    for first in range(1, 1000, 100):
        await bus.publish(ANOMALIES, [Event(n, make.anomaly()) for n in range(first, first + 100)])

    following = bus.follow(ANOMALIES, 5)

    assert await anext(following) is None
    await following.aclose()
    assert len(await take_all(bus, ANOMALIES)) < 300


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["--appendonly", "no"], ["appendonly"]),
        (["--appendfsync", "everysec"], ["appendfsync"]),
        (["--maxmemory-policy", "allkeys-lru"], ["maxmemory-policy"]),
        (["--appendonly", "no", "--maxmemory-policy", "volatile-lru"],
         ["appendonly", "maxmemory-policy"]),
    ],
)  # fmt: skip
async def test_a_server_that_would_lose_samples_is_refused_with_every_remedy(
    program: Callable[[str], Path], tmp_path: Path, settings: list[str], named: list[str]
) -> None:
    with redis_server(program("redis-server"), tmp_path / "redis", *settings) as url:
        world = RedisWorld(url, tmp_path)
        bus = await world.start()

        with pytest.raises(ConfigError) as refusal:
            await bus.open()

        await world.stop()
    assert len(refusal.value.faults) == len(named)
    for name, fault in zip(sorted(named), sorted(refusal.value.faults), strict=False):
        assert "CONFIG SET" in fault
        assert any(f"CONFIG SET {name}" in one for one in refusal.value.faults)


async def test_a_test_may_do_without_durability(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    with redis_server(program("redis-server"), tmp_path / "redis", "--appendonly", "no") as url:
        world = RedisWorld(url, tmp_path)
        bus = await world.start(durable=False)
        assert await bus.publish(SAMPLES, [make.tick()]) == N_PARTITIONS
        await world.stop()


async def test_a_full_server_refuses_and_keeps_nothing_of_the_group(
    world: RedisWorld, client: Any
) -> None:
    bus = await world.start()
    new = some_series(world.catalog)
    last = await bus.publish(SAMPLES, [new, batch(new)])
    await client.config_set("maxmemory", "1")
    try:
        with pytest.raises(Retryable, match="OutOfMemory"):
            await bus.publish(SAMPLES, [batch(new, 100), make.tick()])
    finally:
        await client.config_set("maxmemory", "0")

    assert max(d.position for d in await take_all(bus, SAMPLES)) == last
    assert await bus.publish(SAMPLES, [batch(new, 200)]) > last


async def test_a_server_that_is_away_is_retryable_and_the_password_stays_secret(
    tmp_path: Path,
) -> None:
    world = RedisWorld(f"redis://:hunter2@127.0.0.1:{free_port()}/0", tmp_path)
    bus = await world.start(timeout_s=1.5)

    with pytest.raises(Retryable) as refusal:
        await bus.publish(SAMPLES, [make.tick()])

    assert "127.0.0.1" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    await world.stop()


async def test_a_wrong_password_is_told_without_it(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    where = tmp_path / "redis"
    with redis_server(program("redis-server"), where, "--requirepass", "right") as url:
        world = RedisWorld(url.replace("redis://", "redis://:hunter2@"), tmp_path)
        bus = await world.start()
        with pytest.raises(Retryable) as refusal:
            await bus.open()
        await world.stop()

    assert "hunter2" not in str(refusal.value)
    config = RedisBus.Config(url=Secret("redis://:hunter2@h/0"))
    assert "hunter2" not in repr(config)


async def test_an_address_that_is_none_is_a_fault_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bus\.url.*redis://"):
        await RedisWorld("http://hunter2", tmp_path).start()


async def test_what_was_acknowledged_is_there_after_the_server_was_killed(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    where = tmp_path / "redis"
    world = RedisWorld("", tmp_path)
    new = some_series(world.catalog)
    kept = []
    for n in range(3):
        with redis_server(program("redis-server"), where, killed=True) as url:
            world.url = url
            bus = await world.start()
            sent = batch(new, 100 * n)
            await bus.publish(SAMPLES, [new, sent] if n == 0 else [sent])
            kept += rows_of(sent, world.catalog)
            found = rows(await take_all(bus, SAMPLES), world.catalog)
            assert by_series(found) == by_series(kept)
            token = (await bus.lease(SAMPLES, GROUP, 0.001)).fences[n]
            await bus.checkpoint(SAMPLES, GROUP, n, token, Checkpoint(10, b"state"))
        with suppress(Retryable):  # the server is gone, so leases cannot be returned
            await world.stop()
    with redis_server(program("redis-server"), where) as url:
        world.url = url
        bus = await world.start()
        restored = await bus.restore(SAMPLES, GROUP)
        found = rows(await take_all(bus, SAMPLES), world.catalog)
        await world.stop()
    assert by_series(found) == by_series(kept)
    assert restored == dict.fromkeys(range(3), Checkpoint(10, b"state"))


async def test_what_another_process_has_not_stored_yet_is_kept(world: RedisWorld) -> None:
    one = await world.start()
    two, _ = await consume(world)
    new = some_series(world.catalog)
    await one.publish(SAMPLES, [new])
    middle = await one.publish(SAMPLES, [batch(new)])
    last = await one.publish(SAMPLES, [batch(new, 100)])

    assert await two.release(middle, []) == middle
    assert await one.release(last, []) == middle
    assert {d.position > middle for d in await take_all(one, SAMPLES)} == {True}
    assert await two.release(last, []) == last
    assert await one.release(last, []) == last


async def test_a_process_that_was_not_heard_of_for_long_holds_nobody_up(
    world: RedisWorld, client: Any
) -> None:
    one = await world.start()
    two, _ = await consume(world)
    last = await one.publish(SAMPLES, [make.tick()])
    await two.release(0, [])
    assert await one.release(last, []) == 0
    needs = f"{{{world.prefix}}}:{SAMPLES}:needs"
    (gone,) = [name for name, need in (await client.hgetall(needs)).items() if need[:2] == b"0 "]
    await client.hset(needs, gone, b"0 1700000000000")

    assert await one.release(last, []) == last


async def test_an_installation_with_another_key_is_refused_with_the_remedy(
    world: RedisWorld,
) -> None:
    world.installation = "ours"
    bus = await world.start()
    await bus.open()
    world.installation = "theirs"
    other = await world.another(ToyCatalog())

    with pytest.raises(ConfigError, match=r"another key.*bus\.prefix"):
        await other.open()

    world.installation = "ours"
    await (await world.another(ToyCatalog())).open()
