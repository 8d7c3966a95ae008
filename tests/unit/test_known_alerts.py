"""Messages that leave out what was said before."""

from __future__ import annotations

from dataclasses import replace

from tests import make
from watchkeeper.ingest.known_alerts import MAX_KNOWN, KnownAlerts
from watchkeeper.model.alert import Alert, AlertStatus, Urgency

S = make.NS_PER_S


def fires(at_s: float = 0, **fields: object) -> Alert:
    return replace(make.alert(at_s=at_s, is_start_told=False), **fields)  # type: ignore[arg-type]


def ends(at_s: float, **fields: object) -> Alert:
    at_ns = make.START_NS + round(at_s * S)
    return replace(fires(at_s), status=AlertStatus.RESOLVED, ended_ns=at_ns, **fields)  # type: ignore[arg-type]


def keyed(one: Alert) -> Alert:
    """As PagerDuty is told that something is over: by its key alone."""
    return replace(one, key="inc-42", labels={"dedup_key": "inc-42"}, rule="", urgency=Urgency.INFO)


def told(known: KnownAlerts, *alerts: Alert) -> list[Alert]:
    found = []
    for one in alerts:
        found.append(known.completed(one))
        known.learn(found[-1])
    return found


def test_what_is_said_again_without_a_start_is_the_firing_that_is_known() -> None:
    first, again, ended = told(KnownAlerts(), fires(0), fires(60), ends(90))

    assert [again.started_ns, ended.started_ns] == [first.started_ns] * 2
    assert ended.ended_ns == make.START_NS + 90 * S


def test_what_fires_after_its_end_is_another_firing() -> None:
    *_, again = told(KnownAlerts(), fires(0), ends(30), fires(60))

    assert again.started_ns == make.START_NS + 60 * S


def test_what_was_not_said_again_in_time_is_another_firing() -> None:
    first = fires(0, ended_ns=make.START_NS + 30 * S)

    _, again = told(KnownAlerts(), first, fires(60))

    assert again.started_ns == make.START_NS + 60 * S


def test_an_end_by_key_alone_has_the_labels_of_what_it_ends() -> None:
    first = replace(fires(0), key="inc-42", urgency=Urgency.CRITICAL)

    _, ended = told(KnownAlerts(), first, keyed(ends(30)))

    assert (ended.labels, ended.rule, ended.urgency) == (first.labels, first.rule, first.urgency)
    assert ended.started_ns == first.started_ns


def test_the_end_of_what_nobody_knows_stays_as_it_came() -> None:
    ended = keyed(ends(30))

    assert KnownAlerts().completed(ended) == ended


def test_who_says_when_it_began_is_believed() -> None:
    known = KnownAlerts()
    told(known, fires(0))

    again = make.alert(at_s=60)

    assert known.completed(again) == again


def test_an_end_without_a_start_is_of_the_firing_that_had_one() -> None:
    known = KnownAlerts()
    told(known, make.alert(at_s=0))

    assert known.completed(ends(90)).started_ns == make.START_NS


def test_an_end_with_a_start_is_known_too() -> None:
    known = KnownAlerts()
    told(known, make.alert(at_s=0), make.resolved(make.alert(at_s=0), after_s=30))

    assert known.completed(fires(60)).started_ns == make.START_NS + 60 * S


def test_who_says_until_when_it_holds_is_not_remembered() -> None:
    known = KnownAlerts()
    until = make.alert(at_s=0, ended_ns=make.START_NS + 300 * S)
    told(known, until)

    assert known.completed(ends(90)).started_ns == make.START_NS + 90 * S


def test_tenants_and_sources_are_strangers() -> None:
    known = KnownAlerts()
    told(known, fires(0))

    for other in (fires(60, tenant="acme"), fires(60, source="grafana")):
        assert known.completed(other).started_ns == make.START_NS + 60 * S


def test_what_is_known_comes_back() -> None:
    known, back = KnownAlerts(), KnownAlerts()
    told(known, fires(0))

    back.load(known.dump())

    assert back.completed(fires(60)).started_ns == make.START_NS


def test_so_many_are_known_and_no_more() -> None:
    known = KnownAlerts()
    told(known, *(fires(0, key=str(number)) for number in range(MAX_KNOWN + 1)))

    assert known.completed(fires(60, key="0")).started_ns == make.START_NS + 60 * S
    assert known.completed(fires(60, key="1")).started_ns == make.START_NS
