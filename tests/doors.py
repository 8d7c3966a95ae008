"""The door in its natural surroundings: a real log, catalog, bus and lake; time is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import lakes
from tests.disks import Inline, UnsyncedFiles
from tests.make import NS_PER_S, START_NS
from watchkeeper.bus.base import MIXED, SAMPLES, Bus
from watchkeeper.bus.memory import MemoryBus
from watchkeeper.bus.ports import Ports
from watchkeeper.clock import FakeClock
from watchkeeper.errors import Retryable
from watchkeeper.ingest.admit import Admission
from watchkeeper.ingest.admit_rows import RowAdmission
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.prepare import Accepted, Preparer, Request
from watchkeeper.ingest.receivers.alerts_json import AlertsJson
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.ingest.receivers.deployment import Deployment
from watchkeeper.ingest.receivers.heartbeat import Beat, Heartbeat, HeartbeatConfig
from watchkeeper.ingest.receivers.logs_json import LogsJson
from watchkeeper.ingest.receivers.loki import Loki
from watchkeeper.ingest.receivers.metrics_json import MetricsJson
from watchkeeper.ingest.receivers.otlp_logs import OtlpLogs
from watchkeeper.ingest.receivers.otlp_metrics import OtlpMetrics
from watchkeeper.ingest.receivers.otlp_traces import OtlpTraces
from watchkeeper.ingest.receivers.telemetry_records import TelemetryRecords
from watchkeeper.ingest.stage import Ingest, IngestConfig
from watchkeeper.ingest.store_stage import NO_SAMPLES, StoreStage
from watchkeeper.ingest.upkeep_stage import Surroundings, Upkeep, UpkeepConfig, recover
from watchkeeper.lake.base import Lake
from watchkeeper.lake.files import Files
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.lake.wal import WalConfig, WriteAheadLog
from watchkeeper.model import wire
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.signal import Logged, SampleBatch

KEY = bytes(range(16))
BACKUP = Beat(every_s=60, grace_s=30, service="db", severity="error", labels={"site": "eu"})
"""A heartbeat that the door waits for."""
Said = tuple[dict[str, str], float, float]
"""A sample in words: labels, seconds after the start, value."""


def body(*samples: tuple[str, float, float], **labels: str) -> bytes:
    """Plain JSON of (name, seconds after the start, value)."""
    metrics = [
        {
            "name": name,
            "value": value,
            "timestamp": START_NS + round(after_s * NS_PER_S),
            "labels": labels,
        }
        for name, after_s, value in samples
    ]
    return json.dumps({"metrics": metrics}).encode()


class Bell(FakeClock):
    """A clock that knows how many wait for it, so that a test can wait for them in turn."""

    n_asleep = 0

    async def sleep(self, seconds: float) -> None:
        self.n_asleep += 1
        try:
            await super().sleep(seconds)
        finally:
            self.n_asleep -= 1


class Gate:
    """In front of a bus: refuses while `full`, fails while `mistaken`, holds whoever appends from
    `hold` to `let_go`."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.full = False
        self.mistaken = False
        self.groups: list[Sequence[Logged]] = []
        self._go_on = threading.Event()
        self._reached = threading.Event()
        self._go_on.set()

    def hold(self) -> None:
        self._reached.clear()
        self._go_on.clear()

    def let_go(self) -> None:
        self._go_on.set()

    async def is_reached(self) -> None:
        """A group stands in front of the log."""
        assert await asyncio.to_thread(self._reached.wait, 10)

    def append(self, records: Sequence[Logged]) -> int:
        self._reached.set()
        assert self._go_on.wait(10)
        if self.full:
            raise Retryable("log: no space left on the device")
        if self.mistaken:
            raise ZeroDivisionError
        position = self.bus.append(records)
        self.groups.append(records)
        return position

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bus, name)


