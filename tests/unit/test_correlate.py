"""Alerts become incidents: one for a cascade, with reasons, names that stay, and a voice."""

from __future__ import annotations

import pytest

from tests import make
from tests.alerting import (
    CASCADE,
    OTHER_CASCADE,
    cascade,
    correlator,
    last,
    partition,
    services,
    tick,
    watch,
)
from watchkeeper.analyze.dedupe import Heard
from watchkeeper.analyze.incident_ids import number_of
from watchkeeper.model.alert import Urgency
from watchkeeper.model.incident import IncidentId, IncidentStatus, Silence


def test_a_cascade_is_one_incident_whose_root_speaks_for_it() -> None:
    one = correlator()

    told = watch(one, cascade(), until_s=120)

    (incident,) = one.incidents()
    assert services(incident) == ["bank", "payment", "checkout", "web"]
    assert incident.spokesman.node == "bank"
    assert last(told)[incident.id].members == incident.members


def test_every_member_says_why_it_is_there() -> None:
    one = correlator()

    watch(one, cascade(), until_s=120)

    (incident,) = one.incidents()
    joins = {member.node: member.join for member in incident.members}
    assert {join.cause for join in joins.values()} == {incident.representative}
    assert [joins[node].hops for node, _ in CASCADE] == [0, 1, 2, 3]
    assert joins["payment"].topology > joins["web"].topology
    assert all(join.odds > 0.0 for node, join in joins.items() if node != "bank")


def test_children_are_silent_in_notices_and_never_dropped() -> None:
    one = correlator()

    watch(one, cascade(), until_s=120)

    (incident,) = one.incidents()
    silences = {member.node: member.silence for member in incident.members}
    assert silences.pop("bank") is None
    assert set(silences.values()) == {Silence.EXPLAINED}


def test_an_incident_is_named_by_when_it_began_and_a_number() -> None:
    one = correlator()

    watch(one, [*cascade(), *cascade(OTHER_CASCADE, at_s=2000)], until_s=2100)

    first, second = one.incidents()
    assert first.id.startswith("INC-1700000")
    assert second.id.startswith("INC-1700002")
    assert number_of(first.id) < number_of(second.id)


def test_an_alert_goes_at_once_where_it_fits() -> None:
    one = correlator()

    for alert in cascade():
        one.take(alert)
    told = tick(one, 71)

    assert [services(incident) for incident in told] == [["bank", "payment", "checkout", "web"]]


def test_a_root_that_is_heard_of_last_brings_its_consequences_together() -> None:
    late = [("payment", 0.0), ("stock", 4.0), ("checkout", 12.0), ("web", 20.0), ("host1", 28.0)]
    one = correlator()

    watch(one, cascade(late), until_s=90)

    (incident,) = one.incidents()
    assert incident.spokesman.node == "host1"
    assert len(incident.members) == 5


def test_two_faults_at_once_are_two_incidents() -> None:
    other = [("search", 2.0), ("catalog", 30.0)]
    one = correlator()

    alerts = sorted(cascade() + cascade(other), key=lambda alert: alert.started_ns)
    watch(one, alerts, until_s=200)

    groups = [set(services(incident)) for incident in one.incidents()]
    assert sum({"bank", "payment", "checkout"} <= group for group in groups) == 1
    assert not any(
        {"bank", "search"} <= group or {"payment", "catalog"} <= group for group in groups
    )


def test_what_became_another_incident_says_which() -> None:
    """Two that were opened apart turn out to be of one host."""
    one = correlator()
    for alert in cascade([("payment", 0.0), ("stock", 1.0)]):
        one.take(alert)
    opened = tick(one, 2)

    later = cascade([("host1", 3.0), ("checkout", 5.0), ("web", 9.0)])
    told = watch(one, later, from_s=3, until_s=63)

    (left,) = one.incidents()
    merged = [incident for incident in told if incident.status is IncidentStatus.MERGED]
    assert len(opened) == 2
    assert {incident.merged_into for incident in merged} == {left.id}
    assert set(left.merged_from) >= {incident.id for incident in merged}
    assert left.id in {incident.id for incident in opened}


def test_what_is_acknowledged_is_neither_joined_nor_parted() -> None:
    one = correlator()
    for alert in cascade([("payment", 0.0), ("stock", 1.0)]):
        one.take(alert)
    first, _ = tick(one, 2)

    assert one.acknowledge(first.id)
    later = cascade([("host1", 3.0), ("checkout", 5.0), ("web", 9.0)])
    watch(one, later, from_s=3, until_s=63)

    kept = {incident.id: incident for incident in one.incidents()}
    assert services(kept[first.id])[0] == "payment"
    assert "stock" not in services(kept[first.id])
    assert kept[first.id].status is IncidentStatus.ACKNOWLEDGED


