"""Isolation Forest: rows are strange that random cuts separate soon from the others.

Liu, Ting and Zhou, "Isolation Forest" (ICDM 2008). It is asked in batches only: a call per row
costs a thousand times what the row does in a batch, so fewer than MIN_BATCH rows are refused.

Blind to: what is strange only in the order of rows; members of which many are constant hide others.
"""

from __future__ import annotations

import math
from typing import Any, Final, Self

import numpy as np

from watchkeeper.analyze.joint import forest_kernel as kernel
from watchkeeper.errors import Permanent
from watchkeeper.model.series import F64, U64

MIN_BATCH: Final = 64
N_TREES: Final = 100
N_SAMPLE: Final = 256
"""Rows per tree, as in the paper: more do not help."""

Array = np.ndarray[Any, Any]


class Forest:
    """What rows look like that are usual. Immutable; equal rows and seeds make equal forests."""

    def __init__(self, trees: tuple[Array, Array, Array], usual: F64) -> None:
        self._trees = trees
        self._usual = usual
        """By member, what a missing value is taken as."""

    @classmethod
    def fit(cls, rows: F64, seed: int) -> Self:
        """Learn from rows, nan where a value is missing."""
        _check(rows)
        usual = np.array([_median(column) for column in rows.T])
        n_sample = min(N_SAMPLE, len(rows))
        depth = math.ceil(math.log2(n_sample))
        n_nodes = (2 << depth) - 1
        trees = (
            np.empty((N_TREES, n_nodes), np.int16),
            np.zeros((N_TREES, n_nodes)),
            np.full((N_TREES, n_nodes), n_sample, np.int32),
        )
        state: U64 = np.array([seed], np.uint64)
        kernel.grow(_filled(rows, usual), depth, state, trees)
        return cls(trees, usual)

    def scores(self, rows: F64) -> F64:
        """Between 0 and 1, the strange ones higher; about a half is usual."""
        _check(rows)
        scores = np.empty(len(rows))
        kernel.isolate(_filled(rows, self._usual), self._trees, scores)
        return scores


def _check(rows: F64) -> None:
    if len(rows) < MIN_BATCH:
        raise Permanent(
            f"forest: {len(rows)} rows are too few; give it {MIN_BATCH} or more at once"
        )


def _median(column: F64) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else 0.0


def _filled(rows: F64, usual: F64) -> F64:
    return np.where(np.isfinite(rows), rows, usual).astype(np.float64)
