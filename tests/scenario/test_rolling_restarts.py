"""A week of hourly rolling restarts: new pods are no strangers, and memory stays bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.rhythm import BEGIN_S, STEP_S, body, latency
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.clock import NS_PER_S
from watchkeeper.ingest.admit import Admission, AdmitConfig
from watchkeeper.ingest.admit_rows import AdmitRowsConfig, RowAdmission
from watchkeeper.ingest.enrich import Enrich, EnrichConfig
from watchkeeper.ingest.prepare import Preparer, Request
from watchkeeper.ingest.receivers.remote_write import RemoteWrite
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.anomaly import Anomaly, Severity
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.sdk import remote_write
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

HOURS = 7 * 24
PODS = 2
IDLE_S = 3600.0


def pod(hour: int, number: int) -> Mapping[str, str]:
    return {
        "__name__": "request_latency_ms",
        "service": "payment",
        "pod": f"payment-{hour:03d}-{number}",
    }


@dataclass
class Cluster:
    """The door and detection, without a log between them, so that a week takes seconds."""

    catalog: Catalog
    preparer: Preparer
    detect: DetectStage
    store: MemoryStore
    position: int = field(default=0)

    async def report(self, hour: int, minutes: range, *, factor: float = 1.0) -> None:
        """The pods of an hour report for some of its minutes."""
        now_ns = (BEGIN_S + (hour * 60 + minutes[-1]) * STEP_S) * NS_PER_S
        rows = [
            (pod(hour, n), hour * 60 + minute, factor * latency(hour * 60 + minute, seed=n))
            for n in range(PODS)
            for minute in minutes
        ]
        request = Request("remote_write", body(rows), remote_write.HEADERS, DEFAULT_TENANT)
        prepared = self.preparer.prepare(request, now_ns)
        assert prepared.accepted.n_accepted == len(rows)
        records = [*self.preparer.unlogged(), *prepared.records]
        self.preparer.logged(len(records) - len(prepared.records))
        deliveries = []
        for record in records:
            self.position += 1
            deliveries.append(Delivery(MIXED, self.position, record))
        await self.detect.handle(deliveries)
        self.preparer.recycle(now_ns, IDLE_S)

    async def anomalies(self) -> list[Anomaly]:
        page = await self.store.list(Anomaly, Filter(DEFAULT_TENANT, limit=1000))
        return list(page.items)


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    config = CatalogConfig(max_series=500, max_donors=100)
    catalog = Catalog(b"0123456789abcdef", config, Enrich(EnrichConfig()))
    admission = Admission(AdmitConfig(), config.n_slots)
    rows = RowAdmission(AdmitRowsConfig(), Enrich())
    preparer = Preparer({"remote_write": RemoteWrite()}, catalog, admission, rows)
    store = MemoryStore(MemoryStore.Config())
    both = DetectionConfig(detectors=[{"use": "basic"}, {"use": "fk"}])
    with ThreadPoolExecutor(1) as executor:
        detect = DetectStage(both, catalog=catalog, store=store, executor=executor)
        yield Cluster(catalog, preparer, detect, store)


async def test_a_pod_of_the_week_s_last_deploy_is_judged_by_what_its_forerunners_taught() -> None:
    async with cluster() as one:
        for hour in range(HOURS):
            await one.report(hour, range(60))
        before = await one.anomalies()

        await one.report(HOURS, range(4))
        await one.report(HOURS, range(4, 14), factor=4.0)

        known = {anomaly.id for anomaly in before}
        found = [anomaly for anomaly in await one.anomalies() if anomaly.id not in known]
        evidence = {a.labels["pod"] for a in found if a.severity is Severity.EVIDENCE}
        assert evidence == {pod(HOURS, number)["pod"] for number in range(PODS)}
        assert all(a.expected_low > 40 and a.expected_high < 160 for a in found)


async def test_a_week_of_restarts_costs_no_false_evidence_and_no_memory() -> None:
    async with cluster() as one:
        for hour in range(HOURS):
            await one.report(hour, range(60))

        evidence = [a for a in await one.anomalies() if a.severity is Severity.EVIDENCE]
        assert len(evidence) <= PODS  # a budget of one a week for each
        assert one.catalog.high_slot <= 6 * PODS
