"""Processes that join, leave and die over a real Redis: partitions move, and no record is lost."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from tests.buses import MemoryWorld, RedisWorld
from tests.integration.processes import Digest, consume, traffic
from tests.integration.sharing import LEASE_S, Applied, journal
from watchkeeper.bus.base import SAMPLES
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import Logged

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
SLACK_S = 1.0
"""For a checkpoint of each partition that moves, on a busy machine."""


class Crew:
    """Processes that share the work, and a look at how they do."""

    def __init__(self, url: str, folder: Path) -> None:
        self.world = RedisWorld(url, folder)
        self.folder = folder
        self._client: Any = Redis.from_url(url)
        self._by_name: dict[str, subprocess.Popen[bytes]] = {}
        self._groups = traffic(self.world.catalog)

    def join(self, name: str) -> None:
        command = [sys.executable, "-m", "tests.integration.sharing"]
        rest = [self.world.url, self.world.prefix, str(self.folder), name]
        self._by_name[name] = subprocess.Popen([*command, *rest], cwd=ROOT)

    def kill(self, name: str) -> None:
        """With no chance to put anything in order."""
        self._by_name[name].kill()
        self._by_name[name].wait(LIMIT_S)

    def leave(self, name: str) -> None:
        self._by_name[name].terminate()
        assert self._by_name[name].wait(LIMIT_S) == 0

    async def publish(self, n_groups: int | None = None) -> None:
        """The next groups of the traffic, or all that are left, in no haste."""
        bus = await self.world.another(self.world.catalog)
        for group in list(itertools.islice(self._groups, n_groups)):
            await bus.publish(SAMPLES, group)
            await asyncio.sleep(0.01)

    async def shares(self) -> list[int]:
        """How many partitions each member owns, of those that are members."""
        base = f"{{{self.world.prefix}}}:{SAMPLES}"
        members = await self._client.hkeys(f"{base}:members:{Digest.name}")
        owners = Counter(await self._client.hvals(f"{base}:leases:{Digest.name}"))
        return sorted(owners[member] for member in members)

    async def until(self, shares: list[int]) -> float:
        """How long it takes until the members own so many."""
        begin_s = time.monotonic()
        async with asyncio.timeout(LIMIT_S):
            while await self.shares() != shares:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return time.monotonic() - begin_s

    async def until_joined(self, n: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while len(await self.shares()) != n:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def result(self) -> dict[str, str]:
        """What all of them together made of the whole traffic, by their checkpoints."""
        bus = await self.world.another(self.world.catalog)
        async with asyncio.timeout(LIMIT_S):
            while True:
                kept = await bus.restore(SAMPLES, Digest.name)
                states = [
                    msgspec.msgpack.decode(one.state, type=tuple[dict[str, str], bool])
                    for one in kept.values()
                ]
                if sum(ended for _, ended in states) == N_PARTITIONS:
                    return {name: one for hashes, _ in states for name, one in hashes.items()}
                await asyncio.sleep(0.1)

    async def end(self) -> None:
        for process in self._by_name.values():
            process.kill()
            process.wait(LIMIT_S)
        await self.world.stop()
        await self._client.aclose()

    def applied(self) -> dict[int, list[Applied]]:
        """By partition, every record that anybody came to, in the order of time."""
        every = itertools.chain.from_iterable(journal(self.folder, n) for n in self._by_name)
        found: dict[int, list[Applied]] = {}
        # Series that had to be fetched come with their first samples, at one position.
        for one in sorted(set(every)):
            found.setdefault(one.partition, []).append(one)
        return found


@pytest.fixture
async def crew(redis_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    one = Crew(redis_url, tmp_path)
    yield one
    await one.end()


async def embedded(folder: Path) -> dict[str, str]:
    """What one process makes of the same traffic."""
    world = MemoryWorld(folder)
    bus = await world.start()
    group: list[Logged]
    for group in traffic(world.catalog):
        await bus.publish(SAMPLES, group)
    result = await consume(bus, world.catalog)
    await world.stop()
    return result


def assert_one_owner_at_a_time(applied: dict[int, list[Applied]]) -> None:
    """Once a later owner has begun, a former one does nothing more; each goes on in order."""
    assert set(applied) == set(range(N_PARTITIONS))
    for records in applied.values():
        for before, after in itertools.pairwise(records):
            assert before.fence <= after.fence
            if before.fence == after.fence:
                assert before.position < after.position


async def test_partitions_move_to_who_joins_and_from_who_leaves_and_nothing_is_done_twice(
    crew: Crew, tmp_path: Path
) -> None:
    crew.join("one")
    await crew.until([N_PARTITIONS])
    await crew.publish(20)

    crew.join("two")
    await crew.until_joined(2)
    assert await crew.until([32, 32]) < LEASE_S + SLACK_S
    await crew.publish(20)
    crew.join("three")
    await crew.until_joined(3)
    assert await crew.until([21, 21, 22]) < LEASE_S + SLACK_S
    await crew.publish(20)
    crew.leave("one")
    assert await crew.until([32, 32]) < LEASE_S / 2 + SLACK_S
    await crew.publish()

    assert await crew.result() == await embedded(tmp_path / "alone")
    applied = crew.applied()
    assert_one_owner_at_a_time(applied)
    for records in applied.values():
        positions = [one.position for one in records]
        assert positions == sorted(set(positions))


async def test_what_a_killed_process_owned_moves_to_the_others_and_nothing_is_lost(
    crew: Crew, tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        crew.join(name)
    await crew.until([21, 21, 22])
    await crew.publish(25)

    crew.kill("two")
    assert await crew.until([32, 32]) < LEASE_S + SLACK_S
    await crew.publish(25)
    crew.join("four")
    await crew.until([21, 21, 22])
    crew.kill("one")
    await crew.publish()

    assert await crew.result() == await embedded(tmp_path / "alone")
    assert_one_owner_at_a_time(crew.applied())
