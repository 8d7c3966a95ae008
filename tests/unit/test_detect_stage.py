"""The detect stage: what it does besides judging."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.catalogs import ToyCatalog
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.series import DEFAULT_TENANT, Series, SeriesId
from watchkeeper.model.signal import NewSeries, SampleBatch
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

OFF = DetectionConfig(detectors=[])
MINUTE_NS = 60 * make.NS_PER_S


class Known(ToyCatalog):
    """... which also tells what a series is."""

    @property
    def kind(self) -> Any:
        return np.ones(len(self.partition), np.uint8)

    @property
    def high_slot(self) -> int:
        return len(self.partition)

    def series(self, slot: int) -> Series:
        identity = SeriesId(self.identity[slot].tobytes())
        return Series(identity, DEFAULT_TENANT, {"n": str(slot)}, make.Kind.GAUGE)


class Moody(MemoryStore):
    """A store that cannot save as often as it is told to refuse."""

    refusals = 0

    async def save(self, batch: Sequence[object]) -> int:
        if self.refusals:
            self.refusals -= 1
            raise Retryable("store: busy")
        return await super().save(batch)


@pytest.fixture
def catalog() -> Known:
    return Known()


@pytest.fixture
def new(catalog: Known) -> NewSeries:
    return catalog.register(make.labels("a", service="x"), make.labels("b", service="y"))


def stage(catalog: Known, executor: Executor, store: MemoryStore | None = None) -> DetectStage:
    store = store or MemoryStore(MemoryStore.Config())
    return DetectStage(catalog=catalog, store=store, executor=executor)


def calm(new: NewSeries, first: int, n: int) -> SampleBatch:
    """Both series, a sample a minute, around ten."""
    chance = np.random.default_rng(first)
    rows = np.arange(2 * n)
    times = make.START_NS + (first + rows // 2) * MINUTE_NS
    return SampleBatch(new.tenant, new.slot[rows % 2], times, chance.normal(10, 1, 2 * n))


def wild(new: NewSeries, at: int) -> SampleBatch:
    return SampleBatch(
        new.tenant, new.slot[:1], np.array([make.START_NS + at * MINUTE_NS]), np.array([500.0])
    )


async def found(store: MemoryStore) -> list[Anomaly]:
    return list((await store.list(Anomaly, Filter(DEFAULT_TENANT))).items)


async def state_of(one: DetectStage) -> list[bytes]:
    return [await one.dump(partition) for partition in range(64)]


async def test_a_wild_sample_is_found(catalog: Known, new: NewSeries, executor: Executor) -> None:
    store = MemoryStore(MemoryStore.Config())
    one = stage(catalog, executor, store)

    await one.handle([Delivery(MIXED, 1, new), Delivery(MIXED, 2, calm(new, 0, 300))])
    await one.handle([Delivery(MIXED, 3, wild(new, 300))])

    (anomaly,) = await found(store)
    assert anomaly.detector == "basic"
    assert anomaly.value == 500.0
    assert anomaly.position == 3


async def test_where_only_saving_failed_nothing_is_learned_twice(
    catalog: Known, new: NewSeries, executor: Executor
) -> None:
    store = Moody(MemoryStore.Config())
    moody, even = stage(catalog, executor, store), stage(catalog, executor)
    first = [Delivery(MIXED, 1, new), Delivery(MIXED, 2, calm(new, 0, 300))]
    second = [Delivery(MIXED, 3, wild(new, 300))]
    for one in (moody, even):
        await one.handle(first)

    store.refusals = 2
    for _ in range(2):
        with pytest.raises(Retryable):
            await moody.handle(second)
    await moody.handle(second)
    await even.handle(second)

    assert len(await found(store)) == 1
    assert await state_of(moody) == await state_of(even)


async def test_what_a_checkpoint_covers_is_skipped_row_by_row(
    catalog: Known, new: NewSeries, executor: Executor
) -> None:
    """One partition was kept later than the other; both end up where an undisturbed stage is."""
    records = [new, calm(new, 0, 100), calm(new, 100, 100), calm(new, 200, 100)]
    deliveries = [Delivery(MIXED, n + 1, record) for n, record in enumerate(records)]
    undisturbed = stage(catalog, executor)
    early, late = (int(catalog.partition[slot]) for slot in new.slot)
    await undisturbed.handle(deliveries[:2])
    kept = {early: (2, await undisturbed.dump(early))}
    await undisturbed.handle(deliveries[2:3])
    kept[late] = (3, await undisturbed.dump(late))
    await undisturbed.handle(deliveries[3:])

    restarted = stage(catalog, executor)
    for partition, (position, state) in kept.items():
        await restarted.load(partition, position, state)
    await restarted.handle(deliveries[2:])

    assert early != late
    assert await state_of(restarted) == await state_of(undisturbed)


async def test_a_partition_without_a_checkpoint_is_forgotten(
    catalog: Known, new: NewSeries, executor: Executor
) -> None:
    one, fresh = stage(catalog, executor), stage(catalog, executor)
    await one.handle([Delivery(MIXED, 1, new), Delivery(MIXED, 2, calm(new, 0, 100))])

    for partition in {int(catalog.partition[slot]) for slot in new.slot}:
        await one.load(partition, 0, b"")

    assert await state_of(one) == await state_of(fresh)


async def test_without_detectors_nothing_is_judged(
    catalog: Known, new: NewSeries, executor: Executor
) -> None:
    store = MemoryStore(MemoryStore.Config())
    one = DetectStage(OFF, catalog=catalog, store=store, executor=executor)

    await one.handle([Delivery(MIXED, 1, new), Delivery(MIXED, 2, wild(new, 0))])

    assert await found(store) == []


def test_the_grid_tier_alone_is_refused_with_the_remedy(catalog: Known, executor: Executor) -> None:
    store = MemoryStore(MemoryStore.Config())

    with pytest.raises(ConfigError, match="use: basic"):
        DetectStage(
            DetectionConfig(detectors=[{"use": "fk"}]),
            catalog=catalog,
            store=store,
            executor=executor,
        )
