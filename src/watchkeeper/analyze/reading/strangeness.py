"""How strange each node is, 0 to 1, by whatever is known; of whom nothing is, nothing is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from watchkeeper.analyze.reading.attribution import Loss
from watchkeeper.analyze.reading.deviation import Deviation, quantile
from watchkeeper.analyze.reading.span_tree import SpanTree
from watchkeeper.model.case import Case
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import F64

MIDDLE: Final = 4.0
"""So many spreads off is as strange as not."""
SLOPE: Final = 1.5
SURE: Final = 0.95
"""No node is stranger than so, and none less strange than the rest to 1."""
RATE_FLOOR: Final = 0.05
ERROR_FLOOR: Final = 0.001
SLOWER: Final = 1.5
"""So many times its median before, what a node serves is strange."""

OF_OTHERS: Final = frozenset({MetricClass.TRAFFIC, MetricClass.BUSINESS, MetricClass.LOG_RATE})


def by_deviations(case: Case, deviations: Sequence[Deviation]) -> Iterator[tuple[str, float]]:
    """By metrics; what a node is asked for is others' doing."""
    for matrix, seen in zip(case.metrics, deviations, strict=True):
        for row, z in zip(matrix.rows, seen.z.tolist(), strict=True):
            if row.metric_class not in OF_OTHERS and np.isfinite(z):
                yield case.names[row.node], chance(abs(z))


def by_rates(case: Case) -> Iterator[tuple[str, float]]:
    """By aggregates: slower, or failing more."""
    rates = case.rates
    for before, now, relative, least in (
        (rates.latency_before, rates.latency, RATE_FLOOR, 0.0),
        (rates.errors_before, rates.errors, 0.0, ERROR_FLOOR),
    ):
        for node, z in zip(rates.node.tolist(), _rises(before, now, relative, least), strict=False):
            if np.isfinite(z):
                yield case.names[node], chance(z)


def by_spans(
    case: Case, trees: tuple[SpanTree, SpanTree], lost: Loss
) -> Iterator[tuple[str, float]]:
    """By what a node serves: slower, or failing where it begins."""
    before, now = (_served(tree, len(case.names)) for tree in trees)
    for node in np.flatnonzero(np.isfinite(now)):
        ratio = float(now[node] / max(before[node], 1.0)) if np.isfinite(before[node]) else 1.0
        yield case.names[node], SURE if ratio > SLOWER else 1.0 - SURE
    for node in np.flatnonzero(lost.by_node):
        yield case.names[node], SURE


def chance(z: float) -> float:
    """Between the two ends of `SURE`."""
    p = 1.0 / (1.0 + float(np.exp(-(min(z, 30.0) - MIDDLE) / SLOPE)))
    return min(max(p, 1.0 - SURE), SURE)


def _rises(before: F64, now: F64, relative: float, least: float) -> list[float]:
    if not now.size or not before.size:
        return []
    median = quantile(before, 0.5)
    spread = np.maximum.reduce([
        1.4826 * quantile(np.abs(before - median[:, None]), 0.5),
        relative * np.abs(median),
        np.full(len(median), max(least, 1e-9)),
    ])  # fmt: skip
    highest = np.where(np.isfinite(now), now, -np.inf).max(axis=1)
    found: list[float] = ((highest - median) / spread).tolist()
    return found


def _served(tree: SpanTree, n: int) -> F64:
    """By node the median of what others, or users, waited for; in microseconds."""
    parent = tree.parent
    served = (parent < 0) | (tree.spans.service != tree.spans.service[parent])
    order = np.lexsort((tree.duration_ns[served], tree.spans.service[served]))
    node, value = tree.spans.service[served][order], tree.duration_ns[served][order]
    count = np.bincount(node, minlength=n)
    first = np.cumsum(count) - count
    found = np.full(n, np.nan)
    some = count > 0
    found[some] = value[first[some] + (count[some] - 1) // 2] / 1e3
    return found
