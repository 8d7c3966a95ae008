"""Detection that is stopped, moved, upgraded and told again: what it knows afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import make
from tests.catalogs import OneByOne, ToyCatalog
from watchkeeper.analyze.absent import Absent
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import Detector
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.errors import Permanent
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    I32,
    U8,
    U64,
    Entity,
    Kind,
    Series,
    SeriesId,
    TenantId,
)
from watchkeeper.model.signal import NewSeries, SampleBatch
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

MINUTE_NS = 60 * make.NS_PER_S
SERVICES = ("x", "y", "z")
N = 1024
"""Room for slots."""
BOTH = DetectionConfig(detectors=[{"use": "basic"}, {"use": "fk"}])
LAST: I32 = np.array([N - 1], np.int32)


class Known(OneByOne):
    """What detection sees of a catalog of gauges."""

    def __init__(self, first_slot: int = 0) -> None:
        self.toy = ToyCatalog(first_slot=first_slot)
        self.kind: U8 = np.full(1024, Kind.GAUGE, np.uint8)
        self.partition: U8 = self.toy.partition
        self.identity: U64 = self.toy.identity
        self.high_slot = 1024
        self.lent: dict[int, int] = {}

    def labels(self, slots: I32) -> list[dict[str, str]]:
        return self.toy.labels(slots)

    def entity_of(self, slot: int) -> Entity:
        return self.toy.entity_of(slot)

    def lookup(self, identity: U64) -> I32:
        return self.toy.lookup(identity)

    def partition_of(self, tenant: TenantId, service: str) -> int:
        return self.toy.partition_of(tenant, service)

    def lenders(self, slots: I32) -> I32:
        return np.array([self.lent.get(slot, -1) for slot in slots.tolist()], np.int32)

    def series(self, slot: int) -> Series:
        identity = SeriesId(self.identity[slot].tobytes())
        return Series(identity, DEFAULT_TENANT, {"n": identity.hex()}, Kind.GAUGE)


class Process:
    """A detect stage with a catalog of its own, and the log as this process numbers slots."""

    def __init__(
        self,
        executor: Executor,
        *,
        first_slot: int = 0,
        store: MemoryStore | None = None,
        absent: Absent | None = None,
    ) -> None:
        """With `absent` it is yet to `meet` its series."""
        self.catalog = Known(first_slot)
        self.store = store or MemoryStore(MemoryStore.Config())
        self.stage = DetectStage(
            BOTH,
            catalog=self.catalog,
            store=self.store,
            executor=executor,
            absent=absent,
        )
        if absent is None:
            self.meet()

    @property
    def detectors(self) -> Sequence[Detector]:
        return self.stage.tiers.detectors

    def meet(self) -> None:
        labels = [make.labels("m", service=service) for service in SERVICES]
        self.new = self.catalog.toy.register(*labels)

    def log(self, *batches: SampleBatch) -> list[Delivery]:
        """New series at position 1, then the batches, in the slots of this process."""
        records: list[NewSeries | SampleBatch] = [self.new]
        records += [replace(one, slot=self.new.slot[one.slot]) for one in batches]
        return [Delivery(MIXED, at + 1, record) for at, record in enumerate(records)]

    async def anomalies(self) -> list[Anomaly]:
        return list((await self.store.list(Anomaly, Filter(DEFAULT_TENANT))).items)

    async def state(self) -> dict[int, bytes]:
        return {
            partition: await self.stage.dump(partition)
            for partition in sorted({int(p) for p in self.catalog.partition[self.new.slot]})
        }


def calm(first: int, n: int, *, seed: int = 0) -> SampleBatch:
    """All series, a sample a minute; slots are rows of the log's first record."""
    rows = np.arange(len(SERVICES) * n)
    minute = first + rows // len(SERVICES)
    value = 10 + np.random.default_rng((seed, first)).standard_normal(len(rows))
    slot = (rows % len(SERVICES)).astype(np.int32)
    return SampleBatch(DEFAULT_TENANT, slot, make.START_NS + minute * MINUTE_NS, value)


def wild(minute: int, value: float = 500.0, row: int = 0) -> SampleBatch:
    return make.samples((row, make.START_NS + minute * MINUTE_NS, value))


def alike(anomalies: Sequence[Anomaly]) -> list[Anomaly]:
    return sorted(anomalies, key=lambda one: (one.id, one.position))


