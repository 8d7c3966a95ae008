"""An outage from the samples to the anomalies that are stored, with and without a restart in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

import numpy as np
import pytest

from tests import make
from tests.watching import METRICS, SERVICES, WatchedCatalog, minute
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.explain import explanation
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus, Severity
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS
from watchkeeper.model.signal import Logged, SampleBatch, Tick
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

PLAN = DetectionConfig(detectors=[{"use": "basic"}], watchers=[{"use": "symptoms"}])
STEP_NS = 15 * make.NS_PER_S
QUIET, BACK, END = 250, 270, 290
"""Steps: all are silent from the first on, the last service from the second on alone."""


class Process:
    """A detect stage, and the log in the slots of this process: samples, then a tick."""

    def __init__(self, executor: Executor, store: MemoryStore, first_slot: int = 0) -> None:
        self.store = store
        self.catalog = WatchedCatalog(first_slot)
        self.catalog.partition[~self.catalog.identity.any(axis=1)] = N_PARTITIONS  # nobody's
        self.partitions = sorted(set(self.catalog.partition[self.catalog.new.slot].tolist()))
        self.stage = DetectStage(PLAN, catalog=self.catalog, store=store, executor=executor)

    def log(self, first: int, last: int) -> Iterator[Delivery]:
        for at in range(first, last):
            for part in range(2):
                yield Delivery(MIXED, 2 * at + part + 1, self._record(at, part))

    def _record(self, at: int, part: int) -> Logged:
        if part:
            return Tick(make.START_NS + at * STEP_NS + make.NS_PER_S)
        points = minute(self.catalog, at)
        n_heard = len(SERVICES) if at < QUIET else (len(SERVICES) - 1 if at >= BACK else 0)
        time_ns = np.full(n_heard * len(METRICS), make.START_NS + at * STEP_NS)
        n = len(time_ns)
        return SampleBatch(DEFAULT_TENANT, points.slot[:n], time_ns, points.value[:n])

    async def kept(self) -> dict[int, bytes]:
        return {one: await self.stage.dump(one) for one in self.partitions}

    async def anomalies(self) -> Sequence[Anomaly]:
        page = await self.store.list(Anomaly, Filter(DEFAULT_TENANT, limit=100))
        return sorted(page.items, key=lambda one: one.id)


@pytest.mark.parametrize(
    ("glob", "severity"),
    [("c*", Severity.PAGE), ("[cp]*", Severity.INFO)],
    ids=["some of them", "all of them"],
)
async def test_maintenance_of_all_services_of_an_outage_mutes_it(
    executor: Executor, glob: str, severity: Severity
) -> None:
    window = make.maintenance(
        match={"service": glob},
        from_ns=make.START_NS + (QUIET - 4) * STEP_NS,
        to_ns=make.START_NS + END * STEP_NS,
    )
    one = Process(executor, MemoryStore(MemoryStore.Config()))
    await one.stage.handle([Delivery(MIXED, 1, window), *one.log(1, QUIET + 8)])

    found = await one.anomalies()

    assert {said.severity for said in found if said.labels["symptom"] == "outage"} == {severity}


def described(found: Sequence[Anomaly]) -> set[tuple[str, str, Severity, AnomalyStatus]]:
    return {
        (one.entity.service, one.labels["symptom"], one.severity, one.status)
        for one in found
        if one.detector == "symptoms"
    }


async def test_an_outage_is_stored_as_one_page_and_who_stays_away_as_another(
    executor: Executor,
) -> None:
    """And partitions that go on from checkpoints of their own store the same."""
    one = Process(executor, MemoryStore(MemoryStore.Config()))
    kept = {}
    for at, delivery in enumerate(one.log(0, END)):
        await one.stage.handle([delivery])
        if at % 2 and at // 2 in (QUIET + 1, QUIET + 8, BACK + 3):
            kept[at // 2] = await one.kept()

    found = await one.anomalies()

    assert described(found) == {
        ("", "outage", Severity.PAGE, AnomalyStatus.CLOSED),
        (SERVICES[0], "silence", Severity.EVIDENCE, AnomalyStatus.CLOSED),
        (SERVICES[1], "silence", Severity.EVIDENCE, AnomalyStatus.CLOSED),
        (SERVICES[2], "silence", Severity.PAGE, AnomalyStatus.OPEN),
    }
    (outage,) = [said for said in found if said.labels["symptom"] == "outage"]
    assert explanation(outage).startswith("telemetry of 3 of 3 services stopped at the same time")
    again = Process(executor, one.store, first_slot=300)
    for partition, at in zip(again.partitions, kept, strict=True):
        await again.stage.load(partition, 2 * at + 2, kept[at][partition])
    await again.stage.handle(list(again.log(min(kept), END)))
    assert await again.anomalies() == found
    assert await again.kept() == await one.kept()
