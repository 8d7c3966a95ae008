"""Who owns what: members of a group over one server share its partitions, fairly and in peace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.buses import RedisWorld
from tests.catalogs import ToyCatalog
from watchkeeper.bus.base import SAMPLES, Bus, Checkpoint, Leases
from watchkeeper.errors import Permanent
from watchkeeper.model.series import N_PARTITIONS

GROUP = "detect"
LONG_S = 60.0
ALL = list(range(N_PARTITIONS))


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[RedisWorld]:
    one = RedisWorld(redis_url, tmp_path)
    yield one
    await one.stop()


async def members(world: RedisWorld, n: int) -> list[Bus]:
    return [await world.another(ToyCatalog()) for _ in range(n)]


async def turn(member: Bus) -> Leases:
    """One renewal, as the loop of a stage does it: what is too much is let go of."""
    leases = await member.lease(SAMPLES, GROUP, LONG_S)
    excess = sorted(leases.fences)[leases.share :]
    if excess:
        await member.unlease(SAMPLES, GROUP, excess)
    kept = {p: fence for p, fence in leases.fences.items() if p not in excess}
    return Leases(kept, leases.share)


async def rounds(group: Sequence[Bus], n: int = 4) -> list[Leases]:
    """Each has its turn, so often; what they own then."""
    for _ in range(n - 1):
        for member in group:
            await turn(member)
    return [await turn(member) for member in group]


def owned(leases: Sequence[Leases]) -> list[int]:
    return sorted(partition for one in leases for partition in one.fences)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 64, 70])
async def test_each_of_several_ends_with_a_fair_share(world: RedisWorld, n: int) -> None:
    group = await members(world, n)

    found = await rounds(group)

    assert owned(found) == ALL
    sizes = {len(one.fences) for one in found}
    assert max(sizes) - min(sizes) <= 1
    assert sum(one.share for one in found) == N_PARTITIONS


async def test_who_has_a_fair_share_keeps_the_very_same_partitions(world: RedisWorld) -> None:
    group = await members(world, 3)
    before = await rounds(group)

    after = await rounds(group, 10)

    assert after == before


async def test_a_newcomer_gets_its_share_when_the_others_have_let_go(world: RedisWorld) -> None:
    one, two = await members(world, 2)
    await turn(one)

    first = await two.lease(SAMPLES, GROUP, LONG_S)
    second = await two.lease(SAMPLES, GROUP, LONG_S)
    left = await turn(one)
    third = await two.lease(SAMPLES, GROUP, LONG_S)

    assert [len(leases.fences) for leases in (first, second, left, third)] == [0, 0, 32, 32]
    assert owned([left, third]) == ALL


async def test_nobody_lets_go_for_a_newcomer_that_dies_at_once(world: RedisWorld) -> None:
    one, two = await members(world, 2)
    await rounds([one])

    await two.lease(SAMPLES, GROUP, LONG_S)

    assert len((await turn(one)).fences) == N_PARTITIONS


async def test_newcomers_move_no_more_than_they_need(world: RedisWorld) -> None:
    group = await members(world, 4)
    before = await rounds(group[:3])

    after = await rounds(group)

    for then, now in zip(before, after[:3], strict=True):
        assert now.fences.items() <= then.fences.items()
    assert [len(one.fences) for one in after] == [16] * 4


async def test_what_does_not_divide_goes_to_those_who_were_there_first(
    world: RedisWorld,
) -> None:
    """So that who comes later changes the shares of nobody but by what it needs."""
    group = await members(world, 10)
    for member in group:
        await turn(member)
        await asyncio.sleep(0.005)  # the server counts in milliseconds

    found = await rounds(group)

    assert [one.share for one in found] == [7] * 4 + [6] * 6


async def test_who_leaves_leaves_everything_to_the_others_at_once(world: RedisWorld) -> None:
    one, two, three = await members(world, 3)
    await rounds([one, two, three])

    await three.close()

    assert owned([await turn(one), await turn(two)]) == ALL


async def test_what_was_owned_by_one_who_left_has_a_greater_token(world: RedisWorld) -> None:
    one, two = await members(world, 2)
    mine = (await turn(one)).fences
    await one.close()

    theirs = (await turn(two)).fences

    assert {p for p in ALL if theirs[p] > mine[p]} == set(ALL)


async def until_owned(member: Bus, n: int) -> Leases:
    async with asyncio.timeout(10):
        while len((leases := await turn(member)).fences) < n:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # leases end by the server's clock
    return leases


async def test_an_owner_who_was_silent_too_long_can_do_no_harm(world: RedisWorld) -> None:
    one, two = await members(world, 2)
    mine = (await one.lease(SAMPLES, GROUP, 0.05)).fences[5]
    theirs = (await until_owned(two, N_PARTITIONS)).fences[5]

    with pytest.raises(Permanent, match="leased anew"):
        await one.checkpoint(SAMPLES, GROUP, 5, mine, Checkpoint(9, b"late"))

    assert 5 not in (await one.lease(SAMPLES, GROUP, LONG_S)).fences
    await two.checkpoint(SAMPLES, GROUP, 5, theirs, Checkpoint(7, b"right"))
    assert await one.restore(SAMPLES, GROUP) == {5: Checkpoint(7, b"right")}


async def test_what_ran_out_and_nobody_took_is_kept_under_its_token(world: RedisWorld) -> None:
    (one,) = await members(world, 1)
    before = await one.lease(SAMPLES, GROUP, 0.001)
    await asyncio.sleep(0.02)

    after = await one.lease(SAMPLES, GROUP, LONG_S)

    assert after == before


async def test_letting_go_of_what_another_owns_leaves_it_alone(world: RedisWorld) -> None:
    one, two = await members(world, 2)
    before = await turn(one)

    await two.unlease(SAMPLES, GROUP, ALL)

    assert await turn(one) == before


async def test_groups_know_nothing_of_each_other(world: RedisWorld) -> None:
    one, two = await members(world, 2)
    await turn(one)

    other = await two.lease(SAMPLES, "store", LONG_S)

    assert sorted(other.fences) == ALL


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_owned_twice_whoever_comes_and_goes(world: RedisWorld, seed: int) -> None:
    """And when they have come to rest, nothing is left over, and shares are even."""
    chance = random.Random(seed)
    group = {0: (await members(world, 1))[0]}
    known: dict[int, Leases] = {}
    for step in range(1, 60):
        what = chance.random()
        if what < 0.12 and len(group) < 6:
            group[step] = (await members(world, 1))[0]
        elif what < 0.2 and len(group) > 1:
            gone = chance.choice(sorted(group))
            await group.pop(gone).close()
            known.pop(gone, None)
        who = chance.choice(sorted(group))
        known[who] = await turn(group[who])
        assert len(owned(list(known.values()))) == len(set(owned(list(known.values()))))

    at_rest = await rounds(list(group.values()))

    assert owned(at_rest) == ALL
    sizes = {len(one.fences) for one in at_rest}
    assert max(sizes) - min(sizes) <= 1
