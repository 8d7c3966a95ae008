"""The one door: nothing is acknowledged before it is durable, and a failed sync leaves no trace."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.admit import Admission, AdmitConfig
from watchkeeper.ingest.admit_rows import AdmitRowsConfig, RowAdmission
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.prepare import Accepted, Preparer, Request
from watchkeeper.ingest.stage import Ingest, IngestConfig
from watchkeeper.model.series import DEFAULT_TENANT, LabelBlock
from watchkeeper.model.signal import NewSeries, SampleBatch, Tick, WireSamples

EMPTY = LabelBlock(np.zeros(16, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))


class Plain:
    """A receiver of bodies such as b"0=1 1=2": row=value, all of them now."""

    makes = "samples"

    def decode(self, body: bytes, headers: Mapping[str, str], *, now_ns: int) -> WireSamples:
        if body == b"bad":
            raise BadInput("plain: this is no body")
        if body == b"mistake":
            raise ZeroDivisionError
        pairs = [pair.split(b"=") for pair in body.split()]
        rows = [int(row) for row, _ in pairs]
        return WireSamples(
            key=np.zeros((max(rows) + 1, 2), np.uint64),
            kind=np.zeros(max(rows) + 1, np.uint8),
            row=np.array(rows, np.int32),
            time_ns=np.full(len(rows), now_ns, np.int64),
            value=np.array([float(value) for _, value in pairs]),
            describe=lambda _rows: EMPTY,
        )


@dataclass
class Resolved:
    slots: Any
    new: NewSeries | None = None
    rejects: tuple[Any, ...] = ()


class Rows:
    """A catalog in which row r is slot r; the first time it sees a row, the row is new."""

    def __init__(self) -> None:
        self._n_known = 0
        self.last_seen_ns = np.zeros(64, np.int64)

    def resolve(self, tenant: str, wire: WireSamples, now_ns: int) -> Resolved:
        slots = np.arange(len(wire.key), dtype=np.int32)
        fresh = slots[self._n_known :]
        self._n_known = max(self._n_known, len(slots))
        return Resolved(slots, new_series(fresh) if len(fresh) else None)

    def recycle(self, *_: Any, **__: Any) -> Any:
        return np.zeros(0, np.int32)


def new_series(slots: Any) -> NewSeries:
    n = len(slots)
    return NewSeries(
        tenant=DEFAULT_TENANT,
        slot=slots,
        identity=np.zeros((n, 2), np.uint64),
        role=np.zeros(n, np.uint64),
        kind=np.zeros(n, np.uint8),
        partition=np.zeros(n, np.uint8),
        entity=np.zeros(n, np.int32),
        entities=(),
        labels=EMPTY,
        donor=np.full(n, -1, np.int32),
    )


@dataclass
class Recorder:
    """A bus that keeps what is published, refuses while `full`, and holds while `held`."""

    groups: list[Sequence[Any]] = field(default_factory=list)
    full: bool = False
    held: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.held.set()

    def hold(self) -> None:
        self.held.clear()
        self.reached.clear()

    async def is_reached(self) -> None:
        """A group waits for the log."""
        assert await asyncio.to_thread(self.reached.wait, 10)

    def append(self, records: Sequence[Any]) -> int:
        self.reached.set()
        assert self.held.wait(10)
        if self.full:
            raise Retryable("log: no space left on the device")
        self.groups.append(list(records))
        return sum(len(group) for group in self.groups)

    def batches(self) -> list[SampleBatch]:
        return [one for group in self.groups for one in group if isinstance(one, SampleBatch)]


@dataclass
class Door:
    ingest: Ingest
    bus: Recorder
    clock: FakeClock

    async def send(self, body: bytes) -> Accepted:
        return await self.ingest.accept(Request("plain", body, {}, DEFAULT_TENANT))


@asynccontextmanager
async def open_door(config: IngestConfig | None = None) -> AsyncIterator[Door]:
    bus, clock = Recorder(), FakeClock()
    with ThreadPoolExecutor(1) as executor:
        ingest = Ingest(
            config or IngestConfig(),
            Preparer(
                {"plain": Plain()},
                Rows(),  # type: ignore[arg-type]
                Admission(AdmitConfig(), n_slots=64),
                RowAdmission(AdmitRowsConfig(), Enrich()),
            ),
            bus=bus,  # type: ignore[arg-type]
            clock=clock,
            executor=executor,
        )
        running = asyncio.create_task(ingest.run())
        try:
            yield Door(ingest, bus, clock)
        finally:
            bus.held.set()
            ingest.close()
            clock.advance(1)
            await asyncio.wait_for(running, 5)


async def test_a_body_is_durable_when_it_is_answered() -> None:
    async with open_door() as door:
        accepted = await door.send(b"0=1 1=2")

        assert accepted.n_accepted == 2
        assert [batch.value.tolist() for batch in door.bus.batches()] == [[1.0, 2.0]]


async def test_new_series_are_logged_before_their_first_sample() -> None:
    async with open_door() as door:
        await door.send(b"0=1 1=2")

        kinds = [type(record) for record in door.bus.groups[-1]]
        assert kinds.index(NewSeries) < kinds.index(SampleBatch)


async def test_nobody_is_answered_before_the_log_is() -> None:
    async with open_door() as door:
        door.bus.hold()
        sending = asyncio.create_task(door.send(b"0=1"))
        await door.bus.is_reached()

        assert not sending.done()

        door.bus.held.set()
        assert (await sending).n_accepted == 1


async def test_those_who_wait_share_one_group() -> None:
    async with open_door() as door:
        await door.send(b"0=0")
        door.clock.advance(0.5)
        door.bus.hold()
        first = asyncio.create_task(door.send(b"0=1"))
        await door.bus.is_reached()
        others = [asyncio.create_task(door.send(f"{row}=7".encode())) for row in range(1, 6)]
        await asyncio.sleep(0)
        n_groups = len(door.bus.groups)
        door.bus.held.set()
        await asyncio.gather(first, *others)

        assert len(door.bus.groups) == n_groups + 2


async def test_what_comes_in_within_a_few_turns_shares_a_group_that_nobody_waited_for() -> None:
    async def later(door: Door, row: int) -> None:
        for _ in range(row):
            await asyncio.sleep(0)
        await door.send(f"{row}=1".encode())

    async with open_door() as door:
        await door.send(b"0=0")
        n_groups = len(door.bus.groups)

        await asyncio.gather(*(later(door, row) for row in range(3)))

        assert len(door.bus.groups) == n_groups + 1


async def test_a_bad_body_is_refused_and_loses_nothing_else() -> None:
    async with open_door() as door:
        good = asyncio.create_task(door.send(b"0=1"))
        with pytest.raises(BadInput, match="no body"):
            await door.send(b"bad")

        assert (await good).n_accepted == 1


async def test_a_mistake_of_ours_costs_one_body_and_not_the_process() -> None:
    async with open_door() as door:
        with pytest.raises(BadInput, match="ZeroDivisionError"):
            await door.send(b"mistake")

        assert (await door.send(b"0=1")).n_accepted == 1


async def test_a_failed_sync_is_retryable_and_the_retry_is_stored_once() -> None:
    async with open_door() as door:
        door.bus.full = True
        with pytest.raises(Retryable, match="no space"):
            await door.send(b"0=1 1=2")
        door.bus.full = False
        door.clock.advance(0.1)

        accepted = await door.send(b"0=1 1=2")

        assert accepted.n_accepted == 2
        assert not accepted.repeated
        assert [batch.value.tolist() for batch in door.bus.batches()] == [[1.0, 2.0]]


async def test_series_first_seen_in_a_failed_group_are_logged_with_the_next() -> None:
    async with open_door() as door:
        door.bus.full = True
        with pytest.raises(Retryable):
            await door.send(b"0=1 1=2")
        door.bus.full = False
        door.clock.advance(0.1)

        await door.send(b"0=5")

        new = [one for group in door.bus.groups for one in group if isinstance(one, NewSeries)]
        assert [one.slot.tolist() for one in new] == [[0, 1]]


async def test_a_repeated_body_is_a_no_op() -> None:
    async with open_door() as door:
        await door.send(b"0=1")

        again = await door.send(b"0=1")

        assert again.repeated
        assert len(door.bus.batches()) == 1


async def test_too_much_waiting_is_told_to_retry() -> None:
    async with open_door(IngestConfig(queue_bytes=8)) as door:
        door.bus.hold()
        first = asyncio.create_task(door.send(b"0=1"))
        await door.bus.is_reached()
        second = asyncio.create_task(door.send(b"1=2 2=3"))
        await asyncio.sleep(0)

        with pytest.raises(Retryable, match="queue_bytes"):
            await door.send(b"3=4")

        door.bus.held.set()
        await asyncio.gather(first, second)


async def test_a_tick_is_logged_each_second() -> None:
    async with open_door() as door:
        await door.send(b"0=1")
        door.clock.advance(1.5)
        await door.send(b"0=2")
        door.clock.advance(0.2)
        await door.send(b"0=3")

        ticks = [one for group in door.bus.groups for one in group if isinstance(one, Tick)]
        assert len(ticks) == 2
        assert ticks[1].now_ns - ticks[0].now_ns == round(1.5 * NS_PER_S)


async def test_a_closed_door_is_retryable() -> None:
    async with open_door() as door:
        door.ingest.close()

        with pytest.raises(Retryable, match="stopping"):
            await door.send(b"0=1")
