"""The part `store`: telemetry is kept and answered for; or asked of the process that does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from watchkeeper.analyze.derivation import Derivation, deriving
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.incident_stage import IncidentStage
from watchkeeper.analyze.template_stage import TemplateStage
from watchkeeper.analyze.topology_stage import TopologyStage
from watchkeeper.api.services import Readable, Templates
from watchkeeper.bus.base import Bus
from watchkeeper.ingest.change_stage import ChangeStage
from watchkeeper.ingest.recording_stage import Recorder
from watchkeeper.ingest.store_stage import NO_SAMPLES, StoreStage
from watchkeeper.ingest.upkeep_stage import Kept, Surroundings, Upkeep
from watchkeeper.know.decisions_stage import Decisions
from watchkeeper.know.incidents_stage import IncidentKeeping
from watchkeeper.lake.base import Lake, Readings
from watchkeeper.lake.details import (
    EXEMPLARS,
    HISTOGRAMS,
    NO_EXEMPLARS,
    NO_HISTOGRAMS,
    Details,
    Named,
    open_details,
)
from watchkeeper.lake.recording.keeper import Keeper
from watchkeeper.lake.remote import Owner, RemoteLake, RemoteTable
from watchkeeper.lake.remote_templates import RemoteTemplates
from watchkeeper.lake.tables.definition import LOGS, SPANS
from watchkeeper.lake.tables.rows import nothing
from watchkeeper.lake.tables.tables import Tables, open_tables
from watchkeeper.model.detail import ExemplarRows, HistogramRows
from watchkeeper.model.signal import LogBatch, SpanBatch
from watchkeeper.parts.door import Door
from watchkeeper.parts.ground import Ground
from watchkeeper.runtime import Loop

GROUPS: Final = (
    DetectStage.name,
    ChangeStage.name,
    TemplateStage.name,
    TopologyStage.name,
    IncidentStage.name,
)
"""Those who begin at their checkpoints, wherever they run: for them the log is kept."""
JUDGING: Final = (DetectStage.name, TemplateStage.name)
"""Those who find anomalies; a snapshot names them by their places here."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The part `store`: the lake and its tables."""

    lake: Lake
    tables: Tables
    details: Details


