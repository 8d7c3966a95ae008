"""However a run is cut into batches, killed and handed on: what has gone ends alike, to the bit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.watching import METRICS, WatchedCatalog
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.anomaly import Anomaly, Gone
from watchkeeper.model.ruling import DetectionSet
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS
from watchkeeper.model.signal import SampleBatch
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

MINUTE_NS = 60 * make.NS_PER_S
SLOTS = (4, 4 + len(METRICS), 4 + 2 * len(METRICS))
"""The queue of each service."""
CALM, END = 60, 130
SILENT, CHANGED = 64, 90
"""The minutes in which the first falls silent, and in which the settings change."""
BEFORE = {"detectors": [{"use": "basic"}, {"use": "ewma"}], "watchers": [{"use": "flatline"}]}
AFTER = {"detectors": [{"use": "basic"}], "watchers": []}


def records(catalog: WatchedCatalog) -> list[Any]:
    """All queues are in trouble from one minute on. The first falls silent; of the second it is
    over; the settings know less than before when all of that is behind."""
    chance = np.random.default_rng(1)
    found: list[Any] = [catalog.new]
    for number in range(END):
        value = 10 + chance.standard_normal(len(SLOTS)) + (900.0 if number >= CALM else 0.0)
        value[1] -= 900.0 if number >= 80 else 0.0
        there = np.array([number < SILENT, True, True])
        slot = catalog.new.slot[np.array(SLOTS)][there]
        time_ns = np.full(len(slot), make.START_NS + number * MINUTE_NS)
        found.append(SampleBatch(DEFAULT_TENANT, slot, time_ns, value[there]))
        if number == CHANGED:
            text = msgspec.json.encode(msgspec.convert(AFTER, DetectionConfig)).decode()
            found.append(DetectionSet("s", text, 0, "alice", "detection.set"))
        found.append(make.tick(60.0 * number + 1.0))
    return found


def stage(executor: Executor, catalog: WatchedCatalog, store: MemoryStore) -> DetectStage:
    document = msgspec.convert(BEFORE, DetectionConfig)
    return DetectStage(document, catalog=catalog, store=store, executor=executor)


async def play(one: DetectStage, log: list[Delivery], cuts: list[int]) -> None:
    """In batches that end at these records."""
    for part in np.split(np.arange(len(log)), sorted(set(cuts))):
        if len(part):
            await one.handle([log[at] for at in part])


@dataclass(frozen=True, repr=False)
class Outcome:
    anomalies: Sequence[Anomaly]
    dumps: Mapping[int, bytes]


async def kept(one: DetectStage) -> Mapping[int, bytes]:
    return {partition: await one.dump(partition) for partition in range(N_PARTITIONS)}


async def outcome(one: DetectStage, store: MemoryStore) -> Outcome:
    page = await store.list(Anomaly, Filter(DEFAULT_TENANT))
    found = sorted(page.items, key=lambda each: each.id)
    return Outcome(found, await kept(one))


def known(first_slot: int = 0) -> WatchedCatalog:
    catalog = WatchedCatalog(first_slot)
    catalog.partition[~catalog.identity.any(axis=1)] = N_PARTITIONS  # nobody's
    return catalog


def numbered(catalog: WatchedCatalog) -> list[Delivery]:
    return [Delivery(MIXED, at + 1, one) for at, one in enumerate(records(catalog))]


async def run(executor: Executor, cuts: list[int]) -> Outcome:
    catalog, store = known(), MemoryStore(MemoryStore.Config())
    one = stage(executor, catalog, store)
    await play(one, numbered(catalog), cuts)
    return await outcome(one, store)


async def killed(executor: Executor, cuts: list[int], at: int, first_slot: int) -> Outcome:
    """... behind 20 records more than its checkpoint has, which its store knows."""
    catalog, store = known(), MemoryStore(MemoryStore.Config())
    one = stage(executor, catalog, store)
    await play(one, numbered(catalog)[:at], cuts)
    dumps = await kept(one)
    await play(one, numbered(catalog)[at : at + 20], [])
    catalog = known(first_slot)
    again = stage(executor, catalog, store)
    for partition, state in dumps.items():
        await again.load(partition, at, state)
    await play(again, numbered(catalog)[at:], [])
    return await outcome(again, store)


@pytest.fixture(scope="module")
def told(executor: Executor) -> Outcome:
    return asyncio.run(run(executor, []))


def test_the_run_has_every_ending(told: Outcome) -> None:
    """Or little would be shown by it."""
    assert {one.gone for one in told.anomalies} == {None, Gone.SILENT, Gone.SETTINGS}


@settings(max_examples=8, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 2 * END), max_size=5),
    stop=st.integers(2 * CALM, 2 * END),
    first_slot=st.sampled_from([0, 300]),
)
async def test_a_run_that_is_cut_and_killed_ends_all_alike(
    executor: Executor,
    told: Outcome,
    cuts: list[int],
    stop: int,
    first_slot: int,
) -> None:
    assert await killed(executor, cuts, stop, first_slot) == told
