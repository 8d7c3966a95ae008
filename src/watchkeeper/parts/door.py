"""The part `ingest`: bodies in, records out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from watchkeeper import plugins
from watchkeeper.bus.base import Bus
from watchkeeper.config.sections import Chosen, Config
from watchkeeper.ingest.admit import Admission
from watchkeeper.ingest.admit_rows import RowAdmission
from watchkeeper.ingest.decode_stage import Decoding
from watchkeeper.ingest.heartbeat_stage import Heartbeats
from watchkeeper.ingest.prepare import Preparer
from watchkeeper.ingest.stage import Ingest
from watchkeeper.ingest.upkeep_stage import recover, recover_from
from watchkeeper.lake.families import FamilyTable
from watchkeeper.lake.wal import WriteAheadLog
from watchkeeper.model import wire
from watchkeeper.model.signal import Logged
from watchkeeper.parts.ground import Ground


@dataclass(frozen=True, slots=True)
class Door:
    """The part `ingest`: what lets bodies in, and what it knows of them."""

    ingest: Ingest
    preparer: Preparer
    families: FamilyTable


async def open_door(ground: Ground, bus: Bus) -> Door:
    """With what it knew before, as far as the log has it."""
    config = ground.config
    executor = ground.thread("ingest")
    admission = Admission(
        config.ingest.admit,
        config.catalog.n_slots,
        resumes_sums=ground.log is not None,  # only then every record of the door is replayed
    )
    rows = RowAdmission(config.ingest.rows, ground.enrich)
    families = FamilyTable()
    receivers = {name: chosen.build() for name, chosen in config.receivers.items()}
    preparer = Preparer(receivers, ground.catalog, admission, rows, families)
    position = await _remember(ground, bus, preparer, executor)
    decoding = Decoding(config.ingest.decoding, _text_receivers(config))
    ground.stack.callback(decoding.close)
    ingest = Ingest(
        config.ingest, preparer, decoding=decoding, bus=bus, clock=ground.clock, executor=executor
    )
    ingest.position = position
    return Door(ingest, preparer, families)


def heartbeats_of(ground: Ground, door: Door) -> Heartbeats:
    """Who is waited for here."""
    chosen: Any = ground.config.receivers["heartbeat"].settings  # as the plugin's own type says
    return Heartbeats(
        chosen.beats,
        store=ground.store,
        ingest=door.ingest,
        clock=ground.clock,
        tenant=ground.tenant,
    )


async def _remember(ground: Ground, bus: Bus, preparer: Preparer, executor: Executor) -> int:
    """The newest position."""
    loop, log, data_dir = asyncio.get_running_loop(), ground.log, ground.data_dir
    if log is not None:
        records = partial(_records, log)
        await loop.run_in_executor(executor, recover, preparer, data_dir, records)
        return log.last
    return await recover_from(bus, preparer, data_dir, executor)


def _text_receivers(config: Config) -> dict[str, Chosen]:
    """Those that make rows: their bodies may be decoded beside the door."""
    return {
        name: chosen
        for name, chosen in config.receivers.items()
        if plugins.load("receiver", chosen.use).makes != "samples"
    }


def _records(log: WriteAheadLog) -> Iterator[tuple[int, Logged]]:
    return ((position, wire.decode(payload)) for position, payload in log.read(0))
