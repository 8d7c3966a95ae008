"""The life of an incident: what its alerts and what people make of it. Pure.

People decide on an incident's head; what its alerts say may open it again, or end it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from watchkeeper.model.handling import (
    NOBODY,
    Handling,
    Happening,
    IncidentEntry,
    IncidentHead,
    Verb,
)
from watchkeeper.model.incident import (
    ComplaintKey,
    Incident,
    IncidentStatus,
    Join,
    Member,
)

OVER: Final = frozenset({IncidentStatus.RESOLVED, IncidentStatus.CLOSED, IncidentStatus.MERGED})
"""Nobody has to look at these."""
MAX_NAMES: Final = 100
"""Of services and rules that lists show."""
MAX_TEXT: Final = 4000
_TITLE: Final = 300

Seen = Mapping[ComplaintKey, tuple[int, bool]]
"""Of each alert that was there before: how often it had fired, and whether it was firing."""


@dataclass(frozen=True, slots=True)
class At:
    """Where in the log, and when by its ticks."""

    position: int
    now_ns: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something cannot be done, and what can."""

    why: str
    is_overtaken: bool = False
    """Somebody decided something since."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next state of an incident, with what is to be told of it."""

    head: IncidentHead
    entries: tuple[IncidentEntry, ...] = ()


class _Notes:
    """Entries of one state of one incident."""

    def __init__(self, incident: Incident, at: At) -> None:
        self._incident = incident
        self._at = at
        self.entries: list[IncidentEntry] = []

    def add(
        self,
        what: Happening,
        *,
        time_ns: int | None = None,
        text: str = "",
        complaint: ComplaintKey | None = None,
        join: Join | None = None,
    ) -> None:
        self.entries.append(
            IncidentEntry(
                incident=self._incident.id,
                id=f"{self._at.position:x}-{len(self.entries)}",
                time_ns=self._at.now_ns if time_ns is None else time_ns,
                what=what,
                tenant=self._incident.tenant,
                by=NOBODY,
                text=text,
                complaint=complaint,
                join=join,
                position=self._at.position,
            )
        )


def told(head: IncidentHead | None, incident: Incident, seen: Seen, at: At) -> Step:
    """What alerts make of an incident, which was `head` before."""
    notes = _Notes(incident, at)
    if incident.status is IncidentStatus.MERGED:
        return Step(_merged(head, incident, at, notes), tuple(notes.entries))
    if head is None:
        what = Happening.OPENED if incident.split_from is None else Happening.SPLIT
        notes.add(what, time_ns=incident.opened_ns, text=incident.split_from or "")
    is_stirred = _note_members(incident, seen, notes)
    now = _described(head, incident, at)
    if head is not None:
        _note_changes(head, now, notes)
    now = _aged(head, now, notes, at, is_stirred=is_stirred)
    return Step(now if head is None else _numbered(head, now), tuple(notes.entries))


def snooze_over(head: IncidentHead, at: At) -> Step | None:
    """If nobody was to be notified up to now."""
    if head.snoozed_until_ns is None or head.snoozed_until_ns > at.now_ns:
        return None
    entry = IncidentEntry(
        incident=head.id,
        id=f"{at.position:x}-snooze",
        time_ns=at.now_ns,
        what=Happening.SNOOZE_OVER,
        tenant=head.tenant,
        position=at.position,
    )
    now = replace(head, snoozed_until_ns=None, updated_ns=at.now_ns, position=at.position)
    return Step(_numbered(head, now), (entry,))


def handled(head: IncidentHead, handling: Handling, at: At) -> Step | Refusal | None:
    """What somebody makes of an incident; None where it is so already. What moves alerts is only
    checked, and told of."""
    refusal = _refusal(head, handling)
    if refusal is not None:
        return refusal
    changed = _changed(head, handling)
    if changed is None:
        return None
    what, now, text = changed
    entry = IncidentEntry(
        incident=head.id,
        id=handling.id,
        time_ns=handling.time_ns,
        what=what,
        tenant=head.tenant,
        by=handling.principal,
        text=text[:MAX_TEXT],
        position=at.position,
    )
    now = replace(now, updated_ns=max(head.updated_ns, handling.time_ns), position=at.position)
    version = head.version + 1
    is_decision = handling.verb is not Verb.COMMENT
    decided = version if is_decision else head.decided
    return Step(replace(now, version=version, decided=decided), (entry,))


