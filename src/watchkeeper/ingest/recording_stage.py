"""Beside everything else: what the log let go of is kept for a while, and what detection knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final, Protocol, TypeVar

import numpy as np

from watchkeeper import telemetry
from watchkeeper.bus.base import SAMPLES, Checkpoint, Ownership
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.errors import Retryable
from watchkeeper.lake.files import Files
from watchkeeper.lake.recording.keeper import Keeper
from watchkeeper.lake.recording.snapshot import Entry, Snapshot, State, snapshots, write
from watchkeeper.model.series import I32, N_PARTITIONS, U8
from watchkeeper.model.signal import NewSeries
from watchkeeper.patience import Patience

T = TypeVar("T")

_log: Final = telemetry.Log(__name__)
_EVERY_S: Final = 1.0
_NOTHING: Final = Checkpoint(0, b"")
_AGAIN_S: Final = 60.0
"""Until a snapshot is tried again that could not be taken."""


class LivingSeries(Protocol):
    """What this needs of the catalog."""

    partition: U8

    @property
    def high_slot(self) -> int: ...

    def describe(self, slots: I32) -> Sequence[NewSeries]: ...


class Recorder:
    """Of one log. `groups` are who is replayed: their checkpoints make a snapshot."""

    def __init__(
        self,
        keeper: Keeper,
        *,
        bus: Ownership,
        catalog: LivingSeries,
        clock: Clock,
        executor: Executor,
        groups: Sequence[str],
    ) -> None:
        self._keeper = keeper
        self._bus = bus
        self._catalog = catalog
        self._clock = clock
        self._executor = executor
        self._groups = groups
        self._patience = Patience("recording", clock, _EVERY_S, _EVERY_S)
        self._due_ns = 0

    async def run(self) -> None:
        """Until cancelled."""
        await self._on_thread(self._keeper.clean)
        newest = snapshots(self._keeper.folder)[-1:]
        every_ns = round(self._keeper.config.snapshot_s * NS_PER_S)
        self._due_ns = max([one.taken_ns + every_ns for one in newest], default=0)
        while True:
            await self._clock.sleep(_EVERY_S)
            now_ns = self._clock.now_ns()
            maintain = partial(self._keeper.maintain, now_ns)
            await self._patience.attempt("kept", self._on_thread(maintain))
            if self._keeper.config.is_on and now_ns >= self._due_ns:
                self._due_ns = now_ns + round(_AGAIN_S * NS_PER_S)
                await self._patience.attempt("snapshot", self.snapshot())

    async def snapshot(self) -> Snapshot:
        """Keep what detection would go on with if it were started now."""
        loop = asyncio.get_running_loop()

        def restored(group: str, partition: int) -> Checkpoint:  # together they are large
            restoring = self._bus.restore(SAMPLES, group, (partition,))
            found = asyncio.run_coroutine_threadsafe(restoring, loop).result()
            return found.get(partition, _NOTHING)

        taken = await self._on_thread(partial(self._write, restored))
        self._due_ns = taken.taken_ns + round(self._keeper.config.snapshot_s * NS_PER_S)
        return taken

    def _write(self, restored: Callable[[str, int], Checkpoint]) -> Snapshot:
        self._keeper.folder.mkdir(exist_ok=True)
        entries = self._entries(restored)
        return write(self._keeper.folder, entries, now=self._clock.now_ns, files=Files())

    def _entries(self, restored: Callable[[str, int], Checkpoint]) -> Iterator[Entry]:
        for number, group in enumerate(self._groups):
            for partition in range(N_PARTITIONS):
                one = restored(group, partition)
                yield State(number, partition, one.position, one.state)
        live = self._catalog.partition[: self._catalog.high_slot] < N_PARTITIONS
        yield from self._catalog.describe(np.flatnonzero(live).astype(np.int32))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except OSError as error:
            raise Retryable(
                f"replay: cannot write to '{self._keeper.folder}': {error.strerror}; free space "
                "there, or keep nothing: log.replay.keep_s: 0"
            ) from error
