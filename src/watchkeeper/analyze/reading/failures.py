"""Where requests failed first: of each failed trace the deepest failure, of these the first to end.

The earliest to *begin* is always the caller, who begins before whom it calls; so it is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.analyze.reading.span_tree import SpanTree, children
from watchkeeper.model.series import F64, I32, I64

HANDLED: Final = 0.25
"""What a failure counts that none of those who were asked first passed on: it was made up for."""


@dataclass(frozen=True, slots=True)
class Failures:
    """A row per trace in which something failed."""

    node: I32
    """Where it failed first."""
    weight: F64
    """1 where it reached whoever asked, `HANDLED` where it did not."""
    n_traces: int
    """All, failed or not."""

    def by_node(self, n_nodes: int) -> F64:
        """How many, weighted."""
        return np.bincount(self.node, self.weight, n_nodes).astype(np.float64)


def failures(tree: SpanTree) -> Failures:
    """Of one stretch of time."""
    spans = tree.spans
    n_traces = len(np.unique(spans.trace))
    leaf = np.flatnonzero(spans.failed & ~children(tree, spans.failed))
    end = spans.start_ns[leaf] + tree.duration_ns[leaf]
    # Equal ends: the deeper one, which began later; then by name, so that no order of rows decides.
    node = _blamed(tree, leaf)
    order = np.lexsort((node, -spans.start_ns[leaf], end, spans.trace[leaf]))
    traces, first = np.unique(spans.trace[leaf][order], return_index=True)
    felt = np.unique(spans.trace[(tree.parent < 0) & spans.failed])
    weight = np.where(np.isin(traces, felt), 1.0, HANDLED)
    return Failures(node[order][first], weight, n_traces)


def _blamed(tree: SpanTree, rows: I64) -> I32:
    """Who waits for another that reports no failure was not answered, or not in time."""
    callee = tree.callee[rows]
    blamed: I32 = np.where(callee >= 0, callee, tree.spans.service[rows]).astype(np.int32)
    return blamed
