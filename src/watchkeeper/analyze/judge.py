"""From what detectors and watchers find to anomalies that a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from watchkeeper.analyze.anomaly_ids import id_of, id_of_series
from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, INFO, OPENED, Findings
from watchkeeper.analyze.watchers.base import Belief, Sighting
from watchkeeper.model.anomaly import (
    Anomaly,
    AnomalyId,
    AnomalyStatus,
    Gone,
    InfoReason,
    Severity,
)
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Series

SAMPLE_TIER, GRID_TIER, JOINT_TIER = "T1", "T2", "T3"
_SEVERITIES: Final = tuple(Severity)
SURE: Final = 0.95
"""From here on what the others say changes the severity; below one less this, too."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Writes the anomalies of one detector."""

    detector: str
    streams: Sequence[str]
    tier: str = GRID_TIER
    version: int = 0
    claims: int = EVIDENCE

    def id_of(self, series: Series, started_ns: int) -> AnomalyId:
        """The episode's name: the same after a replay, and in every process."""
        return id_of_series(series, self.detector, started_ns)

    def judge(
        self,
        findings: Findings,
        row: int,
        *,
        series: Series,
        position: int,
        known: Anomaly | None,
        metric_class: MetricClass = MetricClass.OTHER,
    ) -> Anomaly:
        """The anomaly after one change. `known` is what it was before, if that is known.

        The value, band and evidence are those of the peak, so an episode that closes keeps what is
        known of it and gains only its end.
        """
        time_ns = int(findings.time_ns[row])
        closed = int(findings.change[row]) == CLOSED
        if closed and known is not None:
            return _ended(known, time_ns, position)
        started_ns = int(findings.started_ns[row])
        said = findings.streams[row].tolist()
        severity = Severity.EVIDENCE if findings.severity[row] == EVIDENCE else Severity.INFO
        if known is not None and int(findings.change[row]) != OPENED:
            severity = max(severity, known.severity, key=_SEVERITIES.index)
        learning_s = float(findings.learning_s[row])
        return Anomaly(
            id=self.id_of(series, started_ns),
            tenant=series.tenant,
            series=series.identity.hex(),
            labels=series.labels,
            entity=series.entity,
            detector=self.detector,
            severity=severity,
            status=AnomalyStatus.CLOSED if closed else AnomalyStatus.OPEN,
            started_ns=started_ns,
            peak_ns=started_ns if closed else time_ns,
            ended_ns=time_ns if closed else None,
            value=float(findings.value[row]),
            expected_low=float(findings.low[row]),
            expected_high=float(findings.high[row]),
            p_value=float(findings.p_value[row]),
            position=position,
            evidence={name: value for name, value in zip(self.streams, said, strict=True) if value},
            tier=self.tier,
            version=self.version,
            metric_class=metric_class,
            n_learned=int(findings.n_learned[row]),
            learning_s=learning_s,
            info_reason=self._reason(severity, learning_s),
        )

    def _reason(self, severity: Severity, learning_s: float) -> InfoReason | None:
        if severity is not Severity.INFO:
            return None
        if self.claims == INFO:
            return InfoReason.TIER
        return InfoReason.LEARNING if learning_s > 0.0 else InfoReason.NOISY


@dataclass(frozen=True, slots=True)
class WatcherJudge:
    """Writes the anomalies of one watcher."""

    watcher: str
    version: int = 0

    def id_of(self, sighting: Sighting) -> AnomalyId:
        """As of a detector, with the subject's labels in the place of a series."""
        parts = [sighting.tenant.encode(), self.watcher.encode()]
        for name, value in sorted(sighting.labels.items()):
            parts += [name.encode(), value.encode()]
        return id_of(parts, sighting.started_ns)

    def judge(
        self,
        sighting: Sighting,
        *,
        position: int,
        known: Anomaly | None,
        metric_class: MetricClass = MetricClass.OTHER,
    ) -> Anomaly:
        """As of a detector."""
        closed = sighting.change == CLOSED
        time_ns = sighting.time_ns
        if closed and known is not None:
            return _ended(known, time_ns, position)
        severity = sighting.severity
        if known is not None and sighting.change != OPENED:
            severity = max(severity, known.severity, key=_SEVERITIES.index)
        return Anomaly(
            id=self.id_of(sighting),
            tenant=sighting.tenant,
            series=sighting.series,
            labels=dict(sighting.labels),
            entity=sighting.entity,
            detector=self.watcher,
            severity=severity,
            status=AnomalyStatus.CLOSED if closed else AnomalyStatus.OPEN,
            started_ns=sighting.started_ns,
            peak_ns=sighting.started_ns if closed else time_ns,
            ended_ns=time_ns if closed else None,
            value=sighting.value,
            expected_low=sighting.expected_low,
            expected_high=sighting.expected_high,
            p_value=sighting.p_value,
            position=position,
            evidence=dict(sighting.evidence),
            tier=JOINT_TIER,
            version=self.version,
            metric_class=metric_class,
        )


def gone(reason: Gone, now_ns: int, position: int, known: Anomaly) -> Anomaly:
    """An open anomaly that nobody watches any longer: it ends now, or where it was last seen if its
    own clock is ahead."""
    return replace(_ended(known, max(now_ns, known.peak_ns), position), gone=reason)


def _ended(known: Anomaly, time_ns: int, position: int) -> Anomaly:
    return replace(
        known, status=AnomalyStatus.CLOSED, ended_ns=time_ns, position=position, gone=None
    )


def believed(belief: Belief, position: int, known: Anomaly) -> Anomaly:
    """An open anomaly as the others of its service see it; what they say ends none.

    They lift what a tier or a noisy series could not claim alone, but no guess of a young one.
    """
    severity, reason = known.severity, known.info_reason
    if belief.confidence >= SURE and reason not in (None, InfoReason.LEARNING):
        severity, reason = Severity.EVIDENCE, None
    elif belief.confidence <= 1.0 - SURE and severity is Severity.EVIDENCE:
        severity, reason = Severity.INFO, InfoReason.ALONE
    return replace(
        known,
        severity=severity,
        info_reason=reason,
        confidence=belief.confidence,
        evidence={**known.evidence, **belief.evidence},
        position=position,
    )
