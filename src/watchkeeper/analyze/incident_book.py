"""Incidents that are open, which alert is in which, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

import msgspec

from watchkeeper.analyze import incident_ids
from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.groupers.base import Group, itself
from watchkeeper.model.alert import Urgency
from watchkeeper.model.incident import ComplaintKey, Incident, IncidentId, IncidentStatus, Join
from watchkeeper.model.series import TenantId


class OpenIncident(msgspec.Struct):
    """One, as long as anything may still come to it."""

    id: IncidentId
    opened_ns: int
    """Event time of its earliest alert."""
    newest_ns: int
    """Of the alert that began last."""
    root: ComplaintKey
    joins: dict[ComplaintKey, Join]
    acknowledged: bool = False
    is_settled: bool = False
    """Young no more."""
    is_held: bool = False
    """Not told yet; see `suppress`."""
    is_fixed: bool = False
    """Somebody decided what it is made of: it is never formed anew."""
    is_outlived: bool = False
    """Its root ended two session windows ago."""
    ended_ns: int | None = None
    merged_from: list[IncidentId] = []
    split_from: IncidentId | None = None
    version: int = 0


class _Merged(msgspec.Struct, array_like=True):
    """What became another one."""

    id: IncidentId
    opened_ns: int
    version: int
    into: IncidentId


class _State(msgspec.Struct, array_like=True):
    number: int
    incidents: list[OpenIncident]
    changed: list[IncidentId]
    merged: list[_Merged]
    is_stirred: bool


_decoder = msgspec.msgpack.Decoder(_State)
Started = Callable[[ComplaintKey], int]


class Book:
    """A state machine. Iterates from the oldest to the newest by number."""

    def __init__(self) -> None:
        self._incidents: dict[IncidentId, OpenIncident] = {}
        self._number = 0
        self._changed: dict[IncidentId, None] = {}
        self._merged: list[_Merged] = []
        self.homes: dict[ComplaintKey, IncidentId] = {}
        self.is_stirred = False
        """Whether anything came since all was formed anew."""

    def __len__(self) -> int:
        return len(self._incidents)

    def __contains__(self, incident: IncidentId) -> bool:
        return incident in self._incidents

    def __iter__(self) -> Iterator[OpenIncident]:
        return iter(list(self._incidents.values()))

    def newest(self, n: int) -> Iterator[OpenIncident]:
        """The last n that were opened, the newest first."""
        for at, one in enumerate(reversed(self._incidents.values())):
            if at >= n:
                return
            yield one

    def home(self, complaint: ComplaintKey) -> OpenIncident | None:
        return self._incidents.get(self.homes.get(complaint, IncidentId("")))

    def unsettled(self, before_ns: int) -> list[OpenIncident]:
        """Those that were opened before and have not been looked at since."""
        return [one for one in self if not one.is_settled and one.opened_ns < before_ns]

    def open(
        self, opened_ns: int, root: ComplaintKey, joins: Mapping[ComplaintKey, Join]
    ) -> OpenIncident:
        self._number += 1
        one = OpenIncident(
            incident_ids.incident_id(opened_ns, self._number),
            opened_ns,
            opened_ns,
            root,
            dict(joins),
        )
        self._incidents[one.id] = one
        self.homes.update(dict.fromkeys(joins, one.id))
        self._change(one)
        return one

    def join(self, one: OpenIncident, complaint: Complaint, join: Join) -> None:
        one.joins[complaint.key] = join
        one.newest_ns = max(one.newest_ns, complaint.started_ns)
        one.opened_ns = min(one.opened_ns, complaint.started_ns)
        self.homes[complaint.key] = one.id
        self._change(one)

    def touch(self, complaint: ComplaintKey) -> None:
        """Something of it is to be told."""
        home = self.home(complaint)
        if home is not None:
            self._changed[home.id] = None
            self.is_stirred = True

    def acknowledge(self, incident: IncidentId) -> bool:
        one = self._incidents.get(incident)
        if one is None:
            return False
        one.acknowledged = True
        self._changed[incident] = None
        return True

    def reform(self, groups: Sequence[Group], young: Set[IncidentId], started: Started) -> None:
        """These groups in place of the young incidents; ids stay where most of an incident is."""
        was = {complaint: home for complaint, home in self.homes.items() if home in young}
        ids = incident_ids.rename([group.joins.keys() for group in groups], was)
        for group, kept in zip(groups, ids, strict=True):
            if kept is None:
                made = self.open(started(group.root), group.root, group.joins)
                made.split_from = incident_ids.most_of(group.joins.keys(), was)
                self._date(made, started)
            else:
                self._take_over(self._incidents[kept], group, started)
        for gone in sorted(young - set(ids), key=incident_ids.number_of):
            self._merge(gone, {complaint for complaint, home in was.items() if home == gone})

    def join_whole(self, gone: IncidentId, into: IncidentId, started: Started) -> bool:
        """One becomes another, because somebody says so; whether both are there."""
        one, home = self._incidents.get(gone), self._incidents.get(into)
        if one is None or home is None or one is home:
            return False
        home.joins.update(one.joins)
        self.homes.update(dict.fromkeys(one.joins, into))
        home.is_fixed = True
        self._date(home, started)
        self._merge(gone, one.joins.keys())
        self._change(home)
        return True

    def part(
        self, incident: IncidentId, complaints: Set[ComplaintKey], started: Started
    ) -> IncidentId | None:
        """These are an incident of their own, because somebody says so; None where some of them
        are not in it, or nothing would be left."""
        home = self._incidents.get(incident)
        if home is None or not complaints or not complaints < home.joins.keys():
            return None
        root = self._first(complaints, started)
        joins = {key: replace(home.joins.pop(key), cause=root) for key in sorted(complaints)}
        made = self.open(started(root), root, {**joins, root: itself(root)})
        made.split_from, made.is_fixed, home.is_fixed = incident, True, True
        if home.root not in home.joins:
            home.root = self._first(home.joins.keys(), started)
            home.joins[home.root] = itself(home.root)
        self._date(made, started)
        self._date(home, started)
        self._change(home)
        return made.id

    def remove(self, complaint: ComplaintKey, started: Started) -> None:
        """A complaint that is none any more. An incident of it alone leaves with it."""
        home = self.home(complaint)
        if home is None:
            return
        del home.joins[complaint], self.homes[complaint]
        if not home.joins:
            self.forget(home)
            return
        if home.root == complaint:
            home.root = self._first(home.joins.keys(), started)
            home.joins[home.root] = itself(home.root)
        self._change(home)

    def changed(self) -> list[OpenIncident]:
        """Once: those that there is something to tell of."""
        found = [self._incidents[key] for key in self._changed if key in self._incidents]
        self._changed.clear()
        return sorted(found, key=lambda one: incident_ids.number_of(one.id))

    def merged(self, tenant: TenantId, now_ns: int) -> list[Incident]:
        """Once: those that became another one."""
        found = [
            Incident(
                id=one.id,
                status=IncidentStatus.MERGED,
                opened_ns=one.opened_ns,
                updated_ns=now_ns,
                members=(),
                representative=ComplaintKey(""),
                urgency=Urgency.INFO,
                ended_ns=now_ns,
                merged_into=one.into,
                version=one.version + 1,
                tenant=tenant,
            )
            for one in self._merged
        ]
        self._merged.clear()
        return found

    def forget(self, one: OpenIncident) -> None:
        del self._incidents[one.id]
        for complaint in one.joins:
            del self.homes[complaint]

    def dump(self) -> bytes:
        incidents = list(self._incidents.values())
        return msgspec.msgpack.encode(
            _State(self._number, incidents, list(self._changed), self._merged, self.is_stirred)
        )

    def load(self, state: bytes) -> None:
        kept = _decoder.decode(state)
        self._number, self._merged, self.is_stirred = kept.number, kept.merged, kept.is_stirred
        self._incidents = {one.id: one for one in kept.incidents}
        self._changed = dict.fromkeys(kept.changed)
        self.homes = {complaint: one.id for one in kept.incidents for complaint in one.joins}

    def _change(self, one: OpenIncident) -> None:
        self._changed[one.id] = None
        self.is_stirred = True

    def _take_over(self, one: OpenIncident, group: Group, started: Started) -> None:
        is_same = one.root == group.root and one.joins == dict(group.joins)
        one.root, one.joins = group.root, dict(group.joins)
        self.homes.update(dict.fromkeys(group.joins, one.id))
        self._date(one, started)
        if not is_same:
            self._changed[one.id] = None

    def _first(self, complaints: Set[ComplaintKey], started: Started) -> ComplaintKey:
        return min(complaints, key=lambda key: (started(key), key))

    def _date(self, one: OpenIncident, started: Started) -> None:
        times = [started(complaint) for complaint in one.joins]
        one.opened_ns, one.newest_ns = min(times), max(times)

    def _merge(self, gone: IncidentId, complaints: Set[ComplaintKey]) -> None:
        """Its complaints are elsewhere already; it is where most of them are."""
        one = self._incidents.pop(gone)
        into = incident_ids.most_of(complaints, self.homes)
        if into is None:
            return
        self._incidents[into].merged_from.append(gone)
        self._merged.append(_Merged(gone, one.opened_ns, one.version, into))
