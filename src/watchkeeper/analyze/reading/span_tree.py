"""Spans as trees: parents, exclusive time, who waited for whom.

Holds whatever the columns are: spans told twice count once, parents may be unknown, clocks differ,
durations may be negative, a span may call itself its own parent. No walk goes deeper than from a
span to its children, so a loop ends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from watchkeeper.model.case import SpanColumns
from watchkeeper.model.series import I32, I64, U64, Mask
from watchkeeper.model.severity import SpanKind

MAX_DURATION_NS: Final = 3_600 * 10**9
"""Of one span; what is longer than an hour is counted as one."""
MAX_SPANS: Final = 400_000
"""Of one stretch; the first ones are read."""


@dataclass(frozen=True, slots=True)
class SpanTree:
    """Columns beside those of `spans`, which are the spans told once, in the order of `spans`."""

    spans: SpanColumns
    parent: I64
    """The row, -1 for none or an unknown one."""
    is_orphan: Mask
    """Names a parent that is not there."""
    duration_ns: I64
    own_ns: I64
    """Without what children, or calls beside it, took."""
    callee: I32
    """Of a span that waits for another node: that node. -1 of all others."""
    gap_ns: I64
    """Of a span that waits for a node whose span is there: how much longer it was; else -1."""

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def owner(self) -> I32:
        """To whom a span's own time belongs: whom it waits for if that one tells nothing itself."""
        return np.where((self.callee >= 0) & (self.gap_ns < 0), self.callee, self.spans.service)


def span_tree(spans: SpanColumns) -> SpanTree:
    """The tree of one stretch of time."""
    key = _key(spans.trace, spans.span)
    _, first = np.unique(key, return_index=True)
    first = np.sort(first)[:MAX_SPANS]
    spans, key = spans.take(first), key[first]
    duration = np.clip(spans.duration_ns, 0, MAX_DURATION_NS)
    parent, is_orphan = _parents(spans, key)
    foreign = _foreign(spans, parent)
    start, end = _within_parent(spans, parent, foreign, duration)
    covered = _covered(parent, start, end, len(spans))
    callee, answered_ns = _callees(spans, parent, foreign, duration)
    own = duration - covered
    own -= _beside(spans, parent, callee, (start, end))
    gap = np.where(answered_ns >= 0, np.maximum(duration - answered_ns, 0), -1)
    return SpanTree(spans, parent, is_orphan, duration, np.maximum(own, 0), callee, gap)


def children(tree: SpanTree, chosen: Mask) -> Mask:
    """Which spans have a child among the chosen ones."""
    found = np.zeros(len(tree), np.bool_)
    below = tree.parent[chosen]
    found[below[below >= 0]] = True
    return found


def _key(trace: I64, span: U64) -> U64:
    """Two that differ are taken for one once in 10^8 cases of 60,000 spans."""
    mixed: U64 = trace.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) + span * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(31)
    return mixed * np.uint64(0xD6E8FEB86659FD93)


def _parents(spans: SpanColumns, key: U64) -> tuple[I64, Mask]:
    parent = np.full(len(spans), -1, np.int64)
    if not len(spans):
        return parent, np.empty(0, np.bool_)
    order = np.argsort(key, kind="stable")
    wanted = _key(spans.trace, spans.parent)
    at = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
    names_one = spans.parent != 0
    known = names_one & (key[order][at] == wanted)
    parent[known] = order[at[known]]
    parent[parent == np.arange(len(parent))] = -1
    return parent, names_one & ~known


def _foreign(spans: SpanColumns, parent: I64) -> Mask:
    """Which spans are another node's than their parent."""
    found: Mask = (parent >= 0) & (spans.service != spans.service[parent])
    return found


def _within_parent(
    spans: SpanColumns, parent: I64, foreign: Mask, duration: I64
) -> tuple[I64, I64]:
    """Start and end of each span from its parent's start on.

    Of another node's clock nothing is known: what would fit is moved to where it fits. What the
    same process began and did not wait for is cut off at the parent's end.
    """
    room = duration[parent]
    start = spans.start_ns - spans.start_ns[parent]
    fits = foreign & (duration <= room)
    start = np.where(fits, np.clip(start, 0, np.maximum(room - duration, 0)), start)
    end = np.clip(start, -MAX_DURATION_NS, MAX_DURATION_NS) + duration
    return np.clip(start, 0, room), np.clip(end, 0, room)


