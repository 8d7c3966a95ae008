"""Storms of any kind: cut anywhere, mixed within two minutes, ended or not."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.alerting import SHOP, correlator, partition, tick
from watchkeeper.analyze.correlate import Correlator
from watchkeeper.model.alert import Alert, Urgency
from watchkeeper.model.incident import ComplaintKey, Incident, IncidentStatus

LATE_S = 120.0
NODES = st.sampled_from([*SHOP.names, "stranger", ""])
ALERTS = st.builds(
    lambda rule, node, at_s, urgency: make.alert(rule, node, at_s=at_s, urgency=urgency),
    st.sampled_from(["ErrorRate", "HighLatency"]),
    NODES,
    st.floats(0.0, 600.0).map(lambda at_s: round(at_s, 1)),
    st.sampled_from(Urgency),
)
STORMS = st.lists(st.tuples(ALERTS, st.floats(0.0, LATE_S), st.booleans()), max_size=25)
FEW = settings(max_examples=12, deadline=None, derandomize=True)
Storm = list[tuple[Alert, float, bool]]


def messages(storm: Storm) -> list[tuple[float, Alert]]:
    """When each arrives, by arrival; some with their ends."""
    told = []
    for alert, late_s, ends in storm:
        arrives_s = (alert.started_ns - make.START_NS) / make.NS_PER_S + late_s
        told.append((arrives_s, alert))
        if ends:
            told.append((arrives_s + 30.0, make.resolved(alert, after_s=30)))
    return sorted(told, key=lambda one: one[0])


def run(
    one: Correlator, told: list[tuple[float, Alert]], *, cut_s: float = -1.0, until_s: int = 840
) -> tuple[Correlator, list[Incident]]:
    """As it is live; at the cut it dies, and another goes on from its state."""
    incidents, left = [], list(told)
    for at_s in range(0, until_s, 15):
        while left and left[0][0] <= at_s:
            one.take(left.pop(0)[1])
        incidents += tick(one, at_s)
        if at_s <= cut_s < at_s + 15:
            state, one = one.dump(), correlator()
            one.load(state)
    return one, incidents


@FEW
@given(STORMS, st.floats(0.0, 800.0))
def test_a_restart_at_any_time_changes_no_answer(storm: Storm, cut_s: float) -> None:
    whole, told = run(correlator(), messages(storm))
    parted, again = run(correlator(), messages(storm), cut_s=cut_s)

    assert again == told
    assert parted.dump() == whole.dump()


@FEW
@given(STORMS, st.randoms(use_true_random=False))
def test_what_comes_late_and_mixed_ends_in_the_same_groups(storm: Storm, chance: Any) -> None:
    """All of it young: what is known by then decides, not when it came."""
    in_time = [(alert, 0.0, False) for alert, _, _ in storm]
    mixed = [(alert, chance.uniform(0.0, LATE_S), False) for alert, _, _ in storm]

    one, _ = run(correlator(), messages(in_time))
    other, _ = run(correlator(), messages(mixed))

    def starts(found: Correlator) -> set[frozenset[tuple[str, str, int]]]:
        return {
            frozenset((m.node, m.rule, m.started_ns) for m in incident.members)
            for incident in found.incidents()
        }

    assert starts(other) == starts(one)


@FEW
@given(STORMS)
def test_nothing_is_dropped_and_nothing_is_twice(storm: Storm) -> None:
    one = correlator()
    complaints: set[ComplaintKey] = set()
    absorbed: set[ComplaintKey] = set()
    for n, (_, alert) in enumerate(messages(storm)):
        sight = one.take(alert)
        complaints |= {sight.complaint.key} if sight.complaint is not None else set()
        absorbed |= {sight.absorbed} if sight.absorbed is not None else set()
        if n % 5 == 0:
            tick(one, 10.0 * n)  # nothing of it is old enough to leave memory

    members = [complaint for group in partition(one) for complaint in group]
    assert sorted(members) == sorted(complaints - absorbed)


@FEW
@given(STORMS)
def test_what_is_told_is_what_there_is(storm: Storm) -> None:
    """Whoever only listens knows the same as who asks; what merged says where it went."""
    one, told = run(correlator(), messages(storm), until_s=796)
    heard = {incident.id: incident for incident in told}

    now = {incident.id: incident for incident in one.incidents()}
    open_ids = {
        name for name, incident in heard.items() if incident.status is not IncidentStatus.MERGED
    }
    assert set(now) <= open_ids
    for name, incident in now.items():
        assert heard[name].members == incident.members
        assert heard[name].version == incident.version
    for incident in heard.values():
        if incident.merged_into is not None:
            assert incident.merged_into in heard
            assert incident.id in heard[incident.merged_into].merged_from


@FEW
@given(STORMS)
def test_every_edge_says_why_and_leads_to_a_member(storm: Storm) -> None:
    one, _ = run(correlator(), messages(storm))

    for incident in one.incidents():
        complaints = {member.complaint for member in incident.members}
        assert incident.representative in complaints
        for member in incident.members:
            assert member.join.cause in complaints


@FEW
@given(STORMS, st.integers(1, 20))
def test_a_prefix_is_told_alike_whatever_comes_after(storm: Storm, n: int) -> None:
    told = messages(storm)
    until_s = int(told[min(n, len(told)) - 1][0]) if told else 0
    before = [message for message in told if message[0] <= until_s // 15 * 15]

    _, whole = run(correlator(), told, until_s=until_s + 1)
    _, part = run(correlator(), before, until_s=until_s + 1)

    assert part == whole


def test_a_state_is_plain_bytes_of_bounded_size() -> None:
    one, _ = run(correlator(), [(float(n), make.alert(f"r{n}", "bank", at_s=n)) for n in range(99)])

    state = one.dump()

    assert len(state) < 100 * 1024
    assert msgspec.msgpack.decode(state)
