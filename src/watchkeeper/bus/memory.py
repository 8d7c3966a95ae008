"""The bus of one process: samples through the write-ahead log, events through memory.

There is one log and one sequencer, so a batch is delivered whole, as partition MIXED. Whoever keeps
up is handed the very objects that were published; whoever lags reads the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from watchkeeper import telemetry
from watchkeeper.bus.arrivals import Arrivals
from watchkeeper.bus.base import (
    ALL_PARTITIONS,
    MIXED,
    SAMPLES,
    Checkpoint,
    Delivery,
    Leases,
    lost,
)
from watchkeeper.bus.checkpoints import CheckpointFiles
from watchkeeper.bus.codec import partition_of
from watchkeeper.bus.ports import Ports
from watchkeeper.bus.tail import Ring, Tail
from watchkeeper.errors import ConfigError, Permanent
from watchkeeper.model import wire
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import Logged

T = TypeVar("T")

_LAST: Final = telemetry.gauge(
    "watchkeeper_bus_last_position", "Position of the newest record.", ("topic",)
)
_REREAD: Final = telemetry.counter(
    "watchkeeper_bus_reread_records_total", "Records read from the log because a reader lagged."
)
_DROPPED: Final = telemetry.counter(
    "watchkeeper_bus_dropped_events_total",
    "Old events no longer kept for followers that come back.",
    ("topic",),
)
_BEGINNING: Final = -1
"""Where a follower is that was there before the first event."""
_EVENTS_AT_ONCE: Final = 1000
_GATHERED: Final = 64
"""Records that are enough to be taken at once."""
_FOLLOW_S: Final = 3600.0
"""A follower that nothing comes for looks again after this long; it makes no difference."""


class MemoryBusConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept in memory for readers. Nothing of it is needed for durability."""

    tail_bytes: Annotated[
        int,
        Meta(ge=0, description="Newest samples kept decoded; who lags further reads the log."),
    ] = 32 << 20
    take_bytes: Annotated[
        int, Meta(ge=1, description="Samples handed to a reader at once, about.")
    ] = 4 << 20
    event_limit: Annotated[
        int, Meta(ge=1, description="Events kept for followers that come back.")
    ] = 20_000
    gather_s: Annotated[
        float,
        Meta(ge=0, description="Who keeps up takes what comes in so long together: less work."),
    ] = 0.05


