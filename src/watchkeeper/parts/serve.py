"""What is served of a process, and how it says that it is well."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from typing import Final

from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.api.services import Check, Services
from watchkeeper.bus.base import SAMPLES, Bus
from watchkeeper.config.sent import written
from watchkeeper.errors import Retryable
from watchkeeper.ingest.stage import Ingest
from watchkeeper.know.decisions_stage import newest_settings
from watchkeeper.know.settings_stage import source
from watchkeeper.lake.families import FamilyTable
from watchkeeper.parts.decide import deciding
from watchkeeper.parts.door import Door
from watchkeeper.parts.explain import explaining
from watchkeeper.parts.ground import Ground
from watchkeeper.parts.keep import Reading
from watchkeeper.runtime import Loop

LOW_DISK_BYTES: Final = 256 << 20
LAG_LIMIT_RECORDS: Final = 50_000


def services_of(
    ground: Ground,
    bus: Bus,
    door: Door | None,
    reading: Reading,
    loops: Mapping[str, Loop],
    detect: DetectStage | None,
) -> Services:
    """What the API is handed."""
    ingest = None if door is None else door.ingest

    async def newest() -> int:
        embedded = ingest is not None and ground.log is not None
        return ingest.position if ingest and embedded else await bus.newest(SAMPLES)

    return Services(
        config=ground.config.server,
        ingest=ingest,
        lake=reading.lake,
        store=ground.store,
        bus=bus,
        clock=ground.clock,
        queries=ground.queries,
        caught_up=reading.caught_up,
        logs=reading.logs,
        templates=reading.templates,
        spans=reading.spans,
        exemplars=reading.exemplars,
        histograms=reading.histograms,
        catalog=ground.catalog,
        families=FamilyTable() if door is None else door.families,
        changes_caught_up=reading.changes_caught_up,
        incidents_caught_up=reading.incidents_caught_up,
        auth=ground.config.auth,
        deciding=deciding(ground, bus, ingest, reading.changes_caught_up),
        checks=partial(checks, ground, bus, loops, ingest),
        newest=newest,
        causes=explaining(ground, reading),
        detect=detect,
        parts=ground.config.parts,
    )


async def _settings(ground: Ground) -> Check:
    """By which detection judges, and whether that is what the file says."""
    try:
        settings = await newest_settings(ground.store)
    except Retryable as error:
        return Check("settings", True, f"not known now: {error}")
    return Check("settings", True, source(settings, written(ground.config.detection)))


async def checks(
    ground: Ground, bus: Bus, loops: Mapping[str, Loop], ingest: Ingest | None
) -> list[Check]:
    """What /health says."""
    data_dir, log = ground.data_dir, ground.log
    free = shutil.disk_usage(data_dir).free
    disk = f"{free >> 20} MiB free at '{data_dir}'; below {LOW_DISK_BYTES >> 20} MiB free some"
    found = [Check("disk", free >= LOW_DISK_BYTES, disk)]
    refusal = None if ingest is None else ingest.refusal
    try:
        newest = await bus.newest(SAMPLES)
    except Retryable as error:
        return [*found, Check("log", False, refusal or str(error))]
    damage = () if log is None else log.damage
    if damage:
        said = f"{len(damage)} damaged stretches; see {data_dir}/log/damaged"
    else:
        size = "in the bus" if log is None else f"{log.size_bytes >> 20} MiB"
        said = f"{size}, position {newest}"
    found.append(Check("log", not damage and refusal is None, refusal or said))
    found.append(await _settings(ground))
    for name, loop in loops.items():
        lag = loop.lag(newest)
        dead = f", {len(loop.dead)} put aside" if loop.dead else ""
        fine = lag <= LAG_LIMIT_RECORDS and not loop.dead
        found.append(Check(name, fine, f"{lag} records behind{dead}"))
    return found
