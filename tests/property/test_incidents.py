"""Incidents under any mixture of alerts, ends, people and restarts: nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.alerting import SHOP, grouper
from tests.handling import S, handling
from watchkeeper.analyze import lifecycle
from watchkeeper.analyze.correlate import CorrelateConfig
from watchkeeper.analyze.incident_desk import Desk, Outcome
from watchkeeper.analyze.lifecycle import OVER, At, Step
from watchkeeper.model.alert import Alert, Urgency
from watchkeeper.model.handling import (
    Handling,
    Happening,
    IncidentEntry,
    IncidentHead,
    IncidentMembers,
    Verb,
)
from watchkeeper.model.incident import ComplaintKey, IncidentId, IncidentStatus
from watchkeeper.model.series import DEFAULT_TENANT

FEW = settings(max_examples=12, deadline=None, derandomize=True)
MERGED = IncidentStatus.MERGED


@dataclass(frozen=True)
class Fires:
    node: str
    rule: str
    urgency: Urgency


@dataclass(frozen=True)
class Ends:
    nth: int
    """Of what fired, from the end."""


@dataclass(frozen=True)
class Waits:
    seconds: int


@dataclass(frozen=True)
class Does:
    verb: Verb
    nth: int
    """Of the incidents there are."""
    other: int
    n_alerts: int


Act = Fires | Ends | Waits | Does
ACTS = st.one_of(
    st.builds(
        Fires,
        st.sampled_from(SHOP.names),
        st.sampled_from(["ErrorRate", "Slow"]),
        st.sampled_from(Urgency),
    ),
    st.builds(Ends, st.integers(0, 5)),
    st.builds(Waits, st.sampled_from([5, 30, 90])),
    st.builds(Does, st.sampled_from(Verb), st.integers(0, 3), st.integers(0, 3), st.integers(1, 2)),
)
SCRIPTS = st.lists(ACTS, min_size=4, max_size=30)


def fresh() -> Desk:
    desk = Desk(grouper(), CorrelateConfig(), DEFAULT_TENANT)
    desk.know(SHOP)
    return desk


@dataclass
class Kept:
    """What a store would have: the last state of all, and every entry."""

    heads: dict[IncidentId, IncidentHead] = field(default_factory=dict)
    members: dict[IncidentId, IncidentMembers] = field(default_factory=dict)
    entries: list[IncidentEntry] = field(default_factory=list)

    def save(self, outcome: Outcome) -> None:
        for head in outcome.heads.values():
            before = self.heads.get(head.id)
            assert before is None or before.version < head.version
            self.heads[head.id] = head
        self.members |= {one.id: one for one in outcome.members.values()}
        self.entries += outcome.entries

    def shown(self) -> list[IncidentHead]:
        """By number, without what became another one."""
        return [one for _, one in sorted(self.heads.items()) if one.status is not MERGED]

    def alerts(self) -> Counter[ComplaintKey]:
        """Of all that is shown, how often each alert is there."""
        return Counter(
            alert.complaint for head in self.shown() for alert in self.members[head.id].members
        )


class World:
    """A desk, what it kept, and the log that came to it."""

    def __init__(self) -> None:
        self.desk = fresh()
        self.kept = Kept()
        self.log: list[Alert | Handling | int] = []
        self.fired: list[Alert] = []
        self.now_ns = make.START_NS

    def act(self, act: Act) -> None:
        match act:
            case Fires(node, rule, urgency):
                alert = replace(make.alert(rule, node, urgency=urgency), started_ns=self.now_ns)
                self.fired.append(alert)
                self.hear(alert)
            case Ends(nth):
                if self.fired:
                    alert = self.fired[-1 - nth % len(self.fired)]
                    self.hear(make.resolved(alert, after_s=(self.now_ns - alert.started_ns) / S))
            case Waits(seconds):
                self.now_ns += seconds * S
                self.hear(self.now_ns)
            case Does():
                self.do(act)

    def do(self, act: Does) -> None:
        there = self.kept.shown()
        if not there:
            return
        one, other = there[act.nth % len(there)], there[act.other % len(there)]
        alerts = [alert.complaint for alert in self.kept.members[one.id].members]
        self.hear(
            handling(
                one.id,
                act.verb,
                id=f"h{len(self.log)}",
                time_ns=self.now_ns,
                into=other.id,
                complaints=tuple(alerts[-act.n_alerts :]),
                assignee=f"who{act.other}",
                until_ns=self.now_ns + act.other * 60 * S,
            )
        )

    def hear(self, record: Alert | Handling | int) -> None:
        self.log.append(record)
        apply(self.desk, record, len(self.log), self.kept)


def apply(desk: Desk, record: Alert | Handling | int, position: int, kept: Kept) -> None:
    match record:
        case Alert():
            desk.take(record)
        case Handling():
            outcome = desk.handle(record, position)
            if outcome is not None:
                kept.save(outcome)
        case now_ns:
            kept.save(desk.tick(now_ns, position))


def lived(script: Sequence[Act]) -> World:
    """To the end of what was waited for, so that all is told."""
    world = World()
    for act in [*script, Waits(30), Waits(30)]:
        world.act(act)
    return world


@FEW
@given(SCRIPTS)
def test_every_alert_is_in_exactly_one_incident_whatever_people_do(script: list[Act]) -> None:
    world = lived(script)

    alerts = world.kept.alerts()

    assert set(alerts.values()) <= {1}
    told = {name for one in world.kept.entries if (name := one.complaint) is not None}
    assert set(alerts) <= told
    said = {(one.rule, one.entity.service) for one in world.fired}
    shown = {
        (alert.rule, alert.node)
        for head in world.kept.shown()
        for alert in world.kept.members[head.id].members
    }
    assert shown == said


@FEW
@given(SCRIPTS)
def test_a_head_says_what_its_alerts_are(script: list[Act]) -> None:
    kept = lived(script).kept

    for head in kept.shown():
        members = kept.members[head.id].members
        assert head.n_members == len(members) > 0
        assert head.n_firing == sum(one.ended_ns is None for one in members)
        assert head.urgency == max(one.urgency for one in members)
        assert head.services == tuple(sorted({one.node for one in members}))
        assert head.opened_ns == min(one.started_ns for one in members)
        assert head.representative in {one.complaint for one in members}
        assert {one.join.cause for one in members} <= {one.complaint for one in members}


@FEW
@given(SCRIPTS)
def test_what_is_over_has_a_time_and_what_is_not_has_none(script: list[Act]) -> None:
    kept = lived(script).kept

    for head in kept.heads.values():
        assert (head.resolved_ns is not None) is (head.status in OVER)
        assert head.decided <= head.version
        if head.status in OVER:
            assert head.snoozed_until_ns is None
        assert (head.merged_into is not None) is (head.status is MERGED)


@FEW
@given(SCRIPTS)
def test_whoever_follows_a_merge_comes_to_an_incident_that_is_shown(script: list[Act]) -> None:
    kept = lived(script).kept

    for head in kept.heads.values():
        at, way = head, [head.id]
        while at.merged_into is not None:
            assert at.id in kept.heads[at.merged_into].merged_from
            at = kept.heads[at.merged_into]
            assert at.id not in way
            way.append(at.id)
        assert at.status is not MERGED
        if head.status is MERGED:
            assert kept.members[head.id].members == ()


@FEW
@given(SCRIPTS, st.floats(0.0, 1.0))
def test_a_restart_at_any_record_gives_the_same_incidents_and_names(
    script: list[Act], cut: float
) -> None:
    world = lived(script)
    kept, desk, at = Kept(), fresh(), round(cut * len(world.log))

    for n, record in enumerate(world.log):
        if n == at:
            state, desk = desk.dump(), fresh()
            desk.load(state)
        apply(desk, record, n + 1, kept)

    assert kept == world.kept
    assert desk.dump() == world.desk.dump()


@FEW
@given(SCRIPTS)
def test_who_replays_the_log_comes_to_the_same_names_and_entries(script: list[Act]) -> None:
    world = lived(script)
    kept, desk = Kept(), fresh()

    for n, record in enumerate(world.log):
        apply(desk, record, n + 1, kept)

    assert kept == world.kept


@FEW
@given(SCRIPTS)
def test_a_timeline_is_whole_and_no_entry_is_told_twice(script: list[Act]) -> None:
    kept = lived(script).kept

    assert max(Counter(one.key for one in kept.entries).values(), default=1) == 1
    for head in kept.heads.values():
        own = [one for one in kept.entries if one.incident == head.id]
        assert [one.position for one in own] == sorted(one.position for one in own)
        begins = [one.what for one in own if one.what in (Happening.OPENED, Happening.SPLIT)]
        assert begins[:1] or head.status is MERGED
        assert present(own) == {one.complaint for one in kept.members[head.id].members} or (
            head.status is MERGED
        )


def present(entries: Sequence[IncidentEntry]) -> set[ComplaintKey]:
    """Who is in an incident by what its timeline says of who came and who left."""
    found: set[ComplaintKey] = set()
    for one in entries:
        if one.complaint is None:
            continue
        if one.what is Happening.JOINED:
            found.add(one.complaint)
        elif one.what is Happening.LEFT:
            found.discard(one.complaint)
    return found


def decisions(log: Sequence[Alert | Handling | int]) -> Iterator[Handling]:
    return (one for one in log if isinstance(one, Handling))


@FEW
@given(SCRIPTS)
def test_every_decision_that_changed_anything_is_in_the_timeline_once_by_name(
    script: list[Act],
) -> None:
    world = lived(script)

    by_people = Counter(one.id for one in world.kept.entries if one.id.startswith("h"))

    asked = {one.id: one for one in decisions(world.log)}
    assert set(by_people) <= set(asked)
    assert set(by_people.values()) <= {1}
    for entry in world.kept.entries:
        if entry.id in asked:
            assert (entry.incident, entry.by) == (asked[entry.id].incident, "ann")


@FEW
@given(st.lists(st.tuples(st.sampled_from(Verb), st.integers(0, 2)), max_size=40))
def test_any_row_of_verbs_leaves_an_incident_that_makes_sense(row: list[tuple[Verb, int]]) -> None:
    name = IncidentId("INC-1700000000-1")
    head = IncidentHead(
        id=name,
        tenant=DEFAULT_TENANT,
        status=IncidentStatus.OPEN,
        title="bank",
        opened_ns=make.START_NS,
        updated_ns=make.START_NS,
        urgency=Urgency.ERROR,
        representative=ComplaintKey("bank"),
        service="bank",
    )
    for n, (verb, minutes) in enumerate(row):
        now_ns = make.START_NS + n * S
        until_ns = now_ns + minutes * 60 * S
        asked = handling(name, verb, id=f"h{n}", time_ns=now_ns, until_ns=until_ns)

        step = lifecycle.handled(head, asked, At(n + 1, now_ns))

        if isinstance(step, Step):
            assert step.head.version == head.version + 1
            assert len(step.entries) == 1
            assert (step.head.decided == step.head.version) is (verb is not Verb.COMMENT)
            head = step.head
        assert (head.resolved_ns is not None) is (head.status in OVER)
        assert head.snoozed_until_ns is None or head.status not in OVER
