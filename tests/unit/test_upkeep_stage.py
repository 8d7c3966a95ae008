"""Upkeep beside a real door: what is saved when, what the log may forget, what a crash leaves."""

from __future__ import annotations

import asyncio
import errno
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.disks import FaultyFiles
from tests.doors import Bell, House, body, house
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.ingest.admit import Admission, AdmitConfig
from watchkeeper.ingest.admit_rows import AdmitRowsConfig, RowAdmission
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.prepare import Preparer, Request
from watchkeeper.ingest.receivers.metrics_json import MetricsJson
from watchkeeper.ingest.upkeep_stage import (
    STATE_FILE,
    Surroundings,
    Upkeep,
    UpkeepConfig,
    recover_from,
    unseal,
)
from watchkeeper.lake.base import Lake
from watchkeeper.lake.wal import WalConfig
from watchkeeper.model.series import DEFAULT_TENANT

OFTEN = UpkeepConfig(every_s=1, save_s=10, idle_s=60)
SMALL = WalConfig(segment_bytes=4096, limit_bytes=1 << 20)


async def pass_time(one: House, seconds: float) -> None:
    """Second by second, so that whoever sleeps is woken in between."""
    for _ in range(round(seconds)):
        await asleep(one)
        one.clock.advance(1)
        await asyncio.sleep(0)
        await asleep(one)


async def asleep(one: House) -> None:
    """Upkeep has done what there was to do."""
    async with asyncio.timeout(10):
        while not one.clock.n_asleep:
            await asyncio.to_thread(lambda: None)


def begin(one: House) -> None:
    one.tasks.append(asyncio.create_task(one.upkeep.run()))


def saved(folder: Path) -> tuple[int, bytes] | None:
    return unseal(folder / STATE_FILE)


def newest(memory: bytes) -> Any:
    """Of every series. When a body was seen is known to the second only."""
    admission, *_ = msgspec.msgpack.decode(memory)
    return msgspec.msgpack.decode(admission)[:2]


async def test_the_doors_memory_is_saved_once_its_time_has_come(tmp_path: Path) -> None:
    async with house(tmp_path, upkeep=OFTEN) as one:
        begin(one)
        await one.send(body(("up", 0, 1.0)))
        await pass_time(one, 8)
        before = saved(tmp_path)
        await pass_time(one, 6)

        found = saved(tmp_path)
        assert before is None
        assert found is not None
        assert found[0] <= one.ingest.position
        assert found[1] == one.preparer.dump()


async def test_a_graceful_end_leaves_nothing_to_be_replayed(tmp_path: Path) -> None:
    clock = Bell()
    async with house(tmp_path, clock=clock) as one:
        await one.send(body(("up", 0, 1.0), ("load", 0, 2.0)))
        await one.store()
        await one.upkeep.finish(clock.now_ns())
        kept = saved(tmp_path)

        assert kept is not None
        assert kept[0] == one.log.last == one.lake.stored()


async def test_a_log_is_not_cut_where_the_lake_has_not_stored(tmp_path: Path) -> None:
    """The door's memory is saved beyond it; but the samples are in the log alone."""
    async with house(tmp_path, wal=SMALL) as one:
        for second in range(200):
            await one.send(body(("up", second, 1.0)))
        await one.upkeep.finish(one.clock.now_ns())

        assert one.lake.stored() == 0
        assert len(one.samples()) == 200


async def test_a_log_that_is_stored_elsewhere_is_cut(tmp_path: Path) -> None:
    async with house(tmp_path, wal=SMALL) as one:
        for second in range(200):
            await one.send(body(("up", second, 1.0)))
        await one.store()
        await one.upkeep.finish(one.clock.now_ns())

        assert len(one.samples()) < 100
        assert one.log.first > 1


async def test_a_cut_log_behind_a_saved_memory_forgets_nothing_of_the_door(tmp_path: Path) -> None:
    clock = Bell()
    last = body(("up", 199, 1.0))
    async with house(tmp_path, clock=clock, wal=SMALL) as one:
        for second in range(200):
            await one.send(body(("up", second, 1.0)))
        await one.store()
        await one.upkeep.finish(clock.now_ns())
    async with house(tmp_path, clock=clock, wal=SMALL) as one:
        known = await one.send(last)
        conflict = await one.send(body(("up", 199, 9.0)))
        late = await one.send(body(("up", -3500, 9.0)))

        assert known.repeated
        assert [reject.reason for reject in conflict.rejects] == ["conflict"]
        assert [reject.reason for reject in late.rejects] == ["too_old"]


async def test_memory_that_cannot_be_saved_keeps_the_log(tmp_path: Path) -> None:
    async with house(tmp_path, wal=SMALL) as one:
        (tmp_path / STATE_FILE).mkdir()
        for second in range(200):
            await one.send(body(("up", second, 1.0)))
        await one.store()
        await one.upkeep.finish(one.clock.now_ns())

        assert one.log.first == 1
        assert len(one.samples()) == 200


