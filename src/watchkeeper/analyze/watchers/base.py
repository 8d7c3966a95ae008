"""The contract of a watcher: it looks at what passes detection, and decides when time has passed.

A detector judges each series alone, point by point. What needs several series (a service and its
symptoms), or the absence of points (silence), is a watcher's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import msgspec

from watchkeeper.analyze.detectors.base import Findings, Points
from watchkeeper.model.anomaly import AnomalyId, Severity
from watchkeeper.model.series import Entity, Mask, TenantId


@dataclass(frozen=True, slots=True)
class Seen:
    """What one record brought, all of it accepted and covered by no checkpoint."""

    tenant: TenantId
    samples: Points
    cells: Points
    """The points of the grid that these samples closed."""
    findings: Sequence[tuple[str, Findings]]
    """What detectors said of them, by detector."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A change of one episode of one subject, as Findings are of a series."""

    tenant: TenantId
    entity: Entity
    labels: Mapping[str, str]
    """Of the subject: with tenant, watcher and start, the episode's name."""
    started_ns: int
    time_ns: int
    change: int
    """OPENED, WORSENED or CLOSED."""
    severity: Severity
    value: float
    expected_low: float
    expected_high: float
    p_value: float
    series: str = ""
    """The SeriesId in hex where the subject is one series; empty where it is a service."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    """What spoke for it, by name."""
    members: tuple[Entity, ...] = ()
    """The services that it speaks for as it opens, where these are several."""


@dataclass(frozen=True, slots=True)
class Belief:
    """How far an open anomaly of one series is to be believed, by the others of its service.

    It changes the anomaly's confidence and severity, and never ends it.
    """

    tenant: TenantId
    anomaly: AnomalyId
    confidence: float
    """0 to 1; a half says nothing either way."""
    time_ns: int
    evidence: Mapping[str, float] = field(default_factory=dict)
    """What spoke for or against it, by name."""


class Open(msgspec.Struct, frozen=True, array_like=True):
    """An episode that was told of, and not that it ended."""

    tenant: str
    service: str
    environment: str
    labels: Mapping[str, str]
    """Of the sighting; none where a detector found it."""
    series: str
    """The SeriesId in hex; empty where it is of a service."""
    started_ns: int


@runtime_checkable
class OfSeries(Protocol):
    """A watcher whose episodes are those of single series."""

    def let_go(self, series: str) -> None:
        """End the episode of a series that is silent, and tell nothing of it."""
        ...


class Watcher(Protocol):
    """A state machine over what was seen. It decides on ticks, never on a clock.

    State belongs to partitions, which are those of the series; a series is named by its identity
    there, since slots mean something in one process only.
    """

    name: str
    version: int
    """Goes up when the state or the answers change: a checkpoint of another version is no use."""

    def see(self, seen: Seen) -> None: ...

    def tick(self, now_ns: int, partitions: Mask) -> Sequence[Sighting | Belief]:
        """What changed up to now; `partitions` are those whose checkpoints do not cover this."""
        ...

    def holds(self, one: Open) -> bool:
        """Whether this episode of its own goes on, and its end will be told."""
        ...

    def dump(self, partition: int) -> bytes: ...

    def load(self, partition: int, state: bytes) -> None:
        """Go on from here; with nothing to go on from, the partition is forgotten."""
        ...
