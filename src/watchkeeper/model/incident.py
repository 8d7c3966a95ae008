"""An incident: alerts that belong together, why each is in it, and which one speaks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from watchkeeper.model.alert import Urgency
from watchkeeper.model.series import DEFAULT_TENANT, TenantId

IncidentId = NewType("IncidentId", str)
"""`INC-<epoch>-<n>`: the second in which its first alert began, and a number that only grows."""

ComplaintKey = NewType("ComplaintKey", str)
"""Hex of a hash of what makes alerts the same: tenant, source, rule, labels that last."""


class IncidentStatus(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    """Somebody looks at it: from now on it is neither joined with another nor parted."""
    MITIGATING = "mitigating"
    """Somebody does something about it."""
    RESOLVED = "resolved"
    """All of it ended, or somebody says that it is over."""
    CLOSED = "closed"
    """Nobody has anything left to do about it."""
    MERGED = "merged"
    """It is another one now; see `merged_into`."""


class Silence(StrEnum):
    """Why nobody is notified of a member. It is a member all the same, and is shown."""

    EXPLAINED = "explained"
    """The representative speaks for it."""


@dataclass(frozen=True, slots=True)
class Join:
    """Why an alert is in an incident: how much each says for it, in natural logarithms of odds.

    Their sum is how much likelier the alert is as a consequence of `cause` than by itself.
    """

    cause: ComplaintKey
    """The member that it is taken for a consequence of; itself, for the one that opened it."""
    time: float
    """That it came when it would have come."""
    topology: float
    """That whom it speaks of depends on whom the cause speaks of."""
    text: float
    """Words that both share, and whether one names the other."""
    labels: float
    """Labels that both have, alike or not."""
    hops: int = 0

    @property
    def odds(self) -> float:
        return self.time + self.topology + self.text + self.labels


@dataclass(frozen=True, slots=True)
class Member:
    """One alert of an incident, however often it was said."""

    complaint: ComplaintKey
    rule: str
    node: str
    """Of the topology, whom it speaks of; empty where nobody can tell."""
    urgency: Urgency
    started_ns: int
    """When it first fired."""
    last_ns: int
    """When it last began to fire."""
    ended_ns: int | None
    """When it ended; None while it fires."""
    n_firings: int
    """How often it began to fire: more than a few is flapping."""
    join: Join
    silence: Silence | None = None
    summary: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incident:
    """One state of an incident; `version` grows with each."""

    id: IncidentId
    status: IncidentStatus
    opened_ns: int
    """When its first alert began."""
    updated_ns: int
    members: tuple[Member, ...]
    """By when they began; none of one that is merged."""
    representative: ComplaintKey
    """The member that explains most of the others; empty of one that is merged."""
    urgency: Urgency
    """The gravest of its members."""
    is_held: bool = False
    """Nobody is notified yet: by the history of its rules it mostly ends by itself."""
    ended_ns: int | None = None
    merged_into: IncidentId | None = None
    merged_from: tuple[IncidentId, ...] = ()
    """Incidents that became this one."""
    split_from: IncidentId | None = None
    """The incident whose members it took."""
    version: int = 1
    tenant: TenantId = DEFAULT_TENANT
    position: int = 0

    @property
    def spokesman(self) -> Member:
        """The representative, as a member."""
        return next(one for one in self.members if one.complaint == self.representative)
