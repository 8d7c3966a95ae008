"""Samples of many groups at once: how many, their median, their mean without the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.model.series import F64, I64

KEPT: Final = 0.95
"""The share of a group's values that count as they are; larger ones count as the largest of them.
One slow request in twenty tells nothing of the others."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A row per group."""

    n: I64
    mean: F64
    """Of values no larger than the quantile `KEPT`."""
    median: F64
    variance: F64


def summary(group: I64, value: F64, n_groups: int) -> Summary:
    """Of values by group; a group without any has 0 of them, and NaN for the rest."""
    order = np.lexsort((value, group))
    group, value = group[order], value[order]
    n = np.bincount(group, minlength=n_groups)
    first = np.cumsum(n) - n
    some = n > 0
    median, limit = np.full(n_groups, np.nan), np.full(n_groups, np.nan)
    median[some] = _quantile(value, first[some], n[some], 0.5)
    limit[some] = _quantile(value, first[some], n[some], KEPT)
    value = np.minimum(value, limit[group])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(group, value, n_groups) / n
        variance = np.bincount(group, (value - mean[group]) ** 2, n_groups) / n
    return Summary(n, mean, median, variance)


def _quantile(value: F64, first: I64, n: I64, q: float) -> F64:
    """Of runs of sorted values, between the two nearest."""
    at = (n - 1) * q
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, n - 1)
    part = at - low
    found: F64 = value[first + low] * (1 - part) + value[first + high] * part
    return found
