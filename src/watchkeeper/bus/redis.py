"""The bus between processes, on Redis Streams: one stream per partition, all on one server.

A group of records is one script on the server: all of it or nothing, and once, even if its answer
was lost and it is sent again. Positions come from one counter. Streams of samples are trimmed by
`release` alone; a full one refuses what is published.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

from watchkeeper import telemetry
from watchkeeper.bus import redis_scripts as scripts
from watchkeeper.bus.base import ALL_PARTITIONS, SAMPLES, Checkpoint, Delivery, Leases, lost
from watchkeeper.bus.codec import decode_event, encode_event, partition_of
from watchkeeper.bus.ports import Ports
from watchkeeper.bus.redis_samples import Entry, Group, Reader, Writer
from watchkeeper.bus.redis_server import RedisBusConfig, Server
from watchkeeper.errors import ConfigError, Permanent, Retryable
from watchkeeper.model.event import Event
from watchkeeper.model.series import N_PARTITIONS
from watchkeeper.model.signal import Logged

T = TypeVar("T")

_MISSED: Final = telemetry.counter(
    "watchkeeper_bus_missed_gaps_total",
    "Gaps that a reader met: records had been released before it read them.",
    ("topic",),
)
_REPEATED: Final = telemetry.counter(
    "watchkeeper_bus_repeated_bodies_total",
    "Bodies that had been published before, by this process or another.",
)
_BODY_S: Final = 600.0
"""How long a body is known, as at the door."""
_NEED_S: Final = 600.0
"""Who has not released anything for so long is taken to be gone."""
_ATTEMPTS: Final = 4
"""A group is sent again when a partition has come to a new generation; more than once is a race."""
_BLOCK_S: Final = 1.0
"""One blocking read; shorter than any sane socket timeout."""
_EVENTS: Final = "events"
_BEGINNING: Final = -1


class RedisBus:
    """Implements `bus.base.Bus`. A publish that raised Retryable because the server went away may
    have been kept after all: delivery is at least once."""

    Config = RedisBusConfig

    def __init__(self, config: RedisBusConfig, *, ports: Ports) -> None:
        self._config = config
        self._server = Server(config)
        self._name = secrets.token_hex(8)
        self._catalog = ports.catalog
        self._installation = ports.installation
        self._writer = Writer(ports.catalog)
        self._reader = Reader(ports.catalog, self._name, ports.clock.now_ns())
        # Encoding and decoding are work: one thread, so that catalog and groups see one at a time.
        self._worker = ThreadPoolExecutor(1, "bus-redis")
        self._publishing = asyncio.Lock()
        self._group_number = itertools.count(1)
        self._groups: set[tuple[str, str]] = set()
        """Of which topic and group this is a member."""
        self._is_checked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    async def open(self) -> None:
        if self._is_closed:
            raise Permanent("bus: it is closed; this process is stopping")
        if self._is_checked:
            return
        await self._server.check()
        await self._claim()
        self._loop = asyncio.get_running_loop()
        self._is_checked = True

    async def _claim(self) -> None:
        """A series' identity is that of its installation: those of two must not be mixed."""
        if not self._installation:
            return
        base = self._base(SAMPLES)
        owner = await self._server.run(scripts.CLAIM, base, self._installation)
        if owner.decode() != self._installation:
            raise ConfigError(
                f"bus redis: the keys '{base}' at {self._server.place} belong to an installation "
                "with another key; give all its processes one store (store.use: postgres) or the "
                "same installation.key, or choose another bus.prefix"
            )

    async def publish(self, topic: str, records: Sequence[Any]) -> int:
        await self.open()
        if topic != SAMPLES:
            return await self._publish_events(topic, records)
        async with self._publishing:
            return await self._publish_samples(records)

    def append(self, records: Sequence[Any]) -> int:
        if self._loop is None:
            raise Permanent("bus: append needs the loop that `open` was awaited on")
        return asyncio.run_coroutine_threadsafe(self.publish(SAMPLES, records), self._loop).result()

    async def take(
        self, topic: str, after: Mapping[int, int], *, wait_s: float
    ) -> Sequence[Delivery]:
        if self._is_closed:
            return ()
        await self.open()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + wait_s
        cursor = self._cursor(topic, after)
        while cursor and not self._is_closed:
            left_s = end_s - loop.time()
            entries, gaps = await self._read(cursor, block_s=min(left_s, _BLOCK_S))
            _MISSED.add(sum(at > 0 for at in gaps), topic)
            wanted = [e for e in entries if e.position > after.get(e.partition, e.position)]
            if wanted:
                return await self._deliver(topic, wanted)
            if entries:  # events of partitions that are not asked for
                cursor = dict.fromkeys(cursor, entries[-1].position)
            elif left_s <= 0:
                break
        return ()

    async def follow(self, topic: str, after: int | None) -> AsyncIterator[Delivery | None]:
        await self.open()
        last = await self._last(topic)
        at = (last or _BEGINNING) if after is None else after
        is_gone = at > last
        while not self._is_closed:
            if is_gone:
                at = await self._last(topic)
                yield None
            everywhere = self._cursor(topic, dict.fromkeys(range(N_PARTITIONS), at))
            entries, gaps = await self._read(everywhere, block_s=_BLOCK_S)
            is_gone = bool(gaps) and at != _BEGINNING
            if is_gone:
                continue
            for delivery in await self._deliver(topic, entries):
                yield delivery
                at = delivery.position

    async def lease(self, topic: str, group: str, ttl_s: float) -> Leases:
        await self.open()
        self._groups.add((topic, group))
        ttl_ms = max(1, round(ttl_s * 1000))
        share, *owned = await self._server.run(
            scripts.LEASE, self._base(topic), group, self._name, ttl_ms, N_PARTITIONS
        )
        return Leases(dict(zip(owned[::2], owned[1::2], strict=True)), share)

    async def unlease(self, topic: str, group: str, partitions: Collection[int]) -> None:
        await self.open()
        await self._server.run(
            scripts.UNLEASE, self._base(topic), group, self._name, 0, *partitions
        )

    async def checkpoint(
        self, topic: str, group: str, partition: int, fence: int, checkpoint: Checkpoint
    ) -> None:
        await self.open()
        position = checkpoint.position
        content = position.to_bytes(8, "little") + checkpoint.state
        newest = await self._server.run(
            scripts.CHECKPOINT, self._base(topic), group, partition, fence, position, content
        )
        if newest != fence:
            raise lost(partition, topic, group, fence=fence, newest=newest)

    async def restore(
        self, topic: str, group: str, partitions: Collection[int] = ALL_PARTITIONS
    ) -> Mapping[int, Checkpoint]:
        await self.open()
        key = f"{self._base(topic)}:checkpoint:{group}"
        found = {}
        for partition in partitions:  # one by one, for a state may be large
            (content,) = await self._server.fields(key, [str(partition)])
            if content is not None:
                position = int.from_bytes(content[:8], "little")
                found[partition] = Checkpoint(position, content[8:])
        return found

    async def newest(self, topic: str) -> int:
        await self.open()
        return await self._last(topic)

    async def release(self, position: int, groups: Collection[str]) -> int:
        await self.open()
        needed = (max(0, position), self._name, round(_NEED_S * 1000))
        arguments = (N_PARTITIONS, *needed, *groups)
        return int(await self._server.run(scripts.RELEASE, self._base(SAMPLES), *arguments))

    async def close(self) -> None:
        """Leases are returned, so that others need not wait for them to run out."""
        if self._is_closed:
            return
        self._is_closed = True
        for topic, group in self._groups:
            arguments = (group, self._name, 1, *range(N_PARTITIONS))
            with suppress(Retryable):
                await self._server.run(scripts.UNLEASE, self._base(topic), *arguments)
        await self._server.close()
        self._worker.shutdown()

    # Publishing

    async def _publish_samples(self, records: Sequence[Logged]) -> int:
        number = next(self._group_number)
        for _ in range(_ATTEMPTS):
            group = await self._run(self._writer.group, records)
            if not group.messages:
                return await self._last(SAMPLES)
            word, *rest = await self._server.run(
                scripts.PUBLISH_SAMPLES, self._base(SAMPLES), *self._arguments(group, number)
            )
            match word:
                case b"ok" | b"done":
                    self._writer.published(group)
                    _REPEATED.add(rest[1])
                    return int(rest[0])
                case b"full":
                    raise Retryable(
                        f"bus redis: partition {rest[0]} has no room for more than "
                        f"{self._config.stream_limit} messages (bus.stream_limit); whoever reads "
                        "it is behind: give it time or more processes"
                    )
                case _:
                    self._writer.renew(dict(zip(rest[::2], rest[1::2], strict=True)))
        raise Retryable("bus redis: others publish too fast to keep up with; try again")

    def _arguments(self, group: Group, number: int) -> list[Any]:
        n_messages: dict[int, int] = {}
        for partition, _, _ in group.messages:
            n_messages[partition] = n_messages.get(partition, 0) + 1
        config = self._config
        arguments: list[Any] = [self._name, number, config.stream_limit]
        arguments += (round(_BODY_S * 1000), config.body_limit, len(n_messages))
        for partition, n in n_messages.items():
            arguments += (partition, self._writer.generation(partition), n)
        arguments += (len(group.bodies), *group.bodies)
        arguments.append(len(group.registrations))
        arguments += itertools.chain.from_iterable(group.registrations)
        arguments += itertools.chain.from_iterable(group.messages)
        return arguments

    async def _publish_events(self, topic: str, events: Sequence[Event]) -> int:
        arguments: list[Any] = [self._config.event_limit]
        for event in events:
            partition = partition_of(event.record, self._catalog)
            arguments += (event.sequence, partition, encode_event(event))
        return int(await self._server.run(scripts.PUBLISH_EVENTS, self._base(topic), *arguments))

    # Reading

    def _cursor(self, topic: str, after: Mapping[int, int]) -> dict[str, int]:
        """Stream -> position behind which to read."""
        base = self._base(topic)
        if topic == SAMPLES:
            return {f"{base}:{partition}": at for partition, at in after.items()}
        return {f"{base}:{_EVENTS}": min(after.values())} if after else {}

    async def _read(
        self, cursor: Mapping[str, int], *, block_s: float
    ) -> tuple[list[Entry], list[int]]:
        """Entries in order of position, and the positions behind which others are gone.

        Where a stream may have more, nothing of the others behind that is returned: a reader may
        so go on from the last position, whatever stream it was in.
        """
        limit = self._config.take_limit
        entries: list[Entry] = []
        gaps: list[int] = []
        complete_to: float = float("inf")
        for name, raw in await self._server.read(cursor, limit=limit, block_s=block_s):
            some = [_entry(name, *one) for one in raw]
            entries += some
            at = cursor[name.decode()]
            if some[0].before > at:
                gaps.append(at)
            if len(some) == limit:
                complete_to = min(complete_to, some[-1].position)
        entries.sort(key=lambda entry: entry.position)
        return [entry for entry in entries if entry.position <= complete_to], gaps

    async def _deliver(self, topic: str, entries: Sequence[Entry]) -> Sequence[Delivery]:
        if topic != SAMPLES:
            return [Delivery(e.partition, e.position, decode_event(e.payload)) for e in entries]
        unread, deliveries = await self._run(self._reader.read, entries)
        if not unread.unknown:
            return deliveries
        fetched = await self._fetch(unread.unknown)
        return await self._run(self._reader.deliver, unread, fetched)

    async def _fetch(
        self, unknown: Mapping[tuple[int, int], Collection[bytes]]
    ) -> dict[bytes, bytes]:
        """The registrations of these identities, as far as they are there."""
        fetched: dict[bytes, bytes] = {}
        for (partition, generation), identities in unknown.items():
            names = list(identities)
            key = f"{self._base(SAMPLES)}:series:{partition}:{generation}"
            found = await self._server.fields(key, names)
            fetched |= {n: one for n, one in zip(names, found, strict=True) if one is not None}
        return fetched

    async def _last(self, topic: str) -> int:
        return await self._server.number(f"{self._base(topic)}:last")

    def _base(self, topic: str) -> str:
        return f"{{{self._config.prefix}}}:{topic}"

    async def _run(self, job: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, job, *arguments)


def _entry(stream: bytes, name: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    partition = fields.get(b"p") or stream.rpartition(b":")[2]
    position = int(name.partition(b"-")[0])
    producer = fields.get(b"f", b"").decode()
    return Entry(int(partition), position, int(fields[b"b"]), producer, fields[b"d"])
