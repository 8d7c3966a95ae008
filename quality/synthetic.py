"""Series without anomalies, as functions of time: whatever is raised on them is a false alarm.

Each is drawn at any step between samples. What has a rhythm (days, hours, weeks, drifts) has it in
seconds; noise that is independent from sample to sample is so at every step. Amplitudes, phases and
levels vary from draw to draw, because a detector must be quiet on the family, not on one array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

F64 = np.ndarray[Any, np.dtype[np.float64]]

MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0
CHANGE_AT: Final = 0.6
"""Where in its length a series changes that changes once."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What one draw of a series is made from."""

    rng: np.random.Generator
    time_s: F64
    step_s: float

    def noise(self) -> F64:
        return self.rng.standard_normal(len(self.time_s))

    def around(self, typical: float) -> float:
        """A parameter of this draw: between two thirds and one and a half of what is typical."""
        return float(typical * 1.5 ** self.rng.uniform(-1.0, 1.0))

    def phase_s(self, period_s: float) -> float:
        return float(self.rng.uniform(0.0, period_s))

    def wave(self, period_s: float) -> F64:
        shifted = self.time_s + self.phase_s(period_s)
        return np.asarray(np.sin(2.0 * np.pi * shifted / period_s), np.float64)

    def is_late(self) -> F64:
        """0, and 1 after the change."""
        return (np.arange(len(self.time_s)) > CHANGE_AT * len(self.time_s)).astype(np.float64)

    def on(self, period_s: float, for_s: float) -> F64:
        """1 for the first `for_s` of every period, else 0."""
        return ((self.time_s + self.phase_s(period_s)) % period_s < for_s).astype(np.float64)


def gaussian(draw: Draw) -> F64:
    return draw.around(100.0) + draw.noise()


def daily(draw: Draw) -> F64:
    return draw.around(100.0) + draw.around(30.0) * draw.wave(DAY_S) + 3.0 * draw.noise()


def working_days(draw: Draw) -> F64:
    at_work = (draw.time_s // DAY_S) % 7 < 5
    swing = draw.around(30.0) * draw.wave(DAY_S) * at_work
    return draw.around(100.0) + swing + 3.0 * draw.noise()


def lognormal(draw: Draw) -> F64:
    return np.exp(draw.noise())


def autoregressive(draw: Draw) -> F64:
    """Correlated over 100 minutes: 0.99 from minute to minute."""
    return draw.around(50.0) + _decaying_sum(draw.noise(), 0.99 ** (draw.step_s / MINUTE_S))


def random_walk(draw: Draw) -> F64:
    walked: F64 = 1_000.0 + np.cumsum(draw.noise()) * (draw.step_s / MINUTE_S) ** 0.5
    return walked


def hourly_job(draw: Draw) -> F64:
    height = draw.around(50.0)
    return 10.0 + draw.noise() + height * draw.on(3_600.0, 2 * MINUTE_S)


def nightly_batch(draw: Draw) -> F64:
    height = draw.around(200.0)
    return 10.0 + draw.noise() + height * draw.on(DAY_S, 30 * MINUTE_S)


def sparse_counts(draw: Draw) -> F64:
    return draw.rng.poisson(draw.around(0.1), len(draw.time_s)).astype(np.float64)


def rare_ones(draw: Draw) -> F64:
    return (draw.rng.random(len(draw.time_s)) < draw.around(1e-3)).astype(np.float64)


def constant(draw: Draw) -> F64:
    return np.full(len(draw.time_s), draw.around(5.0))


def linear_trend(draw: Draw) -> F64:
    return draw.around(0.01) * draw.time_s / MINUTE_S + draw.noise()


def level_shift(draw: Draw) -> F64:
    """A true change: one episode is right."""
    return 100.0 + draw.noise() + draw.around(20.0) * draw.is_late()


def variance_doubles(draw: Draw) -> F64:
    """A true change: one episode is right."""
    return 100.0 + draw.noise() * (1.0 + draw.is_late())


def on_and_off(draw: Draw) -> F64:
    low, high = draw.around(10.0), draw.around(90.0)
    return low + (high - low) * draw.on(12 * 3_600.0, 6 * 3_600.0) + draw.noise()


def quantised(draw: Draw) -> F64:
    return np.round(5.0 + 2.0 * draw.wave(DAY_S) + 0.4 * draw.noise())


GENERATORS: Final[Mapping[str, Callable[[Draw], F64]]] = {
    function.__name__: function
    for function in (
        gaussian,
        daily,
        working_days,
        lognormal,
        autoregressive,
        random_walk,
        hourly_job,
        nightly_batch,
        sparse_counts,
        rare_ones,
        constant,
        linear_trend,
        level_shift,
        variance_doubles,
        on_and_off,
        quantised,
    )
}
TRUE_CHANGES: Final = frozenset({"level_shift", "variance_doubles"})


def make(name: str, *, step_s: float, weeks: float, seed: int) -> F64:
    """One draw of a family: the same for the same arguments, another for another seed."""
    n = round(weeks * 7 * DAY_S / step_s)
    which = list(GENERATORS).index(name)
    rng = np.random.default_rng([seed, which, round(step_s * 1000)])
    return GENERATORS[name](Draw(rng, np.arange(n, dtype=np.float64) * step_s, step_s))


def _decaying_sum(noise: F64, keep: float) -> F64:
    """x[i] = keep * x[i-1] + noise[i], scaled to the spread that keep = 0.99 has."""
    scale = ((1.0 - keep**2) / (1.0 - 0.99**2)) ** 0.5
    x, out = 0.0, []
    for e in (noise * scale).tolist():
        x = keep * x + e
        out.append(x)
    return np.array(out)
