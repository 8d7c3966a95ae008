"""Whoever waits is woken by what threads bring, once, in time, and never in vain."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from watchkeeper.bus.arrivals import Arrivals


@dataclass
class Box:
    """Some state under a lock that others fill."""

    arrivals: Arrivals = field(default_factory=Arrivals)
    letters: list[str] = field(default_factory=list)
    n_looks: int = 0

    def put(self, letter: str) -> None:
        with self.arrivals.change():
            self.letters.append(letter)

    def look(self) -> str | None:
        self.n_looks += 1
        return self.letters[0] if self.letters else None

    def take(self) -> str | None:
        self.n_looks += 1
        return self.letters.pop(0) if self.letters else None


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_there_is_found_at_once_even_without_patience() -> None:
    box = Box(letters=["a"])

    assert await box.arrivals.wait_for(box.look, 0) == "a"
    assert box.n_looks == 1


@pytest.mark.parametrize("wait_s", [0, -1, 0.001])
async def test_without_anything_patience_ends_with_nothing(wait_s: float) -> None:
    assert await Box().arrivals.wait_for(Box().look, wait_s) is None


async def test_what_is_false_but_not_nothing_is_found() -> None:
    """An empty answer says that waiting is no use."""

    def look() -> tuple[str, ...]:
        return ()

    assert await Arrivals().wait_for(look, 5) == ()


async def test_a_waiter_wakes_for_what_comes() -> None:
    box = Box()
    waiting = asyncio.create_task(box.arrivals.wait_for(box.look, 5))
    await settled()

    box.put("a")

    assert await waiting == "a"


async def test_a_change_that_is_not_the_one_waited_for_wakes_in_vain_and_waits_on() -> None:
    box = Box()
    waiting = asyncio.create_task(
        box.arrivals.wait_for(lambda: "b" if "b" in box.letters else None, 5)
    )
    await settled()

    box.put("a")
    await settled()
    assert not waiting.done()
    box.put("b")

    assert await waiting == "b"


async def test_everyone_who_waits_looks_again() -> None:
    box = Box()
    waiting = [asyncio.create_task(box.arrivals.wait_for(box.look, 5)) for _ in range(10)]
    await settled()

    box.put("a")

    assert await asyncio.gather(*waiting) == ["a"] * 10


async def test_one_letter_goes_to_one_taker() -> None:
    box = Box()
    waiting = [asyncio.create_task(box.arrivals.wait_for(box.take, 0.05)) for _ in range(3)]
    await settled()

    box.put("a")

    found = await asyncio.gather(*waiting)
    assert sorted(found, key=str) == [None, None, "a"]


async def test_a_change_during_a_look_is_not_missed() -> None:
    """Between looking and lying down nobody can slip a letter in."""
    box = Box()
    putting = threading.Thread(target=box.put, args=("a",))

    def look() -> str | None:
        if not box.n_looks:
            putting.start()  # waits for the lock that we hold
        return box.look()

    found = await box.arrivals.wait_for(look, 5)

    putting.join()
    assert found == "a"


async def test_letters_of_many_threads_all_arrive() -> None:
    box = Box()
    heard: list[str] = []

    async def reader() -> None:
        while len(heard) < 400:
            letter = await box.arrivals.wait_for(box.take, 5)
            assert letter is not None
            heard.append(letter)

    reading = asyncio.create_task(reader())
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(box.put, str(n)) for n in range(400)]
        await reading

    assert all(job.done() for job in jobs)
    assert sorted(heard, key=int) == [str(n) for n in range(400)]


async def test_a_waiter_that_was_called_off_is_in_nobodys_way() -> None:
    box = Box()
    leaving = asyncio.create_task(box.arrivals.wait_for(box.take, 5))
    staying = asyncio.create_task(box.arrivals.wait_for(box.take, 5))
    await settled()

    leaving.cancel()
    await settled()
    box.put("a")

    assert await staying == "a"
    assert leaving.cancelled()


async def test_whoever_gave_up_leaves_nothing_behind() -> None:
    box = Box()
    for _ in range(20):
        await box.arrivals.wait_for(box.look, 0)

    before = box.n_looks
    box.put("a")
    await settled()

    assert box.n_looks == before


async def test_a_mistake_while_changing_reaches_who_made_it_and_keeps_nothing_locked() -> None:
    box = Box()

    with pytest.raises(ZeroDivisionError), box.arrivals.change():
        raise ZeroDivisionError
    box.put("a")

    assert await box.arrivals.wait_for(box.look, 1) == "a"


async def test_a_mistake_while_looking_reaches_who_waits() -> None:
    arrivals = Arrivals()

    def look() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await arrivals.wait_for(look, 1)
    with arrivals.change():
        pass
