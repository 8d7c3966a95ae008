"""Each bus in its natural surroundings, to be started, stopped and started again by a test."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tests import make
from tests.catalogs import ToyCatalog
from tests.disks import UnsyncedFiles
from watchkeeper import plugins
from watchkeeper.bus.base import Bus, Delivery
from watchkeeper.bus.ports import Ports, SeriesCatalog
from watchkeeper.clock import FakeClock
from watchkeeper.lake.files import Files
from watchkeeper.lake.wal import WalConfig, WriteAheadLog
from watchkeeper.model.row import Origin
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import DetailBatch, NewSeries, RowBatch, SampleBatch
from watchkeeper.telemetry import Secret

FROM_THE_START = dict.fromkeys(range(N_PARTITIONS), 0)
Row = tuple[str, int, bytes]
"""A sample as every process sees it: identity in hex, time, the value's bytes."""


class World(Protocol):
    """What lies around a bus. `catalog` is the process' own."""

    catalog: ToyCatalog

    async def start(self, **settings: Any) -> Bus:
        """A process with a bus; the one before it is stopped."""
        ...

    async def stop(self) -> None: ...


class MemoryWorld:
    def __init__(self, folder: Path, *, small: bool = False, disk: Files | None = None) -> None:
        self.catalog = ToyCatalog()
        self.log: WriteAheadLog | None = None
        self._disk = disk or UnsyncedFiles()
        self._folder = folder
        self._bus: Bus | None = None
        self._limits = WalConfig(segment_bytes=4096, limit_bytes=32768) if small else WalConfig()

    async def start(self, **settings: Any) -> Bus:
        await self.stop()
        self.log = WriteAheadLog(self._folder / "log", self._limits, files=self._disk)
        ports = Ports(
            clock=FakeClock(),
            data_dir=self._folder,
            disk=self._disk,
            log=self.log,
            catalog=self.catalog,
        )
        plugin = plugins.load("bus", "memory")
        self._bus = plugin(plugin.Config(**settings), ports=ports)
        return self._bus

    async def stop(self) -> None:
        if self._bus is not None:
            await self._bus.close()
        if self.log is not None:
            self.log.close()


class RedisWorld:
    def __init__(self, url: str, folder: Path, *, small: bool = False) -> None:
        self.catalog = ToyCatalog()
        self.url = url
        self.prefix = f"test-{secrets.token_hex(6)}"
        self.installation = ""
        self._folder = folder
        self._buses: list[Bus] = []
        self._small = {"stream_limit": 100} if small else {}

    async def start(self, **settings: Any) -> Bus:
        await self.stop()
        return await self.another(self.catalog, **settings)

    async def another(self, catalog: SeriesCatalog, **settings: Any) -> Bus:
        """One more process on the same server."""
        ports = Ports(
            clock=FakeClock(),
            data_dir=self._folder,
            disk=Files(),
            catalog=catalog,
            installation=self.installation,
        )
        plugin = plugins.load("bus", "redis")
        given = {"url": Secret(self.url), "prefix": self.prefix, **self._small, **settings}
        bus: Bus = plugin(plugin.Config(**given), ports=ports)
        self._buses.append(bus)
        return bus

    async def stop(self) -> None:
        for bus in self._buses:
            await bus.close()
        self._buses.clear()


def batch(new: NewSeries, start: int = 0, n_each: int = 2) -> SampleBatch:
    """Samples of all these series, in turns, told apart by time and value from `start` on."""
    n = len(new) * n_each
    rows = np.arange(n)
    return SampleBatch(
        new.tenant,
        new.slot[rows % len(new)],
        make.START_NS + (start + rows) * make.NS_PER_S,
        start + rows.astype(np.float64) / 7,
    )


async def take_all(
    bus: Bus, topic: str, after: Mapping[int, int] = FROM_THE_START
) -> Sequence[Delivery]:
    """Everything that is there, take by take."""
    found: list[Delivery] = []
    position = dict(after)
    while took := await bus.take(topic, position, wait_s=0):
        found += took
        for delivery in took:
            for partition in position:
                if delivery.partition in (partition, -1):
                    position[partition] = delivery.position
    return found


def rows(deliveries: Sequence[Delivery], catalog: ToyCatalog) -> list[Row]:
    """Their samples, in order of delivery."""
    found: list[Row] = []
    for delivery in deliveries:
        if isinstance(delivery.record, SampleBatch):
            found += rows_of(delivery.record, catalog)
    return found


def rows_of(samples: SampleBatch, catalog: ToyCatalog) -> list[Row]:
    names = [catalog.identity[slot].tobytes().hex() for slot in samples.slot]
    values = [value.tobytes() for value in samples.value]
    return list(zip(names, samples.time_ns.tolist(), values, strict=True))


def told(batch: RowBatch) -> list[tuple[Origin, str]]:
    """All that a batch says, row by row, with the origin."""
    columns = [getattr(batch, name) for name in (*batch.COLUMNS, *batch.TEXTS) if name != "origin"]
    return [
        (batch.origins[int(batch.origin[row])], str([_plain(column[row]) for column in columns]))
        for row in range(len(batch))
    ]


def details_by_series(batches: Iterable[DetailBatch], catalog: ToyCatalog) -> dict[str, list[str]]:
    """All that they say of each series, in order."""
    found: dict[str, list[str]] = {}
    for one in batches:
        names = [name for name in (*one.COLUMNS, *one.TEXTS) if name != "slot"]
        for row, slot in enumerate(one.slot):
            said = str([_plain(getattr(one, name)[row]) for name in names])
            found.setdefault(catalog.identity[slot].tobytes().hex(), []).append(said)
    return found


def _plain(value: Any) -> Any:
    return value if isinstance(value, bytes) else value.tolist()


def by_series(found: Sequence[Row]) -> dict[str, list[tuple[int, bytes]]]:
    """What order means to a consumer: that of each series."""
    series: dict[str, list[tuple[int, bytes]]] = {}
    for name, time_ns, value in found:
        series.setdefault(name, []).append((time_ns, value))
    return series
