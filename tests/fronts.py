"""The HTTP API over small parts: real stores and a real bus, a door and a lake that write down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np

from tests.buses import MemoryWorld
from tests.handling import stage_of
from watchkeeper import plugins
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.incident_stage import IncidentStage
from watchkeeper.analyze.template_groups import TemplatesConfig
from watchkeeper.analyze.template_stage import TemplateStage
from watchkeeper.api.app import Front
from watchkeeper.api.auth import AuthConfig
from watchkeeper.api.services import Check, Readable, ServerConfig, Services
from watchkeeper.bus.base import ANOMALIES, MIXED, SAMPLES, Bus, Delivery
from watchkeeper.clock import FakeClock
from watchkeeper.config.sections import SECTIONS
from watchkeeper.config.sent import built, read, written
from watchkeeper.ingest.change_stage import ChangeStage
from watchkeeper.ingest.prepare import Accepted, Request
from watchkeeper.ingest.stage import Ingest
from watchkeeper.know.decisions_stage import Decisions
from watchkeeper.lake.base import Frame, Lake, SampleQuery, SeriesQuery
from watchkeeper.lake.tables.config import LogsConfig, SpansConfig
from watchkeeper.lake.tables.tables import Tables, open_tables
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.series import Series, SeriesId, TenantId
from watchkeeper.model.signal import Logged
from watchkeeper.model.topology_set import TopologyDocument, check
from watchkeeper.store.base import Store

NOTHING = Frame((), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.float64))


@dataclass
class Door:
    """Takes every body in, or answers as it is told, or as what is behind it does."""

    position: int = 0
    answer: Accepted | Exception = field(default_factory=lambda: Accepted(1))
    came: list[Request] = field(default_factory=list)
    behind: Callable[[Request], Awaitable[Accepted]] | None = None

    async def accept(self, request: Request) -> Accepted:
        self.came.append(request)
        if self.behind is not None:
            return await self.behind(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Deciding:
    """Brings what people decide into the log, and out of it into the store."""

    bus: Bus
    stage: ChangeStage
    incidents: IncidentStage
    file: str = field(default_factory=lambda: written(SECTIONS["detection"].type()()))
    logged: list[Logged] = field(default_factory=list)
    known: dict[SeriesId, Series] = field(default_factory=dict)

    async def log(self, record: Logged) -> int:
        position = await self.bus.publish(SAMPLES, [record])
        self.logged.append(record)
        for one in (self.stage, self.incidents):
            await one.handle([Delivery(MIXED, position, record)])
        return position

    async def caught_up(self, position: int) -> bool:
        return await self.stage.caught_up(position)

    def partition_of(self, tenant: TenantId, service: str) -> int:
        return 7

    def series(self, identity: SeriesId) -> Series | None:
        return self.known.get(identity)

    def read(self, body: bytes, media: str) -> str:
        return written(read("detection", body, media))

    def read_topology(self, body: bytes, media: str) -> TopologyDocument:
        return built(TopologyDocument, body, media, check)


@dataclass
class Answers:
    """A lake with one answer, which writes down what it is asked."""

    frame: Frame = NOTHING
    asked: list[SampleQuery] = field(default_factory=list)
    refusal: Exception | None = None

    def query(self, query: SampleQuery) -> Frame:
        self.asked.append(query)
        if self.refusal is not None:
            raise self.refusal
        return self.frame

    def series(self, query: SeriesQuery) -> Sequence[Mapping[str, str]]:
        return self.frame.labels


@dataclass
class Api:
    """A front, what lies behind it, and a client that speaks to it."""

    http: httpx.AsyncClient
    front: Front
    clock: FakeClock
    store: Store
    bus: Bus
    door: Door
    lake: Answers
    tables: Tables
    templates: TemplateStage
    checks: list[Check]
    waited_for: list[int]
    """Positions that answers were held back for."""
    deciding: Deciding

    async def save(self, *anomalies: Anomaly) -> None:
        """Into the store, and out of its outbox onto the bus."""
        before = await self.store.save([])
        await self.store.save(anomalies)
        await self.bus.publish(ANOMALIES, await self.store.events(before, 1000))

    async def get(self, path: str, **asked: str) -> Any:
        answer = await self.http.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @asynccontextmanager
    async def streaming(
        self, peer: str = "127.0.0.1", path: str = "/api/v1/anomalies/stream", **headers: str
    ) -> AsyncIterator[Stream]:
        """The stream of anomalies, as a browser has it open."""
        stream = Stream()
        scope = {**_scope(path, headers), "client": (peer, 4711)}
        serving = asyncio.create_task(self.front(scope, stream.receive, stream.send))
        stream.serving = serving
        try:
            yield stream
        finally:
            serving.cancel()
            await asyncio.wait({serving})


class Stream:
    """What came of an answer that does not end."""

    def __init__(self) -> None:
        self.text = ""
        self.head: Mapping[str, Any] = {}
        self.serving: asyncio.Task[None] | None = None
        self._came = asyncio.Event()

    async def receive(self) -> Mapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.head = message
        self.text += message.get("body", b"").decode()
        self._came.set()

    async def until(self, is_so: Callable[[str], bool]) -> str:
        """The text as soon as it is so."""
        async with asyncio.timeout(3):
            while not is_so(self.text):
                self._came.clear()
                await self._came.wait()
        return self.text

    async def events(self, n: int) -> list[dict[str, str]]:
        """The first `n` events, each as its fields."""
        text = await self.until(lambda text: text.count("data: ") >= n)
        blocks = [block for block in text.split("\n\n") if "data: " in block]
        return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks[:n]]


@asynccontextmanager
async def api(
    folder: Path,
    *,
    store: str = "memory",
    auth: AuthConfig | None = None,
    peer: str = "127.0.0.1",
    stored_to: int = 1 << 62,
    detect: DetectStage | None = None,
    **server: Any,
) -> AsyncIterator[Api]:
    """The API, asked from `peer`; `server` are settings of its section. Nobody waits for long for
    what is not stored."""
    config, clock, door, lake = ServerConfig(**server), FakeClock(), Door(), Answers()
    checks: list[Check] = []
    waited_for: list[int] = []

    async def caught_up(position: int) -> bool:
        waited_for.append(position)
        return position <= stored_to

    async def told() -> list[Check]:
        return checks

    async def newest() -> int:
        return door.position

    world = MemoryWorld(folder)
    bus = await world.start()
    kept: Store = plugins.build("store", {"use": store}, data_dir=folder)
    tables = open_tables(folder / "tables", LogsConfig(), SpansConfig())
    with ThreadPoolExecutor(1) as queries:
        templates = TemplateStage(TemplatesConfig(), lambda _tenant, _service: 0, queries)
        incidents = stage_of(kept, queries, clock=clock)
        deciding = Deciding(bus, ChangeStage(kept, Decisions(kept, clock)), incidents)
        services = Services(
            config=config,
            ingest=cast(Ingest, door),
            lake=cast(Lake, lake),
            store=kept,
            bus=bus,
            clock=clock,
            queries=queries,
            caught_up=caught_up,
            logs=Readable(tables.logs, caught_up),
            templates=templates,
            spans=Readable(tables.spans, caught_up),
            changes_caught_up=caught_up,
            incidents_caught_up=caught_up,
            auth=auth or AuthConfig(),
            deciding=deciding,
            checks=told,
            newest=newest,
            detect=detect,
        )
        front = Front(services)
        transport = httpx.ASGITransport(
            app=cast(Any, front), raise_app_exceptions=False, client=(peer, 4711)
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield Api(
                http,
                front,
                clock,
                kept,
                bus,
                door,
                lake,
                tables,
                templates,
                checks,
                waited_for,
                deciding,
            )
    await kept.close()
    await world.stop()


def _scope(path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), text.encode("latin-1"))
           for name, text in headers.items()]  # fmt: skip
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": raw,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("api", 80),
        "client": ("127.0.0.1", 1),
        "asgi": {"version": "3.0"},
    }
