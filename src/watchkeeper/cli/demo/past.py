"""The past that a system might have had: days of it at the level that it has now.

Requests come as a shop's do, most of them in the afternoon; how long they take varies by the
minute, as it does on a machine that has other things to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from watchkeeper.cli.demo.level import Gauge, Levels, Requests
from watchkeeper.sdk import TimeSeries
from watchkeeper.sdk.series import F64, I64, METRIC_NAME

DAY_S: Final = 86_400.0
SWING: Final = 0.6
"""How far the fullest hour of a day is above its average, as of the shop's buyers."""
FULLEST: Final = 0.6
"""When that is, as a share of the day."""
_STEPS: Final = ((3600.0, 60.0), (120.0, 10.0), (0.0, 1.0))
"""Up to so long before its end, so far apart: the nearer, the more like live samples."""
_BREEZE: Final = 0.4
"""How far durations of a minute are from the usual, as a logarithm."""
_LATE: Final = 0.08
"""The share of requests that take several times as long as others, ..."""
_GUSTS: Final = 0.8
"""... how much that varies, as a logarithm, ..."""
_MOST_LATE: Final = 0.4
_LATER: Final = 1.8
"""... and how much longer they take, as a logarithm."""
_LEAST_SPREAD: Final = 0.45
_LEVEL: Final = 0.05
"""What a gauge wanders, as a part of its mean."""
_MEMORY: Final = 0.95
_QUICKEST_S: Final = 0.0005


def full(time_s: float | F64) -> Any:
    """How full that moment of the day is; 1 is its average."""
    return 1 + SWING * np.cos(2 * np.pi * (np.asarray(time_s) / DAY_S % 1.0 - FULLEST))


@dataclass(frozen=True, slots=True)
class Past:
    """Columns of every series, at the same times."""

    time_ms: I64
    series: Sequence[tuple[dict[str, str], F64]]

    @property
    def n_samples(self) -> int:
        return len(self.time_ms) * len(self.series)

    def windows(self, n_samples: int) -> Iterator[list[TimeSeries]]:
        """All of it in order of time, about so many samples at once."""
        n_steps = max(1, n_samples // max(1, len(self.series)))
        for first in range(0, len(self.time_ms), n_steps):
            part = slice(first, first + n_steps)
            yield [
                TimeSeries(labels, self.time_ms[part], value[part]) for labels, value in self.series
            ]


def before(levels: Levels, *, end_s: float, days: float, seed: int) -> Past:
    """Days of it, up to that second."""
    chance = np.random.default_rng(seed)
    time_s = times(end_s, days)
    beside = full(time_s) / full(end_s) * np.exp(0.03 * wander(len(time_s), chance))
    lasted_s = np.diff(time_s, prepend=time_s[0] - _STEPS[0][1])
    series: list[tuple[dict[str, str], F64]] = []
    for requests in levels.requests:
        series += _histogram(requests, beside * lasted_s, chance)
    for gauge in levels.gauges:
        series.append((dict(gauge.labels), _gauge(gauge, len(time_s), chance)))
    return Past(np.round(time_s * 1000).astype(np.int64), series)


def times(end_s: float, days: float) -> F64:
    """When something was told."""
    parts, from_s = [], end_s - days * DAY_S
    for until_s, step_s in _STEPS:
        until_s = end_s - until_s
        if until_s > from_s:
            parts.append(np.arange(from_s, until_s, step_s))
            from_s = float(parts[-1][-1]) + step_s
    return np.concatenate(parts)


def wander(n: int, chance: np.random.Generator) -> F64:
    """Noise of unit size that remembers."""
    kernel = _MEMORY ** np.arange(64)
    fresh = chance.normal(size=n + len(kernel) - 1)
    found: F64 = np.convolve(fresh, kernel / np.sqrt((kernel**2).sum()), "valid")
    return found


def _histogram(
    one: Requests, seconds: F64, chance: np.random.Generator
) -> Iterator[tuple[dict[str, str], F64]]:
    """Buckets, their number and their sum."""
    bounds = np.array([float(bound) for bound in one.bounds])
    middle = _middles(bounds)
    breeze, gusts = wander(len(seconds), chance), wander(len(seconds), chance)
    shares = _shares(one, bounds, middle, (breeze, gusts))
    n = chance.poisson(one.per_s * seconds)
    each = chance.multinomial(n, shares)
    up_to = each.cumsum(axis=1).cumsum(axis=0).astype(np.float64)
    name = one.labels[METRIC_NAME]
    for column, bound in enumerate(one.bounds):
        yield {**one.labels, METRIC_NAME: f"{name}_bucket", "le": bound}, up_to[:, column]
    yield {**one.labels, METRIC_NAME: f"{name}_count"}, up_to[:, -1]
    yield {**one.labels, METRIC_NAME: f"{name}_sum"}, (each @ middle).cumsum()


def _middles(bounds: F64) -> F64:
    """A duration for every bucket; of the last one its lower bound."""
    low = np.concatenate([[_QUICKEST_S], bounds[:-1]])
    high = np.where(np.isfinite(bounds), bounds, low)
    found: F64 = np.sqrt(low * np.maximum(high, low))
    return found


def _shares(one: Requests, bounds: F64, middle: F64, weather: tuple[F64, F64]) -> F64:
    """Of each bucket at each time: around what was seen, with some that take longer."""
    seen = np.array(one.shares)
    logged = np.log(middle)
    centre = float(seen @ logged)
    spread = max(_LEAST_SPREAD, float(np.sqrt(seen @ (logged - centre) ** 2)))
    with np.errstate(divide="ignore"):
        beyond = (np.log(bounds)[None, :] - centre - _BREEZE * weather[0][:, None]) / spread
    late = np.minimum(_MOST_LATE, _LATE * np.exp(_GUSTS * weather[1]))[:, None]
    up_to = (1 - late) * _normal(beyond) + late * _normal(beyond - _LATER / spread)
    up_to[:, -1] = 1.0
    each = np.diff(up_to, axis=1, prepend=0.0).clip(0.0)
    found: F64 = each / each.sum(axis=1, keepdims=True)
    return found


def _normal(z: F64) -> F64:
    """The share below, by the usual approximation: to three digits."""
    z = z.clip(-8.0, 8.0)
    found: F64 = 0.5 * (1 + np.tanh(0.7978845608 * (z + 0.044715 * z**3)))
    return found


def _gauge(one: Gauge, n: int, chance: np.random.Generator) -> F64:
    scatter = max(one.deviation, _LEVEL * abs(one.mean))
    found: F64 = one.mean + scatter * wander(n, chance)
    return found.clip(0.0) if one.mean >= 0 else found
