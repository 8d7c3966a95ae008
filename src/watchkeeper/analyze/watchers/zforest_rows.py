"""Rows of a service for `zforest`: the cells of each minute, and how far they are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from watchkeeper.analyze.watchers.services import Subject
from watchkeeper.analyze.watchers.zforest_baseline import Baseline
from watchkeeper.model.series import F64

MAX_METRICS: Final = 64
"""Columns of a row."""
Values = np.ndarray[Any, np.dtype[np.float32]]


class Row(msgspec.Struct, array_like=True):
    """Of one minute, as it is kept."""

    time_ns: int
    values: bytes


class Episode(msgspec.Struct, array_like=True):
    """Strange rows that follow each other."""

    started_ns: int
    peak: float
    limit: float
    calm: int = 0


class Known(msgspec.Struct, array_like=True):
    """One service in a checkpoint; the baseline follows from its rows."""

    subject: tuple[str, str, str]
    metrics: list[tuple[bytes, str]]
    rows: list[Row]
    judged_ns: int
    fitted_ns: int
    n_fitted: int
    episode: Episode | None


@dataclass(slots=True)
class Service:
    """What is kept of one."""

    subject: Subject
    partition: int
    metrics: dict[bytes, str] = field(default_factory=dict)
    """Names by identity, in the order of their columns."""
    rows: dict[int, Values] = field(default_factory=dict)
    judged_ns: int = 0
    """Rows before are judged, and do not change any more."""
    fitted_ns: int = 0
    """The end of the baseline; 0 without one."""
    n_fitted: int = 0
    episode: Episode | None = None
    baseline: Baseline | None = None

    def matrix(self, times: Sequence[int], n_metrics: int) -> F64:
        rows = np.array([self.rows[one] for one in times], np.float64)
        return rows.reshape(-1, MAX_METRICS)[:, :n_metrics]

    def between(self, first_ns: int, end_ns: int) -> list[int]:
        return sorted(one for one in self.rows if first_ns <= one < end_ns)

    def release(self) -> None:
        """Free the columns of metrics without a value in any row."""
        if not self.rows:
            self.metrics.clear()
            return
        there = np.isfinite(np.array(list(self.rows.values()))).any(axis=0)
        kept = np.flatnonzero(there)
        self.metrics = {
            one: name for at, (one, name) in enumerate(self.metrics.items()) if there[at]
        }
        for time_ns, row in self.rows.items():
            narrow = np.full(MAX_METRICS, np.nan, np.float32)
            narrow[: len(kept)] = row[kept]
            self.rows[time_ns] = narrow


def kept_of(service: Service) -> Known:
    subject = service.subject
    return Known(
        subject=(subject.tenant, subject.service, subject.environment),
        metrics=list(service.metrics.items()),
        rows=[Row(one, service.rows[one].tobytes()) for one in sorted(service.rows)],
        judged_ns=service.judged_ns,
        fitted_ns=service.fitted_ns,
        n_fitted=service.n_fitted,
        episode=service.episode,
    )


def known_of(kept: Known, partition: int) -> Service:
    return Service(
        Subject.of(*kept.subject),
        partition,
        metrics=dict(kept.metrics),
        rows={one.time_ns: np.frombuffer(one.values, np.float32).copy() for one in kept.rows},
        judged_ns=kept.judged_ns,
        fitted_ns=kept.fitted_ns,
        n_fitted=kept.n_fitted,
        episode=kept.episode,
    )