async def test_a_checkpoint_is_taken_on_by_a_process_with_other_slots(executor: Executor) -> None:
    """State travels by identity. Slots are a process' own."""
    batches = [calm(0, 200), calm(200, 100)]
    one, other = Process(executor), Process(executor, first_slot=400)
    await one.stage.handle(one.log(*batches)[:2])
    kept = await one.state()
    await one.stage.handle(one.log(*batches)[2:])

    for partition, state in kept.items():
        await other.stage.load(partition, 2, state)
    await other.stage.handle(other.log(*batches))

    assert other.new.slot.tolist() != one.new.slot.tolist()
    assert await other.state() == await one.state()


async def test_series_that_have_left_the_catalog_are_passed_over(executor: Executor) -> None:
    one, other = Process(executor), Process(executor)
    await one.stage.handle(one.log(calm(0, 100)))
    gone = other.new.identity[0].tobytes()
    other.catalog.toy.forget(gone)

    for partition, state in (await one.state()).items():
        await other.stage.load(partition, 2, state)

    left = other.new.slot[1:]
    for mine, theirs in zip(other.detectors, one.detectors, strict=True):
        assert dumped(mine, left) == dumped(theirs, one.new.slot[1:])
        assert not any(b.strip(b"\0") for b in dumped(mine, LAST).values()), "row -1 is the last"


@pytest.mark.parametrize("n_owners", [1, 2], ids=["at once", "by way of another"])
@pytest.mark.parametrize("announces", [True, False], ids=["announced", "announced before"])
async def test_what_was_learned_waits_for_series_that_are_met_later(
    executor: Executor, n_owners: int, announces: bool
) -> None:
    """As where partitions are taken over by a process that has not met their series."""
    batches = [calm(0, 300), calm(300, 5), wild(305)]
    one = Process(executor)
    await one.stage.handle(one.log(*batches)[:2])
    kept = await one.state()
    await one.stage.handle(one.log(*batches)[2:])

    for _ in range(n_owners):
        other = Process(executor, first_slot=500, absent=Absent())
        for partition, state in kept.items():
            await other.stage.load(partition, 2, state)
            kept[partition] = await other.stage.dump(partition)
    other.meet()
    announced, _, *rest = other.log(*batches)
    await other.stage.handle([replace(announced, position=3)][: int(announces)] + rest)

    assert len(await one.anomalies()) > 0
    assert alike(await other.anomalies()) == alike(await one.anomalies())
    assert await other.state() == await one.state()


async def test_a_series_that_another_door_announces_again_goes_on(executor: Executor) -> None:
    """Its levels were forgotten, as a newcomer has none."""
    batches = [calm(0, 300), calm(300, 5), wild(305)]
    one, other = (Process(executor, absent=Absent()) for _ in range(2))
    for process in (one, other):
        process.meet()
        await process.stage.handle(process.log(*batches)[:2])
    again = other.catalog.toy.adopt(other.new)

    await other.stage.handle([Delivery(MIXED, 3, again)])
    for process in (one, other):
        await process.stage.handle(process.log(*batches)[2:])

    assert again.donor.tolist() == again.slot.tolist()
    assert len(await one.anomalies()) > 0
    assert await other.state() == await one.state()


@pytest.mark.parametrize("announces", [True, False], ids=["announced", "announced before"])
async def test_a_series_that_another_stage_met_first_begins_with_its_lender(
    executor: Executor, announces: bool
) -> None:
    one, other = (Process(executor, absent=Absent()) for _ in range(2))
    for process in (one, other):
        process.meet()
        await process.stage.handle(process.log(calm(0, 300)))
    lender = one.new.slot[:1]
    lent = make.new_series(0, make.labels("m", service="x", pod="new"))
    for process in (one, other):
        lent = replace(process.catalog.toy.adopt(lent), donor=lender)
    slot = lent.slot
    other.catalog.lent = {int(slot[0]): int(lender[0])}
    sample = SampleBatch(DEFAULT_TENANT, slot, calm(301, 1).time_ns[:1], np.array([10.0]))

    await one.stage.handle([Delivery(MIXED, 9, lent), Delivery(MIXED, 9, sample)])
    told = [Delivery(MIXED, 9, replace(lent, donor=slot))][: int(announces)]
    await other.stage.handle([*told, Delivery(MIXED, 9, sample)])

    for mine, theirs in zip(other.detectors, one.detectors, strict=True):
        assert dumped(mine, slot) == dumped(theirs, slot)
        assert any(b.strip(b"\0") for b in dumped(theirs, slot).values())


async def test_what_was_learned_of_series_that_stay_away_goes_after_an_hour(
    executor: Executor,
) -> None:
    one, other = Process(executor), Process(executor, absent=Absent())
    await one.stage.handle(one.log(calm(0, 300)))
    ((partition, state), *_) = (await one.state()).items()
    await other.stage.load(partition, 2, state)
    sizes = []

    for at, minute in enumerate((0, 59, 61)):
        await other.stage.handle([Delivery(MIXED, 3 + at, make.tick(60 * minute))])
        sizes.append(len(await other.stage.dump(partition)))

    assert sizes[0] == sizes[1] > sizes[2]


