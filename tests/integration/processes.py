"""What the processes of a test run: `python -m tests.integration.processes publish URL ...`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from tests import make
from tests.buses import RedisWorld
from tests.catalogs import ToyCatalog
from watchkeeper.bus.base import MIXED, SAMPLES, Bus, Delivery
from watchkeeper.clock import SystemClock
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import Logged, NewSeries, SampleBatch, Tick
from watchkeeper.runtime import Loop, RuntimeConfig

N_GROUPS = 80
LAST = Tick(2**62)
CONFIG = RuntimeConfig(checkpoint_records=1200, lease_s=2.0, retry_s=0.05)


class Digest:
    """One hash per series, of its samples and of its partition's ticks in the order in which they
    came. It names series by identity, so every process computes the same."""

    name = "digest"
    topic = SAMPLES

    def __init__(self, catalog: ToyCatalog) -> None:
        self._catalog = catalog
        self._hashes: list[dict[str, str]] = [{} for _ in range(N_PARTITIONS)]
        self._covered = np.zeros(N_PARTITIONS, np.int64)
        self.ended: set[int] = set()
        """Partitions that came to the last tick."""

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            mixed = delivery.partition == MIXED
            open_ = [
                partition
                for partition in (range(N_PARTITIONS) if mixed else [delivery.partition])
                if self._covered[partition] < delivery.position
            ]
            if isinstance(delivery.record, Tick):
                self._tick(delivery.record, open_)
            elif isinstance(delivery.record, SampleBatch):
                self._samples(delivery.record, set(open_))

    async def dump(self, partition: int) -> bytes:
        return msgspec.msgpack.encode((self._hashes[partition], partition in self.ended))

    async def load(self, partition: int, position: int, state: bytes) -> None:
        hashes: dict[str, str] = {}
        ended = False
        if state:
            hashes, ended = msgspec.msgpack.decode(state, type=tuple[dict[str, str], bool])
        self._hashes[partition] = hashes
        self._covered[partition] = position
        (self.ended.add if ended else self.ended.discard)(partition)

    def result(self) -> dict[str, str]:
        return {name: one for hashes in self._hashes for name, one in hashes.items()}

    def _tick(self, tick: Tick, partitions: Sequence[int]) -> None:
        for partition in partitions:
            for name in self._hashes[partition]:
                self._mix(partition, name, b"tick" + tick.now_ns.to_bytes(8, "little"))
            if tick == LAST:
                self.ended.add(partition)

    def _samples(self, batch: SampleBatch, partitions: set[int]) -> None:
        for row, slot in enumerate(batch.slot.tolist()):
            partition = int(self._catalog.partition[slot])
            if partition in partitions:
                name = self._catalog.identity[slot].tobytes().hex()
                content = batch.time_ns[row].tobytes() + batch.value[row].tobytes()
                self._mix(partition, name, content)

    def _mix(self, partition: int, name: str, content: bytes) -> None:
        before = self._hashes[partition].get(name, "")
        mixed = hashlib.blake2b(before.encode() + content, digest_size=12)
        self._hashes[partition][name] = mixed.hexdigest()


def traffic(catalog: ToyCatalog) -> Iterator[list[Logged]]:
    """The same in every process: series that come and go on, samples, ticks."""
    chance = np.random.default_rng(5)
    known: list[NewSeries] = []
    for n in range(N_GROUPS):
        group: list[Logged] = []
        if n % 10 == 0:
            rows = [make.labels("up", service=f"s{k}", n=str(n)) for k in range(8)]
            known.append(catalog.register(*rows))
            group.append(known[-1])
        slots = np.concatenate([new.slot for new in known])
        for k in range(3):
            picked = chance.choice(slots, 50).astype(np.int32)
            times = make.START_NS + np.arange(50, dtype=np.int64) + 1000 * n + 100 * k
            values = chance.normal(size=50)
            group.append(SampleBatch(known[0].tenant, picked, times, values, bytes([n, k])))
        if n % 4 == 0:
            group.append(make.tick(n))
        yield group
    yield [LAST]


async def consume(bus: Bus, catalog: ToyCatalog) -> dict[str, str]:
    """Until every partition came to its end; prints a line whenever it got on."""
    stage = Digest(catalog)
    loop = Loop(stage, bus, SystemClock(), CONFIG)
    running = asyncio.create_task(loop.run())
    said = 0
    while len(stage.ended) < N_PARTITIONS:
        await asyncio.sleep(0.002)
        if loop.position > said:
            said = loop.position
            print(f"at {said}", flush=True)
    loop.stop()
    await running
    return stage.result()


async def main(role: str, url: str, prefix: str, folder: str) -> None:
    world = RedisWorld(url, Path(folder))
    world.prefix = prefix
    if role == "publish":
        bus = await world.start(take_limit=16)
        for group in traffic(world.catalog):
            await bus.publish(SAMPLES, group)
            await asyncio.sleep(0.002)
    else:
        catalog = ToyCatalog(first_slot=700)
        bus = await world.another(catalog, take_limit=16)
        print(json.dumps(await consume(bus, catalog)), flush=True)
    await world.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