class MemoryBus:
    """Implements `bus.base.Bus` on the log that is handed in. Only SAMPLES are durable here: events
    are durable in the store that they come from."""

    Config = MemoryBusConfig

    def __init__(self, config: MemoryBusConfig, *, ports: Ports) -> None:
        if ports.log is None:
            raise ConfigError("bus memory: needs the write-ahead log; use `redis` without one")
        self._config = config
        self._log = ports.log
        self._catalog = ports.catalog
        self._checkpoints = CheckpointFiles(ports.data_dir / "checkpoints", ports.disk)
        self._arrivals = Arrivals()
        self._tail = Tail(self._log.last, config.tail_bytes)
        self._rings: dict[str, Ring] = {}
        self._leased: dict[tuple[str, str], set[int]] = {}
        self._newest_fence: dict[tuple[str, str], dict[int, int]] = {}
        # One thread appends, so that groups keep their order; reading and checkpoints have another.
        self._writer = ThreadPoolExecutor(1, "bus-append")
        self._reader = ThreadPoolExecutor(1, "bus-read")
        self._is_closed = False

    async def open(self) -> None:
        """The log was opened, and checked, by whoever handed it in."""
        self._check_open()

    async def publish(self, topic: str, records: Sequence[Any]) -> int:
        self._check_open()
        if topic == SAMPLES:
            return await self._run(self._writer, partial(self.append, records))
        with self._arrivals.change():
            ring = self._ring(topic)
            partitions = [partition_of(event.record, self._catalog) for event in records]
            n_dropped = ring.extend(records, partitions)
        _DROPPED.add(n_dropped, topic)
        _LAST.set(ring.last, topic)
        return ring.last

    def append(self, records: Sequence[Logged]) -> int:
        """`publish` to SAMPLES for who is on a thread of their own already; one at a time."""
        payloads = [wire.encode(record) for record in records]
        last = self._log.append(payloads)
        with self._arrivals.change():
            self._tail.extend(records, [len(payload) for payload in payloads])
        _LAST.set(last, SAMPLES)
        return last

    async def take(
        self, topic: str, after: Mapping[int, int], *, wait_s: float
    ) -> Sequence[Delivery]:
        if not after:
            return ()
        if topic != SAMPLES:
            return await self._arrivals.wait_for(partial(self._events, topic, after), wait_s) or ()
        return await self._samples(min(after.values()), wait_s)

    async def follow(self, topic: str, after: int | None) -> AsyncIterator[Delivery | None]:
        at = (self.last(topic) or _BEGINNING) if after is None else after
        while not self._is_closed:
            found: Sequence[Delivery] = ()
            if not self._is_gone(topic, at):
                everything = dict.fromkeys(range(MIXED, N_PARTITIONS), at)
                found = await self.take(topic, everything, wait_s=_FOLLOW_S)
            if self._is_gone(topic, at):  # looked at again, for it may have gone while we waited
                at = self.last(topic)
                yield None
                continue
            for delivery in found:
                if topic == SAMPLES and delivery.position > at + 1 > 0:
                    yield None  # damaged, or released while it was read
                yield delivery
                at = delivery.position

    def last(self, topic: str) -> int:
        """Position of the newest record; 0 if there never was one."""
        return self._tail.last if topic == SAMPLES else self._ring(topic).last

    async def newest(self, topic: str) -> int:
        return self.last(topic)

    async def lease(self, topic: str, group: str, ttl_s: float) -> Leases:
        """All of them, and they never run out: the log's lock keeps every other process away."""
        self._check_open()
        fences = await self._fences(topic, group)
        leased = self._leased.setdefault((topic, group), set())
        for partition in range(N_PARTITIONS):
            if partition not in leased:
                leased.add(partition)
                fences[partition] = fences.get(partition, 0) + 1
        return Leases(dict(fences), N_PARTITIONS)

    async def unlease(self, topic: str, group: str, partitions: Collection[int]) -> None:
        self._leased.get((topic, group), set()).difference_update(partitions)

    async def checkpoint(
        self, topic: str, group: str, partition: int, fence: int, checkpoint: Checkpoint
    ) -> None:
        self._check_open()
        newest = (await self._fences(topic, group)).get(partition, 0)
        if fence != newest:
            raise lost(partition, topic, group, fence=fence, newest=newest)
        write = partial(
            self._checkpoints.write, topic, group, partition, fence=fence, checkpoint=checkpoint
        )
        await self._run(self._reader, write)

    async def restore(
        self, topic: str, group: str, partitions: Collection[int] = ALL_PARTITIONS
    ) -> Mapping[int, Checkpoint]:
        self._check_open()
        read = partial(self._checkpoints.read, topic, group, partitions)
        found = await self._run(self._reader, read)
        return {partition: kept.checkpoint for partition, kept in found.items()}

    async def release(self, position: int, groups: Collection[str]) -> int:
        """Let the log forget what lies at or below `position` and every checkpoint that one of
        these groups may start from; how far that was."""
        self._check_open()

        def forget() -> int:
            covered = (
                min(position, self._checkpoints.floor(SAMPLES, groups)) if groups else position
            )
            self._log.release(covered)
            return covered

        return await self._run(self._reader, forget)

    async def close(self) -> None:
        with self._arrivals.change():
            self._is_closed = True
        self._writer.shutdown()
        self._reader.shutdown()

    # Reading

    async def _samples(self, after: int, wait_s: float) -> Sequence[Delivery]:
        found = await self._arrivals.wait_for(partial(self._from_tail, after), wait_s)
        if found and len(found) < _GATHERED and wait_s:
            # Each take costs its taker the same, however little it brings.
            await asyncio.sleep(min(wait_s, self._config.gather_s))
            found = await self._arrivals.wait_for(partial(self._from_tail, after), 0.0)
        if found or found is None or self._is_closed:
            return found or ()
        return await self._run(self._reader, partial(self._from_log, after))

    def _from_tail(self, after: int) -> Sequence[Delivery] | None:
        """Empty where waiting is no use: it must be read from the log, or never comes."""
        if self._is_closed or not self._tail.begins_before(after):
            return ()
        return self._tail.behind(after, self._config.take_bytes) or None

    def _from_log(self, after: int) -> Sequence[Delivery]:
        found: list[Delivery] = []
        size = 0
        for position, payload in self._log.read(after):
            found.append(Delivery(MIXED, position, wire.decode(payload)))
            size += len(payload)
            if size >= self._config.take_bytes:
                break
        _REREAD.add(len(found))
        return found

    def _events(self, topic: str, after: Mapping[int, int]) -> Sequence[Delivery] | None:
        if self._is_closed:
            return ()
        return self._ring(topic).behind(after, _EVENTS_AT_ONCE) or None

    def _is_gone(self, topic: str, at: int) -> bool:
        """Whether records behind `at` can no longer be had, or are of another life."""
        if at == _BEGINNING:
            return False
        if topic == SAMPLES:
            return not self._log.first - 1 <= at <= self._tail.last
        ring = self._ring(topic)
        return ring.floor is not None and not ring.floor <= at <= ring.last

    def _ring(self, topic: str) -> Ring:
        return self._rings.setdefault(topic, Ring(self._config.event_limit))

    async def _fences(self, topic: str, group: str) -> dict[int, int]:
        """The newest token by partition; they go on growing after a restart."""
        known = self._newest_fence.get((topic, group))
        if known is not None:
            return known
        found = await self._run(self._reader, partial(self._checkpoints.read, topic, group))
        fences = {partition: kept.fence for partition, kept in found.items()}
        return self._newest_fence.setdefault((topic, group), fences)

    async def _run(self, executor: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, job)

    def _check_open(self) -> None:
        if self._is_closed:
            raise Permanent("bus: it is closed; this process is stopping")
