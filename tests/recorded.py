"""An installation that lived for a while: a real log, catalog, stage and store; no door, no clock.

Series come and go, slots change hands, processes begin anew from checkpoints; all by chance, and
the same for the same seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from tests import make
from tests.disks import UnsyncedFiles
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.config.loading import load
from watchkeeper.config.sections import Config
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.recording.keeper import Keeper
from watchkeeper.lake.recording.recording import KEPT_FOLDER, Recording
from watchkeeper.lake.recording.snapshot import Entry, Snapshot, State, write
from watchkeeper.lake.series import Catalog
from watchkeeper.lake.wal import WriteAheadLog
from watchkeeper.model import wire
from watchkeeper.model.ruling import DetectionSet
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS
from watchkeeper.model.signal import Logged, NewSeries, SampleBatch
from watchkeeper.parts.detect import detecting
from watchkeeper.store.base import Store
from watchkeeper.store.installation import installation_key

MINUTE_S = 60
EAGER: Sequence[Mapping[str, Any]] = [{"use": "basic"}, {"use": "fk", "budget_per_week": 500.0}]
"""So eager that hours are enough for the grid tier to find something."""
SERVICES = ("cart", "payment", "search")


def configuration(folder: Path, **more: Any) -> Config:
    file = folder.parent / f"{folder.name}.yaml"
    whole = {
        "data_dir": str(folder),
        "catalog": {"max_series": 100},
        "log": {"segment_bytes": 1 << 15, "replay": {"compress": True}},
        "detection": {"detectors": EAGER},
        **more,
    }
    file.write_text(json.dumps(whole))
    return load(file, environment={}).config


class Life:
    """What was accepted up to a minute, and what detection made of it."""

    def __init__(self, folder: Path, executor: Executor, seed: int = 0) -> None:
        self.config = configuration(folder)
        self.folder = folder
        self.chance = random.Random(seed)
        self.minute = 0
        self._executor = executor
        self._values = np.random.default_rng(seed)
        self._key = installation_key(folder)
        self.log = WriteAheadLog(
            folder / "log",
            self.config.log,
            files=UnsyncedFiles(),
            kept=folder / "log" / KEPT_FOLDER,
        )
        self.keeper = Keeper(folder / "log", self.config.log.replay, free_bytes=0)
        self.store: Store = self.config.store.build(data_dir=folder)
        self._kept = {partition: State(0, partition, 0, b"") for partition in range(N_PARTITIONS)}
        self._pods = {service: [f"{service}-{n}" for n in range(3)] for service in SERVICES}
        self._handled = 0
        self._used: set[int] = set()
        self.n_passed_on = 0
        """Slots that were given to another series."""

    async def begin(self) -> None:
        """As a process does that is started, whatever there was before."""
        self.catalog = Catalog(self._key, self.config.catalog, Enrich(self.config.enrich))
        for _, record in self._records(0):
            if isinstance(record, NewSeries):
                self.catalog.replay(record)
        self.stage = detecting(
            self.config.detection,
            catalog=self.catalog,
            store=self.store,
            executor=self._executor,
        )
        for state in self._kept.values():
            if state.content:
                await self.stage.load(state.partition, state.position, state.content)
        self._handled = min(state.position for state in self._kept.values())

    async def live(self, minutes: int, strange: str = "") -> None:
        """Every pod reports once a minute; those of one service may be slow."""
        end = self.minute + minutes
        while self.minute < end:
            n = min(end - self.minute, self.chance.randint(1, 30))
            for _ in range(n):
                self.accept(strange)
            await self.handle()

    def accept(self, strange: str = "") -> None:
        """A minute's samples, and its tick."""
        now_ns = make.START_NS + self.minute * MINUTE_S * make.NS_PER_S
        pods = [(service, pod) for service, pods in self._pods.items() for pod in pods]
        series = [make.labels("latency_ms", service=service, pod=pod) for service, pod in pods]
        values = 100 + 3 * self._values.standard_normal(len(pods))
        rows = [
            (row, now_ns, float(values[row]) * (4.0 if service == strange else 1.0))
            for row, (service, _) in enumerate(pods)
        ]
        sent = make.wire(series, rows)
        found = self.catalog.resolve(DEFAULT_TENANT, sent, now_ns)
        slots = found.slots[sent.row]
        self.catalog.last_seen_ns[slots] = now_ns
        batch = SampleBatch(DEFAULT_TENANT, slots, sent.time_ns, sent.value)
        new = [] if found.new is None else [found.new]
        for one in new:
            self.n_passed_on += len(self._used & set(one.slot.tolist()))
            self._used |= set(one.slot.tolist())
        self.append(*new, batch, make.tick(self.minute * MINUTE_S))
        self.minute += 1

    def append(self, *records: Logged) -> None:
        self.log.append([wire.encode(record) for record in records])

    def settle(self, **settings: Any) -> None:
        """Somebody sets other settings at run time."""
        document = json.dumps({"detectors": list(EAGER), **settings})
        told = DetectionSet(
            f"set-{self.minute}", document, self.now_ns, "user:ann", "detection.set"
        )
        self.append(told)

    async def handle(self) -> None:
        """What was accepted, in portions by chance."""
        handed = [Delivery(MIXED, at, record) for at, record in self._records(self._handled)]
        while handed:
            n = self.chance.randint(1, 40)
            some, handed = handed[:n], handed[n:]
            await self.stage.handle(some)
            self._handled = some[-1].position

    def roll(self) -> None:
        """A rollout: a pod of each service goes, and a new one comes in its place."""
        for service, pods in self._pods.items():
            pods[self.chance.randrange(len(pods))] = f"{service}-{self.minute}"

    async def checkpoint(self, share: float = 1.0) -> None:
        """Some partitions, by chance."""
        for partition in range(N_PARTITIONS):
            if self.chance.random() < share:
                state = await self.stage.dump(partition)
                self._kept[partition] = State(0, partition, self._handled, state)

    async def recycle(self, idle_minutes: int) -> None:
        """Slots of series that are long gone are free for others, once no record needs them."""
        await self.checkpoint()
        now_ns = make.START_NS + self.minute * MINUTE_S * make.NS_PER_S
        for _ in range(2):  # a slot rests before it is given to another
            self.catalog.recycle(now_ns, idle_minutes * MINUTE_S)

    def release(self) -> None:
        """The log lets go of what no checkpoint needs; it is compressed."""
        self.log.release(min(state.position for state in self._kept.values()))
        self.keeper.maintain(self.now_ns)

    def snapshot(self) -> Snapshot:
        def entries() -> Iterator[Entry]:
            yield from self._kept.values()
            live = self.catalog.partition[: self.catalog.high_slot] < N_PARTITIONS
            yield from self.catalog.describe(np.flatnonzero(live).astype(np.int32))

        self.keeper.folder.mkdir(exist_ok=True)
        return write(self.keeper.folder, entries(), now=lambda: self.now_ns, files=UnsyncedFiles())

    @property
    def now_ns(self) -> int:
        return make.START_NS + self.minute * MINUTE_S * make.NS_PER_S

    async def end(self) -> None:
        self.log.close()
        await self.store.close()

    def _records(self, after: int) -> Sequence[tuple[int, Logged]]:
        found = Recording(self.log.folder).read(after)
        return [(position, wire.decode(payload)) for position, payload in found]
