"""Alerts become incidents in the order of the log, and stay what they were over restarts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.alerting import CASCADE, OTHER_CASCADE, cascade
from tests.handling import Desk, S, handling, memory, stage_of
from watchkeeper.bus.base import Delivery
from watchkeeper.errors import Retryable
from watchkeeper.model.alert import Alert
from watchkeeper.model.handling import Happening, IncidentHead, IncidentMembers, Verb
from watchkeeper.model.incident import IncidentStatus
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.store.base import Filter, Store
from watchkeeper.store.memory import MemoryStore

OURS = make.alert(
    "errors",
    "bank",
    source="watchkeeper",
    annotations={"anomaly": "a1"},
    links={"anomaly": "/api/v1/anomalies/a1"},
)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as found:
        yield found


@pytest.fixture
def desk(tmp_path: Path, executor: ThreadPoolExecutor) -> Desk:
    store = memory(tmp_path)
    return Desk(store, stage_of(store, executor))


def ends(alerts: Sequence[Alert], *, at_s: float) -> list[Alert]:
    at_ns = make.START_NS + round(at_s * S)
    return [make.resolved(one, after_s=(at_ns - one.started_ns) / S) for one in alerts]


async def everything(store: Store) -> list[list[Any]]:
    """All that is kept of incidents, without how often it was saved on the way."""
    heads = (await store.list(IncidentHead, Filter(DEFAULT_TENANT))).items
    members = (await store.list(IncidentMembers, Filter(DEFAULT_TENANT))).items
    desk = Desk(store, None)  # type: ignore[arg-type]  # only what is in the store is asked for
    return [list(heads), list(members), *[await desk.timeline(one.id) for one in heads]]


async def test_a_cascade_is_one_incident_in_the_store_with_its_root_in_front(desk: Desk) -> None:
    await desk.watch(cascade(), until_s=120)

    (head,) = await desk.heads()
    assert head.status is IncidentStatus.OPEN
    assert head.service == "bank"
    assert head.services == ("bank", "checkout", "payment", "web")
    assert (head.n_members, head.n_firing) == (4, 4)
    assert await desk.services(head.id) == [service for service, _ in CASCADE]


async def test_the_timeline_says_when_each_alert_joined_and_why(desk: Desk) -> None:
    await desk.watch(cascade(), until_s=120)

    (head,) = await desk.heads()
    entries = await desk.timeline(head.id)
    joined = [one for one in entries if one.what is Happening.JOINED]
    assert [one.text for one in joined] == [f"ErrorRate of {service}" for service, _ in CASCADE]
    assert [one.time_ns for one in joined] == [
        make.START_NS + round(at_s * S) for _, at_s in CASCADE
    ]
    assert all(one.join is not None for one in joined)


async def test_an_incident_whose_alerts_all_ended_is_resolved(desk: Desk) -> None:
    alerts = cascade()
    await desk.watch([*alerts, *ends(alerts, at_s=130)][:4], until_s=120)

    await desk.hear(*ends(alerts, at_s=130))
    await desk.tick(131)

    (head,) = await desk.heads()
    assert head.status is IncidentStatus.RESOLVED
    assert head.ended_ns == make.START_NS + 130 * S
    assert head.resolved_ns == make.START_NS + 131 * S
    assert (await desk.timeline(head.id))[-1].what is Happening.RESOLVED


async def test_an_alert_that_fires_again_opens_what_was_resolved_by_itself(desk: Desk) -> None:
    (alert,) = cascade([("bank", 0.0)])
    await desk.watch([alert], until_s=10)
    await desk.hear(make.resolved(alert, after_s=15))
    await desk.tick(20)

    await desk.hear(replace(alert, started_ns=alert.started_ns + 30 * S))
    await desk.tick(31)

    (head,) = await desk.heads()
    assert head.status is IncidentStatus.OPEN
    assert head.resolved_ns is None
    assert [one.what for one in await desk.timeline(head.id)][-2:] == [
        Happening.FIRED_AGAIN,
        Happening.REOPENED,
    ]


async def test_what_was_acknowledged_is_so_again_when_it_fires_again(desk: Desk) -> None:
    (alert,) = cascade([("bank", 0.0)])
    await desk.watch([alert], until_s=10)
    (head,) = await desk.heads()
    await desk.hear(handling(head.id, Verb.ACKNOWLEDGE), make.resolved(alert, after_s=15))
    await desk.tick(20)

    await desk.hear(replace(alert, started_ns=alert.started_ns + 30 * S))
    await desk.tick(31)

    assert (await desk.head(head.id)).status is IncidentStatus.ACKNOWLEDGED


async def test_our_own_findings_are_evidence_by_name(desk: Desk) -> None:
    again = replace(OURS, started_ns=OURS.started_ns + 60 * S, annotations={"anomaly": "a2"})

    await desk.hear(OURS, OURS)
    await desk.tick(1)
    await desk.hear(make.resolved(OURS, after_s=30), again)
    await desk.tick(61)

    (head,) = await desk.heads()
    kept = await desk.store.get(IncidentMembers, DEFAULT_TENANT, head.id)
    assert kept is not None
    (origin,) = kept.origins.values()
    assert (origin.source, origin.anomalies) == ("watchkeeper", ("a1", "a2"))
    assert origin.links == OURS.links


async def test_each_tenant_has_incidents_of_its_own(desk: Desk) -> None:
    acme = TenantId("acme")

    await desk.hear(make.alert(service="bank"), make.alert(service="payment", tenant=acme))
    await desk.tick(1)

    theirs = await desk.store.list(IncidentHead, Filter(acme))
    assert [one.services for one in await desk.heads()] == [("bank",)]
    assert [one.services for one in theirs.items] == [("payment",)]


def busy() -> list[Alert]:
    """Two cascades that overlap, and an end."""
    first, second = cascade(), cascade(OTHER_CASCADE, at_s=30.0)
    alerts = sorted([*first, *second], key=lambda one: one.started_ns)
    return [*alerts, make.resolved(first[0], after_s=100)]


async def recorded(desk: Desk) -> list[Delivery]:
    """A log in which people do something, too."""
    await desk.watch(busy(), until_s=120)
    first, *_ = await desk.heads()
    await desk.hear(handling(first.id, Verb.ACKNOWLEDGE))
    await desk.hear(handling(first.id, Verb.COMMENT, text="it is the bank"))
    await desk.watch([], from_s=130, until_s=200)
    return desk.log


@pytest.mark.parametrize("at", [1, 5, 12, 18, 22])
async def test_a_restart_from_any_checkpoint_comes_to_the_same(
    desk: Desk, tmp_path: Path, executor: ThreadPoolExecutor, at: int
) -> None:
    log = await recorded(desk)
    want = await everything(desk.store)
    store = memory(tmp_path)
    before = stage_of(store, executor)
    await before.handle(log[:at])
    state = await before.dump(3)
    await before.handle(log[at : at + 3])  # saved, and not covered by the checkpoint
    after = stage_of(store, executor)

    await after.load(3, log[at - 1].position, state)
    for delivery in log:
        await after.handle([delivery])

    assert await everything(store) == want


async def test_a_log_that_is_read_twice_changes_nothing(
    desk: Desk, executor: ThreadPoolExecutor
) -> None:
    log = await recorded(desk)
    want, trail = await everything(desk.store), await desk.audit()
    again = stage_of(desk.store, executor)

    for delivery in log:
        await again.handle([delivery])

    assert await everything(desk.store) == want
    assert await desk.audit() == trail


async def test_a_partition_that_is_lost_is_forgotten(desk: Desk) -> None:
    await desk.watch(cascade(), until_s=60)

    await desk.stage.load(3, 0, b"")

    assert await desk.stage.dump(3) == await desk.stage.dump(4)


async def test_what_was_delivered_of_other_partitions_is_passed_over(desk: Desk) -> None:
    await desk.stage.handle([Delivery(4, 1, make.alert()), Delivery(4, 2, make.tick(60))])

    assert await desk.heads() == []


class _Full(MemoryStore):
    """Takes nothing the first time."""

    n_refused = 1

    async def save(self, batch: Sequence[object]) -> int:
        if batch and self.n_refused:
            self.n_refused -= 1
            raise Retryable("store: is full")
        return await super().save(batch)


async def test_where_only_saving_failed_only_that_is_tried_again(
    executor: ThreadPoolExecutor,
) -> None:
    store = _Full(MemoryStore.Config())
    desk = Desk(store, stage_of(store, executor))
    deliveries = [Delivery(-1, 1, make.alert()), Delivery(-1, 2, make.tick(1))]
    with pytest.raises(Retryable, match="is full"):
        await desk.stage.handle(deliveries)

    await desk.stage.handle(deliveries)

    (head,) = await desk.heads()
    assert (head.n_members, head.version) == (1, 1)
    assert await desk.stage.caught_up(2, timeout_s=0.01)
