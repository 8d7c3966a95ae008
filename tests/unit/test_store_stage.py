"""The lake's writer."""

from __future__ import annotations

import asyncio

import pytest

from tests import make
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.ingest.store_stage import NO_SAMPLES, StoreStage
from watchkeeper.lake.tables.definition import LOGS
from watchkeeper.lake.tables.rows import nothing
from watchkeeper.model.signal import LogBatch, SampleBatch


class Notes:
    """A lake that notes what is appended."""

    def __init__(self, stored: int = 0) -> None:
        self.appended: list[tuple[int, int]] = []
        self._stored = stored

    def stored(self) -> int:
        return self._stored

    def append(self, batch: SampleBatch | LogBatch, position: int) -> None:
        self.appended.append((len(batch), position))


def deliveries(*records: object) -> list[Delivery]:
    return [Delivery(MIXED, n + 1, record) for n, record in enumerate(records)]


async def test_samples_are_appended_at_their_positions() -> None:
    lake = Notes()
    stage = StoreStage(lake, NO_SAMPLES)

    await stage.handle(deliveries(make.samples((0, 1, 1.0)), make.samples((0, 2, 1.0))))

    assert lake.appended == [(1, 1), (1, 2)]
    assert stage.position == 2


async def test_records_without_samples_still_move_the_lake_on() -> None:
    """Or the log of a quiet night could never be released."""
    lake = Notes()
    stage = StoreStage(lake, NO_SAMPLES)

    await stage.handle(deliveries(make.tick(0), make.new_series(0, make.labels("a"))))

    assert lake.appended == [(0, 1), (0, 2)]


async def test_what_the_lake_has_stored_is_not_appended_again() -> None:
    lake = Notes(stored=1)
    stage = StoreStage(lake, NO_SAMPLES)

    await stage.handle(deliveries(make.samples((0, 1, 1.0)), make.samples((0, 2, 1.0))))

    assert lake.appended == [(1, 2)]


@pytest.mark.parametrize("together", [True, False])
async def test_samples_that_come_with_the_series_they_had_to_be_fetched_for_are_kept(
    together: bool,
) -> None:
    """Between processes both have one position, and what is stored up to it has both."""
    lake = Notes()
    stage = StoreStage(lake, NO_SAMPLES)
    fetched = make.new_series(0, make.labels("a"))
    come = [Delivery(3, 7, fetched), Delivery(3, 7, make.samples((0, 1, 1.0)))]

    for some in [come] if together else [[one] for one in come]:
        await stage.handle(some)
    await stage.handle(come[1:])

    assert [n for n, _ in lake.appended if n] == [1]
    assert not together or lake.appended == [(1, 7)]


async def test_a_reader_waits_for_its_own_writes() -> None:
    stage = StoreStage(Notes(), NO_SAMPLES)
    waiting = asyncio.create_task(stage.caught_up(1))
    await asyncio.sleep(0)
    assert not waiting.done()

    await stage.handle(deliveries(make.samples((0, 1, 1.0))))

    assert await waiting


async def test_a_reader_is_not_kept_for_ever() -> None:
    stage = StoreStage(Notes(), NO_SAMPLES)

    assert not await stage.caught_up(1, timeout_s=0.01)


async def test_a_stage_keeps_records_of_its_own_kind_alone() -> None:
    """Of all others it only notes that nothing up to there is missing."""
    lake = Notes()
    stage = StoreStage(lake, nothing(LOGS), name="logs")

    await stage.handle(deliveries(make.samples((0, 1, 1.0)), make.logs((1, 9, b"a")), make.tick(0)))

    assert lake.appended == [(0, 1), (1, 2), (0, 3)]