def _refusal(head: IncidentHead, handling: Handling) -> Refusal | None:
    if handling.expected is not None and not head.decided <= handling.expected <= head.version:
        return Refusal(
            f"incident {head.id}: was decided on since version {handling.expected}, it is "
            f"{head.status} at version {head.version} now; read it, and say it again if it is "
            "still wanted",
            is_overtaken=True,
        )
    if head.status is IncidentStatus.MERGED:
        return Refusal(
            f"incident {head.id}: is part of {head.merged_into} now; {handling.verb} that one"
        )
    verb, status = handling.verb, head.status
    if verb in _OF_OPEN and status in OVER:
        return Refusal(f"incident {head.id}: is {status}; reopen it before you {verb} it")
    if verb is Verb.CLOSE and status not in OVER:
        return Refusal(f"incident {head.id}: is {status}; resolve it before you close it")
    if verb is Verb.RESOLVE and status is IncidentStatus.CLOSED:
        return Refusal(f"incident {head.id}: is closed already; reopen it if it is not over")
    return None


_OF_OPEN: Final = frozenset({
    Verb.ACKNOWLEDGE, Verb.MITIGATE, Verb.SNOOZE, Verb.MERGE, Verb.SPLIT, Verb.UNLINK,
})  # fmt: skip
_STATUS: Final[Mapping[Verb, tuple[IncidentStatus, Happening]]] = {
    Verb.ACKNOWLEDGE: (IncidentStatus.ACKNOWLEDGED, Happening.ACKNOWLEDGED),
    Verb.MITIGATE: (IncidentStatus.MITIGATING, Happening.MITIGATING),
    Verb.RESOLVE: (IncidentStatus.RESOLVED, Happening.RESOLVED),
    Verb.CLOSE: (IncidentStatus.CLOSED, Happening.CLOSED),
    Verb.REOPEN: (IncidentStatus.OPEN, Happening.REOPENED),
}
_MOVES: Final[Mapping[Verb, Happening]] = {
    Verb.MERGE: Happening.MERGED,
    Verb.SPLIT: Happening.SPLIT,
    Verb.UNLINK: Happening.UNLINKED,
}

_Changed = tuple[Happening, IncidentHead, str]


def _changed(head: IncidentHead, handling: Handling) -> _Changed | None:
    match handling.verb:
        case Verb.ASSIGN:
            if head.assignee == handling.assignee:
                return None
            text = handling.assignee or "nobody"
            return Happening.ASSIGNED, replace(head, assignee=handling.assignee), text
        case Verb.SNOOZE:
            is_on = handling.until_ns > handling.time_ns
            until_ns = handling.until_ns if is_on else None
            if until_ns == head.snoozed_until_ns:
                return None
            what = Happening.SNOOZED if is_on else Happening.SNOOZE_OVER
            return what, replace(head, snoozed_until_ns=until_ns), handling.text
        case Verb.COMMENT:
            now = replace(head, n_comments=head.n_comments + 1)
            return Happening.COMMENTED, now, handling.text
        case Verb.MERGE | Verb.SPLIT | Verb.UNLINK as verb:
            text = handling.into or ", ".join(handling.complaints)
            return _MOVES[verb], head, handling.text or text
        case verb:
            return _turned(head, handling, *_STATUS[verb])


def _turned(
    head: IncidentHead, handling: Handling, status: IncidentStatus, what: Happening
) -> _Changed | None:
    is_beyond = status is IncidentStatus.ACKNOWLEDGED and head.status is IncidentStatus.MITIGATING
    if head.status is status or is_beyond:
        return None
    is_over = status in OVER
    resolved_ns = (head.resolved_ns or handling.time_ns) if is_over else None
    now = replace(head, status=status, resolved_ns=resolved_ns, was=IncidentStatus.OPEN)
    if is_over:
        now = replace(now, snoozed_until_ns=None)
    return what, now, handling.text


