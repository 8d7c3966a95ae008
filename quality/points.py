"""Flags beside labels, point by point: F1, and the rates of false and of missing alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from watchkeeper.model.series import Mask


@dataclass(frozen=True, slots=True)
class Pooled:
    """Over the points of all series together."""

    f1: float
    false_alarm_rate: float
    """Of ordinary points, the share that was flagged."""
    missed_alarm_rate: float
    """Of strange points, the share that was not."""


def pooled(strange: Sequence[Mask], flagged: Sequence[Mask]) -> Pooled:
    """Count every point of every series once."""
    truth, said = np.concatenate(strange), np.concatenate(flagged)
    hit = int(np.count_nonzero(truth & said))
    false = int(np.count_nonzero(~truth & said))
    missed = int(np.count_nonzero(truth & ~said))
    n_ordinary = len(truth) - hit - missed
    return Pooled(
        2 * hit / max(1, 2 * hit + false + missed),
        false / max(1, n_ordinary),
        missed / max(1, hit + missed),
    )


def f1_at(recall: float, false_alarm_rate: float, prevalence: float) -> float:
    """F1 among sessions of which so many are strange, however many of each kind were tried."""
    hit = recall * prevalence
    flagged = hit + false_alarm_rate * (1.0 - prevalence)
    return 2.0 * hit / (flagged + prevalence)
