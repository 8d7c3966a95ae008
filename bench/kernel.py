"""The detectors' kernels beside a river pipeline of the same residuals and tail, on one core.

River works point by point and series by series; its pipeline here keeps, per series, the same
averages, deviations and tail quantile as ours, and nothing else, so it claims less than ours do
(no episodes, no budget, no bands). Ours judge all series of a scrape in one call, in random order.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from river import stats

from bench.report import progress
from bench.suite import Measured, Options
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.analyze.detectors.dials import plain
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.clock import NS_PER_S

TARGETS: Final[Mapping[str, tuple[str, float]]] = {
    "ratio_river_t1": (">=", 50.0),
    "ratio_river_fk": (">=", 20.0),
    "ratio_river": (">=", 1.0),
}
START_NS: Final = 1_767_571_200 * NS_PER_S
N_BUCKETS: Final = 288
HISTORY: Final = 1_500
"""Points of each series before the timed ones: a day, after which both tiers are grown up."""


class RiverT1:
    """Level and difference, each beside its own usual deviation, winsorised; the slow level and its
    spread; the tail of both (a quantile and the mean excess above it); the cell of the grid."""

    def __init__(self) -> None:
        self._level, self._level_dev = stats.EWMean(0.02), stats.EWMean(0.005)
        self._step_dev, self._size = stats.EWMean(0.005), stats.EWMean(0.001)
        self._slow, self._spread = stats.EWMean(0.002), stats.EWMean(0.0001)
        self._bulk, self._excess = stats.Quantile(0.99), stats.EWMean(0.01)
        self._sum, self._max, self._n = stats.Sum(), stats.Max(), stats.Count()
        self._last = math.nan

    def judge(self, value: float) -> float:
        off = value - (self._level.get() or 0.0)
        step = value - self._last if self._last == self._last else 0.0
        level_dev, step_dev = self._level_dev.get() or 0.0, self._step_dev.get() or 0.0
        floor = 1e-9 + 1e-3 * (self._size.get() or 0.0) + 0.1 * (self._spread.get() or 0.0)
        strange = math.log1p(abs(off) / (level_dev + floor))
        strange += math.log1p(abs(step) / (step_dev + floor))
        beyond = strange - (self._bulk.get() or 0.0)
        if beyond > 0:
            self._excess.update(beyond)
        self._bulk.update(strange)
        drift = value - (self._slow.get() or 0.0)
        self._level.update(value - off + max(-6 * level_dev, min(6 * level_dev, off)))
        self._level_dev.update(min(abs(off), 6 * level_dev + 1))
        self._step_dev.update(min(abs(step), 6 * step_dev + 1))
        self._slow.update(value)
        self._spread.update(abs(drift))
        self._size.update(abs(value))
        self._sum.update(value)
        self._max.update(value)
        self._n.update(value)
        self._last = value
        return beyond / ((self._excess.get() or 0.0) + 1.0)


class RiverFK(RiverT1):
    """... with the seasonal profile and the slow level, as FK has them."""

    def __init__(self) -> None:
        super().__init__()
        self._profile = [stats.EWMean(0.06) for _ in range(N_BUCKETS)]
        self._season_level, self._season_dev = stats.EWMean(0.02), stats.EWMean(0.005)
        self._slow_dev = stats.EWMean(0.005)
        self._tail = stats.Quantile(0.99)

    def judge_at(self, value: float, bucket: int) -> float:
        usual = self._profile[bucket].get() or 0.0
        rest = value - usual - (self._season_level.get() or 0.0)
        drift = abs(value - (self._slow.get() or 0.0))
        floor = 1e-9 + 1e-3 * abs(value)
        strange = (
            super().judge(value)
            + math.log1p(abs(rest) / ((self._season_dev.get() or 0.0) + floor))
            + math.log1p(drift / ((self._slow_dev.get() or 0.0) + floor))
        )
        beyond = strange - (self._tail.get() or 0.0)
        self._tail.update(strange)
        self._profile[bucket].update(value)
        self._season_level.update(rest)
        self._season_dev.update(abs(rest))
        self._slow_dev.update(drift)
        return beyond


def run(options: Options) -> Measured:
    n_series, n_points = (10_000, 40) if options.quick else (100_000, 60)
    chance = np.random.default_rng(options.seed)
    progress(f"ours: {n_series:,} series, {n_points} timed points each, after {HISTORY:,} untimed")
    t1_ns, fk_ns = _ours(chance, n_series, n_points)
    progress("river: the same, point by point")
    river_t1_ns, river_fk_ns = _river(chance, 20_000 if options.quick else 60_000)
    ratio_t1, ratio_fk = river_t1_ns / t1_ns, river_fk_ns / fk_ns
    figures = {
        "ratio_river_t1": ratio_t1,
        "ratio_river_fk": ratio_fk,
        "ratio_river": min(
            ratio_t1 / TARGETS["ratio_river_t1"][1], ratio_fk / TARGETS["ratio_river_fk"][1]
        ),
        "t1_ns": t1_ns,
        "fk_ns": fk_ns,
        "river_t1_ns": river_t1_ns,
        "river_fk_ns": river_fk_ns,
    }
    note = "CPU time of one thread; ratio_river is the smaller ratio by its target"
    return figures, [note]


def _ours(chance: Any, n_series: int, n_points: int) -> tuple[float, float]:
    """CPU nanoseconds per sample of T1, and per grid point of FK; the median of all scrapes."""
    basic, fk = Basic(capacity=n_series), FK(capacity=n_series)
    kind = np.ones(n_series, np.uint8)
    dials = plain(n_series)
    level = chance.uniform(10, 1000, n_series)
    t1: list[float] = []
    grid: list[float] = []
    for minute in range(HISTORY + n_points):
        slot = chance.permutation(n_series).astype(np.int32)
        times = np.full(n_series, START_NS + minute * 60 * NS_PER_S)
        points = Points(slot, times, level[slot] + chance.normal(0, 1, n_series))
        began = time.thread_time_ns()
        swept = basic.sweep(points, kind, dials)
        middle = time.thread_time_ns()
        fk.step(swept.cells.points, kind, dials)
        if minute >= HISTORY:
            t1.append((middle - began) / n_series)
            grid.append((time.thread_time_ns() - middle) / n_series)
    return float(np.median(t1)), float(np.median(grid))


def _river(chance: Any, n_points: int) -> tuple[float, float]:
    """CPU nanoseconds per point; a fiftieth of our series, which is kind to river's caches."""
    n_series = 2_000
    values = chance.normal(100, 1, n_points).tolist()
    simple = [RiverT1() for _ in range(n_series)]
    seasonal = [RiverFK() for _ in range(n_series)]
    began = time.thread_time_ns()
    for number, value in enumerate(values):
        simple[number % n_series].judge(value)
    middle = time.thread_time_ns()
    for number, value in enumerate(values):
        seasonal[number % n_series].judge_at(value, number // n_series % N_BUCKETS)
    end = time.thread_time_ns()
    return (middle - began) / n_points, (end - middle) / n_points