async def test_upkeep_goes_on_after_memory_could_not_be_saved(tmp_path: Path) -> None:
    async with house(tmp_path, upkeep=OFTEN) as one:
        (tmp_path / STATE_FILE).mkdir()
        begin(one)
        await one.send(body(("up", 0, 1.0)))
        await pass_time(one, 12)
        (tmp_path / STATE_FILE).rmdir()
        await pass_time(one, 12)

        assert saved(tmp_path) is not None
        assert not one.tasks[0].done()


class FullLake:
    """A lake on a disk that is full, and has room later."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.fault: Exception | None = Retryable("lake: No space left on device")
        self.n_asked = 0

    def maintain(self, now_ns: int, *, everything: bool = False) -> None:
        self.n_asked += 1
        if self.fault is not None:
            raise self.fault
        self.lake.maintain(now_ns, everything=everything)

    def stored(self) -> int:
        return self.lake.stored()


@pytest.mark.parametrize("fault", [Retryable("lake: full"), Permanent("lake: odd"), IndexError()])
async def test_upkeep_goes_on_after_the_lake_could_not_be_kept(
    tmp_path: Path, fault: Exception
) -> None:
    """A full disk ended the process, that was to wait until there is room again."""
    async with house(tmp_path, upkeep=OFTEN) as one:
        full = FullLake(one.lake)
        full.fault = fault
        keeper = one.keeper(full)
        one.tasks.append(asyncio.create_task(keeper.run()))
        await one.send(body(("up", 0, 1.0)))
        await pass_time(one, 3)
        full.fault = None
        await pass_time(one, 10)

        assert full.n_asked >= 10
        assert not one.tasks[0].done()
        assert saved(tmp_path) is not None


async def test_a_stop_on_a_full_disk_saves_what_it_can(tmp_path: Path) -> None:
    """The samples stay in the log; the door's memory may still find room."""
    async with house(tmp_path) as one:
        await one.send(body(("up", 0, 1.0)))
        await one.store()

        await one.keeper(FullLake(one.lake)).finish(one.clock.now_ns())

        kept = saved(tmp_path)
        assert kept is not None
        assert kept[0] == one.log.last
        assert len(one.samples()) == 1


