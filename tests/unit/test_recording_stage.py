"""Recording beside a running process: who is kept, what is known, and what becomes of faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests import make
from tests.catalogs import ToyCatalog
from tests.doors import Bell
from watchkeeper.bus.base import SAMPLES, Checkpoint
from watchkeeper.bus.checkpoints import CheckpointFiles
from watchkeeper.bus.memory import MemoryBus
from watchkeeper.bus.ports import Ports
from watchkeeper.ingest.recording_stage import Recorder
from watchkeeper.lake.files import PAGE_BYTES, Files
from watchkeeper.lake.recording.config import ReplayConfig
from watchkeeper.lake.recording.keeper import Keeper
from watchkeeper.lake.recording.packed import Packed
from watchkeeper.lake.recording.recording import KEPT_FOLDER, pieces
from watchkeeper.lake.recording.snapshot import Snapshot, snapshots
from watchkeeper.lake.wal import WalConfig, WriteAheadLog
from watchkeeper.model.series import N_PARTITIONS, U8
from watchkeeper.model.signal import NewSeries

GROUP = "detect"
HOUR_S = 3600


class Known(ToyCatalog):
    """With what a recorder asks for."""

    def __init__(self) -> None:
        super().__init__(16)
        self.partition: U8 = np.full(16, 255, np.uint8)
        self.high_slot = 16


@dataclass
class Room:
    """A log, its bus, and who keeps what it lets go of."""

    log: WriteAheadLog
    bus: MemoryBus
    new: NewSeries
    clock: Bell
    recorder: Recorder

    @property
    def kept(self) -> Path:
        return self.log.folder / KEPT_FOLDER

    async def checkpoint(self, position: int, partitions: Collection[int]) -> None:
        leases = await self.bus.lease(SAMPLES, GROUP, 1.0)
        for partition in partitions:
            checkpoint = Checkpoint(position, b"%d" % partition)
            fence = leases.fences[partition]
            await self.bus.checkpoint(SAMPLES, GROUP, partition, fence, checkpoint)

    async def pass_time(self, seconds: float, *, until: int = 0) -> None:
        """The recorder has woken and slept again; there are so many snapshots."""
        async with asyncio.timeout(20):
            await self._asleep()
            self.clock.advance(seconds)
            await asyncio.sleep(0)
            await self._asleep()
            while len(self.snapshots()) < until:
                await asyncio.to_thread(lambda: None)
                await self._asleep()

    async def _asleep(self) -> None:
        while not self.clock.n_asleep:
            await asyncio.to_thread(lambda: None)

    def snapshots(self) -> list[Snapshot]:
        return snapshots(self.kept)


@asynccontextmanager
async def room(folder: Path, **settings: float) -> AsyncIterator[Room]:
    given: dict[str, Any] = {"compress": True, **settings}
    config = ReplayConfig(**given)
    clock = Bell(make.START_NS)
    log_config = WalConfig(segment_bytes=3 * PAGE_BYTES, limit_bytes=1 << 20)
    log = WriteAheadLog(folder / "log", log_config, kept=folder / "log" / KEPT_FOLDER)
    catalog = Known()
    new = catalog.register(make.labels("up", service="cart"))
    bus = MemoryBus(
        MemoryBus.Config(),
        ports=Ports(clock=clock, data_dir=folder, disk=Files(), log=log, catalog=catalog),
    )
    with ThreadPoolExecutor(1) as executor:
        keeper = Keeper(folder / "log", config, free_bytes=0)
        recorder = Recorder(
            keeper, bus=bus, catalog=catalog, clock=clock, executor=executor, groups=(GROUP,)
        )
        running = asyncio.create_task(recorder.run())
        try:
            yield Room(log, bus, new, clock, recorder)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await bus.close()
            log.close()


def states(snapshot: Snapshot) -> Mapping[int, tuple[int, bytes]]:
    return {one.partition: (one.position, one.content) for one in snapshot.states()}


async def test_what_is_known_is_kept_with_the_checkpoints_as_they_are(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        await one.checkpoint(7, range(N_PARTITIONS))
        await one.checkpoint(9, range(10))

        taken = await one.recorder.snapshot()
        (series,) = taken.series()

        assert taken.position == 7
        assert taken.taken_ns == one.clock.now_ns()
        assert states(taken)[3] == (9, b"3")
        assert states(taken)[63] == (7, b"63")
        assert series.slot.tolist() == one.new.slot.tolist()
        assert series.identity.tolist() == one.new.identity.tolist()


async def test_a_partition_without_a_checkpoint_needs_the_whole_record(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        await one.checkpoint(7, range(N_PARTITIONS - 1))

        taken = await one.recorder.snapshot()

        assert taken.position == 0
        assert states(taken)[63] == (0, b"")


async def test_snapshots_are_taken_when_their_time_has_come(tmp_path: Path) -> None:
    async with room(tmp_path, snapshot_s=HOUR_S) as one:
        await one.checkpoint(7, range(N_PARTITIONS))
        await one.pass_time(1, until=1)
        await one.pass_time(HOUR_S - 60)
        before = len(one.snapshots())
        await one.pass_time(120, until=2)

        assert before == 1
        assert len(one.snapshots()) == 2


async def test_a_restart_does_not_hurry_the_next_snapshot(tmp_path: Path) -> None:
    async with room(tmp_path, snapshot_s=HOUR_S) as one:
        await one.checkpoint(7, range(N_PARTITIONS))
        await one.pass_time(1, until=1)
    async with room(tmp_path, snapshot_s=HOUR_S) as one:
        await one.pass_time(60)
        await one.pass_time(60)

        assert len(one.snapshots()) == 1


async def test_what_the_log_lets_go_of_is_compressed(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        for second in range(10):
            await one.bus.publish(SAMPLES, [make.tick(second)])
        await one.bus.release(6, ())
        await one.pass_time(1)
        await one.pass_time(1)

        found = pieces(one.log.folder)
        assert [isinstance(piece, Packed) for piece in found] == [True, True, False, False]


async def test_nothing_is_kept_where_that_is_switched_off(tmp_path: Path) -> None:
    async with room(tmp_path, keep_s=0) as one:
        await one.checkpoint(7, range(N_PARTITIONS))
        await one.pass_time(1)
        await one.pass_time(HOUR_S)

        assert one.snapshots() == []


async def test_a_fault_of_the_disk_is_tried_again_and_ends_nothing(tmp_path: Path) -> None:
    async with room(tmp_path, snapshot_s=HOUR_S) as one:
        await one.checkpoint(7, range(N_PARTITIONS))
        one.kept.write_bytes(b"a file where a folder is to be")
        await one.pass_time(1)
        await one.pass_time(1)
        one.kept.unlink()
        await one.pass_time(61, until=1)

        assert len(one.snapshots()) == 1


async def test_checkpoints_are_those_that_a_restart_would_find(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        await one.checkpoint(7, range(N_PARTITIONS))
        await one.checkpoint(8, range(N_PARTITIONS))

        taken = await one.recorder.snapshot()

        found = CheckpointFiles(tmp_path / "checkpoints", Files()).read(SAMPLES, GROUP)
        assert states(taken) == {
            partition: (kept.checkpoint.position, kept.checkpoint.state)
            for partition, kept in found.items()
        }
