"""Time between a caller's span and its callee's: the network, a queue before it, a frozen process.

An end that many strange edges share is suspected by the share of its edges that are strange; the
callee more than the caller. Blind where only one side is traced, and to time lost once connected.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.analyze.reading.time_shift import TimeShift
from watchkeeper.model.cause import Evidence, Opinion
from watchkeeper.model.series import F64, I32

CALLER: Final = 0.7
"""What a strange edge says of its caller, beside its callee."""
FLOOR_MS: Final = 5.0
"""What lies below is as good as nothing: schedulers take so long at times."""
MIN_RATIO: Final = 2.5
MIN_EXCESS_MS: Final = 20.0
MIN_BEFORE: Final = 3


class NetworkGap:
    """By the median of every edge, so that one lost packet is none."""

    name = "network_gap"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        if not len(reading.now) or not len(reading.before):
            return Opinion(self.name, missing=("spans of before and of now",))
        edges = reading.gaps
        weight = _weights(edges)
        why: dict[str, list[Evidence]] = defaultdict(list)
        for row in np.argsort(-weight, kind="stable")[: int((weight > 0.0).sum())].tolist():
            ends = reading.name(edges.other[row]), reading.name(edges.node[row])
            for end in ends:
                why[end].append(self._evidence(edges, row, ends, end))
        n = len(reading.case.names)
        callee = _callee_part(reading)
        strength = _of_side(edges.node, weight * callee, n)
        strength += CALLER * _of_side(edges.other, weight, n)
        strengths = {
            reading.name(node): float(strength[node]) for node in np.flatnonzero(strength).tolist()
        }
        return opinion(self.name, strengths, why)

    def _evidence(self, edges: TimeShift, row: int, ends: tuple[str, str], node: str) -> Evidence:
        was, is_ = float(edges.before.median[row]), float(edges.now.median[row])
        text = (
            f"{ends[0]} waits {is_:.1f} ms longer for {ends[1]} than that takes, usually {was:.1f}"
        )
        return Evidence(self.name, node, text, is_, was, "ms", int(edges.now.n[row]))


def _weights(edges: TimeShift) -> F64:
    """Of each edge how strange it is, 0 for not at all."""
    was, is_ = edges.before.median, edges.now.median
    ratio = is_ / np.maximum(was, FLOOR_MS)
    strange = (ratio > MIN_RATIO) & (is_ - was > MIN_EXCESS_MS) & (edges.before.n >= MIN_BEFORE)
    sure = 1.0 - 0.5 ** edges.now.n.astype(np.float64)
    found: F64 = np.where(strange, np.log(np.maximum(ratio, 1.0)) * sure, 0.0)
    return found


def _of_side(end: I32, weight: F64, n: int) -> F64:
    """By node, of the edges that it is this end of: their weights, by the share that is strange."""
    share = np.bincount(end, weight > 0.0, n) / np.maximum(np.bincount(end, minlength=n), 1)
    found: F64 = np.bincount(end, weight, n) * share
    return found


def _callee_part(reading: Reading) -> F64:
    """Of each edge. A caller that lost more time by itself than on the edge was slow to call."""
    edges = reading.gaps
    own = reading.lost_time.by_node[edges.other]
    found: F64 = edges.excess_ms / np.maximum(edges.excess_ms + own, 1e-9)
    return found
