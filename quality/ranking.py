"""How well a score ranks strange points above others: AUC-PR, and VUS-PR, which forgives a little.

VUS-PR: Paparrizos et al., "Volume Under the Surface" (VLDB 2022), as the TSB-AD benchmark computes
it. Labels fade to both sides of an event over half a window, like the root of what is left of the
window; recall is weighted with the share of events that were touched; the area under precision over
recall is averaged over windows of 0 to 100 points.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from quality.alarms import events
from watchkeeper.model.series import F64, I64, Mask

WINDOW: Final = 100
N_THRESHOLDS: Final = 250
"""Ranks at which the curve is taken, evenly from the first to the last."""


def auc_pr(strange: Mask, score: F64) -> float:
    """Average precision: the mean of precision over strange points, equal scores together."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.nan) != 0.0)
    found = np.cumsum(strange[order])[ends]
    return float(np.sum(np.diff(found, prepend=0) * found / (ends + 1)) / found[-1])


def vus_pr(strange: Mask, score: F64, window: int = WINDOW) -> float:
    """The mean area over all windows; the series must have an event."""
    ranks = np.linspace(0, len(score) - 1, N_THRESHOLDS).astype(np.int64)
    order = np.argsort(-score, kind="stable")
    n_flagged = np.searchsorted(-score[order], -score[order[ranks]], side="right")
    areas = [_area(strange, order, n_flagged, width) for width in range(window + 1)]
    return float(np.mean(areas))


def softened(strange: Mask, window: int) -> F64:
    """1 within events, fading to both sides over half a window."""
    label = strange.astype(np.float64)
    half = window // 2
    for first, last in events(strange):
        behind = np.arange(last + 1, min(last + half + 1, len(label)))
        label[behind] += np.sqrt(1.0 - (behind - last) / window)
        before = np.arange(max(first - half, 0), first)
        label[before] += np.sqrt(1.0 - (first - before) / window)
    return np.minimum(label, 1.0)


def _area(strange: Mask, order: I64, n_flagged: I64, window: int) -> float:
    label = softened(strange, window)
    hit = np.cumsum(label[order])[n_flagged - 1]
    faded = np.cumsum(np.where(strange, 0.0, label)[order])[n_flagged - 1]
    n_strange = float(np.count_nonzero(strange))
    recall = np.minimum(hit / (n_strange + faded / 2.0), 1.0)
    recall *= _share_touched(strange, order, n_flagged, window)
    precision = hit / n_flagged
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _share_touched(strange: Mask, order: I64, n_flagged: I64, window: int) -> F64:
    """At each threshold, of events with their surroundings; those that overlap are one."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    half = window // 2
    around: list[tuple[int, int]] = []
    for first, last in events(strange):
        low, high = max(first - half, 0), min(last + half, len(strange) - 1)
        if around and low <= around[-1][1]:
            low = around.pop()[0]
        around.append((low, high))
    touched_at = np.sort([rank[low : high + 1].min() for low, high in around])
    return np.searchsorted(touched_at, n_flagged) / len(around)
