"""Alerts of one tenant become incidents: each goes at once where it fits best, and every half
minute all young incidents are formed anew from all that is known by then.

What depends on elapsed time is decided on ticks. An incident is young for a quarter of an hour, or
until somebody acknowledges it; then it only takes on what comes. Nothing is dropped: what makes no
sense with anything else is an incident of its own, and what leaves memory was told before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper.analyze import notice
from watchkeeper.analyze.dedupe import Complaint, Complaints, DedupeConfig, Heard, Sight
from watchkeeper.analyze.groupers.base import Group, Grouper, Scene, itself
from watchkeeper.analyze.incident_book import Book, OpenIncident
from watchkeeper.analyze.reach import Reach, node_of
from watchkeeper.analyze.strangers import Strangers
from watchkeeper.analyze.suppress import Habits, SuppressConfig
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.alert import Alert, Urgency
from watchkeeper.model.incident import (
    ComplaintKey,
    Incident,
    IncidentId,
    IncidentStatus,
    Join,
    Member,
)
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.topology import Topology

_AGAIN: Final = 2.0
"""What equal labels say for an alert that was in an incident before, and fits nowhere else."""
_MINUTE_NS: Final = 60 * NS_PER_S


class CorrelateConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How alerts become incidents."""

    every_s: Annotated[
        float, Meta(gt=0, description="How often young incidents are formed anew.")
    ] = 30.0
    young_s: Annotated[
        float, Meta(gt=0, description="How long an incident may be joined with others or parted.")
    ] = 900.0
    session_s: Annotated[
        float,
        Meta(gt=0, description="An incident to which nothing came for so long takes no more."),
    ] = 300.0
    cap_s: Annotated[
        float, Meta(gt=0, description="Nor one that is older, so that none goes on for ever.")
    ] = 3600.0
    ahead_s: Annotated[
        float, Meta(gt=0, description="Alerts that are farther in the future are taken for now.")
    ] = 120.0
    max_incidents: Annotated[int, Meta(ge=1, description="Incidents kept in memory.")] = 10_000
    max_formed: Annotated[
        int, Meta(ge=2, description="Alerts of young incidents that are formed anew at once.")
    ] = 1024
    max_tried: Annotated[
        int, Meta(ge=1, description="Incidents, the newest, that a new alert is held against.")
    ] = 256
    dedupe: DedupeConfig = DedupeConfig()
    suppress: SuppressConfig = SuppressConfig()


class _State(msgspec.Struct, array_like=True):
    now_ns: int
    complaints: bytes
    habits: bytes
    strangers: bytes
    book: bytes


_decoder = msgspec.msgpack.Decoder(_State)