@dataclass
class House:
    """One process of ours, without detection and without a network."""

    folder: Path
    clock: Bell
    log: WriteAheadLog
    catalog: Catalog
    lake: Lake
    gate: Gate
    preparer: Preparer
    ingest: Ingest
    keeper: Callable[..., Upkeep]
    """Upkeep of another lake."""
    upkeep: Upkeep
    storing: StoreStage[SampleBatch]
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def sending(
        self,
        content: bytes,
        *,
        protocol: str = "metrics_json",
        headers: Mapping[str, str] | None = None,
        tenant: TenantId = DEFAULT_TENANT,
    ) -> asyncio.Task[Accepted]:
        request = Request(protocol, content, headers or {}, tenant)
        return asyncio.create_task(self.ingest.accept(request))

    async def send(self, content: bytes, **how: Any) -> Accepted:
        return await asyncio.wait_for(self.sending(content, **how), 10)

    async def behind(self, *contents: bytes, **how: Any) -> list[asyncio.Task[Accepted]]:
        """A first body stands in front of the log, and these wait behind it, to be let go."""
        self.gate.hold()
        first = self.sending(body(("first", 0, 0)))
        await self.gate.is_reached()
        others = [self.sending(content, **how) for content in contents]
        await asyncio.sleep(0)
        return [first, *others]

    async def store(self) -> None:
        """Let the lake have what is in the log."""
        while self.storing.position < self.log.last:
            deliveries = await self.gate.take(SAMPLES, {MIXED: self.storing.position}, wait_s=1)
            await self.storing.handle(deliveries)

    def records(self) -> list[Logged]:
        """All that the log holds."""
        return [wire.decode(bytes(payload)) for _, payload in self.log.read(0)]

    def samples(self) -> list[Said]:
        """What the log says, in its order, in words."""
        said: list[Said] = []
        for record in self.records():
            if isinstance(record, SampleBatch):
                labels = self.catalog.labels(record.slot)
                times = ((record.time_ns - START_NS) / NS_PER_S).tolist()
                said += zip(labels, times, record.value.tolist(), strict=True)
        return said


@asynccontextmanager
async def house(
    folder: Path,
    *,
    clock: Bell | None = None,
    disk: Files | None = None,
    ingest: IngestConfig | None = None,
    upkeep: UpkeepConfig | None = None,
    wal: WalConfig | None = None,
) -> AsyncIterator[House]:
    """Open what a folder holds. Leaving is a crash: nothing is saved unless a test saves it."""
    clock, disk, config = clock or Bell(), disk or UnsyncedFiles(), ingest or IngestConfig()
    limits = wal or WalConfig(segment_bytes=1 << 16)
    log = WriteAheadLog(folder / "log", limits, files=disk, executor=Inline())
    settings = CatalogConfig(max_series=200, max_donors=10)
    catalog = Catalog(KEY, settings, Enrich())
    catalog.open(folder / "catalog", clock.now_ns(), disk)
    lake: Lake = lakes.build("disk", folder / "lake", catalog, files=disk, head_rows=4096)
    ports = Ports(clock=clock, data_dir=folder, disk=disk, log=log, catalog=catalog)
    gate = Gate(MemoryBus(MemoryBus.Config(), ports=ports))
    receivers: dict[str, Receiver] = {
        "metrics_json": MetricsJson(seed=1),
        "otlp_metrics": OtlpMetrics(seed=2),
        "otlp_traces": OtlpTraces(),
        "telemetry_records": TelemetryRecords(),
        "otlp_logs": OtlpLogs(),
        "loki": Loki(),
        "logs_json": LogsJson(),
        "deployment": Deployment(),
        "alerts_json": AlertsJson(),
        "heartbeat": Heartbeat(HeartbeatConfig(beats={"backup": BACKUP})),
    }
    admission = Admission(config.admit, settings.n_slots)
    preparer = Preparer(receivers, catalog, admission, RowAdmission(config.rows, Enrich()))
    recover(preparer, folder, lambda: ((at, wire.decode(bytes(p))) for at, p in log.read(0)))
    with ThreadPoolExecutor(1) as ingesting, ThreadPoolExecutor(1) as keeping:
        door = Ingest(config, preparer, bus=gate, clock=clock, executor=ingesting)
        door.position = log.last

        def keeper(*of: Any) -> Upkeep:
            around = Surroundings(keeping, clock, folder, ())
            return Upkeep(
                upkeep or UpkeepConfig(),
                around,
                ingest=door,
                preparer=preparer,
                kept=of,
                bus=gate,
            )

        one = House(
            folder,
            clock,
            log,
            catalog,
            lake,
            gate,
            preparer,
            door,
            keeper,
            keeper(lake),
            StoreStage(lake, NO_SAMPLES),
        )
        accepting = asyncio.create_task(door.run())
        try:
            yield one
        finally:
            gate.let_go()
            door.close()
            clock.advance(1)
            await asyncio.wait_for(accepting, 10)
            for task in one.tasks:
                task.cancel()
            await asyncio.gather(*one.tasks, return_exceptions=True)
            await gate.close()
            lake.close()
            catalog.close()
            log.close()
