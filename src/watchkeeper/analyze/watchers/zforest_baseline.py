"""What a day of a service's rows says of other rows: how isolated they are, and in which metrics.

Pure: equal rows and seeds make equal baselines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.analyze.joint.forest import Forest
from watchkeeper.model.series import F64

NAMED: Final = 3.0
"""Deviations from which on a metric is named, as in the rule that this is a preset of."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Rows that are taken for usual."""

    forest: Forest
    usual: F64
    """Scores of the rows themselves, sorted."""
    limit: float
    """The score that the preset's share of these rows exceeds."""
    mean: F64
    deviation: F64
    """By metric; 0 of one that stood still, from which nothing is so many deviations away."""

    @classmethod
    def of(cls, rows: F64, *, contamination: float, seed: int) -> Baseline:
        """Of MIN_BATCH rows or more, nan where a value is missing."""
        forest = Forest.fit(rows, seed)
        usual = np.sort(forest.scores(rows))
        known = np.isfinite(rows)
        n = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, rows, 0.0).sum(axis=0) / n
        square = np.where(known, rows - mean, 0.0) ** 2
        deviation = np.sqrt(square.sum(axis=0) / n)
        # What only rounding moves stood still.
        deviation[deviation <= 1e-9 * np.abs(mean)] = 0.0
        return cls(forest, usual, float(np.quantile(usual, 1.0 - contamination)), mean, deviation)

    @property
    def n_metrics(self) -> int:
        return len(self.mean)

    def scores(self, rows: F64) -> F64:
        """Of MIN_BATCH rows or more: the stranger the higher. A very usual row is no strange one,
        so that one side only counts."""
        return self.forest.scores(rows[:, : self.n_metrics])

    def p_value(self, score: float) -> float:
        """The part of the baseline's rows that is as strange."""
        n_above = len(self.usual) - int(np.searchsorted(self.usual, score))
        return (n_above + 1.0) / (len(self.usual) + 1.0)

    def deviations(self, row: F64) -> F64:
        """Of one row, by metric; 0 where a value is missing, or where there is no deviation."""
        away = row[: self.n_metrics] - self.mean
        judged = np.isfinite(away) & (self.deviation > 0.0)
        found: F64 = np.zeros(self.n_metrics)
        np.divide(away, self.deviation, out=found, where=judged)
        return found
