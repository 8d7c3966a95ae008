"""Alerts as they come at their worst: late, early, ahead, endless, of nobody, of all at once."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests import make
from tests.alerting import (
    CASCADE,
    SHOP,
    cascade,
    correlator,
    partition,
    services,
    tick,
    watch,
)
from watchkeeper.analyze.dedupe import Heard
from watchkeeper.model.series import Entity
from watchkeeper.model.topology import Topology


def test_nothing_to_correlate_is_no_incident() -> None:
    one = correlator()

    assert [incident for at_s in range(0, 120, 10) for incident in tick(one, at_s)] == []


def test_the_same_body_again_changes_nothing() -> None:
    one = correlator()
    watch(one, cascade(), until_s=100)
    before = one.incidents()

    for alert in cascade():
        assert one.take(alert).heard is Heard.REPEATED

    assert one.incidents() == before


def test_an_alert_that_is_resolved_before_it_fired_opens_what_is_over() -> None:
    one = correlator()
    alert = make.alert()

    one.take(make.resolved(alert))
    one.take(alert)
    (told,) = tick(one, 70)

    assert told.ended_ns == make.START_NS + 60 * make.NS_PER_S


def test_an_alert_that_comes_two_minutes_late_is_where_it_belongs() -> None:
    one = correlator()
    late = make.alert("ErrorRate", "payment", at_s=20)
    in_time = [alert for alert in cascade() if alert != late]

    watch(one, in_time, until_s=140)
    one.take(late)
    watch(one, [], from_s=150, until_s=200)

    (incident,) = one.incidents()
    assert services(incident) == [node for node, _ in CASCADE]


def test_an_alert_that_began_hours_ago_is_by_itself() -> None:
    one = correlator()
    watch(one, cascade(), until_s=100)

    one.take(make.alert("Old", "payment", at_s=-3 * 3600))
    watch(one, [], from_s=110, until_s=200)

    assert sorted(len(incident.members) for incident in one.incidents()) == [1, 4]


def test_an_alert_from_the_future_is_of_now() -> None:
    one = correlator()
    tick(one, 100)

    one.take(make.alert(at_s=86_400))
    (told,) = tick(one, 101)

    assert told.opened_ns == make.START_NS + 100 * make.NS_PER_S


def test_clocks_that_differ_by_half_a_minute_part_nothing() -> None:
    skewed = [("bank", 25.0), ("payment", 5.0), ("checkout", 45.0), ("web", 40.0)]
    one = correlator()

    watch(one, sorted(cascade(skewed), key=lambda alert: alert.started_ns), until_s=100)

    (incident,) = one.incidents()
    assert incident.spokesman.node == "bank"


def test_an_alert_of_nobody_is_an_incident_that_is_told() -> None:
    one = correlator()

    one.take(make.alert(service="", entity=Entity(), at_s=5))
    (told,) = tick(one, 10)

    assert (told.spokesman.node, told.spokesman.silence) == ("", None)


def test_alerts_of_services_that_nobody_knows_are_incidents_by_service() -> None:
    one = correlator(topology=Topology())

    alerts = [make.alert(rule, service) for service in "ab" for rule in ("one", "two", "three")]
    watch(one, alerts, until_s=60)

    assert sorted({*services(incident)} for incident in one.incidents()) == [{"a"}, {"b"}]


def test_a_root_outside_of_the_topology_speaks_for_itself() -> None:
    one = correlator()

    alerts = [*cascade(), make.alert("Down", "third-party", at_s=72)]
    watch(one, alerts, until_s=120)

    assert sorted(len(incident.members) for incident in one.incidents()) == [1, 4]


def test_calls_in_a_circle_are_correlated_like_others() -> None:
    one = correlator(topology=make.calls("a>b", "b>c", "c>a"))

    watch(one, cascade([("b", 0.0), ("a", 20.0), ("c", 40.0)]), until_s=100)

    (incident,) = one.incidents()
    assert incident.spokesman.node == "b"


def test_an_edge_that_is_deleted_in_the_middle_parts_nothing_that_is_acknowledged() -> None:
    one = correlator()
    watch(one, cascade(), until_s=100)
    (incident,) = one.incidents()
    one.acknowledge(incident.id)

    one.know(Topology(SHOP.nodes, ()))
    watch(one, cascade([("search", 110.0)]), from_s=110, until_s=200)

    assert len(one.incidents()[0].members) == 4


def test_retries_of_one_rule_are_one_member_that_fired_often() -> None:
    one = correlator()

    watch(one, [make.alert(at_s=5.0 * n) for n in range(20)], until_s=120)

    (incident,) = one.incidents()
    assert [member.n_firings for member in incident.members] == [20]


def test_huge_and_odd_labels_are_kept_out_of_nobodys_way() -> None:
    one = correlator()
    odd = {"ü" * 1000: "x" * 100_000, "emoji": "🦉", "half": "\udcff"}

    one.take(make.alert(labels=odd, summary="y" * 1_000_000))
    (told,) = tick(one, 1)

    assert len(told.spokesman.summary) <= 1024


def test_of_two_that_are_alike_in_all_the_same_one_speaks_whatever_the_order() -> None:
    alerts = [make.alert(rule, "payment") for rule in ("a", "b", "c")]
    spokesmen = set()
    for order in (alerts, alerts[::-1]):
        one = correlator()
        watch(one, order, until_s=60)
        spokesmen |= {incident.representative for incident in one.incidents()}

    assert len(spokesmen) == 1


def test_incidents_are_bounded_and_the_oldest_leave_first() -> None:
    one = correlator(topology=Topology(), max_incidents=50)

    for n in range(200):
        one.take(make.alert(service=f"s{n}", at_s=0.01 * n))
    told = [*tick(one, 29), *tick(one, 31)]

    left = {incident.spokesman.node for incident in one.incidents()}
    assert left == {f"s{n}" for n in range(150, 200)}
    assert len({incident.id for incident in told}) == 200, "all were told before they left"


def test_what_is_formed_anew_at_once_is_bounded() -> None:
    one = correlator(topology=Topology(), max_formed=16)

    for n in range(60):
        one.take(make.alert(f"rule{n % 2}", f"s{n // 2}", at_s=0.1 * n))
    for at_s in (29, 31, 61):
        tick(one, at_s)

    assert len([m for incident in one.incidents() for m in incident.members]) == 60


def test_a_fan_out_of_hundreds_is_one_incident() -> None:
    topology = make.calls(*(f"s{n}>db" for n in range(300)))
    one = correlator(topology=topology)

    alerts = cascade([("db", 0.0), *((f"s{n}", 20.0 + 0.1 * n) for n in range(300))])
    watch(one, alerts, until_s=60)

    (incident,) = one.incidents()
    assert (len(incident.members), incident.spokesman.node) == (301, "db")


def test_an_alert_is_taken_in_far_less_than_a_millisecond_while_hundreds_are_open() -> None:
    """CPU time, with room for a slow machine: the mark is a millisecond."""
    one = correlator(topology=make.calls(*(f"s{n}>s{n + 1}" for n in range(0, 600, 2))))
    for n in range(400):
        one.take(make.alert(service=f"s{n}", at_s=0.1 * n))
    alerts = [make.alert(f"rule{n % 5}", f"s{n % 600}", at_s=40 + 0.01 * n) for n in range(300)]

    before_s = time.process_time()
    for alert in alerts:
        one.take(alert)

    assert (time.process_time() - before_s) / len(alerts) < 0.02


@pytest.mark.parametrize("name", ["root_cover", "dynamic_xy"])
def test_an_hour_in_which_two_places_complain_now_and_then_makes_nothing_large(name: str) -> None:
    one = correlator(name)
    alerts = [
        make.alert(f"rule{n}", ("search", "bank", "host1")[n % 3], at_s=400.0 * n) for n in range(9)
    ]

    watch(one, alerts, until_s=3600, every_s=30)

    assert max(len(group) for group in partition(one)) <= 2


def test_a_tenant_is_part_of_who_an_alert_is() -> None:
    one = correlator()

    one.take(make.alert())
    one.take(replace(make.alert(), tenant="other"))  # type: ignore[arg-type]

    assert len([m for incident in one.incidents() for m in incident.members]) == 2
