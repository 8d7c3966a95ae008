"""A body is published once, through whichever door it comes and however often."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests import make
from tests.buses import RedisWorld, take_all
from tests.catalogs import ToyCatalog
from watchkeeper.bus.base import SAMPLES, Bus
from watchkeeper.errors import Retryable
from watchkeeper.model.change import Change
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import LogBatch, Tick


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


def body(number: int, n_lines: int = 3) -> LogBatch:
    """What one body brought."""
    lines = ((make.START_NS + k, 9, f"body {number} line {k}".encode()) for k in range(n_lines))
    return replace(make.logs(*lines), body_hash=number.to_bytes(16, "little"))


async def lines_of(bus: Bus) -> list[str]:
    return [
        record.body.text(row)
        for record in (delivery.record for delivery in await take_all(bus, SAMPLES))
        if isinstance(record, LogBatch)
        for row in range(len(record))
    ]


async def test_a_body_that_comes_to_another_door_again_has_no_effect(world: RedisWorld) -> None:
    one, two = await world.start(), await world.another(ToyCatalog())
    await one.publish(SAMPLES, [body(1)])

    again = await two.publish(SAMPLES, [body(1)])

    assert again == 1
    assert await lines_of(two) == [f"body 1 line {k}" for k in range(3)]


async def test_what_came_with_a_repeated_body_is_kept(world: RedisWorld) -> None:
    one, two = await world.start(), await world.another(ToyCatalog())
    await one.publish(SAMPLES, [body(1)])

    await two.publish(SAMPLES, [body(2), body(1), make.change(), make.tick(), body(3)])

    found = [delivery.record for delivery in await take_all(one, SAMPLES)]
    assert sum(isinstance(record, Change) for record in found) == 1
    assert sum(isinstance(record, Tick) for record in found) == N_PARTITIONS
    assert [name.split(" line")[0] for name in await lines_of(one)] == [
        f"body {n}" for n in (1, 2, 3) for _ in range(3)
    ]


async def test_all_records_of_one_body_are_kept_though_they_share_its_hash(
    world: RedisWorld,
) -> None:
    bus = await world.start()
    spans = replace(make.spans((make.START_NS, 1, b"GET /")), body_hash=body(1).body_hash)

    await bus.publish(SAMPLES, [body(1), spans])

    assert len(await take_all(bus, SAMPLES)) == 2


async def test_a_body_without_a_hash_may_come_as_often_as_it_likes(world: RedisWorld) -> None:
    bus = await world.start()

    for _ in range(3):
        await bus.publish(SAMPLES, [replace(body(1), body_hash=b"")])

    assert len(await lines_of(bus)) == 9


async def test_a_body_that_was_refused_is_taken_the_next_time(world: RedisWorld) -> None:
    bus = await world.start(stream_limit=100)
    for n in range(100):
        await bus.publish(SAMPLES, [body(n)])
    with pytest.raises(Retryable, match="stream_limit"):
        await bus.publish(SAMPLES, [body(100)])
    await bus.release(50, [])

    await bus.publish(SAMPLES, [body(100)])

    assert (await lines_of(bus))[-1] == "body 100 line 2"


async def test_a_body_is_forgotten_after_ten_minutes(world: RedisWorld, client: Any) -> None:
    bus = await world.start()
    await bus.publish(SAMPLES, [body(1), body(2)])
    ages_s = {1: 601, 2: 599}
    await client.zadd(
        f"{{{world.prefix}}}:{SAMPLES}:bodies",
        {body(n).body_hash: (time.time() - age_s) * 1000 for n, age_s in ages_s.items()},
    )

    await bus.publish(SAMPLES, [body(1), body(2)])

    assert [name.split(" line")[0] for name in (await lines_of(bus))[6:]] == ["body 1"] * 3


async def test_no_more_bodies_are_remembered_than_there_is_room_for(
    world: RedisWorld, client: Any
) -> None:
    bus = await world.start(body_limit=5)

    for n in range(20):
        await bus.publish(SAMPLES, [body(n), body(1000 + n)])

    kept = await client.zrange(f"{{{world.prefix}}}:{SAMPLES}:bodies", 0, -1)
    assert len(kept) == 5
    assert body(19).body_hash in kept
