"""The composition root: the one module that knows everything. Starts it all, and stops it.

One process does everything: the door, the log, the lake, detection and the API. Where the bus
carries records between processes there is no log of our own, and each process is some of the parts;
`parts.py` builds them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
import uvloop

from watchkeeper import __version__, telemetry
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.finding_stage import FindingStage
from watchkeeper.api import grpc
from watchkeeper.api.app import Front
from watchkeeper.api.services import Services
from watchkeeper.api.traced import Traced
from watchkeeper.clock import Clock, SystemClock
from watchkeeper.config.sections import Config
from watchkeeper.errors import ConfigError
from watchkeeper.ingest.own_traces_stage import OwnTraces
from watchkeeper.lake.series import Catalog
from watchkeeper.model.part import Part
from watchkeeper.parts.decide import log_of
from watchkeeper.parts.detect import judging, sharing
from watchkeeper.parts.door import heartbeats_of, open_door
from watchkeeper.parts.ground import lay_ground, open_bus
from watchkeeper.parts.keep import asking, keeping, open_keep, recorder_of, upkeep_of
from watchkeeper.parts.serve import services_of
from watchkeeper.runtime import Loop, Relay
from watchkeeper.telemetry import Tracer

_log: Final = telemetry.Log(__name__)
Running = Callable[[], Coroutine[Any, Any, None]]


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
    async with AsyncExitStack() as stack:
        ground = await lay_ground(config, clock or SystemClock(), stack)
        spare = ground.thread("upkeep")
        keep = open_keep(ground) if ground.has(Part.STORE) else None
        bus = await open_bus(ground)
        door = await open_door(ground, bus) if ground.has(Part.INGEST) else None
        reading = asking(ground) if keep is None else keeping(ground, keep, bus)
        loops = dict(reading.loops)
        beside: list[Running] = []
        detect: DetectStage | None = None
        if ground.has(Part.DETECT):
            detect = judging(ground)
            loops[detect.name] = Loop(detect, bus, ground.clock, config.runtime)
            if keep is not None:  # of all that share the work one, so that nothing is told twice
                beside += sharing(ground, bus, detect, spare)
        if ground.log is not None:
            beside.append(recorder_of(ground, bus, spare).run)
        if loops:  # then something is saved here, and to be announced
            beside.append(Relay(ground.store, bus, ground.clock).run)
        tracer = Tracer(config.telemetry.trace_share if door else 0.0, ground.clock.now_ns)
        if door is not None:
            waiting = heartbeats_of(ground, door)
            telling = OwnTraces(tracer, door.ingest, ground.clock, ground.tenant)
        writing: list[Running] = [] if door is None else [telling.run, waiting.run]
        if keep is not None:
            finding = FindingStage(
                log_of(ground, bus, None if door is None else door.ingest), ground.clock
            )
            writing.append(Loop(finding, bus, ground.clock, config.runtime).run)
        upkeep = upkeep_of(ground, bus, spare, door, keep, loops)
        app = App(
            services_of(ground, bus, door, reading, loops, detect), loops, ground.catalog, tracer
        )
        async with asyncio.TaskGroup() as tasks:
            entering = [] if door is None else [tasks.create_task(door.ingest.run())]
            looping = [tasks.create_task(loop.run()) for loop in loops.values()]
            others = [tasks.create_task(run()) for run in (upkeep.run, *beside)]
            own = [tasks.create_task(run()) for run in writing]
            try:
                yield app
            finally:  # in the order in which records flow, so that nothing is left on the way
                await _cancelled(own)
                if door is not None:
                    door.ingest.close()
                await _over(entering)
                for loop in loops.values():
                    loop.stop()
                await _over(looping)
                await _cancelled(others)
                await upkeep.finish(ground.clock.now_ns())


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await _over(tasks)


async def _over(tasks: Sequence[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(tasks)


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
            if config.server.grpc_port is not None and Part.INGEST in config.parts:
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
                parts=",".join(config.parts),
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
