"""Where more time is spent than before: of each node in itself, and between callers and callees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.analyze.reading.samples import Summary, summary
from watchkeeper.analyze.reading.span_tree import SpanTree
from watchkeeper.model.series import F64, I32, I64, Mask

NS_PER_MS: Final = 1e6
MIN_SPANS: Final = 5
"""Of a kind, before and now, to say that it takes longer."""


@dataclass(frozen=True, slots=True)
class TimeShift:
    """A row per kind of span that came in both stretches. Times are in milliseconds."""

    node: I32
    """To whom the time belongs; for a gap, the callee."""
    other: I32
    """Whose spans say so: the node itself, or who calls it."""
    operation: I32
    """-1 where all of a pair are taken together."""
    before: Summary
    now: Summary

    @property
    def z(self) -> F64:
        """How sure it is that the mean is another, by Welch; a floor of a millisecond bears the
        series that never vary."""
        variance = self.before.variance / self.before.n + self.now.variance / self.now.n
        found: F64 = (self.now.mean - self.before.mean) / np.sqrt(variance + 1.0)
        return found

    @property
    def excess_ms(self) -> F64:
        """All the time lost: more requests, more loss."""
        found: F64 = np.maximum(self.now.mean - self.before.mean, 0.0) * self.now.n
        return found

    @property
    def is_longer(self) -> Mask:
        """Clearly, by more than clocks and schedulers move: most of it, or some by much."""
        enough = (self.before.n >= MIN_SPANS) & (self.now.n >= MIN_SPANS)
        most = self.now.median - self.before.median
        mean = self.now.mean - self.before.mean
        by_most = (self.now.median > 1.6 * np.maximum(self.before.median, 0.5)) & (most > 1.0)
        by_some = (self.now.mean > 3.0 * np.maximum(self.before.mean, 0.5)) & (mean > 10.0)
        surely = (self.z > 5.0) & (mean > 5.0) & (self.now.mean > 1.25 * self.before.mean)
        found: Mask = enough & (by_most | (by_some & (self.now.n >= 10)) | surely)
        return found


def own_time(before: SpanTree, now: SpanTree) -> TimeShift:
    """Exclusive time by owner, caller and operation; of gaps, whose they are, nothing is known."""
    return _compared(before, now, _Own())


def gaps(before: SpanTree, now: SpanTree) -> TimeShift:
    """By pair of caller and callee how much longer the caller waited than the callee took."""
    return _compared(before, now, _Gap())


class _Own:
    def chosen(self, tree: SpanTree) -> Mask:
        return tree.gap_ns < 0

    def columns(self, tree: SpanTree, rows: Mask) -> tuple[I32, I32, I32, I64]:
        spans = tree.spans
        return tree.owner[rows], spans.service[rows], spans.operation[rows], tree.own_ns[rows]


class _Gap:
    def chosen(self, tree: SpanTree) -> Mask:
        return tree.gap_ns >= 0

    def columns(self, tree: SpanTree, rows: Mask) -> tuple[I32, I32, I32, I64]:
        nothing = np.full(int(rows.sum()), -1, np.int32)
        return tree.callee[rows], tree.spans.service[rows], nothing, tree.gap_ns[rows]


def _compared(before: SpanTree, now: SpanTree, what: _Own | _Gap) -> TimeShift:
    past = what.columns(before, what.chosen(before))
    present = what.columns(now, what.chosen(now))
    node = np.concatenate((past[0], present[0]))
    other = np.concatenate((past[1], present[1]))
    operation = np.concatenate((past[2], present[2]))
    time = np.concatenate((past[3], present[3]))
    n_other, n_operation = (int(one.max(initial=0)) + 2 for one in (other, operation))
    key = (node.astype(np.int64) * n_other + other) * n_operation + operation + 1
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    n, cut = len(first), len(past[0])
    value = time / NS_PER_MS
    old, new = summary(group[:cut], value[:cut], n), summary(group[cut:], value[cut:], n)
    rows = first[(old.n > 0) & (new.n > 0)]
    both = (old.n > 0) & (new.n > 0)
    return TimeShift(node[rows], other[rows], operation[rows], _taken(old, both), _taken(new, both))


def _taken(one: Summary, rows: Mask) -> Summary:
    return Summary(one.n[rows], one.mean[rows], one.median[rows], one.variance[rows])
