"""Time that moves when it is told to: what every test of patience, leases and ticks stands on."""

from __future__ import annotations

import asyncio
import time

import pytest

from watchkeeper.clock import NS_PER_S, FakeClock, SystemClock


async def asleep(clock: FakeClock, seconds: float) -> asyncio.Task[None]:
    """Somebody who has lain down for so long."""
    task = asyncio.create_task(clock.sleep(seconds))
    await settled()
    return task


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_time_stands_still_until_it_is_moved() -> None:
    clock = FakeClock()
    sleeper = await asleep(clock, 0.001)

    assert clock.now_ns() == clock.now_ns() == 1_700_000_000 * NS_PER_S
    assert not sleeper.done()
    clock.advance(1)
    await sleeper


@pytest.mark.parametrize("step_s", [0.25, 1.0, 3600.0, 0.000000001])
def test_time_moves_by_just_as_much_as_it_is_told_to(step_s: float) -> None:
    clock = FakeClock(now_ns=7)

    clock.advance(step_s)

    assert clock.now_ns() == 7 + round(step_s * NS_PER_S)


async def test_a_sleeper_wakes_at_its_time_and_not_before() -> None:
    clock = FakeClock()
    sleeper = await asleep(clock, 10)

    clock.advance(9.999)
    await settled()
    assert not sleeper.done()

    clock.advance(0.001)
    await settled()
    assert sleeper.done()


async def test_everyone_whose_time_has_come_wakes_and_nobody_else() -> None:
    clock = FakeClock()
    sleepers = [await asleep(clock, seconds) for seconds in (3, 1, 5, 2)]

    clock.advance(3)
    await settled()

    assert [sleeper.done() for sleeper in sleepers] == [True, True, False, True]
    clock.advance(2)
    await asyncio.gather(*sleepers)


async def test_many_small_steps_wake_a_sleeper_like_a_great_one() -> None:
    clock = FakeClock()
    sleeper = await asleep(clock, 1)

    for _ in range(9):
        clock.advance(0.1)
    await settled()
    assert not sleeper.done()

    clock.advance(0.1)
    await settled()
    assert sleeper.done()


@pytest.mark.parametrize("seconds", [0, -1, 1e-12])
async def test_a_sleep_of_nothing_lets_others_run_and_ends(seconds: float) -> None:
    clock = FakeClock()
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    task = asyncio.create_task(other())
    await clock.sleep(seconds)
    ran.append("sleeper")

    assert ran == ["other", "sleeper"]
    await task


async def test_whoever_woke_may_lie_down_again_at_the_new_time() -> None:
    clock = FakeClock()
    woke_ns: list[int] = []

    async def restless() -> None:
        for _ in range(3):
            await clock.sleep(2)
            woke_ns.append(clock.now_ns() - 1_700_000_000 * NS_PER_S)

    task = asyncio.create_task(restless())
    await settled()
    for _ in range(3):
        clock.advance(2)
        await settled()

    await task
    assert woke_ns == [2 * NS_PER_S, 4 * NS_PER_S, 6 * NS_PER_S]


async def test_a_sleeper_that_was_called_off_is_in_nobodys_way() -> None:
    clock = FakeClock()
    leaving, staying = await asleep(clock, 1), await asleep(clock, 1)

    leaving.cancel()
    await settled()
    clock.advance(1)
    await settled()

    assert leaving.cancelled()
    assert staying.done()


async def test_the_systems_clock_is_the_machines_own() -> None:
    clock = SystemClock()

    before_ns = time.time_ns()
    await clock.sleep(0.002)
    after_ns = clock.now_ns()

    assert 0 < after_ns - before_ns < 60 * NS_PER_S
    assert after_ns - before_ns >= NS_PER_S // 1000