def dumped(detector: Any, slot: I32) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in detector.dump(slot).items()}


async def test_the_state_of_another_version_is_not_taken_for_ours(executor: Executor) -> None:
    one, fresh, other = Process(executor), Process(executor), Process(executor)
    await one.stage.handle(one.log(calm(0, 100)))

    for partition, state in (await one.state()).items():
        identities, by_detector, *rest = msgspec.msgpack.decode(state)
        version, arrays = by_detector["fk"]
        by_detector["fk"] = (version + 1, arrays)
        upgraded = msgspec.msgpack.encode((identities, by_detector, *rest))
        await other.stage.load(partition, 2, upgraded)

    basic, fk = other.detectors
    assert dumped(basic, other.new.slot) == dumped(one.detectors[0], one.new.slot)
    assert dumped(fk, other.new.slot) == dumped(fresh.detectors[1], fresh.new.slot)


async def test_a_detector_that_was_added_starts_afresh_beside_the_others(
    executor: Executor,
) -> None:
    one, fresh, other = Process(executor), Process(executor), Process(executor)
    await one.stage.handle(one.log(calm(0, 100)))

    for partition, state in (await one.state()).items():
        identities, by_detector, *rest = msgspec.msgpack.decode(state)
        del by_detector["fk"]
        await other.stage.load(
            partition, 2, msgspec.msgpack.encode((identities, by_detector, *rest))
        )

    assert dumped(other.detectors[0], other.new.slot) == dumped(one.detectors[0], one.new.slot)
    assert dumped(other.detectors[1], other.new.slot) == dumped(fresh.detectors[1], fresh.new.slot)


async def test_loading_replaces_what_was_learned_before(executor: Executor) -> None:
    """A partition that comes back to a process that had it once: the newer state counts alone."""
    one, other = Process(executor), Process(executor)
    await one.stage.handle(one.log(calm(0, 100)))
    await other.stage.handle(other.log(calm(0, 30, seed=9)))

    for partition, state in (await one.state()).items():
        await other.stage.load(partition, 2, state)

    assert await other.state() == await one.state()


async def test_loading_forgets_series_that_the_checkpoint_does_not_know(
    executor: Executor,
) -> None:
    """What was learned of them here came before the position from which they are told again."""
    one, fresh, other = Process(executor), Process(executor), Process(executor)
    await one.stage.handle(one.log(calm(0, 100)))
    one.catalog.identity[one.new.slot[0]] = (7, 7)  # another series has its slot
    await other.stage.handle(other.log(calm(0, 30, seed=9)))

    for partition, state in (await one.state()).items():
        await other.stage.load(partition, 2, state)

    first = other.new.slot[:1]
    for mine, unused in zip(other.detectors, fresh.detectors, strict=True):
        assert dumped(mine, first) == dumped(unused, fresh.new.slot[:1])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(cuts=st.lists(st.integers(1, 399), max_size=5))
async def test_where_batches_are_cut_makes_no_difference(
    executor: Executor, cuts: list[int]
) -> None:
    whole, parts = Process(executor), Process(executor)
    everything = calm(0, 130)
    edges = [0, *sorted(set(cuts)), len(everything)]
    cut = [
        SampleBatch(
            DEFAULT_TENANT,
            everything.slot[a:b],
            everything.time_ns[a:b],
            everything.value[a:b],
        )
        for a, b in pairwise(edges)
        if a < b
    ]

    await whole.stage.handle(whole.log(everything))
    await parts.stage.handle(parts.log(*cut))

    assert await parts.state() == await whole.state()


async def test_records_that_are_delivered_again_change_nothing(executor: Executor) -> None:
    """At least once delivery, exactly once effect: what lies below the checkpoint is skipped."""
    one = Process(executor)
    log = one.log(calm(0, 200), wild(200), calm(201, 50))
    await one.stage.handle(log)
    kept, found = await one.state(), await one.anomalies()
    again = Process(executor, store=one.store)
    for partition, state in kept.items():
        await again.stage.load(partition, len(log), state)

    await again.stage.handle(log)

    assert await again.state() == kept
    assert alike(await again.anomalies()) == alike(found)