class Slow:
    """A table that has stored up to here and no further."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.n_asked = 0

    def stored(self) -> int:
        return self.position

    def maintain(self, now_ns: int, *, everything: bool = False) -> None:
        self.n_asked += 1


async def test_the_log_is_kept_for_whoever_has_stored_least(tmp_path: Path) -> None:
    async with house(tmp_path, upkeep=OFTEN, wal=SMALL) as one:
        for minute in range(20):
            await one.send(body(*((f"m{i}", minute, 1.0) for i in range(50))))
        await one.store()
        slow = Slow(position=0)
        last = one.log.last

        await one.keeper(one.lake, slow).finish(one.clock.now_ns())
        behind = one.log.first
        slow.position = last
        await one.keeper(one.lake, slow).finish(one.clock.now_ns())

        assert behind == 1
        assert one.log.first > 1


async def test_one_that_cannot_be_maintained_keeps_no_other_from_it(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        full, table = FullLake(one.lake), Slow(position=0)
        full.fault = OSError(errno.ENOSPC, "no space")

        await one.keeper(full, table).finish(one.clock.now_ns())

        assert table.n_asked == 1


@pytest.mark.parametrize("saves", [False, True], ids=["nothing saved", "saved in between"])
async def test_a_door_without_a_log_remembers_what_the_bus_has_of_it(
    tmp_path: Path, saves: bool
) -> None:
    """Between processes: what was taken before a crash is neither new nor forgotten after it."""
    bodies = [body(("up", second, 1.0)) for second in range(4)]
    async with house(tmp_path) as one:
        for content in bodies[:2]:
            await one.send(content)
        if saves:
            await one.upkeep.finish(one.clock.now_ns())
        for content in bodies[2:]:
            await one.send(content)
        fresh = Preparer(
            {"metrics_json": MetricsJson(seed=1)},
            one.catalog,
            Admission(AdmitConfig(), 210),
            RowAdmission(AdmitRowsConfig(), Enrich()),
        )

        with ThreadPoolExecutor(1) as executor:
            position = await recover_from(one.gate, fresh, tmp_path, executor)

        assert position == one.log.last
        assert newest(fresh.dump()) == newest(one.preparer.dump())
        for content in bodies:
            again = Request("metrics_json", content, {}, DEFAULT_TENANT)
            assert fresh.prepare(again, one.clock.now_ns()).accepted.repeated


async def test_damaged_memory_is_made_up_for_by_the_log(tmp_path: Path) -> None:
    clock = Bell()
    async with house(tmp_path, clock=clock) as one:
        await one.send(body(("up", 0, 1.0)))
        await one.upkeep.finish(clock.now_ns())
        memory = one.preparer.dump()
    content = bytearray((tmp_path / STATE_FILE).read_bytes())
    content[len(content) // 2] ^= 0x10
    (tmp_path / STATE_FILE).write_bytes(content)

    async with house(tmp_path, clock=clock) as one:
        assert one.preparer.dump() == memory


@pytest.mark.parametrize("save_after", [None, 0, 2, 4])
async def test_a_crash_leaves_the_memory_that_was_there(
    tmp_path: Path, save_after: int | None
) -> None:
    clock = Bell()
    async with house(tmp_path, clock=clock) as one:
        for second in range(5):
            await one.send(body(("up", second, 1.0), (f"m{second}", second, 2.0)))
            clock.advance(0.4)
            if second == save_after:
                await one.upkeep.finish(clock.now_ns())
        memory = one.preparer.dump()

    async with house(tmp_path, clock=clock) as one:
        again = [await one.send(body(("up", s, 1.0), (f"m{s}", s, 2.0))) for s in range(5)]

        assert all(answer.repeated for answer in again)
        assert newest(one.preparer.dump()) == newest(memory)


async def deliver(one: House, bodies: list[bytes], disk: FaultyFiles) -> set[int]:
    """Send on a disk that fails now and then; which bodies were acknowledged."""
    acknowledged = set()
    for number, content in enumerate(bodies):
        if disk.chance.random() < 0.4:
            fault = disk.chance.choice((errno.EIO, errno.ENOSPC))
            disk.fail(disk.chance.choice(("write", "sync")), fault)
        sending = one.sending(content)
        while not sending.done():
            one.clock.advance(0.05)  # after a refusal the door pauses
            await asyncio.wait([sending], timeout=0.01)
        if sending.exception() is None:
            acknowledged.add(number)
        else:
            assert isinstance(sending.exception(), Retryable)
        disk.mend()
    return acknowledged


@pytest.mark.parametrize("seed", range(8))
async def test_a_retry_after_faults_and_a_loss_of_power_stores_every_sample_once(
    tmp_path: Path, seed: int
) -> None:
    """What was acknowledged is there; what was not is sent again, and nothing is there twice."""
    clock, disk = Bell(), FaultyFiles(random.Random(seed))
    bodies = [body(("up", n, n / 2), (f"m{n % 3}", n, 1.0), ("late", -n, n)) for n in range(12)]
    async with house(tmp_path, clock=clock, disk=disk) as one:
        acknowledged = await deliver(one, bodies, disk)
    disk.lose_power()

    async with house(tmp_path, clock=clock) as one:
        answers = [await one.send(content) for content in bodies]
        found = [(labels["__name__"], after_s, value) for labels, after_s, value in one.samples()]

        assert all(answers[number].repeated for number in acknowledged)
        assert len(set(found)) == len(found)
        assert sorted(found) == sorted(
            sample
            for n in range(12)
            for sample in (("up", n, n / 2), (f"m{n % 3}", n, 1.0), ("late", -n, n))
        )
    assert 0 < len(acknowledged) < 12


async def test_a_series_that_was_silent_leaves_only_when_the_log_has_let_go_of_it(
    tmp_path: Path,
) -> None:
    """Its slot may get another owner, and no record may be left that meant the former one."""
    async with house(tmp_path, upkeep=OFTEN, wal=SMALL) as one:
        begin(one)
        for pod in ("a", "b"):
            await one.send(body(("up", 0, 1.0), pod=pod))
        await pass_time(one, 90)
        while_logged = one.catalog.n_active
        await one.store()
        await asyncio.to_thread(one.lake.maintain, one.clock.now_ns(), everything=True)
        await one.send(body(("else", 100, 1.0)))
        await pass_time(one, 25)

        assert while_logged == 2
        assert one.catalog.n_active == 1  # of the silent role, one stays as a donor


async def test_a_process_without_a_door_lets_go_once_it_has_stored_and_released_what_came(
    tmp_path: Path,
) -> None:
    slow = Slow(position=0)
    with ThreadPoolExecutor(1) as keeping:
        async with house(tmp_path) as one:
            for pod in ("a", "b"):
                await one.send(body(("up", 0, 1.0), pod=pod))
            around = Surroundings(
                keeping,
                one.clock,
                tmp_path,
                (),
                reached=lambda: one.log.last,
                let_go=lambda idle_s: one.catalog.recycle(one.clock.now_ns(), idle_s),
            )
            upkeep = Upkeep(OFTEN, around, ingest=None, preparer=None, kept=(slow,), bus=one.gate)
            one.tasks.append(asyncio.create_task(upkeep.run()))

            await pass_time(one, 90)
            while_needed = one.catalog.n_active
            slow.position = one.log.last
            await pass_time(one, 15)

            assert while_needed == 2
            assert one.catalog.n_active == 0  # one is a donor now, which is not counted
