"""Detection in a process of its own: `python -m tests.integration.judging judge URL PREFIX DIR`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from tests.integration.ports import catalog, redis_bus
from tests.rhythm import BEGIN_S, STEP_S, body, latency, minutes
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.bus.base import SAMPLES, Bus
from watchkeeper.clock import NS_PER_S, SystemClock
from watchkeeper.ingest.admit import Admission, AdmitConfig
from watchkeeper.ingest.admit_rows import AdmitRowsConfig, RowAdmission
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.prepare import Preparer, Request
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.lake.series import Catalog
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import Logged, Tick
from watchkeeper.runtime import Loop, RuntimeConfig
from watchkeeper.sdk import remote_write
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

SERVICES = 6
SICK = range(2880, 2910)
END = 2940
BOTH = DetectionConfig(detectors=[{"use": "basic"}, {"use": "fk"}])
CONFIG = RuntimeConfig(checkpoint_records=200, lease_s=2.0, retry_s=0.05)


def traffic(known: Catalog) -> Iterator[list[Logged]]:
    """Groups as the door makes them of two days of latencies, in which two services fall ill."""
    admission = Admission(AdmitConfig(), 1010)
    rows_admission = RowAdmission(AdmitRowsConfig(), Enrich())
    preparer = Preparer({"remote_write": RemoteWrite()}, known, admission, rows_admission)
    for some in minutes(0, END, 30):
        rows = [
            (
                {"__name__": "request_latency_ms", "service": f"s{number}"},
                minute,
                latency(minute, seed=number) * (4.0 if number < 2 and minute in SICK else 1.0),
            )
            for number in range(SERVICES)
            for minute in some
        ]
        now_ns = (BEGIN_S + some[-1] * STEP_S) * NS_PER_S
        request = Request("remote_write", body(rows), remote_write.HEADERS, DEFAULT_TENANT)
        (batch,) = preparer.prepare(request, now_ns).records
        series = preparer.unlogged()
        preparer.logged(len(series))
        yield [*series, Tick(now_ns), batch]


async def send(bus: Bus, known: Catalog) -> int:
    """Publish it all; the last position."""
    position = 0
    for group in traffic(known):
        position = await bus.publish(SAMPLES, group)
    return position


async def judge(bus: Bus, known: Catalog, enough: int) -> list[dict[str, Any]]:
    """What detection finds until `enough` episodes have begun and ended."""
    store = MemoryStore(MemoryStore.Config())
    with ThreadPoolExecutor(1) as executor:
        stage = DetectStage(BOTH, catalog=known, store=store, executor=executor)
        loop = Loop(stage, bus, SystemClock(), CONFIG)
        running = asyncio.create_task(loop.run())
        async with asyncio.timeout(90):
            while len(found := await closed(store)) < enough:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        loop.stop()
        await running
    return found


async def closed(store: MemoryStore) -> list[dict[str, Any]]:
    """Episodes that ended, without what differs by how the log is cut."""
    page = await store.list(Anomaly, Filter(DEFAULT_TENANT, status="closed", limit=1000))
    found: list[dict[str, Any]] = [msgspec.to_builtins(anomaly) for anomaly in page.items]
    for anomaly in found:
        del anomaly["position"]
    return sorted(found, key=lambda anomaly: str(anomaly["id"]))


async def main(role: str, url: str, prefix: str, folder: str, enough: str) -> None:
    known = catalog()
    bus = redis_bus(url, prefix, Path(folder), known)
    await bus.open()
    if role == "send":
        await send(bus, known)
    else:
        print(json.dumps(await judge(bus, known, int(enough))), flush=True)
    await bus.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
