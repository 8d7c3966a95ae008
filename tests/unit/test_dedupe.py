"""Which messages are the same alert, and when it begins anew."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tests import make
from watchkeeper.analyze.dedupe import (
    N_EARLY,
    N_STARTS,
    Complaint,
    Complaints,
    DedupeConfig,
    Heard,
    Sight,
    identity_of,
    is_flapping,
)
from watchkeeper.model.alert import Alert, Urgency

CONFIG = DedupeConfig()


def take(complaints: Complaints, alert: Alert, *, now_s: float | None = None) -> Sight:
    now_ns = alert.started_ns if now_s is None else at_ns(now_s)
    return complaints.take(alert, alert.entity.service, now_ns)


def at_ns(after_s: float) -> int:
    return make.START_NS + round(after_s * make.NS_PER_S)


def only(complaints: Complaints) -> Complaint:
    (complaint,) = complaints
    return complaint


@pytest.mark.parametrize("label", ["pod", "instance", "container", "replica", "severity"])
def test_what_changes_from_firing_to_firing_makes_no_other_alert(label: str) -> None:
    complaints = Complaints(CONFIG)

    take(complaints, make.alert(labels={label: "a"}))
    second = take(complaints, make.alert(labels={label: "b"}, at_s=30))

    assert second.heard is Heard.AGAIN
    assert only(complaints).n_firings == 2


@pytest.mark.parametrize(
    "other",
    [
        make.alert("ErrorRate"),
        make.alert(service="bank"),
        make.alert(labels={"environment": "staging"}),
        make.alert(source="grafana"),
        make.alert(tenant="other"),
    ],
    ids=["rule", "service", "label", "source", "tenant"],
)
def test_another_rule_place_label_source_or_tenant_is_another_alert(other: Alert) -> None:
    complaints = Complaints(CONFIG)

    take(complaints, make.alert())
    take(complaints, other)

    assert len(complaints) == 2


def test_runs_of_bytes_that_are_cut_elsewhere_are_not_the_same() -> None:
    one = make.alert(labels={"a": "bc"})
    other = make.alert(labels={"ab": "c"})

    assert identity_of(one, "", ()) != identity_of(other, "", ())


def test_a_message_that_is_sent_again_counts_once() -> None:
    complaints = Complaints(CONFIG)

    take(complaints, make.alert())
    again = take(complaints, make.alert(), now_s=240)

    assert again.heard is Heard.REPEATED
    assert (only(complaints).n_firings, only(complaints).heard_ns) == (1, at_ns(240))


def test_an_alert_that_fires_again_and_again_is_flapping() -> None:
    complaints = Complaints(CONFIG)

    for n in range(4):
        take(complaints, make.alert(at_s=100.0 * n))

    assert only(complaints).n_firings == 4
    assert is_flapping(only(complaints))
    assert not is_flapping(only(complaints), 5)


def test_after_a_session_of_silence_it_is_judged_afresh_and_its_count_goes_on() -> None:
    complaints = Complaints(CONFIG)

    first = take(complaints, make.alert()).complaint
    second = take(complaints, make.alert(at_s=CONFIG.session_s + 1)).complaint

    assert first is not None
    assert second is not None
    assert second.before == first.key
    assert (second.n_firings, second.n_before) == (1, 1)


def test_after_its_ttl_it_is_a_stranger() -> None:
    complaints = Complaints(CONFIG)

    take(complaints, make.alert())
    second = take(complaints, make.alert(at_s=CONFIG.ttl_s + 1)).complaint

    assert second is not None
    assert (second.before, second.n_before) == (None, 0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_late_firing_closes_the_gap_whatever_the_order(order: tuple[int, ...]) -> None:
    complaints = Complaints(CONFIG)
    told = [make.alert(at_s=after_s) for after_s in (0.0, 200.0, 400.0)]

    for n in order:
        take(complaints, told[n])

    complaint = only(complaints)
    assert (complaint.n_firings, complaint.n_before) == (3, 0)
    assert (complaint.started_ns, complaint.last_ns) == (at_ns(0), at_ns(400))
    assert complaint.starts == [one.started_ns for one in told]


def test_a_complaint_that_was_another_one_is_named_so_that_it_can_be_found() -> None:
    complaints = Complaints(CONFIG)

    first = take(complaints, make.alert()).complaint
    second = take(complaints, make.alert(at_s=400)).complaint
    bridge = take(complaints, make.alert(at_s=200))

    assert first is not None
    assert second is not None
    assert bridge.complaint is first
    assert bridge.absorbed == second.key


def test_it_ends_when_its_newest_firing_does() -> None:
    complaints = Complaints(CONFIG)
    early, late = make.alert(), make.alert(at_s=100)

    take(complaints, early)
    take(complaints, late)
    first = take(complaints, make.resolved(early))
    was_firing = only(complaints).is_firing
    second = take(complaints, make.resolved(late))

    assert (first.heard, was_firing) == (Heard.REPEATED, True)
    assert (second.heard, only(complaints).ended_ns) == (Heard.ENDED, at_ns(160))


def test_it_fires_again_after_it_ended() -> None:
    complaints = Complaints(CONFIG)

    take(complaints, make.alert())
    take(complaints, make.resolved(make.alert()))
    take(complaints, make.alert(at_s=120))

    assert only(complaints).is_firing


def test_an_alert_that_is_resolved_before_it_fired_is_over_when_it_comes() -> None:
    complaints = Complaints(CONFIG)
    alert = make.alert()

    early = take(complaints, make.resolved(alert, after_s=5))
    take(complaints, alert)

    assert (early.complaint, early.heard) == (None, Heard.UNKNOWN)
    assert only(complaints).ended_ns == at_ns(5)


def test_an_end_without_a_time_is_now() -> None:
    complaints = Complaints(CONFIG)
    alert = make.alert()

    take(complaints, alert)
    take(complaints, replace(make.resolved(alert), ended_ns=None), now_s=42)

    assert only(complaints).ended_ns == at_ns(42)


def test_it_ends_when_its_sender_said_unless_it_is_said_again() -> None:
    complaints = Complaints(CONFIG)

    take(complaints, make.alert(ended_ns=at_ns(240)))
    take(complaints, make.alert(ended_ns=at_ns(480)), now_s=200)
    early = complaints.tick(at_ns(240))
    late = complaints.tick(at_ns(480))

    assert early == []
    assert [complaint.ended_ns for complaint in late] == [at_ns(480)]


def test_one_of_which_nothing_is_said_for_hours_has_ended() -> None:
    complaints = Complaints(CONFIG)

    take(complaints, make.alert())

    assert complaints.tick(at_ns(CONFIG.silent_s - 1)) == []
    assert len(complaints.tick(at_ns(CONFIG.silent_s))) == 1


def test_it_is_as_grave_as_it_ever_was_and_knows_how_it_began() -> None:
    complaints = Complaints(CONFIG)

    take(complaints, make.alert(urgency=Urgency.WARNING))
    risen = take(complaints, make.alert(urgency=Urgency.CRITICAL))
    take(complaints, make.alert(urgency=Urgency.INFO, at_s=9))

    assert risen.heard is Heard.AGAIN
    assert (only(complaints).urgency, only(complaints).joined_urgency) == (4, 2)


def test_what_is_remembered_of_firings_ends_and_texts_is_bounded() -> None:
    complaints = Complaints(CONFIG)

    for n in range(N_STARTS + 9):
        take(complaints, make.alert(at_s=n, summary="x" * 100_000))
    for n in range(N_EARLY + 9):
        take(complaints, make.resolved(make.alert(service=f"s{n}")))

    assert len(only(complaints).starts) == N_STARTS
    assert len(only(complaints).summary) <= 1024
    assert len(complaints.dump()) < 100_000


def test_what_is_forgotten_is_a_stranger_when_it_comes_back() -> None:
    complaints = Complaints(CONFIG)
    first = take(complaints, make.alert()).complaint
    assert first is not None

    complaints.forget(first.key)
    second = take(complaints, make.alert(at_s=60))

    assert second.heard is Heard.NEW
    assert first.key not in complaints


@pytest.mark.parametrize("cut", range(6))
def test_a_restart_changes_nothing(cut: int) -> None:
    told = [make.alert(at_s=after_s) for after_s in (0, 100, 450, 300, 2000)]
    told.insert(2, make.resolved(told[1]))
    whole, parted = Complaints(CONFIG), Complaints(CONFIG)

    for n, alert in enumerate(told):
        take(whole, alert)
        if n == cut:
            state, parted = parted.dump(), Complaints(CONFIG)
            parted.load(state)
        take(parted, alert)

    assert parted.dump() == whole.dump()
