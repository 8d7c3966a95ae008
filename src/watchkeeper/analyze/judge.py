"""From a detector's findings to anomalies that a person can read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, OPENED, Findings
from watchkeeper.model.anomaly import Anomaly, AnomalyId, AnomalyStatus, Severity
from watchkeeper.model.series import Series


@dataclass(frozen=True, slots=True)
class Judge:
    """Writes the anomalies of one detector."""

    detector: str
    streams: Sequence[str]

    def id_of(self, series: Series, started_ns: int) -> AnomalyId:
        """The episode's name: the same after a replay, and in every process."""
        digest = hashlib.blake2b(digest_size=10)
        for part in (series.tenant.encode(), series.identity, self.detector.encode()):
            digest.update(len(part).to_bytes(4, "little"))
            digest.update(part)
        digest.update(started_ns.to_bytes(8, "little", signed=True))
        return AnomalyId(digest.hexdigest())

    def judge(
        self,
        findings: Findings,
        row: int,
        *,
        series: Series,
        position: int,
        known: Anomaly | None,
    ) -> Anomaly:
        """The anomaly after one change. `known` is what it was before, if that is known.

        The value, band and evidence are those of the peak, so an episode that closes keeps what is
        known of it and gains only its end.
        """
        time_ns = int(findings.time_ns[row])
        closed = int(findings.change[row]) == CLOSED
        if closed and known is not None:
            return replace(known, status=AnomalyStatus.CLOSED, ended_ns=time_ns, position=position)
        started_ns = int(findings.started_ns[row])
        said = findings.streams[row].tolist()
        severity = Severity.EVIDENCE if findings.severity[row] == EVIDENCE else Severity.INFO
        if known is not None and int(findings.change[row]) != OPENED:
            severity = max(severity, known.severity, key=_SEVERITIES.index)
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
        )


_SEVERITIES = (Severity.INFO, Severity.EVIDENCE)
