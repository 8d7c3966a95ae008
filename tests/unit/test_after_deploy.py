"""A deployment in the log: what begins after it is told, and what of that wakes nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from tests import make
from tests.unit.test_detect_rulings import everything, log
from tests.unit.test_detect_stage_restart import MINUTE_NS, Process, alike, calm, wild
from tests.watching import WatchedCatalog
from watchkeeper.analyze import deployments
from watchkeeper.analyze.deployments import Deployment, reason
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import OPENED
from watchkeeper.analyze.governing import Governing, quiet
from watchkeeper.analyze.judge import WatcherJudge
from watchkeeper.analyze.rulings import Rulings
from watchkeeper.analyze.tiers import SubjectChange
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.model.anomaly import Anomaly, Severity
from watchkeeper.model.change import Change
from watchkeeper.model.series import DEFAULT_TENANT, N_PARTITIONS, Entity, TenantId
from watchkeeper.model.signal import SampleBatch, Tick
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

STEP_NS = MINUTE_NS
LEARNED = 1_500
"""Steps that the service is well: traffic is known after a day."""
QUIET_NS = 900 * make.NS_PER_S
CHECKOUT = Entity(service="checkout")
SYMPTOMS = DetectionConfig(
    detectors=[{"use": "basic"}], watchers=[{"use": "symptoms", "learning_s": 600}]
)


def deployed(step: int = LEARNED, **fields: Any) -> Change:
    usual = {"service": "checkout", "entity": CHECKOUT}
    return make.change(time_ns=make.START_NS + step * STEP_NS, **{**usual, **fields})


class Shop:
    """A stage that watches for symptoms, and its service as it is told minute by minute."""

    def __init__(self, executor: Executor, document: DetectionConfig = SYMPTOMS) -> None:
        self.catalog = WatchedCatalog()
        self.store = MemoryStore(MemoryStore.Config())
        self.stage = DetectStage(
            document, catalog=self.catalog, store=self.store, executor=executor
        )
        self.count = np.zeros(2)
        self.step = 0
        self.told: list[Any] = [self.catalog.new]
        self.n_handled = 0

    def lives(self, n: int, *, rate: float = 3_000.0, failing: float = 0.01) -> None:
        """Requests that are answered and that fail, for so many steps."""
        for _ in range(n):
            rng = np.random.default_rng(self.step)
            failed = rng.binomial(asked := rng.poisson(rate), failing)
            self.count = self.count + np.array([asked - failed, failed])
            now_ns = make.START_NS + self.step * STEP_NS
            slots, time_ns = self.catalog.new.slot[:2], np.full(2, now_ns)
            self.told.append(SampleBatch(DEFAULT_TENANT, slots, time_ns, self.count))
            self.told.append(Tick(now_ns + STEP_NS))
            self.step += 1

    async def handle(self) -> None:
        """What was told since."""
        deliveries = [Delivery(MIXED, at + 1, one) for at, one in enumerate(self.told)]
        await self.stage.handle(deliveries[self.n_handled :])
        self.n_handled = len(self.told)

    async def handed_over(self, executor: Executor, document: DetectionConfig = SYMPTOMS) -> Shop:
        """The same in another process, from checkpoints of here."""
        other = Shop(executor, document)
        for partition in range(N_PARTITIONS):
            state = await self.stage.dump(partition)
            await other.stage.load(partition, len(self.told), state)
        other.count, other.step = self.count, self.step
        other.told, other.n_handled = list(self.told), self.n_handled
        return other

    async def anomalies(self) -> list[Anomaly]:
        await self.handle()
        return list((await self.store.list(Anomaly, Filter(DEFAULT_TENANT))).items)


_WELL: list[Shop] = []


async def well(executor: Executor, document: DetectionConfig = SYMPTOMS) -> Shop:
    """One that was well for a day, which is lived once."""
    if not _WELL:
        shop = Shop(executor)
        shop.lives(LEARNED)
        await shop.handle()
        _WELL.append(shop)
    return await _WELL[0].handed_over(executor, document)


async def symptoms(shop: Shop) -> Mapping[str, Anomaly]:
    found = await shop.anomalies()
    return {one.labels["symptom"]: one for one in found if "symptom" in one.labels}


async def told_after(
    executor: Executor, *changes: Change, after: int = 1, document: DetectionConfig = SYMPTOMS,
    **trouble: float,
) -> Mapping[str, Anomaly]:  # fmt: skip
    """Symptoms of a service in trouble, so many minutes after it was deployed."""
    shop = await well(executor, document)
    shop.told += changes
    shop.lives(after)
    shop.lives(8, **trouble)
    return await symptoms(shop)


async def test_traffic_that_shifts_after_a_deployment_is_shown_and_does_not_page(
    executor: Executor,
) -> None:
    told = await told_after(executor, deployed(), rate=600.0)

    assert told["traffic"].severity is Severity.EVIDENCE
    assert told["traffic"].muted == "after_deploy: v2.1.0 of checkout"


async def test_without_a_deployment_the_same_shift_pages(executor: Executor) -> None:
    told = await told_after(executor, rate=600.0)

    assert told["traffic"].severity is Severity.PAGE
    assert told["traffic"].muted == ""


async def test_sixteen_minutes_after_a_deployment_a_shift_pages(executor: Executor) -> None:
    told = await told_after(executor, deployed(), after=16, rate=600.0)

    assert told["traffic"].severity is Severity.PAGE


async def test_errors_after_a_deployment_page(executor: Executor) -> None:
    told = await told_after(executor, deployed(), failing=0.2)

    assert told["errors"].severity is Severity.PAGE
    assert told["errors"].muted == ""


@pytest.mark.parametrize(
    "change",
    [
        deployed(entity=Entity(service="cart")),
        deployed(kind="config"),
        deployed(tenant=TenantId("another")),
    ],
    ids=["of another service", "of another kind", "of another tenant"],
)
async def test_other_changes_quiet_nothing(executor: Executor, change: Change) -> None:
    told = await told_after(executor, change, rate=600.0)

    assert told["traffic"].severity is Severity.PAGE


async def test_how_long_it_is_quiet_is_a_setting(executor: Executor) -> None:
    loud = DetectionConfig(
        detectors=SYMPTOMS.detectors, watchers=SYMPTOMS.watchers, deploy_quiet_s=0.0
    )

    told = await told_after(executor, deployed(), document=loud, rate=600.0)

    assert told["traffic"].severity is Severity.PAGE


async def test_a_restart_between_deployment_and_shift_changes_nothing(executor: Executor) -> None:
    one = await well(executor)
    one.told.append(deployed())
    one.lives(1)
    await one.handle()
    other = await one.handed_over(executor)
    for shop in (one, other):
        shop.lives(8, rate=600.0)

    resumed = await other.anomalies()

    assert {anomaly.muted for anomaly in resumed} == {"after_deploy: v2.1.0 of checkout"}
    assert alike(resumed) == alike(await one.anomalies())


# Below: single series.


def of_series(minute: int, service: str = "x", **fields: Any) -> Change:
    time_ns = make.START_NS + minute * MINUTE_NS
    return make.change(time_ns=time_ns, service=service, entity=Entity(service=service), **fields)


class Owned(Process):
    """... whose series are known to be of services."""

    def __init__(self, executor: Executor, metric: str = "m") -> None:
        super().__init__(executor)
        named = self.catalog.series

        def series(slot: int) -> Any:
            entity = self.catalog.entity_of(slot)
            return replace(named(slot), labels={"__name__": metric}, entity=entity)

        self.catalog.series = series  # type: ignore[method-assign]  # a catalog that knows more
        self.catalog.labels = lambda slots: [{"__name__": metric}] * len(slots)  # type: ignore[method-assign]  # as well


async def of_first(
    executor: Executor, *changes: Change, metric: str = "m", partition: int = MIXED
) -> set[str]:
    """Why the anomalies of a series are muted that goes wild at minute 305."""
    process = Owned(executor, metric)
    records = [calm(0, 300), *changes, calm(300, 5), wild(305), calm(306, 3)]
    await process.stage.handle(log(process, records, partition))
    found = await process.anomalies()
    assert found
    return {one.muted for one in found}


@pytest.mark.parametrize(
    ("minute", "want"),
    [(305, "after_deploy: v2.1.0 of x"), (291, "after_deploy: v2.1.0 of x"), (290, ""), (306, "")],
)
async def test_a_series_that_shifts_names_the_deployment_that_it_follows(
    executor: Executor, minute: int, want: str
) -> None:
    assert await of_first(executor, of_series(minute)) == {want}


async def test_a_series_of_errors_that_shifts_is_as_ever(executor: Executor) -> None:
    assert await of_first(executor, of_series(304), metric="errors_total") == {""}


async def test_a_deployment_that_is_told_after_the_shift_does_not_change_what_was_said(
    executor: Executor,
) -> None:
    process = Owned(executor)
    records = [calm(0, 300), calm(300, 5), wild(305), of_series(304), calm(306, 3)]

    await process.stage.handle(log(process, records))

    assert {one.muted for one in await process.anomalies()} == {""}


async def test_each_deployment_is_kept_with_its_service_and_comes_back_with_it(
    executor: Executor,
) -> None:
    plain, one, other = (Owned(executor) for _ in range(3))
    await plain.stage.handle(log(plain, [calm(0, 5)]))
    await one.stage.handle(log(one, [calm(0, 5), of_series(3)]))

    kept = await everything(one)
    for partition, state in kept.items():
        await other.stage.load(partition, 3, state)
    await other.stage.handle(log(other, [calm(0, 5), of_series(3)])[1:])

    before = await everything(plain)
    assert [p for p in kept if kept[p] != before[p]] == [
        one.catalog.toy.partition_of(DEFAULT_TENANT, "x")
    ]
    assert await everything(other) == kept


async def test_how_long_it_is_quiet_may_be_set_while_it_runs(executor: Executor) -> None:
    process = Owned(executor)
    settings = make.settings(json.dumps({"deploy_quiet_s": 60.0}))
    records = [calm(0, 300), settings, of_series(303), calm(300, 5), wild(305), calm(306, 3)]

    await process.stage.handle(log(process, records))

    assert {one.muted for one in await process.anomalies()} == {""}


# Below: the parts.


def why(known: Sequence[Deployment], began_ns: int, entity: Entity = CHECKOUT) -> str:
    return reason(known, DEFAULT_TENANT, entity, began_ns=began_ns, quiet_ns=QUIET_NS)


def test_the_newest_of_several_deployments_is_named() -> None:
    known = [Deployment.of(deployed(step, version=f"v{step}")) for step in (3, 5, 4)]

    assert why(known, make.START_NS + 6 * STEP_NS) == "after_deploy: v5 of checkout"


def test_a_deployment_without_version_is_named_by_its_service() -> None:
    assert why([Deployment.of(deployed(0, version=""))], make.START_NS) == "after_deploy: checkout"


def test_a_deployment_lasts_from_its_first_telling_to_its_last() -> None:
    first = Deployment.of(deployed(0, id="d", status="started"))
    last = Deployment.of(deployed(60, id="d", status="success"))
    end_ns = make.START_NS + 60 * STEP_NS + QUIET_NS

    for one in (first.told_again(last), last.told_again(first)):
        assert why([one], make.START_NS)
        assert why([one], end_ns - 1)
        assert not why([one], make.START_NS - 1)
        assert not why([one], end_ns)


@pytest.mark.parametrize(
    ("told", "of", "want"),
    [("", "prod", True), ("prod", "", True), ("prod", "prod", True), ("test", "prod", False)],
)
def test_environments_tell_deployments_apart_where_both_say_theirs(
    told: str, of: str, want: bool
) -> None:
    one = Deployment.of(deployed(0, entity=Entity("checkout", told)))

    assert one.concerns(DEFAULT_TENANT, Entity("checkout", of)) is want


def test_old_deployments_are_let_go_of() -> None:
    rulings = Rulings()
    rulings.deploy(Deployment.of(deployed(0)), 7)

    rulings.tick(make.START_NS + deployments.KEPT_NS)
    kept = len(list(rulings.deployed(7)))
    rulings.tick(make.START_NS + deployments.KEPT_NS + 1)

    assert (kept, rulings.knows_deployments) == (1, False)
    assert rulings.dump(7) == Rulings().dump(7)


def test_no_more_deployments_are_kept_than_there_is_room_for() -> None:
    rulings = Rulings()

    for step in range(deployments.MOST + 2):
        rulings.deploy(Deployment.of(deployed(step)), 7)

    kept = list(rulings.deployed(7))
    assert len(kept) == deployments.MOST
    assert kept[0].first_ns == make.START_NS + 2 * STEP_NS


@pytest.mark.parametrize(
    ("severity", "want"),
    [
        (Severity.PAGE, Severity.EVIDENCE),
        (Severity.EVIDENCE, Severity.EVIDENCE),
        (Severity.INFO, Severity.INFO),
    ],
)
def test_what_a_deployment_explains_is_evidence_at_most(severity: Severity, want: Severity) -> None:
    found = quiet(make.anomaly(severity=severity), "after_deploy: v1 of checkout")

    assert (found.severity, found.muted) == (want, "after_deploy: v1 of checkout")
    assert found.info_reason is make.anomaly(severity=severity).info_reason


def governing(executor: Executor) -> Governing:
    """Of a stage that was told of a deployment."""
    shop = Shop(executor)
    one = shop.stage._governing  # noqa: SLF001 - who decides what is muted
    one.take(deployed(0), range(N_PARTITIONS))
    return one


def symptom(name: str, by: str = "symptoms", *, step: int = 5, **labels: str) -> SubjectChange:
    sighting = Sighting(
        tenant=DEFAULT_TENANT,
        entity=CHECKOUT,
        labels={"service": "checkout", "symptom": name, **labels},
        started_ns=make.START_NS + step * STEP_NS,
        time_ns=make.START_NS + (step + 1) * STEP_NS,
        change=OPENED,
        severity=Severity.PAGE,
        value=1.0,
        expected_low=0.0,
        expected_high=0.5,
        p_value=1e-9,
    )
    return SubjectChange(WatcherJudge(by), sighting)


@pytest.mark.parametrize(
    ("name", "by", "is_muted"),
    [
        ("traffic", "symptoms", True),
        ("surge", "symptoms", True),
        ("latency", "symptoms", True),
        ("errors", "symptoms", False),
        ("saturation", "symptoms", False),
        ("silence", "symptoms", False),
        ("slo", "symptoms", False),
        ("error_share", "symptoms", False),
        ("no_requests", "symptoms", False),
        ("no_data", "no_data", False),
        ("latency", "another", False),
    ],
)
def test_a_deployment_explains_some_symptoms_and_no_other(
    executor: Executor, name: str, by: str, is_muted: bool
) -> None:
    said = governing(executor).muted(symptom(name, by), None)

    assert said == ("after_deploy: v2.1.0 of checkout" if is_muted else "")


@pytest.mark.parametrize(("step", "is_muted"), [(0, True), (14, True), (15, False), (-1, False)])
def test_it_explains_what_begins_within_a_quarter_of_an_hour(
    executor: Executor, step: int, is_muted: bool
) -> None:
    said = governing(executor).muted(symptom("latency", step=step), None)

    assert bool(said) is is_muted


def test_maintenance_goes_before_a_deployment(executor: Executor) -> None:
    one = governing(executor)
    window = make.maintenance(match={}, from_ns=0, to_ns=2 * make.START_NS)
    one.take(window, range(N_PARTITIONS))

    assert one.muted(symptom("latency"), None) == "maintenance: disks are exchanged"


def test_a_deployment_of_a_partition_that_is_covered_is_passed_over(executor: Executor) -> None:
    one = Shop(executor).stage._governing  # noqa: SLF001 - as above

    one.take(deployed(0), [])

    assert one.muted(symptom("latency"), None) == ""


def test_checkpoints_from_before_there_were_deployments_are_read() -> None:
    rulings = Rulings()
    rulings.hold(make.maintenance(), [7])
    form = msgspec.msgpack.decode(rulings.dump(7))
    other = Rulings()

    other.load(7, msgspec.msgpack.encode(form[:5]))

    assert not other.knows_deployments
    assert other.dump(7) == rulings.dump(7)


def test_forgetting_a_partition_forgets_its_deployments() -> None:
    rulings = Rulings()
    rulings.deploy(Deployment.of(deployed(0)), 7)
    rulings.deploy(Deployment.of(deployed(1)), 8)

    rulings.load(7, b"")

    assert list(rulings.deployed(7)) == []
    assert len(list(rulings.deployed(8))) == 1
