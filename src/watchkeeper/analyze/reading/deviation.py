"""How far series are from where they were, in units of their own spread, with floors.

Without floors a series that never moved is infinitely far as soon as it moves at all, and bytes
outweigh per cents: of everything here the floors matter most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.model.case import MetricMatrix
from watchkeeper.model.series import F64

RELATIVE_FLOOR: Final = 0.1
"""Of the median: a tenth more or less is no news, however quiet a series was. Anything between a
half per cent and a half ranks alike on the labelled data; a thousandth does not."""
MIN_POINTS: Final = 3
"""Before, to say anything."""
UNIT_FLOORS: Final = {"%": 2.0, "ratio": 0.02, "s": 0.001, "ms": 1.0, "cores": 0.02, "count": 1.0}
"""The least that counts as a spread, in the unit itself."""
PEER_FLOOR: Final = 0.05
"""Of the largest median among series of the same name."""
NOVEL: Final = 10.0
"""How far off something is that was always 0, as all of its kind: new, and of unknown size."""
FARTHEST: Final = 1e4
LARGEST: Final = 1e18
"""No series of anything is larger."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A row per series of the matrix, NaN where nothing can be said."""

    median: F64
    typical: F64
    """What it was now: the middle of it."""
    extreme: F64
    """What was farthest off now."""
    z: F64
    """Of the middle, signed."""
    peak_z: F64
    """Of the extreme, signed."""


def deviation(matrix: MetricMatrix) -> Deviation:
    """Of every series of a matrix."""
    before, now = known(matrix.before), known(matrix.now)
    enough = (np.isfinite(before).sum(axis=1) >= MIN_POINTS) & np.isfinite(now).any(axis=1)
    before, now = (np.where(enough[:, None], side, np.nan) for side in (before, now))
    median = quantile(before, 0.5)
    spread = np.maximum.reduce([
        1.4826 * quantile(np.abs(before - median[:, None]), 0.5),
        (quantile(before, 0.75) - quantile(before, 0.25)) / 1.349,
        RELATIVE_FLOOR * np.abs(median),
        PEER_FLOOR * _of_peers(matrix, np.abs(median)),
        np.array([UNIT_FLOORS.get(row.unit, 0.0) for row in matrix.rows]),
    ])  # fmt: skip
    typical = quantile(now, 0.5)
    far = np.nan_to_num(np.abs(now - median[:, None]), nan=-1.0)
    extreme = now[np.arange(len(now)), far.argmax(axis=1)] if now.size else typical
    return Deviation(
        median,
        typical,
        extreme,
        _far(typical - median, spread),
        _far(extreme - median, spread),
    )


def quantile(rows: F64, q: float) -> F64:
    """Of each row, of what is finite in it; NaN where nothing is."""
    if not rows.shape[1]:
        return np.full(len(rows), np.nan)
    ordered = np.sort(rows, axis=1)  # NaN comes last
    at = np.maximum(np.isfinite(rows).sum(axis=1) - 1, 0) * q
    low, high = np.floor(at).astype(np.int64), np.ceil(at).astype(np.int64)
    row = np.arange(len(rows))
    part = at - low
    found: F64 = ordered[row, low] * (1 - part) + ordered[row, high] * part
    return found


def known(side: F64, least: float = -LARGEST) -> F64:
    """What can be a value; all else counts as if nothing had come."""
    with np.errstate(invalid="ignore"):
        found: F64 = np.where((side >= least) & (side <= LARGEST), side, np.nan)
    return found


def _of_peers(matrix: MetricMatrix, size: F64) -> F64:
    """Of each series the largest of those with its name: an idle replica is no stranger."""
    largest: dict[str, float] = {}
    for row, own in zip(matrix.rows, np.nan_to_num(size), strict=True):
        largest[row.name] = max(largest.get(row.name, 0.0), float(own))
    return np.array([largest[row.name] for row in matrix.rows])


def _far(off: F64, spread: F64) -> F64:
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(spread > 0.0, off / spread, np.sign(off) * NOVEL)
    found: F64 = np.clip(z, -FARTHEST, FARTHEST)
    return found