def _merged(head: IncidentHead | None, incident: Incident, at: At, notes: _Notes) -> IncidentHead:
    now = replace(
        head or _described(None, incident, at),
        status=IncidentStatus.MERGED,
        merged_into=incident.merged_into,
        resolved_ns=at.now_ns,
        updated_ns=at.now_ns,
        n_members=0,
        n_firing=0,
        snoozed_until_ns=None,
        position=at.position,
    )
    notes.add(Happening.MERGED, text=incident.merged_into or "")
    return now if head is None else _numbered(head, now)


def _note_members(incident: Incident, seen: Seen, notes: _Notes) -> bool:
    """Whether anything fires that did not before."""
    is_stirred = False
    for member in incident.members:
        before = seen.get(member.complaint)
        fires = member.ended_ns is None
        if before is None:
            is_stirred |= fires
            notes.add(
                Happening.JOINED,
                time_ns=member.started_ns,
                text=name_of(member),
                complaint=member.complaint,
                join=member.join,
            )
        elif member.n_firings > before[0]:
            is_stirred |= fires
            notes.add(
                Happening.FIRED_AGAIN,
                time_ns=member.last_ns,
                text=name_of(member),
                complaint=member.complaint,
            )
        if not fires and (before is None or before[1]):
            notes.add(
                Happening.ENDED,
                time_ns=member.ended_ns,
                text=name_of(member),
                complaint=member.complaint,
            )
    for gone in sorted(seen.keys() - {member.complaint for member in incident.members}):
        notes.add(Happening.LEFT, complaint=gone)
    return is_stirred


def _note_changes(head: IncidentHead, now: IncidentHead, notes: _Notes) -> None:
    for other in now.merged_from[len(head.merged_from) :]:
        notes.add(Happening.TOOK_OVER, text=other)
    if now.urgency > head.urgency:
        notes.add(Happening.WORSENED, text=now.urgency.name.lower())


def _aged(
    head: IncidentHead | None, now: IncidentHead, notes: _Notes, at: At, *, is_stirred: bool
) -> IncidentHead:
    """Ended, or begun again, by what its alerts say."""
    before_ns = None if head is None else head.ended_ns
    if now.ended_ns is not None:
        if now.status in OVER or now.ended_ns == before_ns:
            return now
        notes.add(Happening.RESOLVED, text="all of its alerts ended")
        return replace(
            now,
            status=IncidentStatus.RESOLVED,
            resolved_ns=at.now_ns,
            was=now.status,
            snoozed_until_ns=None,
        )
    if now.status in OVER and is_stirred:
        notes.add(Happening.REOPENED, text="an alert fires")
        return replace(now, status=now.was, resolved_ns=None, was=IncidentStatus.OPEN)
    return now


def _described(head: IncidentHead | None, incident: Incident, at: At) -> IncidentHead:
    """What its alerts say of it; what people decided is as it was."""
    members = incident.members
    spokesman = incident.spokesman if members else None
    described: dict[str, Any] = {
        "title": "" if spokesman is None else title_of(spokesman),
        "opened_ns": incident.opened_ns,
        "updated_ns": at.now_ns,
        "urgency": incident.urgency,
        "representative": incident.representative,
        "service": "" if spokesman is None else spokesman.node,
        "services": _names(member.node for member in members),
        "rules": _names(member.rule for member in members),
        "n_members": len(members),
        "n_firing": sum(member.ended_ns is None for member in members),
        "ended_ns": incident.ended_ns,
        "is_held": incident.is_held,
        "merged_from": incident.merged_from,
        "split_from": incident.split_from,
        "position": at.position,
    }
    if head is not None:
        return replace(head, **described)
    return IncidentHead(
        id=incident.id, tenant=incident.tenant, status=IncidentStatus.OPEN, **described
    )


def _numbered(head: IncidentHead, now: IncidentHead) -> IncidentHead:
    """The version behind `head`, which says whether anything was decided by it."""
    version = head.version + 1
    is_turned = now.status is not head.status
    return replace(now, version=version, decided=version if is_turned else head.decided)


def title_of(member: Member) -> str:
    return (member.summary or name_of(member))[:_TITLE]


def name_of(member: Member) -> str:
    return f"{member.rule} of {member.node}" if member.node else member.rule


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))[:MAX_NAMES]