class Correlator:
    """A state machine. Takes alerts in the order of the log; tells on ticks what changed."""

    def __init__(
        self, grouper: Grouper, config: CorrelateConfig, tenant: TenantId = DEFAULT_TENANT
    ) -> None:
        self._grouper = grouper
        self._config = config
        self._tenant = tenant
        self._complaints = Complaints(config.dedupe)
        self._habits = Habits(config.suppress)
        self._strangers = Strangers()
        self._book = Book()
        self._now_ns = 0
        self.know(Topology())

    def know(self, topology: Topology) -> None:
        """Who depends on whom, from here on."""
        self._reach = Reach(topology)
        self._certain = Reach(notice.certain(topology))

    def take(self, alert: Alert) -> Sight:
        """A message, and what was made of it."""
        alert = self._timed(alert)
        node = node_of(alert, self._reach.topology)
        sight = self._complaints.take(alert, node, self._now_ns or alert.started_ns)
        if sight.absorbed is not None:
            self._absorb(sight.absorbed)
        complaint = sight.complaint
        if complaint is None:
            return sight
        if sight.heard in (Heard.NEW, Heard.AGAIN):
            self._habits.fired(complaint)
        if sight.heard is Heard.NEW:
            self._place(complaint)
        if sight.heard is not Heard.REPEATED:
            self._book.touch(complaint.key)
        return sight

    def tick(self, now_ns: int) -> list[Incident]:
        """The clock; what changed since the last one, each incident once."""
        before_ns, self._now_ns = self._now_ns, now_ns
        if now_ns // _MINUTE_NS != before_ns // _MINUTE_NS:
            for complaint in self._complaints:
                self._habits.minute(complaint)
            self._release()
        every_ns = round(self._config.every_s * NS_PER_S)
        is_due = now_ns // every_ns != before_ns // every_ns
        if is_due:
            self._pass()
        told = list(self._told())
        if is_due:
            self._forget()
        return told

    def acknowledge(self, incident: IncidentId) -> bool:
        """From now on it is neither joined with another nor parted; whether there is one."""
        return self._book.acknowledge(incident)

    def join_whole(self, gone: IncidentId, into: IncidentId) -> bool:
        """Somebody says that one is another; whether both are in memory."""
        return self._book.join_whole(gone, into, self._started)

    def part(self, incident: IncidentId, complaints: Set[ComplaintKey]) -> IncidentId | None:
        """Somebody says that these are an incident of their own: which. None where it cannot be."""
        return self._book.part(incident, complaints, self._started)

    def told(self) -> list[Incident]:
        """What changed since it was last told, without waiting for a tick."""
        return list(self._told())

    def __contains__(self, incident: IncidentId) -> bool:
        return incident in self._book

    def incident_of(self, complaint: ComplaintKey) -> IncidentId | None:
        return self._book.homes.get(complaint)

    def incidents(self) -> list[Incident]:
        """All that are in memory, the oldest first."""
        return [self._incident(one) for one in self._book]

    def dump(self) -> bytes:
        parts = (
            self._complaints.dump(),
            self._habits.dump(),
            self._strangers.dump(),
            self._book.dump(),
        )
        return msgspec.msgpack.encode(_State(self._now_ns, *parts))

    def load(self, state: bytes) -> None:
        """Go on from here. The topology is no part of it."""
        kept = _decoder.decode(state)
        self._now_ns = kept.now_ns
        self._complaints.load(kept.complaints)
        self._habits.load(kept.habits)
        self._strangers.load(kept.strangers)
        self._book.load(kept.book)

    def _timed(self, alert: Alert) -> Alert:
        """No farther in the future than clocks differ."""
        latest_ns = self._now_ns + round(self._config.ahead_s * NS_PER_S)
        if not self._now_ns or alert.started_ns <= latest_ns:
            return alert
        return replace(alert, started_ns=self._now_ns)

    def _pass(self) -> None:
        """All that is done every half minute."""
        self._strangers.pass_time(self._config.every_s)
        for complaint in self._complaints.tick(self._now_ns):
            self._book.touch(complaint.key)
        self._form()
        self._settle()
        self._speak_up()

    def _speak_up(self) -> None:
        """Members are heard again of which the representative ended two windows ago."""
        window_ns = round(2 * self._config.session_s * NS_PER_S)
        for one in self._book:
            ended_ns = self._complaints.of(one.root).ended_ns
            is_outlived = ended_ns is not None and ended_ns + window_ns <= self._now_ns
            if is_outlived != one.is_outlived:
                one.is_outlived = is_outlived
                self._book.touch(one.root)

    def _scene(self) -> Scene:
        n_nodes = len(self._reach.topology.names)
        return Scene(self._reach, self._strangers.per_s(n_nodes), self._strangers.goes_on())

    def _place(self, complaint: Complaint) -> None:
        """Where it fits best of all that is open, or in an incident of its own."""
        scene, best = self._scene(), None
        roots = self._grouper.roots(complaint.node, scene)
        for one in self._open_to(complaint.started_ns):
            if roots is not None and self._complaints.of(one.root).node not in roots:
                continue
            join = self._grouper.join(complaint, self._members(one), scene)
            if join is not None and (best is None or join.odds > best[0].odds):
                best = (join, one)
        if best is None and complaint.before is not None:
            best = self._where_it_was(complaint)
        if best is not None:
            self._book.join(best[1], complaint, best[0])
        else:
            self._book.open(
                complaint.started_ns, complaint.key, {complaint.key: itself(complaint.key)}
            )

    def _open_to(self, at_ns: int) -> Iterator[OpenIncident]:
        """Incidents that may still take on an alert of that time, the newest first."""
        window_ns = round(self._config.session_s * NS_PER_S)
        cap_ns = round(self._config.cap_s * NS_PER_S)
        for one in self._book.newest(self._config.max_tried):
            is_in_session = abs(at_ns - one.newest_ns) <= window_ns
            if is_in_session and at_ns - one.opened_ns <= cap_ns:
                yield one

    def _where_it_was(self, complaint: Complaint) -> tuple[Join, OpenIncident] | None:
        """The incident of the complaint that it was before, if it still may take on anything."""
        before = complaint.before or ComplaintKey("")
        home = self._book.home(before)
        if home is None or complaint.started_ns - home.opened_ns > self._config.cap_s * NS_PER_S:
            return None
        return Join(before, 0.0, 0.0, 0.0, _AGAIN), home

    def _members(self, one: OpenIncident) -> Iterator[Complaint]:
        """The root first."""
        yield self._complaints.of(one.root)
        for key in one.joins:
            if key != one.root:
                yield self._complaints.of(key)

    def _form(self) -> None:
        """All young incidents anew."""
        young = self._young()
        pool = [self._complaints.of(key) for one in young for key in one.joins]
        if not self._book.is_stirred or len(pool) < 2:
            return
        self._book.is_stirred = False
        groups = self._grouper.group(pool, self._scene())
        ids = {one.id for one in young}
        self._book.reform(self._returned(groups), ids, self._started)

    def _young(self) -> list[OpenIncident]:
        """The newest, as many as may be formed anew at once."""
        oldest_ns = self._now_ns - round(self._config.young_s * NS_PER_S)
        found, n = [], 0
        for one in self._book.newest(len(self._book)):
            if one.acknowledged or one.is_fixed or one.opened_ns < oldest_ns:
                continue
            n += len(one.joins)
            if n > self._config.max_formed:
                break
            found.append(one)
        return found

    def _returned(self, groups: Iterable[Group]) -> list[Group]:
        """Groups, in which what is alone goes back to what it was before."""
        kept = {group.root: group for group in groups}
        at = {key: group.root for group in kept.values() for key in group.joins}
        for root in sorted(kept, key=lambda key: self._complaints.of(key).started_ns):
            before = self._complaints.of(root).before
            if len(kept[root].joins) > 1 or before is None or before not in at:
                continue
            home = kept[at[before]]
            joins = {**home.joins, root: Join(before, 0.0, 0.0, 0.0, _AGAIN)}
            kept[home.root] = Group(home.root, joins)
            at[root] = home.root
            del kept[root]
        return list(kept.values())

    def _started(self, key: ComplaintKey) -> int:
        return self._complaints.of(key).started_ns

    def _settle(self) -> None:
        """What is young no more and alone was a stranger."""
        oldest_ns = self._now_ns - round(self._config.young_s * NS_PER_S)
        for one in self._book.unsettled(oldest_ns):
            one.is_settled = True
            root = self._complaints.of(one.root)
            if len(one.joins) == 1 and root.before is None:
                self._strangers.count(root.n_minutes)

    def _release(self) -> None:
        """Incidents that all of a sudden are to be told: another minute of theirs is over."""
        for one in self._book:
            if one.is_held:
                self._book.touch(one.root)

    def _absorb(self, gone: ComplaintKey) -> None:
        """A complaint turned out to be another one."""
        self._book.remove(gone, self._started)

    def _told(self) -> Iterator[Incident]:
        for one in self._book.changed():
            members = list(self._members(one))
            one.is_held = notice.is_held(members, self._habits)
            ended_ns = [
                complaint.ended_ns for complaint in members if complaint.ended_ns is not None
            ]
            one.ended_ns = max(ended_ns) if len(ended_ns) == len(members) else None
            one.version += 1
            yield self._incident(one)
        yield from self._book.merged(self._tenant, self._now_ns)

    def _incident(self, one: OpenIncident) -> Incident:
        members = list(self._members(one))
        representative = members[0]
        status = IncidentStatus.ACKNOWLEDGED if one.acknowledged else IncidentStatus.OPEN
        return Incident(
            id=one.id,
            status=status if one.ended_ns is None else IncidentStatus.RESOLVED,
            opened_ns=one.opened_ns,
            updated_ns=self._now_ns,
            members=tuple(
                self._member(complaint, representative, one)
                for complaint in sorted(
                    members, key=lambda complaint: (complaint.started_ns, complaint.key)
                )
            ),
            representative=representative.key,
            urgency=Urgency(max(complaint.urgency for complaint in members)),
            is_held=one.is_held,
            ended_ns=one.ended_ns,
            merged_from=tuple(one.merged_from),
            split_from=one.split_from,
            version=one.version,
            tenant=self._tenant,
        )

    def _member(self, complaint: Complaint, representative: Complaint, one: OpenIncident) -> Member:
        window_ns = round(self._config.session_s * NS_PER_S)
        return Member(
            complaint=complaint.key,
            rule=complaint.rule,
            node=complaint.node,
            urgency=Urgency(complaint.urgency),
            started_ns=complaint.started_ns,
            last_ns=complaint.last_ns,
            ended_ns=complaint.ended_ns,
            n_firings=complaint.n_firings + complaint.n_before,
            join=one.joins[complaint.key],
            silence=notice.silence_of(
                complaint, representative, self._certain, now_ns=self._now_ns, window_ns=window_ns
            ),
            summary=complaint.summary,
            labels=complaint.labels,
        )

    def _forget(self) -> None:
        """What ended long ago; and the oldest, where there is no room."""
        ttl_ns = round(self._config.dedupe.ttl_s * NS_PER_S)
        gone = [one for one in self._book if self._is_over(one, ttl_ns)]
        n_over = len(self._book) - len(gone) - self._config.max_incidents
        if n_over > 0:
            left = [one for one in self._book if one not in gone]
            gone += left[:n_over]
        for one in gone:
            complaints = list(self._members(one))
            if len(complaints) == 1 and not one.acknowledged:
                self._habits.learn(complaints[0])
            self._book.forget(one)
            for complaint in complaints:
                self._complaints.forget(complaint.key)

    def _is_over(self, one: OpenIncident, ttl_ns: int) -> bool:
        """Nothing of it may be the same as what comes now."""
        return (
            one.ended_ns is not None
            and self._now_ns
            - max(one.ended_ns, max(self._complaints.of(key).heard_ns for key in one.joins))
            > ttl_ns
        )
