"""A restart from checkpoints, and the same records again: the same anomalies, and the same memory.

Every default detector and watcher over an eventful day. Partitions were kept at positions of their
own, between any two records, and the store is further than any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.watching import METRICS, SERVICES, WatchedCatalog, minute
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS
from watchkeeper.model.signal import Logged, SampleBatch, Tick
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

LEAKS, STUCK, CALM, TROUBLE, END = 1_320, 1_480, 1_490, 1_500, 1_712
"""Minutes."""
PER_MINUTE = 4
"""Records: two of samples, and a tick behind each."""
FIRST = CALM * PER_MINUTE
LAST = END * PER_MINUTE
LEAP = (TROUBLE + 1) * PER_MINUTE
KEPT = [at for at in range(FIRST, LAST + 1) if at % 7 == 0 or at - LEAP in range(-4, 12)]
"""Positions."""


def eventful(catalog: WatchedCatalog, number: int) -> Points:
    """A minute of the day. The last service's memory leaks and its latency stands still, and the
    senders' clocks leap while the first service's trouble is young."""
    points = minute(catalog, number)
    memory, stuck = (catalog.new.slot[2 * len(METRICS) + at] for at in (3, 2))
    points.value[points.slot == memory] *= 1.0 + max(0, number - LEAKS) / 500.0
    if number >= STUCK:
        points.value[points.slot == stuck] = 0.2
    if number > TROUBLE:
        points = Points(points.slot, points.time_ns + 600 * make.NS_PER_S, points.value)
    return points


class Remembering(MemoryStore):
    """A store that knows what it was told, and when."""

    def __init__(self) -> None:
        super().__init__(MemoryStore.Config())
        self.at = 0
        self.saved: list[tuple[int, Sequence[Any]]] = []

    async def save(self, batch: Sequence[Any]) -> int:
        self.saved.append((self.at, list(batch)))
        return await super().save(batch)

    async def as_of(self, position: int) -> MemoryStore:
        store = MemoryStore(MemoryStore.Config())
        for at, batch in self.saved:
            if at <= position:
                await store.save(batch)
        return store


@dataclass
class Process:
    """A detect stage, and the log in the slots of this process."""

    executor: Executor
    store: MemoryStore
    catalog: WatchedCatalog = field(default_factory=WatchedCatalog)

    def __post_init__(self) -> None:
        self.stage = DetectStage(
            DetectionConfig(), catalog=self.catalog, store=self.store, executor=self.executor
        )
        catalog = self.catalog
        catalog.partition[~catalog.identity.any(axis=1)] = N_PARTITIONS  # nobody's
        self.partitions = sorted(set(self.catalog.partition[self.catalog.new.slot].tolist()))

    def log(self, first: int, last: int) -> Iterator[Delivery]:
        """The records behind the first of these positions, up to the last."""
        for position in range(first + 1, last + 1):
            yield Delivery(MIXED, position + 1, self._record(position - 1))

    def _record(self, number: int) -> Logged:
        at, part = divmod(number, PER_MINUTE)
        if part % 2:
            begin_ns = make.START_NS + at * 60 * make.NS_PER_S
            return Tick(begin_ns + (part // 2 * 30 + 1) * make.NS_PER_S)
        points = eventful(self.catalog, at)
        rows = np.arange(len(points)) % 2 == part // 2
        return SampleBatch(
            DEFAULT_TENANT, points.slot[rows], points.time_ns[rows], points.value[rows]
        )

    async def dumps(self) -> dict[int, bytes]:
        return {partition: await self.stage.dump(partition) for partition in self.partitions}

    async def anomalies(self) -> list[Anomaly]:
        return await anomalies(self.store)


async def anomalies(store: MemoryStore) -> list[Anomaly]:
    page = await store.list(Anomaly, Filter(DEFAULT_TENANT, limit=1_000))
    return sorted(page.items, key=lambda one: one.id)


@dataclass(frozen=True, repr=False)
class Told:
    """An undisturbed run."""

    store: Remembering
    anomalies: Sequence[Anomaly]
    kept: Mapping[int, Mapping[int, bytes]]
    """By position, and partition."""


async def undisturbed(executor: Executor) -> Told:
    store = Remembering()
    one = Process(executor, store)
    await one.stage.handle([Delivery(MIXED, 1, one.catalog.new)])
    await one.stage.handle(list(one.log(0, FIRST)))
    kept = {}
    for delivery in one.log(FIRST, LAST):
        store.at = delivery.position - 1
        await one.stage.handle([delivery])
        if store.at in KEPT:
            kept[store.at] = await one.dumps()
    return Told(store, await one.anomalies(), kept)


@pytest.fixture(scope="module")
def told(executor: Executor) -> Told:
    return asyncio.run(undisturbed(executor))


async def restarted(
    executor: Executor, told: Told, at: Sequence[int], end: int, first_slot: int
) -> Process:
    """Each partition goes on from a checkpoint of its own; up to the end."""
    again = Process(executor, await told.store.as_of(max(at)), WatchedCatalog(first_slot))
    for partition, position in zip(again.partitions, at, strict=True):
        await again.stage.load(partition, position + 1, told.kept[position][partition])
    await again.stage.handle(list(again.log(min(at), end)))
    return again


def test_the_day_is_eventful(told: Told) -> None:
    """Or little would be shown by it."""
    document = DetectionConfig()
    everybody = {str(one["use"]) for one in [*document.detectors, *document.watchers]}
    assert {one.detector for one in told.anomalies} == everybody
    assert {len(one) for one in told.kept.values()} == {len(SERVICES)}


@settings(max_examples=12, deadline=None)
@given(
    near=st.sampled_from(KEPT),
    after=st.lists(st.integers(0, 12), min_size=len(SERVICES), max_size=len(SERVICES)),
    further=st.integers(0, 40),
    first_slot=st.sampled_from([0, 300]),
)
async def test_partitions_that_were_kept_anywhere_go_on_as_if_nothing_had_been(
    executor: Executor, told: Told, near: int, after: list[int], further: int, first_slot: int
) -> None:
    first = KEPT.index(near)
    at = [KEPT[min(first + n, len(KEPT) - 1)] for n in after]
    end = KEPT[min(KEPT.index(max(at)) + further, len(KEPT) - 1)]

    again = await restarted(executor, told, at, end, first_slot)

    assert await again.anomalies() == await anomalies(await told.store.as_of(end))
    assert await again.dumps() == told.kept[end]