def test_nobody_can_acknowledge_what_is_not_there() -> None:
    one = correlator()

    assert not one.acknowledge(IncidentId("INC-1-1"))


def test_an_incident_that_is_old_takes_on_but_is_not_formed_anew() -> None:
    one = correlator()
    watch(one, cascade(), until_s=1000)
    before = partition(one)

    watch(one, cascade(OTHER_CASCADE, at_s=1000), from_s=1010, until_s=1100)

    assert before <= partition(one)


def test_after_a_session_of_silence_an_incident_takes_no_more() -> None:
    one = correlator()
    watch(one, cascade(), until_s=380)

    one.take(make.alert("Latency", "payment", at_s=371))

    assert sorted(len(incident.members) for incident in one.incidents()) == [1, 4]


def test_no_incident_goes_on_for_longer_than_the_cap() -> None:
    """An alert every two minutes: each is near the one before."""
    alerts = [make.alert(f"rule{n}", "payment", at_s=120.0 * n) for n in range(60)]
    one = correlator("dynamic_xy", cap_s=600.0, young_s=1.0)

    told = last(watch(one, alerts, until_s=7300, every_s=20))

    ages = [i.members[-1].started_ns - i.opened_ns for i in told.values() if i.members]
    assert max(ages) <= 600 * make.NS_PER_S


def test_an_alert_that_flaps_on_stays_in_its_incident() -> None:
    one = correlator()

    watch(one, [*cascade(), make.alert("ErrorRate", "payment", at_s=500)], until_s=600)

    (incident,) = one.incidents()
    assert [member.n_firings for member in incident.members if member.node == "payment"] == [1, 2]


def test_an_incident_is_over_when_all_of_it_is_and_back_when_some_of_it_is() -> None:
    one = correlator()
    alerts = cascade()
    watch(one, alerts, until_s=100)

    for alert in alerts:
        one.take(make.resolved(alert, after_s=110))
    (over,) = tick(one, 200)
    one.take(make.alert("ErrorRate", "bank", at_s=220))
    (back,) = tick(one, 221)

    assert (over.status, over.ended_ns) == (
        IncidentStatus.RESOLVED,
        make.START_NS + 180 * make.NS_PER_S,
    )
    assert (back.id, back.status) == (over.id, IncidentStatus.OPEN)


def test_what_is_long_over_leaves_memory() -> None:
    one = correlator()
    alerts = cascade()
    watch(one, alerts, until_s=100)

    for alert in alerts:
        one.take(make.resolved(alert))
    for at_s in range(130, 2000, 30):
        tick(one, at_s)

    assert one.incidents() == []
    assert len(one.dump()) < 300


def test_a_child_that_becomes_critical_is_told_again_and_heard() -> None:
    one = correlator()
    watch(one, cascade(), until_s=100)

    one.take(make.alert("ErrorRate", "checkout", at_s=45, urgency=Urgency.CRITICAL))
    (told,) = tick(one, 101)

    silences = {member.node: member.silence for member in told.members}
    assert silences["checkout"] is None
    assert told.urgency is Urgency.CRITICAL


def test_only_what_changed_is_told() -> None:
    one = correlator()
    watch(one, cascade(), until_s=100)

    again = one.take(cascade()[0])

    assert again.heard is Heard.REPEATED
    assert tick(one, 101) == []


def test_each_state_of_an_incident_has_a_number() -> None:
    told = watch(correlator(), cascade(), until_s=120)

    for name in {incident.id for incident in told if incident.members}:
        versions = [incident.version for incident in told if incident.id == name]
        assert versions == list(range(1, len(versions) + 1))


def test_a_rule_that_mostly_ends_by_itself_is_held_until_it_lasts() -> None:
    one = correlator(suppress={"learn_from": 3})
    alerts = []
    for n in range(4):
        alert = make.alert("Noisy", at_s=4000.0 * n)
        alerts += [alert, make.resolved(alert, after_s=30)]
    told = watch(one, alerts, until_s=15_000, every_s=30)

    one.take(make.alert("Noisy", at_s=15_000))
    (held,) = tick(one, 15_001)
    later = [i for at_s in range(15_060, 15_400, 60) for i in tick(one, at_s)]

    assert not told[0].is_held
    assert held.is_held
    assert not later[-1].is_held


@pytest.mark.parametrize("name", ["root_cover", "dynamic_xy"])
def test_every_preset_stands_on_the_same_port(name: str) -> None:
    one = correlator(name)

    watch(one, cascade(CASCADE[1:]), until_s=120)

    assert [services(incident) for incident in one.incidents()] == [["payment", "checkout", "web"]]
