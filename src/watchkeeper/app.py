"""The composition root: the one module that knows everything. Starts it all, and stops it.

Embedded, one process does everything: the door, the log, the lake and detection. Where the bus
carries records between processes there is no log of our own, and each process builds its part.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
import uvloop

from watchkeeper import __version__, plugins, telemetry
from watchkeeper.act.share_stage import Sharing, Sources
from watchkeeper.analyze.derivation import Derivation
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.quantiles import Quantiles
from watchkeeper.api import grpc
from watchkeeper.api.app import Front
from watchkeeper.api.services import Check, Readable, Services
from watchkeeper.api.traced import Traced
from watchkeeper.bus.ports import Ports, fingerprint
from watchkeeper.bus.share import Share, ShareConfig
from watchkeeper.clock import Clock, SystemClock
from watchkeeper.config import Config
from watchkeeper.config.sections import Chosen
from watchkeeper.errors import ConfigError
from watchkeeper.ingest.admit import Admission
from watchkeeper.ingest.admit_rows import RowAdmission
from watchkeeper.ingest.change_stage import ChangeStage
from watchkeeper.ingest.decode_stage import Decoding
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.own_traces_stage import OwnTraces
from watchkeeper.ingest.prepare import Preparer
from watchkeeper.ingest.stage import Ingest
from watchkeeper.ingest.store_stage import NO_SAMPLES, StoreStage
from watchkeeper.ingest.upkeep_stage import Surroundings, Upkeep, recover
from watchkeeper.lake.details import NO_EXEMPLARS, NO_HISTOGRAMS, Named, open_details
from watchkeeper.lake.families import FamilyTable
from watchkeeper.lake.files import Files
from watchkeeper.lake.series import Catalog
from watchkeeper.lake.tables.definition import LOGS, SPANS
from watchkeeper.lake.tables.rows import nothing
from watchkeeper.lake.tables.tables import open_tables
from watchkeeper.lake.wal import WriteAheadLog
from watchkeeper.model import wire
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import Logged
from watchkeeper.runtime import Loop, Relay
from watchkeeper.store.base import SharedStore
from watchkeeper.store.installation import check_key, installation_key, shared_key
from watchkeeper.telemetry import Tracer

_log: Final = telemetry.Log(__name__)
LOW_DISK_BYTES: Final = 256 << 20
LAG_LIMIT_RECORDS: Final = 50_000


@dataclass(frozen=True, slots=True)
class App:
    """A running app: what the API serves, and the stages behind it."""

    services: Services
    loops: Mapping[str, Loop]
    catalog: Catalog
    tracer: Tracer


@asynccontextmanager
async def running(config: Config, clock: Clock | None = None) -> AsyncIterator[App]:
    """Everything but the listening socket, ready to be called; leaving it is a graceful stop."""
    clock = clock or SystemClock()
    data_dir = config.data_dir
    async with AsyncExitStack() as stack:
        check_key(data_dir)
        store = config.store.build(data_dir=data_dir)
        stack.push_async_callback(store.close)
        is_shared = isinstance(store, SharedStore)
        key = await shared_key(data_dir, store) if is_shared else installation_key(data_dir)
        log = WriteAheadLog(data_dir / "log", config.log)
        stack.callback(log.close)
        ingesting = stack.enter_context(ThreadPoolExecutor(1, "ingest"))
        detecting = stack.enter_context(ThreadPoolExecutor(1, "detect"))
        keeping = stack.enter_context(ThreadPoolExecutor(1, "upkeep"))
        queries = stack.enter_context(ThreadPoolExecutor(2, "query"))

        enrich = Enrich(config.enrich)
        catalog = Catalog(key, config.catalog, enrich)
        catalog.open(data_dir / "catalog", clock.now_ns())
        stack.callback(catalog.close)
        lake = config.lake.build(directory=data_dir / "lake", catalog=catalog)
        stack.callback(lake.close)
        tables = open_tables(data_dir / "tables", config.logs, config.spans)
        stack.callback(tables.close)
        details = open_details(data_dir / "tables", config.histograms, config.exemplars)
        stack.callback(details.close)
        bus = config.bus.build(
            ports=Ports(
                clock=clock,
                data_dir=data_dir,
                disk=Files(),
                log=log,
                catalog=catalog,
                installation=fingerprint(key),
            )
        )
        stack.push_async_callback(bus.close)
        await bus.open()
        await bus.release(0, ())  # others may: what we have stored is not known to them yet

        receivers = {name: chosen.build() for name, chosen in config.receivers.items()}
        admission = Admission(
            config.ingest.admit,
            config.catalog.n_slots,
            resumes_sums=config.bus.use == "memory",  # only then the door's records are replayed
        )
        rows = RowAdmission(config.ingest.rows, enrich)
        families = FamilyTable()
        preparer = Preparer(receivers, catalog, admission, rows, families)
        await asyncio.get_running_loop().run_in_executor(
            ingesting, recover, preparer, data_dir, lambda: _records(log)
        )

        decoding = Decoding(config.ingest.decoding, _text_receivers(config))
        stack.callback(decoding.close)
        ingest = Ingest(
            config.ingest, preparer, decoding=decoding, bus=bus, clock=clock, executor=ingesting
        )
        ingest.position = log.last
        tracer = Tracer(config.telemetry.trace_share, clock.now_ns)
        own_traces = OwnTraces(tracer, ingest, clock, TenantId(config.server.default_tenant))
        read, scored = (Quantiles(catalog, capacity=config.catalog.n_slots) for _ in range(2))
        storing = StoreStage(lake, NO_SAMPLES, of=Derivation(read))
        logging = StoreStage(tables.logs, nothing(LOGS), name="logs")
        tracing = StoreStage(tables.spans, nothing(SPANS), name="spans")
        named = Named(catalog)
        shaping = StoreStage(
            details.histograms, NO_HISTOGRAMS, name="histograms", of=named.histograms
        )
        sampling = StoreStage(details.exemplars, NO_EXEMPLARS, name="exemplars", of=named.exemplars)
        noting = ChangeStage(store)
        detectors = [
            plugins.build("detector", spec, capacity=config.catalog.n_slots)
            for spec in config.detection.detectors
        ]
        detect = DetectStage(
            detectors, catalog=catalog, store=store, executor=detecting, quantiles=scored
        )
        loops = {
            "store": Loop(storing, bus, clock, config.runtime, after=lake.stored()),
            "logs": Loop(logging, bus, clock, config.runtime, after=tables.logs.stored()),
            "spans": Loop(tracing, bus, clock, config.runtime, after=tables.spans.stored()),
            "histograms": Loop(shaping, bus, clock, config.runtime, after=shaping.position),
            "exemplars": Loop(sampling, bus, clock, config.runtime, after=sampling.position),
            "changes": Loop(noting, bus, clock, config.runtime),
            "detect": Loop(detect, bus, clock, config.runtime),
        }
        relay = Relay(store, bus, clock)
        around = Surroundings(keeping, clock, data_dir, ("detect", "changes"))
        kept = (lake, tables.logs, tables.spans, details.histograms, details.exemplars)
        upkeep = Upkeep(config.upkeep, around, ingest=ingest, preparer=preparer, kept=kept, bus=bus)
        sharing = None
        if config.share.url is not None:
            share = _share(config.share, key)
            stack.push_async_callback(share.close)
            sources = Sources(bus, catalog, detect, clock, keeping)
            sharing = Sharing(config.share, config.runtime, share, sources)
        services = Services(
            config=config.server,
            ingest=ingest,
            lake=lake,
            store=store,
            bus=bus,
            clock=clock,
            queries=queries,
            caught_up=storing.caught_up,
            logs=Readable(tables.logs, logging.caught_up),
            spans=Readable(tables.spans, tracing.caught_up),
            exemplars=Readable(details.exemplars, sampling.caught_up),
            families=families,
            changes_caught_up=noting.caught_up,
            auth=config.auth,
            checks=lambda: _checks(data_dir, log, loops, ingest),
        )
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(ingest.run())
            looping = [tasks.create_task(loop.run()) for loop in loops.values()]
            beside = [tasks.create_task(upkeep.run()), tasks.create_task(relay.run())]
            if sharing is not None:
                beside.append(tasks.create_task(sharing.run()))
            telling = tasks.create_task(own_traces.run())
            try:
                yield App(services, loops, catalog, tracer)
            finally:  # in the order in which records flow, so that nothing is left on the way
                telling.cancel()
                await asyncio.wait([telling])
                ingest.close()
                await asyncio.wait([accepting])
                for loop in loops.values():
                    loop.stop()
                await asyncio.wait(looping)
                for task in beside:
                    task.cancel()
                await asyncio.wait(beside)
                await upkeep.finish(clock.now_ns())


def _text_receivers(config: Config) -> dict[str, Chosen]:
    """Those that make rows: their bodies may be decoded beside the door."""
    return {
        name: chosen
        for name, chosen in config.receivers.items()
        if plugins.load("receiver", chosen.use).makes != "samples"
    }


def _share(config: ShareConfig, key: bytes) -> Share:
    from watchkeeper.bus.redis_share import RedisShare  # few need its driver

    return RedisShare(config, fingerprint(key))


def _records(log: WriteAheadLog) -> Iterator[tuple[int, Logged]]:
    return ((position, wire.decode(payload)) for position, payload in log.read(0))


def serve(config: Config) -> int:
    """Run until SIGINT or SIGTERM; the exit status."""
    telemetry.set_up_log(config.telemetry)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config))
    return 0


async def _serve(config: Config) -> None:
    listener = _listen(config.server.host, config.server.port)
    host, port = listener.getsockname()[:2]
    with contextlib.closing(listener):
        async with running(config) as app, AsyncExitStack() as beside:
            front = Front(app.services)
            traced = Traced(front, app.tracer)
            if config.server.grpc_port is not None:
                listening = grpc.serving(traced, config.server)
                _log.info("listening for gRPC", port=await beside.enter_async_context(listening))
            server = _Server(
                uvicorn.Config(
                    traced,
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                    proxy_headers=False,
                    server_header=False,
                    timeout_graceful_shutdown=round(config.server.stop_s),
                    timeout_keep_alive=75,
                )
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, _stop, server, app.services)
            gc.collect()
            gc.freeze()  # modules and services live as long as we do: not to be looked at again
            shown = f"[{host}]" if ":" in host else host
            asks = "nobody from this machine" if front.gate.lets_local_in else "everybody"
            _log.info(
                "listening",
                version=__version__,
                url=f"http://{shown}:{port}",
                must_show_a_key=asks,
            )
            await server.serve(sockets=[listener])
            _log.info("stopping")
    _log.info("stopped")


def _stop(server: uvicorn.Server, services: Services) -> None:
    services.stopping.set()
    server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves signals to us: its own way would end the process before anything is saved."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"server: cannot listen on {host}:{port}: {error.strerror}; stop what listens there, "
            "or choose another server.port (0 takes a free one)"
        ) from error
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def _checks(
    data_dir: Path, log: WriteAheadLog, loops: dict[str, Loop], ingest: Ingest
) -> list[Check]:
    """What /health says."""
    free = shutil.disk_usage(data_dir).free
    checks = [
        Check(
            "disk",
            free >= LOW_DISK_BYTES,
            f"{free >> 20} MiB free at '{data_dir}'; below {LOW_DISK_BYTES >> 20} MiB free some",
        ),
        Check(
            "log",
            not log.damage and ingest.refusal is None,
            ingest.refusal
            or (f"{len(log.damage)} damaged stretches; see {data_dir}/log/damaged" if log.damage
                else f"{log.size_bytes >> 20} MiB, position {log.last}"),
        ),
    ]  # fmt: skip
    for name, loop in loops.items():
        lag = log.last - loop.position
        dead = f", {len(loop.dead)} put aside" if loop.dead else ""
        checks.append(
            Check(name, lag <= LAG_LIMIT_RECORDS and not loop.dead, f"{lag} records behind{dead}")
        )
    return checks