def _covered(parent: I64, start: I64, end: I64, n: int) -> I64:
    """How much of each span the union of its children covers."""
    rows = np.flatnonzero((parent >= 0) & (end > start))
    total = np.zeros(n, np.int64)
    if len(rows):
        group, before, after = _union(parent[rows], start[rows], end[rows])
        np.add.at(total, group, after - before)
    return total


def _union(group: I64, start: I64, end: I64) -> tuple[I64, I64, I64]:
    """Pieces of intervals of each group that do not overlap: group, start, end, sorted."""
    order = np.lexsort((start, group))
    group, start, end = group[order], start[order], end[order]
    rank = np.cumsum(np.diff(group, prepend=group[0]) != 0)
    # One running maximum over all groups: each is lifted above the one before it.
    lift = rank * (2 * MAX_DURATION_NS)
    reached = np.maximum.accumulate(end + lift) - lift
    before = np.roll(reached, 1)
    before[np.diff(group, prepend=-1) != 0] = 0
    start = np.maximum(start, before)
    left = end > start
    return group[left], start[left], end[left]


def _callees(spans: SpanColumns, parent: I64, foreign: Mask, duration: I64) -> tuple[I32, I64]:
    """Whom each span waits for, and how long that one says that it took; -1 where it says nothing.

    A span waits for another node if it says that it is a client's; if it does not say what it is,
    if all it has below it is one span of another node.
    """
    n = len(spans)
    callee, answered = np.full(n, -1, np.int32), np.full(n, -1, np.int64)
    client = (spans.kind == SpanKind.CLIENT) | (spans.kind == SpanKind.PRODUCER)
    below = np.bincount(parent[parent >= 0], minlength=n)[:n]
    waits = client | ((spans.kind == SpanKind.UNKNOWN) & (below == 1))
    callee[client] = spans.peer[client]
    rows = np.flatnonzero(foreign)
    rows = rows[waits[parent[rows]]][::-1]  # the last one written, the first in order, stays
    callee[parent[rows]] = spans.service[rows]
    np.maximum.at(answered, parent[rows], duration[rows])
    answered[spans.kind == SpanKind.PRODUCER] = -1
    callee[callee == spans.service] = -1
    answered[callee < 0] = -1
    return callee, answered


def _beside(spans: SpanColumns, parent: I64, callee: I32, times: tuple[I64, I64]) -> I64:
    """How much of each span a call took that its process made beside it.

    Wrappers of asynchronous calls are siblings of the calls that they wait for.
    """
    found = np.zeros(len(spans), np.int64)
    start, end = times
    n_names = int(spans.service.max(initial=0)) + 1
    place = parent * n_names + spans.service
    sibling = (parent >= 0) & (end > start)
    calls = np.flatnonzero(sibling & (callee >= 0))
    others = np.flatnonzero(sibling & (callee < 0))
    if not len(calls) or not len(others):
        return found
    group, before, after = _union(place[calls], start[calls], end[calls])
    names, rank = np.unique(group, return_inverse=True)
    at = np.minimum(np.searchsorted(names, place[others]), len(names) - 1)
    others, at = others[names[at] == place[others]], at[names[at] == place[others]]
    taken = _Taken(rank, before, after)
    found[others] = taken.until(at, end[others]) - taken.until(at, start[others])
    return found


class _Taken:
    """How much of a group's time its pieces take up to some time."""

    def __init__(self, rank: Any, start: I64, end: I64) -> None:
        self._key = rank * (2 * MAX_DURATION_NS) + start
        self._length = np.append(0, np.cumsum(end - start))
        self._rank, self._start, self._end = rank, start, end
        self._first = np.searchsorted(rank, np.arange(int(rank[-1]) + 1))

    def until(self, group: Any, time: I64) -> I64:
        """Pieces of the group that began before `time`, the last of them cut off there."""
        n = np.searchsorted(self._key, group * (2 * MAX_DURATION_NS) + time)
        first = self._first[group]
        whole = self._length[n] - self._length[first]
        beyond = np.where(n > first, np.maximum(self._end[n - 1] - time, 0), 0)
        taken: I64 = whole - beyond
        return taken
