"""What people do about incidents, what is kept of an incident, and all that happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from watchkeeper.model.alert import Urgency
from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.incident import ComplaintKey, IncidentId, IncidentStatus, Join, Member
from watchkeeper.model.series import DEFAULT_TENANT, TenantId

NOBODY: Final = "watchkeeper"
"""Who did what follows from alerts alone."""


class Verb(StrEnum):
    """What somebody may do with an incident."""

    ACKNOWLEDGE = "acknowledge"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"
    CLOSE = "close"
    REOPEN = "reopen"
    ASSIGN = "assign"
    SNOOZE = "snooze"
    COMMENT = "comment"
    MERGE = "merge"
    SPLIT = "split"
    """Some of its alerts are an incident of their own, together."""
    UNLINK = "unlink"
    """Each of these alerts is an incident of its own."""


@dataclass(frozen=True, slots=True)
class Handling:
    """Somebody does something about an incident. It lies in the log, and takes effect there.

    If it says which version was seen (`expected`) and somebody decided something since, nothing
    changes. Alerts that came since do not count.
    """

    id: str
    """By which its sender finds it again."""
    incident: IncidentId
    tenant: TenantId
    verb: Verb
    principal: str
    time_ns: int
    text: str = ""
    """A comment, or why."""
    assignee: str = ""
    """Whose it is from now on; empty for nobody's."""
    until_ns: int = 0
    """How long nobody is notified."""
    into: IncidentId | None = None
    complaints: tuple[ComplaintKey, ...] = ()
    expected: int | None = None
    request_id: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an alert came from, and where a person reads on."""

    source: str
    links: Mapping[str, str] = field(default_factory=dict)
    anomalies: tuple[AnomalyId, ...] = ()
    """What of ours it speaks of, the newest last."""


@dataclass(frozen=True, slots=True)
class IncidentHead:
    """An incident without its alerts: all that lists show, and that people decide."""

    id: IncidentId
    tenant: TenantId
    status: IncidentStatus
    title: str
    """What the representative says."""
    opened_ns: int
    """When its first alert began."""
    updated_ns: int
    urgency: Urgency
    """The gravest of its alerts."""
    representative: ComplaintKey
    service: str
    """Whom the representative speaks of."""
    services: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """Both sorted, and no more than a hundred."""
    n_members: int = 0
    n_firing: int = 0
    ended_ns: int | None = None
    """When the last of its alerts ended; None while one fires."""
    resolved_ns: int | None = None
    """Since when it is resolved, closed or another one."""
    is_held: bool = False
    """Nobody is notified yet."""
    merged_into: IncidentId | None = None
    merged_from: tuple[IncidentId, ...] = ()
    split_from: IncidentId | None = None
    assignee: str = ""
    snoozed_until_ns: int | None = None
    was: IncidentStatus = IncidentStatus.OPEN
    """What it is again if one of its alerts fires after it was resolved."""
    n_comments: int = 0
    version: int = 1
    """Grows with each state that was saved."""
    decided: int = 0
    """The version with which its status or what people decided last changed."""
    position: int = 0


@dataclass(frozen=True, slots=True)
class IncidentMembers:
    """The alerts of an incident, each with why it joined."""

    id: IncidentId
    tenant: TenantId
    opened_ns: int
    members: tuple[Member, ...]
    """By when they began."""
    origins: Mapping[ComplaintKey, Origin]
    resolved_ns: int | None = None
    version: int = 1
    position: int = 0


class Happening(StrEnum):
    """What an entry of a timeline tells of."""

    OPENED = "opened"
    JOINED = "joined"
    LEFT = "left"
    """An alert belongs to another incident now."""
    FIRED_AGAIN = "fired_again"
    ENDED = "ended"
    WORSENED = "worsened"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    MERGED = "merged"
    TOOK_OVER = "took_over"
    SPLIT = "split"
    UNLINKED = "unlinked"
    ACKNOWLEDGED = "acknowledged"
    MITIGATING = "mitigating"
    CLOSED = "closed"
    ASSIGNED = "assigned"
    SNOOZED = "snoozed"
    SNOOZE_OVER = "snooze_over"
    COMMENTED = "commented"


@dataclass(frozen=True, slots=True)
class IncidentEntry:
    """Something that happened to an incident. Never changed."""

    incident: IncidentId
    id: str
    """Of the incident's timeline; the same after a replay."""
    time_ns: int
    what: Happening
    tenant: TenantId = DEFAULT_TENANT
    by: str = NOBODY
    text: str = ""
    complaint: ComplaintKey | None = None
    join: Join | None = None
    """Why the alert is there."""
    position: int = 0

    @property
    def key(self) -> str:
        return entry_key(self.incident, self.id)


def entry_key(incident: IncidentId, entry: str) -> str:
    """Under which an entry is kept."""
    return f"{incident}/{entry}"
