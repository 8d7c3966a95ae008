"""What people decide about detection: its settings, when it is to be quiet, what an anomaly was.

All of it lies in the log and takes effect at their position there, in every process and after every
restart alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.series import Entity, TenantId

FROM_FILE: Final = 0
"""The version of what the configuration file says, until somebody sets something else."""


@dataclass(frozen=True, slots=True)
class DetectionSet:
    """A whole document of settings that somebody wants to be in force from here on.

    It comes to be the version behind the one that is in force at its position. If it says what
    that is to be (`expected`) and it is another, nothing changes: somebody else was faster.
    """

    id: str
    """By which its sender finds it again."""
    document: str
    """JSON; empty for what the configuration file says."""
    time_ns: int
    principal: str
    action: str
    """In the words of the audit trail: `detection.set`, `maintenance.add` ..."""
    expected: int | None = None
    request_id: str = ""
    changed: str = ""
    """What became of what, in few words."""
    version: int = FROM_FILE
    """Given out at its position; 0 until then."""
    position: int = 0

    def follows(self, version: int) -> bool:
        """Whether it takes effect where this version is in force."""
        return self.expected is None or self.expected == version


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A window in which what begins is shown, and nobody is woken for it.

    Told again under the same id, it is as it is told then: one that is ended early ends sooner.
    """

    id: str
    tenant: TenantId
    match: Mapping[str, str]
    """Labels, `service` and the like among them, with what they must be; `*` stands for any run."""
    from_ns: int
    to_ns: int
    reason: str
    principal: str
    time_ns: int
    """When it was told so."""
    request_id: str = ""
    position: int = 0


class Word(StrEnum):
    """What somebody says of an anomaly."""

    REAL = "real"
    NOT_USEFUL = "not_useful"
    EXPECTED = "expected"
    WITHDRAWN = "withdrawn"
    """Nothing any more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a principal says of an anomaly, with what is needed to act on it.

    Of each principal the newest counts.
    """

    anomaly: AnomalyId
    tenant: TenantId
    word: Word
    principal: str
    time_ns: int
    """When it was said."""
    subject: str
    """Of the anomaly; see `subject_of`."""
    detector: str
    started_ns: int
    """When the anomaly began."""
    entity: Entity = field(default_factory=Entity)
    partition: int = 0
    """Of all that speaks of the service."""
    comment: str = ""
    request_id: str = ""
    position: int = 0


def subject_of(tenant: TenantId, series: str, labels: Mapping[str, str]) -> str:
    """What an anomaly is about: a series, or what of a tenant has these labels."""
    return series or ",".join([tenant, *(f"{name}={labels[name]}" for name in sorted(labels))])