def open_keep(ground: Ground) -> Keep:
    """As it was left."""
    config, data_dir = ground.config, ground.data_dir
    lake: Lake = config.lake.build(directory=data_dir / "lake", catalog=ground.catalog)
    ground.stack.callback(lake.close)
    tables = open_tables(data_dir / "tables", config.logs, config.spans)
    ground.stack.callback(tables.close)
    details = open_details(data_dir / "tables", config.histograms, config.exemplars)
    ground.stack.callback(details.close)
    return Keep(lake, tables, details)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read, and the words that it can be read up to a position."""

    lake: Readings
    caught_up: Callable[[int], Awaitable[bool]]
    logs: Readable[LogBatch]
    templates: Templates
    spans: Readable[SpanBatch]
    exemplars: Readable[ExemplarRows]
    histograms: Readable[HistogramRows]
    changes_caught_up: Callable[[int], Awaitable[bool]]
    incidents_caught_up: Callable[[int], Awaitable[bool]]
    loops: Mapping[str, Loop] = field(default_factory=dict)
    """Those that keep it up to date, where that is done here."""


def keeping(ground: Ground, keep: Keep, bus: Bus) -> Reading:
    """What is kept here, and by whom."""
    tables, details, catalog = keep.tables, keep.details, ground.catalog
    steps = deriving(catalog, ground.config.catalog.n_slots)
    named = Named(catalog)
    storing = StoreStage(keep.lake, NO_SAMPLES, of=Derivation(steps))
    logging = StoreStage(tables.logs, nothing(LOGS), name="logs")
    tracing = StoreStage(tables.spans, nothing(SPANS), name="spans")
    shaping = StoreStage(details.histograms, NO_HISTOGRAMS, name="histograms", of=named.histograms)
    sampling = StoreStage(details.exemplars, NO_EXEMPLARS, name="exemplars", of=named.exemplars)
    noting = ChangeStage(ground.store, Decisions(ground.store, ground.clock))
    grouping = TemplateStage(
        ground.config.templates,
        catalog.partition_of,
        ground.thread("templates"),
        detection=ground.config.detection,
        store=ground.store,
    )
    mapping = TopologyStage(catalog.partition_of, ground.store, ground.thread("topology"))
    sorting = sorting_alerts(ground, mapping)
    stages: tuple[StoreStage[Any], ...] = (storing, logging, tracing, shaping, sampling)
    runtime = ground.config.runtime
    loops = {
        one.name: Loop(one, bus, ground.clock, runtime, after=one.position) for one in stages
    } | {
        one.name: Loop(one, bus, ground.clock, runtime)
        for one in (noting, grouping, mapping, sorting)
    }
    return Reading(
        keep.lake,
        storing.caught_up,
        Readable(tables.logs, logging.caught_up),
        grouping,
        Readable(tables.spans, tracing.caught_up),
        Readable(details.exemplars, sampling.caught_up),
        Readable(details.histograms, shaping.caught_up),
        noting.caught_up,
        sorting.caught_up,
        loops,
    )


def sorting_alerts(ground: Ground, mapping: TopologyStage) -> IncidentStage:
    """Alerts become incidents."""
    return IncidentStage(
        ground.config.correlation,
        grouper=ground.config.grouper.build(),
        partition_of=ground.catalog.partition_of,
        executor=ground.thread("incidents"),
        keeping=IncidentKeeping(ground.store, ground.clock),
        topology=mapping.topology,
    )


def asking(ground: Ground) -> Reading:
    """The same of the process that keeps it."""
    owner = Owner(ground.config.remote, ground.config.server.tenant_header)
    ground.stack.callback(owner.close)

    def caught_up(what: str) -> Callable[[int], Awaitable[bool]]:
        async def wait(position: int) -> bool:
            await asyncio.get_running_loop().run_in_executor(
                ground.queries, owner.ask, f"caught-up/{what}", position
            )
            return True

        return wait

    return Reading(
        RemoteLake(owner),
        caught_up("samples"),
        Readable(RemoteTable(owner, LOGS), caught_up(LOGS.name)),
        RemoteTemplates(owner, ground.queries),
        Readable(RemoteTable(owner, SPANS), caught_up(SPANS.name)),
        Readable(RemoteTable(owner, EXEMPLARS), caught_up(EXEMPLARS.name)),
        Readable(RemoteTable(owner, HISTOGRAMS), caught_up(HISTOGRAMS.name)),
        caught_up("changes"),
        caught_up("incidents"),
    )


def upkeep_of(
    ground: Ground,
    bus: Bus,
    executor: Executor,
    door: Door | None,
    keep: Keep | None,
    loops: Mapping[str, Loop],
) -> Upkeep:
    """Of what this process has. Whoever keeps telemetry releases the log."""
    kept: tuple[Kept, ...] = ()
    if keep is not None:
        tables, details = keep.tables, keep.details
        kept = (keep.lake, tables.logs, tables.spans, details.histograms, details.exemplars)
    around = Surroundings(
        executor,
        ground.clock,
        ground.data_dir,
        GROUPS,
        persist=None if ground.log is not None else ground.catalog.persist,
        reached=lambda: min((loop.position for loop in loops.values()), default=None),
        let_go=partial(_let_go, ground, loops),
    )
    return Upkeep(
        ground.config.upkeep,
        around,
        ingest=None if door is None else door.ingest,
        preparer=None if door is None else door.preparer,
        kept=kept,
        bus=bus,
    )


def recorder_of(ground: Ground, bus: Bus, executor: Executor) -> Recorder:
    """Of the log of this process: what it lets go of is kept to be replayed."""
    return Recorder(
        Keeper(ground.data_dir / "log", ground.config.log.replay),
        bus=bus,
        catalog=ground.catalog,
        clock=ground.clock,
        executor=executor,
        groups=JUDGING,
    )


def _let_go(ground: Ground, loops: Mapping[str, Loop], idle_s: float) -> None:
    """By the time of the log, as far as everybody here has come; a door may be ahead of time."""
    times = (loop.now_ns for loop in loops.values())
    now_ns = min((one for one in times if one is not None), default=0)
    ground.catalog.recycle(min(now_ns, ground.clock.now_ns()), idle_s)
