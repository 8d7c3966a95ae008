"""What is kept of incidents: of each a head, its alerts, and the entries of its timeline."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from watchkeeper.model.handling import IncidentEntry, IncidentHead, IncidentMembers
from watchkeeper.model.incident import IncidentId, IncidentStatus
from watchkeeper.store.row import STILL_OPEN, Row, encoded
from watchkeeper.store.words import words

_NS_PER_S: Final = 1_000_000_000
_SHOWN: Final[Mapping[IncidentStatus, Collection[str]]] = {
    IncidentStatus.MERGED: (),
    IncidentStatus.RESOLVED: ("listed",),
    IncidentStatus.CLOSED: ("listed",),
}
"""Who is in lists, and who in those of what somebody has to look at."""


def head_row(head: IncidentHead) -> Row:
    """It begins where its name says: when its first alert began may turn out to be earlier."""
    known = {
        "status": (head.status.value,),
        "urgency": (head.urgency.name.lower(),),
        "service": head.services,
        "rule": head.rules,
        "assignee": (head.assignee,),
        "shown": _SHOWN.get(head.status, ("listed", "active")),
    }
    return Row(
        kind="incident",
        tenant=head.tenant,
        key=head.id,
        started_ns=_named_ns(head.id),
        ended_ns=STILL_OPEN if head.resolved_ns is None else head.resolved_ns,
        status=head.status.value,
        service=head.service,
        detector="",
        version=(head.position, head.version, 0),
        body=encoded(head),
        words=words(known, " ".join((head.id, head.title, *head.services, *head.rules))),
    )


def members_row(kept: IncidentMembers) -> Row:
    return Row(
        kind="incident_members",
        tenant=kept.tenant,
        key=kept.id,
        started_ns=_named_ns(kept.id),
        ended_ns=STILL_OPEN if kept.resolved_ns is None else kept.resolved_ns,
        status="",
        service="",
        detector="",
        version=(kept.position, kept.version, 0),
        body=encoded(kept),
    )


def entry_row(entry: IncidentEntry) -> Row:
    """Listings by service are, of entries, by incident."""
    return Row(
        kind="incident_entry",
        tenant=entry.tenant,
        key=entry.key,
        started_ns=entry.time_ns,
        ended_ns=entry.time_ns,
        status=entry.what.value,
        service=entry.incident,
        detector=entry.by,
        version=(entry.position, 0, 0),
        body=encoded(entry),
    )


def _named_ns(incident: IncidentId) -> int:
    """The time in an incident's name."""
    return int(incident.split("-")[1]) * _NS_PER_S
