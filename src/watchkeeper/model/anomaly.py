"""An anomaly: one series, outside what was expected of it, from one time to another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Entity, TenantId

AnomalyId = NewType("AnomalyId", str)
"""Hex of a hash of tenant, series, detector and start: the same after a replay."""


class AnomalyStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Severity(StrEnum):
    """How much is claimed. One series alone claims evidence at most."""

    INFO = "info"
    """Shown; found before the series had enough history for more, or by the basic tier alone."""
    EVIDENCE = "evidence"
    """Calibrated, and may be correlated into an incident."""
    PAGE = "page"
    """A symptom of a service, which somebody has to look at now."""


class InfoReason(StrEnum):
    """Why no more than INFO is claimed."""

    LEARNING = "learning"
    """The series has too little history."""
    TIER = "tier"
    """Who found it promises no rate of false alarms, and never claims more."""
    MUTED = "muted"
    """People said that nobody is to be woken for it; see `Anomaly.muted`."""
    NOISY = "noisy"
    """The series spoke too often this week, or at this time of the week before."""
    ALONE = "alone"
    """The other series of the service say clearly that nothing is the matter."""


class Gone(StrEnum):
    """Why an anomaly ended that nobody saw end: what it was found in is no longer watched."""

    SILENT = "silent"
    """Its series has not been heard for so long that it is no longer waited for."""
    SETTINGS = "settings"
    """By the settings, who found it judges this no more."""
    UNWATCHED = "unwatched"
    """Who found it knows nothing of it any more: an objective or a rule was taken away, a service
    was forgotten, a series began anew, or what was learned did not fit a new release."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One episode. A series alone never pages: this is evidence, with what it rests on."""

    id: AnomalyId
    tenant: TenantId
    series: str
    """The SeriesId in hex; empty where it is of a service, or of several series."""
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
    tier: str = ""
    """T1 judges samples, T2 points of the grid, T3 several series or the time."""
    version: int = 0
    """The detector's."""
    metric_class: MetricClass = MetricClass.OTHER
    n_learned: int = 0
    """Points of its own that the series was judged by."""
    learning_s: float = 0.0
    """How long, at the peak, until its history supports all that may be claimed."""
    info_reason: InfoReason | None = None
    muted: str = ""
    """Why nobody is to be woken for it: a maintenance window, or that it was expected."""
    confidence: float = 0.5
    """How far the other series of the service bear it out, 0 to 1; a half where nobody says."""
    gone: Gone | None = None
    """Why it ended, where it was not seen to."""

    @property
    def residual(self) -> float:
        """How far the peak was from the middle of the band; from its one end, if it has one."""
        ends = [end for end in (self.expected_low, self.expected_high) if math.isfinite(end)]
        return self.value - sum(ends) / len(ends) if ends else math.nan
