"""Incidents of one tenant: what alerts make of them, and what people do about them, in one order.

What alerts say goes through the correlator; what people decide changes heads, and moves alerts
where they say so. Whatever changed is handed out, to be saved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from watchkeeper.analyze import lifecycle
from watchkeeper.analyze.correlate import CorrelateConfig, Correlator
from watchkeeper.analyze.groupers.base import Grouper
from watchkeeper.analyze.lifecycle import At, Step
from watchkeeper.model.alert import Alert
from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.handling import (
    Handling,
    Happening,
    IncidentEntry,
    IncidentHead,
    IncidentMembers,
    Origin,
    Verb,
)
from watchkeeper.model.incident import ComplaintKey, Incident, IncidentId
from watchkeeper.model.series import TenantId
from watchkeeper.model.topology import Edge, Node, Topology

ANOMALY: Final = "anomaly"
"""The annotation in which one of our own alerts names its anomaly."""
MAX_ANOMALIES: Final = 20
"""Of one alert, the newest."""

_FREEZES: Final = frozenset({Verb.ACKNOWLEDGE, Verb.MITIGATE, Verb.RESOLVE})
"""Behind these an incident is neither joined with another nor parted by itself."""
_MOVES: Final = frozenset({Verb.MERGE, Verb.SPLIT, Verb.UNLINK})


_Named = tuple[TenantId, IncidentId]
"""Each tenant has names of its own."""


@dataclass(slots=True)
class Outcome:
    """What changed: of each incident its last state, and all that happened."""

    heads: dict[_Named, IncidentHead] = field(default_factory=dict)
    members: dict[_Named, IncidentMembers] = field(default_factory=dict)
    entries: list[IncidentEntry] = field(default_factory=list)

    def records(self) -> list[Any]:
        return [*self.members.values(), *self.heads.values(), *self.entries]

    def add(self, later: Outcome) -> None:
        self.heads.update(later.heads)
        self.members.update(later.members)
        self.entries += later.entries

    def note(self, step: Step) -> None:
        self.heads[step.head.tenant, step.head.id] = step.head
        self.entries += step.entries


class _State(msgspec.Struct, array_like=True):
    correlator: bytes
    heads: list[IncidentHead]
    seen: dict[IncidentId, dict[ComplaintKey, tuple[int, bool]]]
    origins: dict[ComplaintKey, Origin]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    version: int
    now_ns: int


_decoder = msgspec.msgpack.Decoder(_State)


class Desk:
    """A state machine."""

    def __init__(self, grouper: Grouper, config: CorrelateConfig, tenant: TenantId) -> None:
        self.tenant = tenant
        self._correlator = Correlator(grouper, config, tenant)
        self._topology = self._latest = Topology()
        """That groups are made by; what is newer differs from it in weights alone."""
        self._heads: dict[IncidentId, IncidentHead] = {}
        self._seen: dict[IncidentId, dict[ComplaintKey, tuple[int, bool]]] = {}
        self._origins: dict[ComplaintKey, Origin] = {}
        self._now_ns = 0
        self._every_ns = round(config.every_s * 1e9)

    def know(self, topology: Topology) -> None:
        """Who depends on whom, from here on."""
        if topology is self._latest:
            return
        self._latest = topology
        if _graph(topology) != _graph(self._topology):
            self._topology = topology
            self._correlator.know(topology)

    def take(self, alert: Alert) -> None:
        sight = self._correlator.take(alert)
        if sight.complaint is None:
            return
        key = sight.complaint.key
        anomaly = alert.annotations.get(ANOMALY, "")
        known = self._origins.get(key)
        if sight.absorbed is not None:
            gone = self._origins.pop(sight.absorbed, None)
            known = known or gone
        if known is None:
            self._origins[key] = _origin(alert, anomaly)
        elif anomaly and anomaly not in known.anomalies:
            more = (*known.anomalies, AnomalyId(anomaly))[-MAX_ANOMALIES:]
            self._origins[key] = replace(known, anomalies=more)

    def tick(self, now_ns: int, position: int) -> Outcome:
        """The clock; what changed since the last one."""
        outcome, at = Outcome(), At(position, now_ns)
        before_ns, self._now_ns = self._now_ns, now_ns
        for incident in self._correlator.tick(now_ns):
            self._tell(incident, at, outcome)
        for head in [one for one in self._heads.values() if one.snoozed_until_ns is not None]:
            step = lifecycle.snooze_over(head, at)
            if step is not None:
                self._keep(step, outcome)
        if now_ns // self._every_ns != before_ns // self._every_ns:
            self._forget()
        return outcome

    def handle(self, handling: Handling, position: int) -> Outcome | None:
        """What somebody does; nothing changed where it cannot be done. None where the incident is
        not here: it may be in the store."""
        head = self._heads.get(handling.incident)
        if head is None:
            return None
        outcome, at = Outcome(), At(position, self._now_ns)
        step = lifecycle.handled(head, handling, at)
        if isinstance(step, Step):
            if handling.verb in _MOVES:
                self._move(step, handling, at, outcome)
            else:
                self._keep(step, outcome)
            if handling.verb in _FREEZES:
                self._correlator.acknowledge(handling.incident)
        return outcome

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(
            _State(
                self._correlator.dump(),
                list(self._heads.values()),
                self._seen,
                self._origins,
                self._topology.nodes,
                self._topology.edges,
                self._topology.version,
                self._now_ns,
            )
        )

    def load(self, state: bytes) -> None:
        kept = _decoder.decode(state)
        self._topology = Topology(kept.nodes, kept.edges, kept.version)
        self._correlator.know(self._topology)
        self._correlator.load(kept.correlator)
        self._heads = {head.id: head for head in kept.heads}
        self._seen, self._origins, self._now_ns = kept.seen, kept.origins, kept.now_ns

    def _keep(self, step: Step, outcome: Outcome) -> None:
        self._heads[step.head.id] = step.head
        outcome.note(step)

    def _tell(self, incident: Incident, at: At, outcome: Outcome) -> None:
        seen = self._seen.get(incident.id, {})
        head = self._heads.get(incident.id)
        step = lifecycle.told(head, incident, seen, at)
        self._keep(step, outcome)
        self._seen[incident.id] = {
            one.complaint: (one.n_firings, one.ended_ns is None) for one in incident.members
        }
        outcome.members[self.tenant, incident.id] = IncidentMembers(
            id=incident.id,
            tenant=incident.tenant,
            opened_ns=step.head.opened_ns,
            members=incident.members,
            origins={
                one.complaint: self._origins[one.complaint]
                for one in incident.members
                if one.complaint in self._origins
            },
            resolved_ns=step.head.resolved_ns,
            version=step.head.version,
            position=at.position,
        )

    def _move(self, step: Step, handling: Handling, at: At, outcome: Outcome) -> None:
        """Alerts go where somebody says; what comes of it is told at once, as that one's doing."""
        touched = self._moved(handling)
        if not touched:
            return
        self._keep(step, outcome)
        told = Outcome()
        for incident in self._correlator.told():
            self._tell(incident, at, told)
        is_merge = handling.verb is Verb.MERGE
        told.entries = [
            replace(one, by=handling.principal) if one.incident in touched else one
            for one in told.entries
            if not (is_merge and one.what is Happening.MERGED and one.incident in touched)
        ]
        for incident_id in touched:
            self._decided(incident_id, told)
        outcome.add(told)

    def _decided(self, incident: IncidentId, told: Outcome) -> None:
        """Whoever saw an earlier version did not see this."""
        head = self._heads.get(incident)
        if head is not None:
            now = replace(head, decided=head.version)
            told.heads[self.tenant, incident] = self._heads[incident] = now

    def _moved(self, handling: Handling) -> Collection[IncidentId]:
        """Of which incidents alerts were moved; none where that cannot be."""
        one, others = self._correlator, set(handling.complaints)
        match handling.verb:
            case Verb.MERGE:
                into = handling.into or IncidentId("")
                home = self._heads.get(into)
                if home is None or home.status in lifecycle.OVER:
                    return ()
                return (handling.incident, into) if one.join_whole(handling.incident, into) else ()
            case Verb.SPLIT:
                made = one.part(handling.incident, others)
                return () if made is None else (handling.incident, made)
            case _:
                return self._unlinked(handling.incident, sorted(others))

    def _unlinked(
        self, incident: IncidentId, complaints: Sequence[ComplaintKey]
    ) -> Collection[IncidentId]:
        """Each by itself, or none of them."""
        if not set(complaints) < self._seen.get(incident, {}).keys():
            return ()
        made = [self._correlator.part(incident, {complaint}) for complaint in complaints]
        parted = [one for one in made if one is not None]
        return (incident, *parted) if parted else ()

    def _forget(self) -> None:
        """What the correlator waits for no more."""
        gone = [one for one in self._heads if one not in self._correlator]
        if not gone:
            return
        for incident in gone:
            del self._heads[incident]
            self._seen.pop(incident, None)
        left = _keys(self._seen.values())
        self._origins = {key: one for key, one in self._origins.items() if key in left}


def _graph(topology: Topology) -> tuple[tuple[str, ...], set[tuple[str, ...]]]:
    """Who depends on whom, and how that is known; without weights, which never stand still."""
    edges: set[tuple[str, ...]] = {
        (one.source, one.target, one.kind, one.origin) for one in topology.edges
    }
    return topology.names, edges


def _keys(seen: Iterable[dict[ComplaintKey, tuple[int, bool]]]) -> set[ComplaintKey]:
    return {key for one in seen for key in one}


def _origin(alert: Alert, anomaly: str) -> Origin:
    return Origin(alert.source, dict(alert.links), (AnomalyId(anomaly),) if anomaly else ())
