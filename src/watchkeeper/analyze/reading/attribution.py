"""Of all that was lost, in time and in failures, whose it is: shares of nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from watchkeeper.analyze.reading.failures import Failures
from watchkeeper.analyze.reading.span_tree import SpanTree
from watchkeeper.analyze.reading.time_shift import NS_PER_MS, TimeShift
from watchkeeper.model.series import F64

LEAST: Final = 0.35
"""How much a share counts, however little was lost in all."""
FULL: Final = 3.0
"""So many times the usual duration lost per request is as bad as it gets."""
FAILED: Final = 0.25
"""So large a share of failing requests is as bad as it gets."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What nodes lost; nothing where nothing was lost."""

    by_node: F64 = field(default_factory=lambda: np.empty(0))
    """Of each name of the case: milliseconds, or requests."""
    expected: F64 = field(default_factory=lambda: np.empty(0))
    badness: float = 0.0
    """`LEAST` to 1."""

    @property
    def share(self) -> F64:
        """Of the whole, by node."""
        total = float(self.by_node.sum())
        return self.by_node / total if total > 0.0 else self.by_node


def lost_time(shift: TimeShift, before: SpanTree, now: SpanTree, n_nodes: int) -> Loss:
    """By what kinds of spans clearly take longer."""
    rows = np.flatnonzero(shift.is_longer)
    by_node = np.bincount(shift.node[rows], shift.excess_ms[rows], n_nodes).astype(np.float64)
    roots = before.parent < 0
    usual = float(before.duration_ns[roots].mean()) / NS_PER_MS if roots.any() else 1.0
    n = max(int((now.parent < 0).sum()), 1)
    times = float(by_node.sum()) / n / max(usual, 1.0)
    return Loss(by_node, np.zeros(n_nodes), min(1.0, LEAST + min(times, FULL) / FULL))


def lost_requests(before: Failures, now: Failures, n_nodes: int) -> Loss:
    """Failures beyond what was usual by more than chance does."""
    found = now.by_node(n_nodes)
    expected = (before.by_node(n_nodes) + 0.5) / (before.n_traces + 1) * now.n_traces
    more = np.where(found > expected + 3.0 * np.sqrt(expected) + 1.0, found - expected, 0.0)
    rate = float(more.sum()) / max(now.n_traces, 1)
    return Loss(more, expected, min(1.0, LEAST + (1.0 - LEAST) * rate / FAILED))
