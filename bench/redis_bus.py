"""What it costs to have the log between processes: `python -m bench.redis_bus`.

Groups of samples are published and taken, over the log of one process and over a Redis that syncs
each write; by CPU of this process and of the server, per sample. And what a renewal of all leases
takes. No suite: there is nobody beside whom to measure it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers import free_port
from watchkeeper import plugins
from watchkeeper.bus.base import SAMPLES, Bus
from watchkeeper.bus.ports import Ports
from watchkeeper.clock import NS_PER_S, SystemClock
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.lake.files import Files
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.lake.wal import WriteAheadLog
from watchkeeper.model.series import DEFAULT_TENANT, I32, N_PARTITIONS
from watchkeeper.model.signal import Logged, NewSeries, SampleBatch
from watchkeeper.sdk import TimeSeries, remote_write

N_SERIES: Final = 20_000
N_SERVICES: Final = 200
SAMPLES_PER_BODY: Final = 2_000
BODIES_PER_GROUP: Final = 5
N_GROUPS: Final = 200
N_RENEWALS: Final = 200


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU in microseconds per sample."""

    publish_us: float
    take_us: float
    server_us: float


def register(catalog: Catalog) -> tuple[NewSeries, I32]:
    """Twenty thousand series of two hundred services."""
    now_ns = time.time_ns()
    series = [
        TimeSeries(
            {"__name__": "value", "service": f"s{n % N_SERVICES}", "n": str(n)},
            np.array([now_ns // 10**6]),
            np.array([1.0]),
        )
        for n in range(N_SERIES)
    ]
    body = remote_write.encode(series)
    wire = RemoteWrite().decode(body, remote_write.HEADERS, now_ns=now_ns)
    found = catalog.resolve(DEFAULT_TENANT, wire, now_ns)
    assert found.new is not None
    return found.new, found.slots


def groups(slots: I32) -> Iterator[list[Logged]]:
    chance = np.random.default_rng(1)
    for n in range(N_GROUPS):
        time_ns = time.time_ns() + n * NS_PER_S + np.zeros(SAMPLES_PER_BODY, np.int64)
        yield [
            SampleBatch(
                DEFAULT_TENANT,
                np.roll(slots, -k * SAMPLES_PER_BODY)[:SAMPLES_PER_BODY],
                time_ns,
                chance.normal(size=SAMPLES_PER_BODY),
                chance.bytes(16),
            )
            for k in range(BODIES_PER_GROUP)
        ]


async def measure(bus: Bus, new: NewSeries, sent: Sequence[Sequence[Logged]], pid: int) -> Cost:
    await bus.open()
    await bus.publish(SAMPLES, [new, *sent[0]])
    server_s = cpu_s(pid)
    begin_s = time.process_time()
    for group in sent[1:]:
        await bus.publish(SAMPLES, group)
    published_s = time.process_time()
    n_taken, position = 0, 0
    while took := await bus.take(SAMPLES, dict.fromkeys(range(N_PARTITIONS), position), wait_s=0):
        position = took[-1].position
        n_taken += sum(len(one.record) for one in took if isinstance(one.record, SampleBatch))
    taken_s = time.process_time()
    n_sent = sum(len(one) for group in sent for one in group if isinstance(one, SampleBatch))
    assert n_taken == n_sent
    n_timed = (len(sent) - 1) * BODIES_PER_GROUP * SAMPLES_PER_BODY
    return Cost(
        (published_s - begin_s) / n_timed * 1e6,
        (taken_s - published_s) / n_taken * 1e6,
        (cpu_s(pid) - server_s) / n_timed * 1e6,
    )


async def renewals(bus: Bus) -> float:
    """Milliseconds of wall time for all leases of a group."""
    await bus.lease(SAMPLES, "detect", 60)
    begin_s = time.perf_counter()
    for _ in range(N_RENEWALS):
        await bus.lease(SAMPLES, "detect", 60)
    return (time.perf_counter() - begin_s) / N_RENEWALS * 1e3


def cpu_s(pid: int) -> float:
    """Of another process; 0 of none."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def redis(folder: Path) -> Iterator[tuple[str, int]]:
    """A server that syncs each write: its address and process."""
    port = free_port()
    folder.mkdir()
    options = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save"]
    command = ["redis-server", *options, "", "--port", str(port), "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        next(line for line in server.stdout if "Ready to accept" in line)
        yield f"redis://127.0.0.1:{port}/0", server.pid
    finally:
        server.terminate()
        server.communicate()


async def run(folder: Path) -> None:
    with ExitStack() as stack:
        url, pid = stack.enter_context(redis(folder / "redis"))
        for name in ("memory", "redis"):
            catalog = Catalog(bytes(16), CatalogConfig(max_series=2 * N_SERIES), Enrich())
            new, slots = register(catalog)
            log = WriteAheadLog(folder / name)
            settings: dict[str, Any] = {"use": "redis", "url": url} if name == "redis" else {
                "use": "memory", "tail_bytes": 1 << 30,
            }  # fmt: skip
            ports = Ports(
                clock=SystemClock(), data_dir=folder, disk=Files(), catalog=catalog, log=log
            )
            bus: Bus = plugins.build("bus", settings, ports=ports)
            cost = await measure(bus, new, list(groups(slots)), pid if name == "redis" else 0)
            print(f"{name}: {cost}, {await renewals(bus):.2f} ms for all leases", flush=True)
            await bus.close()
            log.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(run(Path(scratch)))
