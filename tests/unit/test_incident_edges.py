"""Incidents of alerts at their worst: late, early, endless, of nobody; and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.alerting import CASCADE, SHOP, cascade, grouper
from tests.handling import Desk, S, handling, memory, stage_of
from watchkeeper.analyze import incident_desk
from watchkeeper.analyze.correlate import CorrelateConfig
from watchkeeper.model.alert import Alert, Urgency
from watchkeeper.model.handling import (
    NOBODY,
    Happening,
    IncidentHead,
    IncidentMembers,
    Verb,
)
from watchkeeper.model.incident import IncidentStatus, Member, Silence
from watchkeeper.model.series import DEFAULT_TENANT, Entity, TenantId
from watchkeeper.model.topology import Topology
from watchkeeper.store.base import Filter

OPEN, RESOLVED, CLOSED = IncidentStatus.OPEN, IncidentStatus.RESOLVED, IncidentStatus.CLOSED
ACME = TenantId("acme")


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as found:
        yield found


@pytest.fixture
def desk(tmp_path: Path, executor: ThreadPoolExecutor) -> Desk:
    store = memory(tmp_path)
    return Desk(store, stage_of(store, executor))


async def only(desk: Desk) -> IncidentHead:
    (head,) = await desk.heads()
    return head


async def members(desk: Desk, incident: str, tenant: TenantId = DEFAULT_TENANT) -> list[Member]:
    kept = await desk.store.get(IncidentMembers, tenant, incident)
    assert kept is not None
    return list(kept.members)


async def happened(desk: Desk, incident: str) -> list[Happening]:
    return [one.what for one in await desk.timeline(incident)]


async def does(desk: Desk, incident: str, verb: Verb, **fields: Any) -> None:
    await desk.hear(handling(incident, verb, id=f"{verb}-{len(desk.log)}", **fields))


async def test_where_nothing_is_wrong_there_is_no_incident(desk: Desk) -> None:
    await desk.watch([], until_s=120)

    assert await desk.heads() == []


async def test_the_end_of_what_nobody_spoke_of_is_no_incident(desk: Desk) -> None:
    await desk.hear(make.resolved(make.alert()))
    await desk.tick(70)

    assert await desk.heads() == []


async def test_an_alert_that_is_resolved_before_it_fired_is_an_incident_that_is_over(
    desk: Desk,
) -> None:
    alert = make.alert()

    await desk.hear(make.resolved(alert, after_s=20), alert)
    await desk.tick(30)

    head = await only(desk)
    assert (head.status, head.n_firing) == (RESOLVED, 0)
    assert head.ended_ns == make.START_NS + 20 * S
    assert await happened(desk, head.id) == [
        Happening.OPENED,
        Happening.JOINED,
        Happening.ENDED,
        Happening.RESOLVED,
    ]


@pytest.mark.parametrize("n_times", [2, 50])
async def test_the_same_message_again_is_nothing_new(desk: Desk, n_times: int) -> None:
    await desk.hear(make.alert())
    await desk.tick(1)
    before = await only(desk)

    await desk.hear(*[make.alert()] * n_times)
    await desk.tick(2)

    assert await only(desk) == before
    (alert,) = await members(desk, before.id)
    assert alert.n_firings == 1


async def test_an_alert_that_comes_more_than_an_hour_late_disturbs_nobody(desk: Desk) -> None:
    await desk.watch(cascade(), until_s=100)
    before = await only(desk)

    await desk.hear(make.alert("Old", "payment", at_s=-2 * 3600))
    await desk.watch([], from_s=110, until_s=150)

    late, there = sorted(await desk.heads(), key=lambda one: one.opened_ns)
    assert (late.rules, late.opened_ns) == (("Old",), make.START_NS - 7200 * S)
    assert (there.id, there.n_members) == (before.id, 4)


@pytest.mark.parametrize("ahead_s", [3600.0, 86_400.0 * 365])
@pytest.mark.parametrize("is_first", [False, True])
async def test_an_alert_from_the_future_is_of_now(
    desk: Desk, ahead_s: float, is_first: bool
) -> None:
    if not is_first:
        await desk.hear(make.alert("Slow", "search"))
    await desk.tick(100)

    await desk.hear(make.alert(at_s=ahead_s))
    await desk.tick(101)

    (head,) = [one for one in await desk.heads() if one.service == "payment"]
    assert head.opened_ns == make.START_NS + 100 * S


async def test_the_first_alert_of_a_tenant_fires_though_it_began_days_ago(desk: Desk) -> None:
    await desk.tick(0)

    await desk.hear(make.alert(at_s=-3 * 86_400))
    await desk.tick(30)
    during = await only(desk)
    await desk.tick(14_401)

    assert (during.status, during.n_firing) == (OPEN, 1)
    assert during.opened_ns == make.START_NS - 3 * 86_400 * S
    assert (await only(desk)).status is RESOLVED


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_tenant_that_is_new_after_a_restart_knows_the_time_all_the_same(
    desk: Desk, executor: ThreadPoolExecutor, is_restarted: bool
) -> None:
    await desk.tick(100)
    if is_restarted:
        state, again = await desk.stage.dump(3), stage_of(desk.store, executor)
        await again.load(3, len(desk.log), state)
        desk.stage = again

    await desk.hear(make.alert(at_s=86_400))
    await desk.tick(101)

    assert (await only(desk)).opened_ns == make.START_NS + 100 * S


async def test_an_alert_that_flaps_is_one_alert_whose_firings_are_told(desk: Desk) -> None:
    for n in range(5):
        alert = make.alert(at_s=20.0 * n)
        await desk.hear(alert)
        await desk.tick(20.0 * n + 1)
        await desk.hear(make.resolved(alert, after_s=10))
        await desk.tick(20.0 * n + 11)

    head = await only(desk)
    (alert_,) = await members(desk, head.id)
    told = await happened(desk, head.id)
    assert alert_.n_firings == 5
    assert told.count(Happening.JOINED) == 1
    assert told.count(Happening.FIRED_AGAIN) == told.count(Happening.REOPENED) == 4
    assert told.count(Happening.ENDED) == told.count(Happening.RESOLVED) == 5


@pytest.mark.parametrize("service", ["", "nobody-knows-it"])
async def test_an_alert_of_nobody_is_an_incident_all_the_same(desk: Desk, service: str) -> None:
    entity = Entity(service) if service else Entity()

    await desk.hear(make.alert("Odd", service, entity=entity))
    await desk.tick(1)

    head = await only(desk)
    assert (head.service, head.n_members) == (service, 1)
    assert head.title == ("Odd of nobody-knows-it" if service else "Odd")


async def test_two_faults_at_once_are_two_incidents_with_timelines_of_their_own(
    desk: Desk,
) -> None:
    await desk.watch([*cascade(), make.alert("Slow", "search", at_s=75)], until_s=120)

    first, second = sorted(await desk.heads(), key=lambda one: one.service)
    assert (first.services, second.services) == (
        ("bank", "checkout", "payment", "web"),
        ("search",),
    )
    texts = {one.text for one in await desk.timeline(second.id) if one.text}
    assert texts == {"Slow of search"}


async def test_a_suppressed_child_that_becomes_critical_is_heard(desk: Desk) -> None:
    alerts = cascade()
    await desk.watch(alerts, until_s=100)
    incident = (await only(desk)).id
    before = {one.node: one.silence for one in await members(desk, incident)}

    await desk.hear(replace(alerts[1], urgency=Urgency.CRITICAL))
    await desk.tick(101)

    after = {one.node: one.silence for one in await members(desk, incident)}
    (worse,) = [one for one in await desk.timeline(incident) if one.what is Happening.WORSENED]
    assert (before["payment"], after["payment"]) == (Silence.EXPLAINED, None)
    assert after["checkout"] is Silence.EXPLAINED
    assert worse.text == "critical"
    assert (await only(desk)).urgency is Urgency.CRITICAL


async def test_what_was_grave_is_remembered_when_it_is_grave_no_more(desk: Desk) -> None:
    alert = make.alert(urgency=Urgency.CRITICAL)
    await desk.hear(alert)
    await desk.tick(1)

    await desk.hear(replace(alert, urgency=Urgency.INFO))
    await desk.tick(2)

    head = await only(desk)
    assert head.urgency is Urgency.CRITICAL
    assert Happening.WORSENED not in await happened(desk, head.id)


HUGE = {
    "unicode": {"größe": "über", "鍵": "値" * 50, "emoji": "🦉"},
    "direction": {"name": "\u202eevil\u202c", "zero": "a\u200bb"},
    "control": {"bell": "\x07", "line": "a\nb\rc", "unit": "\x1fT:closed\x1f"},
    "long": {"k" * 1000: "v" * 100_000},
    "many": {f"label{n}": str(n) for n in range(1000)},
    "markup": {"a": "<img src=x onerror=alert(1)>", "b": "'; DROP TABLE records;--"},
}


@pytest.mark.parametrize("labels", HUGE.values(), ids=HUGE)
async def test_odd_labels_are_kept_and_found_after_a_restart(
    desk: Desk, executor: ThreadPoolExecutor, labels: dict[str, str]
) -> None:
    await desk.hear(make.alert(labels=labels, summary="y" * 10_000))
    await desk.tick(1)
    state = await desk.stage.dump(3)
    again = stage_of(desk.store, executor)

    await again.load(3, len(desk.log), state)

    head = await only(desk)
    (alert,) = await members(desk, head.id)
    assert await again.dump(3) == state
    assert len(head.title) <= 300
    assert (head.status, alert.rule, alert.node) == (OPEN, "HighLatency", "payment")


@pytest.mark.parametrize("name", ["\x1fL:active\x1f", "<b>pay</b>", "größe-🦉", "a b\tc", "%_*"])
async def test_a_service_with_any_name_is_found_by_it_and_by_nothing_else(
    desk: Desk, name: str
) -> None:
    await desk.hear(make.alert(service=name), make.alert(service="payment"))
    await desk.tick(1)

    found = await desk.store.list(IncidentHead, Filter(DEFAULT_TENANT, where={"service": name}))

    assert [one.services for one in found.items] == [(name,)]


@pytest.mark.parametrize("said_s", [60.0, 14_400.0])
async def test_an_incident_of_which_nobody_says_anything_more_ends_by_itself(
    desk: Desk, said_s: float
) -> None:
    until_ns = make.START_NS + 60 * S if said_s == 60.0 else None
    await desk.hear(make.alert(ended_ns=until_ns))
    await desk.tick(0)
    await desk.tick(said_s - 30)
    during = await only(desk)

    await desk.tick(said_s + 30)

    head = await only(desk)
    assert (during.status, head.status) == (OPEN, RESOLVED)
    assert head.ended_ns == make.START_NS + round(said_s * S)
    assert [one.by for one in await desk.timeline(head.id)] == [NOBODY] * 4


@pytest.mark.parametrize(("after_s", "n_incidents"), [(200.0, 1), (2000.0, 2)])
async def test_what_fires_again_long_after_it_was_over_is_another_incident(
    desk: Desk, after_s: float, n_incidents: int
) -> None:
    alert = make.alert()
    await desk.hear(alert)
    await desk.tick(1)
    await desk.hear(make.resolved(alert, after_s=30))
    await desk.watch([], from_s=60, until_s=after_s, every_s=60)

    await desk.hear(make.alert(at_s=after_s))
    await desk.tick(after_s + 31)

    heads = await desk.heads()
    assert len(heads) == n_incidents
    assert [one.status for one in heads][-1] is OPEN


@pytest.mark.parametrize(
    ("verbs", "status"), [([Verb.RESOLVE], RESOLVED), ([Verb.RESOLVE, Verb.CLOSE], CLOSED)]
)
async def test_what_a_person_ended_stays_so_until_something_fires_anew(
    desk: Desk, verbs: list[Verb], status: IncidentStatus
) -> None:
    await desk.watch(cascade(), until_s=100)
    incident = (await only(desk)).id
    for verb in verbs:
        await does(desk, incident, verb)

    await desk.hear(*cascade())
    await desk.watch([], from_s=110, until_s=170)
    still = await desk.head(incident)
    await desk.hear(make.alert("ErrorRate", "web", at_s=175))
    await desk.tick(180)

    assert still.status is status
    assert (await desk.head(incident)).status is OPEN
    assert (await happened(desk, incident))[-2:] == [Happening.FIRED_AGAIN, Happening.REOPENED]


async def test_whose_it_is_and_what_was_said_outlives_its_end_and_its_return(desk: Desk) -> None:
    alert = make.alert()
    await desk.hear(alert)
    await desk.tick(1)
    incident = (await only(desk)).id
    await does(desk, incident, Verb.ASSIGN, assignee="bob")
    await does(desk, incident, Verb.COMMENT, text="it is the disk")

    await desk.hear(make.resolved(alert, after_s=10))
    await desk.tick(20)
    await desk.hear(make.alert(at_s=40))
    await desk.tick(41)

    head = await desk.head(incident)
    assert (head.status, head.assignee, head.n_comments) == (OPEN, "bob", 1)


async def test_a_snooze_ends_with_its_incident_and_is_not_told_of_later(desk: Desk) -> None:
    alert = make.alert()
    await desk.hear(alert)
    await desk.tick(1)
    incident = (await only(desk)).id
    await does(desk, incident, Verb.SNOOZE, until_ns=make.START_NS + 90 * S)

    await desk.hear(make.resolved(alert, after_s=30))
    await desk.tick(40)
    await desk.tick(100)

    head = await desk.head(incident)
    assert (head.status, head.snoozed_until_ns) == (RESOLVED, None)
    assert Happening.SNOOZE_OVER not in await happened(desk, incident)


async def test_a_snooze_ends_in_time_though_there_was_a_restart(
    desk: Desk, executor: ThreadPoolExecutor
) -> None:
    await desk.hear(make.alert())
    await desk.tick(1)
    incident = (await only(desk)).id
    await does(desk, incident, Verb.SNOOZE, until_ns=make.START_NS + 90 * S)
    state, again = await desk.stage.dump(3), stage_of(desk.store, executor)
    await again.load(3, len(desk.log), state)
    desk.stage = again

    await desk.tick(89)
    during = await desk.head(incident)
    await desk.tick(90)

    assert during.snoozed_until_ns == make.START_NS + 90 * S
    assert (await desk.head(incident)).snoozed_until_ns is None
    assert (await happened(desk, incident)).count(Happening.SNOOZE_OVER) == 1


async def test_an_incident_that_became_another_is_found_under_its_old_name(desk: Desk) -> None:
    await desk.watch(cascade([("web", 0.0), ("stock", 10.0)]), until_s=25)
    before = {one.id for one in await desk.heads()}

    await desk.watch([make.alert("ErrorRate", "checkout", at_s=28)], from_s=28, until_s=70)

    for incident in before:
        head = await desk.head(incident)
        told = await happened(desk, incident)
        assert (head.status is IncidentStatus.MERGED) is (Happening.MERGED in told)
        assert Happening.OPENED in told
    nodes = [one.node for head in await desk.heads() for one in await members(desk, head.id)]
    assert sorted(nodes) == ["checkout", "stock", "web"]


async def test_tenants_have_the_same_names_and_nothing_else_in_common(desk: Desk) -> None:
    await desk.hear(make.alert(), make.alert(tenant=ACME))
    await desk.tick(1)
    incident = (await only(desk)).id

    await desk.hear(handling(incident, Verb.ACKNOWLEDGE, tenant=ACME))
    await desk.hear(handling(incident, Verb.ASSIGN, tenant=DEFAULT_TENANT, assignee="bob"))

    theirs = await desk.store.get(IncidentHead, ACME, incident)
    ours = await desk.head(incident)
    assert theirs is not None
    assert (theirs.status, theirs.assignee) == (IncidentStatus.ACKNOWLEDGED, "")
    assert (ours.status, ours.assignee) == (OPEN, "bob")
    assert Happening.ACKNOWLEDGED not in await happened(desk, incident)


@pytest.mark.parametrize("verb", [Verb.MERGE, Verb.SPLIT, Verb.UNLINK])
async def test_alerts_of_another_tenant_are_never_moved(desk: Desk, verb: Verb) -> None:
    await desk.hear(make.alert(), make.alert("Slow", "search", tenant=ACME))
    await desk.hear(make.alert("Slow", "host9", tenant=ACME, at_s=0.5))
    await desk.tick(1)
    ours, theirs = await only(desk), await desk.store.list(IncidentHead, Filter(ACME))
    strange = await members(desk, theirs.items[0].id, ACME)
    into = next((one.id for one in theirs.items if one.id != ours.id), "INC-1-99")

    await does(desk, ours.id, verb, into=into, complaints=tuple(one.complaint for one in strange))

    assert await only(desk) == ours
    assert (await desk.store.list(IncidentHead, Filter(ACME))).items == theirs.items


async def test_a_handling_that_is_delivered_again_and_again_is_done_once(desk: Desk) -> None:
    await desk.hear(make.alert())
    await desk.tick(1)
    incident = (await only(desk)).id
    comment = handling(incident, Verb.COMMENT, id="c1", text="hm")

    await desk.hear(comment)
    await desk.hear(comment, comment)

    said = [one for one in await desk.timeline(incident) if one.what is Happening.COMMENTED]
    assert [one.text for one in said] == ["hm"]


def gone_meanwhile(*, is_acknowledged: bool) -> list[tuple[str, ...]]:
    """A cascade, and then nobody depends on anybody: the services of each incident."""
    one = incident_desk.Desk(grouper(), CorrelateConfig(), DEFAULT_TENANT)
    one.know(SHOP)
    heads: dict[str, IncidentHead] = {}

    def wait(at_s: int) -> list[IncidentHead]:
        told = one.tick(make.START_NS + at_s * S, at_s)
        heads.update({head.id: head for head in told.heads.values()})
        return [head for head in heads.values() if head.status is not IncidentStatus.MERGED]

    for alert in cascade():
        one.take(alert)
    (head,) = wait(90)
    if is_acknowledged:
        one.handle(handling(head.id, Verb.ACKNOWLEDGE), 91)
    one.know(Topology(SHOP.nodes, ()))
    one.take(make.alert("ErrorRate", "search", at_s=95))
    for at_s in (120, 150):
        shown = wait(at_s)
    return sorted(head.services for head in shown)


def test_an_edge_that_is_deleted_meanwhile_parts_nothing_that_is_acknowledged() -> None:
    assert gone_meanwhile(is_acknowledged=True) == [
        ("bank", "checkout", "payment", "web"),
        ("search",),
    ]


def test_an_edge_that_is_deleted_meanwhile_loses_and_doubles_no_alert() -> None:
    found = gone_meanwhile(is_acknowledged=False)

    assert sorted(service for services in found for service in services) == [
        "bank",
        "checkout",
        "payment",
        "search",
        "web",
    ]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
async def test_alerts_in_any_order_of_arrival_end_in_the_same_incident(
    desk: Desk, order: tuple[int, ...]
) -> None:
    alerts: list[Alert] = cascade()

    await desk.tick(75)
    await desk.hear(*[alerts[n] for n in order])
    await desk.watch([], from_s=80, until_s=120)

    head = await only(desk)
    assert (head.service, head.n_members) == ("bank", 4)
    assert head.opened_ns == make.START_NS
    assert [one.node for one in await members(desk, head.id)] == [node for node, _ in CASCADE]
