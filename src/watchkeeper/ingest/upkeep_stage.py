"""Upkeep of what is kept: heads written out, the door's memory saved, the log released behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Annotated

import msgspec
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.ingest.stage import Ingest
from watchkeeper.lake.base import Lake
from watchkeeper.lake.wal import WriteAheadLog

_RELEASED = telemetry.gauge(
    "watchkeeper_ingest_log_released_position", "Records up to here are kept elsewhere."
)


class UpkeepConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often what is kept is put in order."""

    every_s: Annotated[
        float, Meta(gt=0, description="How often the lake is given time to write and compact.")
    ] = 1.0
    save_s: Annotated[
        float,
        Meta(gt=0, description="How often the door's memory is saved and the log released."),
    ] = 60.0


class Upkeep:
    """Runs beside everything else until cancelled; `finish` does all that is left at a stop.

    `covers` tell up to which position each other reader of the log has kept what it made of it.
    """

    def __init__(
        self,
        config: UpkeepConfig,
        *,
        ingest: Ingest,
        lake: Lake,
        log: WriteAheadLog,
        covers: Sequence[Callable[[], int]],
        executor: Executor,
    ) -> None:
        self._config = config
        self._ingest = ingest
        self._lake = lake
        self._log = log
        self._covers = covers
        self._executor = executor

    async def run(self, clock: Clock) -> None:
        saved_ns = clock.now_ns()
        while True:
            await clock.sleep(self._config.every_s)
            now_ns = clock.now_ns()
            await self._on_thread(self._lake.maintain, now_ns)
            if now_ns - saved_ns >= self._config.save_s * NS_PER_S:
                saved_ns = now_ns
                await self.release(await self._ingest.save())

    async def finish(self, now_ns: int, saved: int) -> None:
        """Write out everything, and release what nobody needs any more."""
        await self._on_thread(lambda: self._lake.maintain(now_ns, everything=True))
        await self.release(saved)

    async def release(self, saved: int) -> None:
        """`saved` is the position that the door's own saved memory covers."""
        position = min([saved, self._lake.stored(), *(covered() for covered in self._covers)])
        _RELEASED.set(position)
        await self._on_thread(self._log.release, position)

    async def _on_thread(self, work: Callable[..., object], *arguments: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
