"""How often a span has a child of some kind, beside how often it had one before.

Spans whose callee failed, or did not answer, are left out: what they left undone is its doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.analyze.reading.sequences import deviance
from watchkeeper.analyze.reading.span_tree import SpanTree
from watchkeeper.model.series import F64, I32, I64, Mask
from watchkeeper.model.severity import SpanKind

MIN_PARENTS_BEFORE: Final = 5
MIN_PARENTS_NOW: Final = 3
MIN_EXPECTED: Final = 3.0
SURE: Final = 10.8
"""Of the deviance: once in a thousand by chance."""


@dataclass(frozen=True, slots=True)
class Children:
    """A row per kind of parent and kind of child."""

    service: I32
    operation: I32
    child_service: I32
    child_operation: I32
    expected: F64
    """By how many parents there are now."""
    now: I64
    is_missing: Mask
    is_extra: Mask
    deviance: F64

    def __len__(self) -> int:
        return len(self.service)


def compared_children(before: SpanTree, now: SpanTree) -> Children:
    """Kinds of children whose parents came often enough in both stretches."""
    both = (before, now)
    n_name = 1 + max(int(one.spans.service.max(initial=0)) for one in both)
    n_operation = 2 + max(int(one.spans.operation.max(initial=0)) for one in both)
    old, new = (_kinds(one, n_name, n_operation) for one in both)
    parents, n_parents = _counts(old.parents, new.parents)
    pairs, n_pairs = _counts(old.pairs, new.pairs)
    at = np.searchsorted(parents, pairs // (n_name * n_operation))
    n_before, n_now = n_parents[0][at], n_parents[1][at]
    expected = n_pairs[0] / np.maximum(n_before, 1) * n_now
    known = (n_before >= MIN_PARENTS_BEFORE) & (n_now >= MIN_PARENTS_NOW)
    floor = np.maximum(expected, 0.5)
    n = n_pairs[1]
    strange = 2.0 * np.maximum(deviance(n, floor) - (n - floor), 0.0)
    sure = known & (strange > SURE)
    parent, child = np.divmod(pairs, n_name * n_operation)
    return Children(
        *_names(parent, n_operation),
        *_names(child, n_operation),
        expected,
        n,
        sure & (expected >= MIN_EXPECTED) & (n < 0.9 * expected),
        sure & (n > 1.3 * floor),
        strange,
    )


@dataclass(frozen=True, slots=True)
class _Kinds:
    parents: I64
    """Of every span its kind, for it may have children; without those that are excused."""
    pairs: I64


def _kinds(tree: SpanTree, n_name: int, n_operation: int) -> _Kinds:
    kind = tree.spans.service.astype(np.int64) * n_operation + tree.spans.operation + 1
    excused = _excused(tree)
    below = np.flatnonzero(tree.parent >= 0)
    below = below[~excused[tree.parent[below]]]
    pairs = kind[tree.parent[below]] * (n_name * n_operation) + kind[below]
    return _Kinds(kind[~excused], pairs)


def _excused(tree: SpanTree) -> Mask:
    """Which spans failed by another one's fault."""
    failed = tree.spans.failed
    by_callee = np.zeros(len(failed), np.bool_)
    by_callee[tree.parent[failed & (tree.parent >= 0)]] = True
    found: Mask = failed & (by_callee | (tree.spans.kind == SpanKind.CLIENT))
    return found


def _counts(before: I64, now: I64) -> tuple[I64, tuple[I64, I64]]:
    kinds, group = np.unique(np.concatenate((before, now)), return_inverse=True)
    cut = len(before)
    return kinds, (
        np.bincount(group[:cut], minlength=len(kinds)),
        np.bincount(group[cut:], minlength=len(kinds)),
    )


def _names(kind: I64, n_operation: int) -> tuple[I32, I32]:
    service, operation = np.divmod(kind, n_operation)
    return service.astype(np.int32), (operation - 1).astype(np.int32)