async def test_an_episode_goes_on_over_a_restart_under_its_own_name(executor: Executor) -> None:
    undisturbed, first = Process(executor), Process(executor)
    story = [calm(0, 300), wild(300), wild(301, 5000.0), calm(302, 60)]
    await undisturbed.stage.handle(undisturbed.log(*story))

    log = first.log(*story)
    await first.stage.handle(log[:3])
    open_then = await first.anomalies()
    kept = await first.state()
    second = Process(executor, store=first.store)
    for partition, state in kept.items():
        await second.stage.load(partition, 3, state)
    await second.stage.handle(log)

    assert [one.status for one in open_then] == [AnomalyStatus.OPEN]
    assert alike(await second.anomalies()) == alike(await undisturbed.anomalies())
    assert [one.id for one in await second.anomalies()][-1:] == [open_then[0].id]


async def test_an_episode_that_went_on_elsewhere_is_not_set_back_where_it_began(
    executor: Executor,
) -> None:
    """The partition was another process' for a while, and what that one found is in the store."""
    undisturbed, here = Process(executor), Process(executor)
    story = [calm(0, 300), wild(300), wild(301, 1e9), calm(302, 60)]
    await undisturbed.stage.handle(undisturbed.log(*story))
    elsewhere = Process(executor, store=here.store)

    log = here.log(*story)
    await here.stage.handle(log[:3])
    await pass_on(here, elsewhere, 3)
    await elsewhere.stage.handle(log[3:4])
    await pass_on(elsewhere, here, 4)
    await here.stage.handle(log[4:])

    assert alike(await here.anomalies()) == alike(await undisturbed.anomalies())


async def pass_on(one: Process, to: Process, position: int) -> None:
    for partition, state in (await one.state()).items():
        await to.stage.load(partition, position, state)


async def test_a_replay_from_the_beginning_names_every_anomaly_the_same(
    executor: Executor,
) -> None:
    story = [calm(0, 300), wild(300), calm(301, 60), wild(361, row=1), calm(362, 60)]
    one = Process(executor)
    await one.stage.handle(one.log(*story))
    replayed = Process(executor, store=one.store)

    before = alike(await one.anomalies())
    await replayed.stage.handle(replayed.log(*story))

    assert len(before) >= 2
    assert alike(await replayed.anomalies()) == before


class Stubborn(MemoryStore):
    """A store that will never take what it is given while it is `full`."""

    full = False

    async def save(self, batch: Sequence[object]) -> int:
        if self.full and batch:
            raise Permanent("store: this record cannot be kept")
        return await super().save(batch)


async def test_what_can_never_be_saved_does_not_end_detection(executor: Executor) -> None:
    """The runtime puts the record aside, and hands over the next."""
    store = Stubborn(MemoryStore.Config())
    one = Process(executor, store=store)
    log = one.log(calm(0, 300), wild(300), calm(301, 60), wild(361, row=1))
    await one.stage.handle(log[:2])
    store.full = True
    with pytest.raises(Permanent):
        await one.stage.handle(log[2:3])
    store.full = False

    for delivery in log[3:]:
        await one.stage.handle([delivery])

    assert {a.position for a in await one.anomalies() if a.status is AnomalyStatus.OPEN} == {5}


async def test_a_position_is_that_of_the_record_that_changed_the_episode(
    executor: Executor,
) -> None:
    one = Process(executor)
    log = one.log(calm(0, 300), wild(300), calm(301, 60))

    for delivery in log:
        await one.stage.handle([delivery])

    (anomaly,) = [a for a in await one.anomalies() if a.detector == "basic"]
    assert anomaly.status is AnomalyStatus.CLOSED
    assert anomaly.position == 4


async def test_partitions_delivered_apart_are_skipped_by_their_own_checkpoints(
    executor: Executor,
) -> None:
    """As a bus between processes delivers: a record belongs to one partition."""
    one, other = Process(executor), Process(executor)
    await one.stage.handle(one.log(calm(0, 100)))
    kept = await one.state()
    owned, *others = kept

    await other.stage.load(owned, 50, kept[owned])
    slots = other.new.slot
    mine = slots[other.catalog.partition[slots] == owned]
    later_ns = make.START_NS + 500 * MINUTE_NS
    stale = make.samples(*[(int(slot), later_ns, 9e9) for slot in mine])
    await other.stage.handle([Delivery(owned, 50, stale)])

    assert (await other.state())[owned] == kept[owned]
    await other.stage.handle([Delivery(owned, 51, stale)])
    assert (await other.state())[owned] != kept[owned]
    assert others
    theirs = slots[other.catalog.partition[slots] == others[0]]
    fresh = make.samples((int(theirs[0]), make.START_NS, 5.0))
    before = (await other.state())[others[0]]
    await other.stage.handle([Delivery(others[0], 1, fresh)])
    assert (await other.state())[others[0]] != before
