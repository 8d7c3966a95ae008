"""The grid tier on 100,000 series, beside a river pipeline of the same residuals and tail.

Ours judge one point of every series in a call: with the series in order, and in random order, as
cells close. River works point by point, on a fiftieth of the series, which is kind to its caches.
Both take turns on one core, so that whatever else the machine does meets both. A tier that is slow
in one of the orders is as slow as that: `points_per_s` is the smaller of the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from bench.kernel import N_BUCKETS, START_NS, RiverFK
from bench.report import progress
from bench.suite import Measured, Options
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.detectors.dials import plain
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I32

TARGETS: Final[Mapping[str, tuple[str, float]]] = {
    "points_per_s": (">=", 2_000_000.0),
    "ratio_river": (">=", 20.0),
}
HISTORY: Final = 1_500
"""Points of each series before the timed ones: a day, after which the tier is grown up."""
N_DONORS: Final = 1_000
"""Series that have such a history; the others are given theirs, as newcomers of a role are."""
SETTLING: Final = 35
N_RIVER: Final = 2_000


def run(options: Options) -> Measured:
    n_series, turns = (10_000, 3) if options.quick else (100_000, 15)
    ours, river = _Ours(n_series, options.seed), _River(options.seed)
    progress(f"{turns} turns of {n_series:,} points in order, as many at random, and river's 4,000")
    times = [(ours.ordered(), ours.shuffled(), river.turn()) for _ in range(turns)]
    ordered, shuffled, peer = (float(np.median(column)) for column in zip(*times, strict=True))
    slowest = max(ordered, shuffled)
    figures = {
        "points_per_s": 1e9 / slowest,
        "ratio_river": peer / slowest,
        "ordered_ns": ordered,
        "shuffled_ns": shuffled,
        "river_ns": peer,
    }
    return figures, ["CPU time of one thread, nanoseconds per point, median of the turns"]


class _Ours:
    """FK at full size, a minute further with every call."""

    def __init__(self, n_series: int, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self._level = self._chance.uniform(10, 1000, n_series)
        self._fk, self._kind, self._dials = (
            FK(capacity=n_series),
            np.ones(n_series, np.uint8),
            plain(n_series),
        )
        self._in_order = np.arange(n_series, dtype=np.int32)
        self._minute = 0
        donors = self._in_order[:N_DONORS]
        for _ in range(HISTORY):
            self._judge(donors)
        rest = self._in_order[N_DONORS:]
        self._fk.admit(rest, rest % np.int32(N_DONORS))
        for _ in range(SETTLING):
            self.ordered()

    def ordered(self) -> float:
        return self._judge(self._in_order)

    def shuffled(self) -> float:
        return self._judge(self._chance.permutation(self._in_order))

    def _judge(self, slot: I32) -> float:
        """CPU nanoseconds per point of one more minute."""
        values: F64 = self._level[slot] + self._chance.normal(0, 1, len(slot))
        times = np.full(len(slot), START_NS + self._minute * 60 * NS_PER_S)
        self._minute += 1
        points = Points(slot, times, values)
        return _timed(lambda: self._fk.step(points, self._kind, self._dials)) / len(slot)


class _River:
    """The same pipeline per series, point by point."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self._series = [RiverFK() for _ in range(N_RIVER)]
        self._bucket = 0
        for _ in range(3):
            self.turn()

    def turn(self) -> float:
        """CPU nanoseconds per point of two more minutes."""
        values = self._chance.normal(100, 1, 2 * N_RIVER).tolist()
        self._bucket = (self._bucket + 1) % N_BUCKETS
        return _timed(lambda: self._feed(values)) / len(values)

    def _feed(self, values: list[float]) -> None:
        for number, value in enumerate(values):
            self._series[number % N_RIVER].judge_at(value, self._bucket)


def _timed(work: Callable[[], Any]) -> float:
    began = time.thread_time_ns()
    work()
    return float(time.thread_time_ns() - began)
