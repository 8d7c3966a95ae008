"""The bus of one process: what it hands out, what it keeps, and what it survives."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import make
from tests.buses import FROM_THE_START, MemoryWorld, batch, rows, rows_of, take_all
from tests.catalogs import ToyCatalog
from tests.disks import FaultyFiles
from watchkeeper.bus.base import ANOMALIES, MIXED, SAMPLES, Checkpoint
from watchkeeper.bus.checkpoints import CheckpointFiles
from watchkeeper.bus.memory import MemoryBus, MemoryBusConfig
from watchkeeper.bus.ports import Ports
from watchkeeper.bus.tail import Ring, Tail
from watchkeeper.clock import FakeClock
from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.lake.files import Files
from watchkeeper.lake.wal import WriteAheadLog
from watchkeeper.model.event import Event
from watchkeeper.model.signal import SampleBatch


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MemoryWorld]:
    one = MemoryWorld(tmp_path)
    yield one
    await one.stop()


async def test_who_keeps_up_gets_the_very_objects_that_were_published(world: MemoryWorld) -> None:
    bus = await world.start()
    new = world.catalog.register(make.labels("up"))
    sent = [new, batch(new), make.tick()]
    await bus.publish(SAMPLES, sent)

    found = await bus.take(SAMPLES, FROM_THE_START, wait_s=0)

    assert [id(delivery.record) for delivery in found] == [id(record) for record in sent]
    assert [delivery.position for delivery in found] == [1, 2, 3]
    assert {delivery.partition for delivery in found} == {MIXED}


@pytest.mark.parametrize("tail_bytes", [0, 500, 2000])
async def test_who_lags_behind_the_tail_reads_the_log(world: MemoryWorld, tail_bytes: int) -> None:
    bus = await world.start(tail_bytes=tail_bytes, take_bytes=1000)
    new = world.catalog.register(*(make.labels("up", job=str(n)) for n in range(5)))
    sent = [batch(new, 100 * n) for n in range(20)]
    await bus.publish(SAMPLES, [new, *sent])

    found = await take_all(bus, SAMPLES)

    assert [delivery.position for delivery in found] == list(range(1, 22))
    assert rows(found, world.catalog) == [
        row for one in sent for row in rows_of(one, world.catalog)
    ]


async def test_one_take_hands_out_a_bounded_amount(world: MemoryWorld) -> None:
    bus = await world.start(take_bytes=1000)
    new = world.catalog.register(*(make.labels("up", job=str(n)) for n in range(10)))
    await bus.publish(SAMPLES, [new, *(batch(new, 100 * n) for n in range(20))])

    assert 0 < len(await bus.take(SAMPLES, FROM_THE_START, wait_s=0)) < 5


async def test_a_refused_group_is_neither_taken_nor_in_the_way(tmp_path: Path) -> None:

    disk = FaultyFiles()
    log = WriteAheadLog(tmp_path / "log", files=disk)
    ports = Ports(clock=FakeClock(), data_dir=tmp_path, disk=Files(), log=log, catalog=ToyCatalog())
    bus = MemoryBus(MemoryBusConfig(), ports=ports)
    await bus.publish(SAMPLES, [make.tick(1)])
    disk.fail("write", errno.ENOSPC)

    with pytest.raises(Retryable, match="No space"):
        await bus.publish(SAMPLES, [make.tick(2), make.tick(3)])

    assert await bus.publish(SAMPLES, [make.tick(4)]) == 2
    assert [d.record for d in await take_all(bus, SAMPLES)] == [make.tick(1), make.tick(4)]
    await bus.close()
    log.close()


async def test_a_thread_of_its_own_may_append_and_takers_wake(world: MemoryWorld) -> None:

    bus = await world.start()
    assert isinstance(bus, MemoryBus)

    async with asyncio.TaskGroup() as tasks:
        taking = tasks.create_task(bus.take(SAMPLES, FROM_THE_START, wait_s=20))
        await asyncio.sleep(0)
        assert await asyncio.to_thread(bus.append, [make.tick()]) == 1

    assert [delivery.record for delivery in taking.result()] == [make.tick()]


async def test_replayed_columns_are_fit_for_the_same_kernels(world: MemoryWorld) -> None:
    bus = await world.start(tail_bytes=0)
    new = world.catalog.register(make.labels("up"))
    await bus.publish(SAMPLES, [new, batch(new)])

    for delivery in await take_all(bus, SAMPLES):
        if isinstance(found := delivery.record, SampleBatch):
            for column in (found.slot, found.time_ns, found.value):
                assert column.flags.behaved
                assert column.flags.c_contiguous


async def test_old_events_are_dropped_and_their_followers_told(world: MemoryWorld) -> None:
    bus = await world.start(event_limit=8)
    await bus.publish(ANOMALIES, [Event(n, make.anomaly()) for n in range(1, 30)])

    async with aclosing(bus.follow(ANOMALIES, 3)) as following:
        assert await anext(following) is None
        await bus.publish(ANOMALIES, [Event(30, make.anomaly())])
        delivery = await anext(following)
        assert delivery is not None
        assert delivery.position == 30


async def test_without_a_log_it_is_refused_with_the_remedy(tmp_path: Path) -> None:
    ports = Ports(clock=FakeClock(), data_dir=tmp_path, disk=Files(), catalog=ToyCatalog())

    with pytest.raises(ConfigError, match="redis"):
        MemoryBus(MemoryBusConfig(), ports=ports)


# The tail and the ring


def positions(tail: Tail, after: int, limit_bytes: int = 10**9) -> list[int]:
    return [delivery.position for delivery in tail.behind(after, limit_bytes)]


def test_a_tail_keeps_the_newest_within_its_bytes() -> None:
    tail = Tail(10, limit_bytes=100)

    tail.extend(["a", "b", "c"], [40, 40, 40])

    assert (tail.last, tail.size_bytes) == (13, 80)
    assert not tail.begins_before(10)
    assert tail.begins_before(11)
    assert positions(tail, 11) == [12, 13]
    assert positions(tail, 12) == [13]
    assert positions(tail, 13) == []
    assert positions(tail, 11, limit_bytes=1) == [12]


def test_a_record_larger_than_the_tail_is_read_from_the_log() -> None:
    tail = Tail(0, limit_bytes=100)

    tail.extend(["large"], [1000])

    assert tail.size_bytes == 0
    assert not tail.begins_before(0)
    assert tail.begins_before(1)


def test_a_ring_drops_by_the_quarter_and_says_where_it_begins() -> None:
    ring = Ring(limit=8)
    assert ring.floor is None

    dropped = [ring.extend([Event(n, None)], [0]) for n in range(5, 18)]

    assert sum(dropped) == 3
    assert ring.floor == 7
    assert [one.position for one in ring.behind({0: 0}, limit=100)] == list(range(8, 18))
    assert [one.position for one in ring.behind({0: 15, 1: 0}, limit=1)] == [16]
    assert ring.behind({}, limit=1) == []


# Checkpoint files


@pytest.fixture
def kept(tmp_path: Path) -> CheckpointFiles:
    files = CheckpointFiles(tmp_path, Files())
    for position in (10, 20):
        state = b"state" * position
        files.write(SAMPLES, "g", 7, fence=3, checkpoint=Checkpoint(position, state))
    return files


def newest(files: CheckpointFiles) -> dict[int, int]:
    return {number: one.checkpoint.position for number, one in files.read(SAMPLES, "g").items()}


@pytest.mark.parametrize("n_left", [0, 5, 31, 40])
def test_a_torn_checkpoint_gives_way_to_the_one_before(
    kept: CheckpointFiles, tmp_path: Path, n_left: int
) -> None:
    path = tmp_path / "samples.g" / "07"
    path.write_bytes(path.read_bytes()[:n_left])

    assert newest(kept) == {7: 10}


def test_a_spoilt_checkpoint_gives_way_to_the_one_before(
    kept: CheckpointFiles, tmp_path: Path
) -> None:
    path = tmp_path / "samples.g" / "07"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    assert newest(kept) == {7: 10}
    kept.write(SAMPLES, "g", 7, fence=3, checkpoint=Checkpoint(30, b""))
    assert newest(kept) == {7: 30}
    path.unlink()
    assert newest(kept) == {7: 10}, "what was spoilt never replaces what is whole"


def test_a_checkpoint_that_cannot_be_written_leaves_the_former(tmp_path: Path) -> None:
    disk = FaultyFiles()
    files = CheckpointFiles(tmp_path, disk)
    files.write(SAMPLES, "g", 7, fence=1, checkpoint=Checkpoint(10, b"a"))
    for call in ("write", "sync"):
        disk.fail(call, errno.ENOSPC)

        with pytest.raises(Retryable, match="free space"):
            files.write(SAMPLES, "g", 7, fence=1, checkpoint=Checkpoint(20, b"b"))

        assert newest(files) == {7: 10}


def test_the_log_is_needed_from_the_checkpoint_before_the_newest(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path, Files())
    assert files.floor(SAMPLES, ["g"]) == 0

    for position in (10, 20):
        for partition in range(64):
            assert files.floor(SAMPLES, ["g"]) == 0
            checkpoint = Checkpoint(position + partition, b"")
            files.write(SAMPLES, "g", partition, fence=1, checkpoint=checkpoint)

    assert files.floor(SAMPLES, ["g"]) == 10
    assert files.floor(SAMPLES, ["g", "h"]) == 0
    assert files.floor(SAMPLES, []) == 0


def test_settings_have_bounds() -> None:

    bad: list[dict[str, Any]] = [{"take_bytes": 0}, {"event_limit": 0}, {"tail": 5}]
    for settings in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(settings, MemoryBusConfig)
