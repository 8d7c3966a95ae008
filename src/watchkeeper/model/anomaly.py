"""An anomaly: one series, outside what was expected of it, from one time to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from watchkeeper.model.series import Entity, TenantId

AnomalyId = NewType("AnomalyId", str)
"""Hex of a hash of tenant, series, detector and start: the same after a replay."""


class AnomalyStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Severity(StrEnum):
    """What one series alone may claim. Only service symptoms and incidents go higher."""

    INFO = "info"
    """Shown; found before the series had enough history for more, or by the basic tier alone."""
    EVIDENCE = "evidence"
    """Calibrated, and may be correlated into an incident."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One episode. A series alone never pages: this is evidence, with what it rests on."""

    id: AnomalyId
    tenant: TenantId
    series: str
    """The SeriesId in hex."""
    labels: Mapping[str, str]
    entity: Entity
    detector: str
    severity: Severity
    status: AnomalyStatus
    started_ns: int
    """Event time of the first abnormal sample or grid point."""
    peak_ns: int
    ended_ns: int | None
    value: float
    """At the peak, as the detector saw it: for a counter, its rate per second."""
    expected_low: float
    expected_high: float
    """The band outside which the peak fell."""
    p_value: float
    """Probability of a value as strange as the peak's, by the tail of the series' own history: the
    first thousand points support none below one in their number, later ones are extrapolated."""
    position: int = 0
    """Where in the log the episode last changed."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    """What each stream of the detector said at the peak, by name."""
