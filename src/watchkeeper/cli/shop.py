"""A small shop's telemetry, made up: days with a rhythm, noise, and one thing that goes wrong.

Five services of two instances each: requests and errors as counters, latency, cpu and memory as
gauges. Everything follows from the seed and the times, so a demo can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from watchkeeper.sdk import TimeSeries
from watchkeeper.sdk.series import F64, I64, METRIC_NAME

_DAY_S: Final = 86_400.0
_EVENING: Final = 0.6
"""When the day is fullest, as a share of it: mid-afternoon."""

_SERVICES: Final = {
    # name: requests per second at noon, seconds per request
    "gateway": (120.0, 0.040),
    "catalog": (90.0, 0.025),
    "cart": (40.0, 0.018),
    "checkout": (12.0, 0.110),
    "payment": (10.0, 0.180),
}
_ERROR_SHARE: Final = 0.002
LATENCY: Final = "http_request_duration_p95_seconds"


@dataclass(frozen=True, slots=True)
class Planted:
    """What goes wrong: one series is several times what it should be, for a while."""

    start_s: float
    end_s: float
    service: str = "payment"
    metric: str = LATENCY
    factor: float = 4.0

    def is_in(self, labels: dict[str, str]) -> bool:
        return labels[METRIC_NAME] == self.metric and labels["service"] == self.service


def shop(start_s: float, n_steps: int, step_s: float, *, planted: Planted, seed: int) -> Shop:
    """Every series of the shop at `n_steps` times from `start_s` on."""
    chance = np.random.default_rng(seed)
    time_s: F64 = start_s + step_s * np.arange(n_steps, dtype=np.float64)
    series: list[tuple[dict[str, str], F64]] = []
    for service, (requests, seconds) in _SERVICES.items():
        load = _load(time_s, chance)
        series += _service(service, (requests, seconds), load, (step_s, chance))
    columns = []
    for labels, value in series:
        if planted.is_in(labels):
            during = (time_s >= planted.start_s) & (time_s < planted.end_s)
            value = np.where(during, value * planted.factor, value)
        columns.append(TimeSeries(labels, np.round(time_s * 1000).astype(np.int64), value))
    return Shop(tuple(columns))


@dataclass(frozen=True, slots=True)
class Shop:
    """The whole time of the shop, to be told piece by piece."""

    series: tuple[TimeSeries, ...]

    @property
    def n_steps(self) -> int:
        return len(self.series[0])

    @property
    def time_ms(self) -> I64:
        return self.series[0].time_ms

    def steps(self, first: int, stop: int) -> list[TimeSeries]:
        """All series from one step to another."""
        return [
            TimeSeries(one.labels, one.time_ms[first:stop], one.value[first:stop])
            for one in self.series
        ]

    def windows(self, first: int, stop: int, length: int) -> Iterator[list[TimeSeries]]:
        """The same in pieces, in order of time."""
        for begin in range(first, stop, length):
            yield self.steps(begin, min(begin + length, stop))


def _load(time_s: F64, chance: np.random.Generator) -> F64:
    """Traffic as a share of noon's: quiet at night, fuller on some days, never smooth."""
    of_day = 2 * np.pi * (time_s / _DAY_S - _EVENING)
    rhythm = 0.55 + 0.4 * np.cos(of_day) + 0.08 * np.cos(2 * of_day)
    return np.maximum(0.05, rhythm * (1 + 0.05 * _wander(len(time_s), chance, memory=0.995)))


def _service(
    service: str,
    usual: tuple[float, float],
    load: F64,
    steps: tuple[float, np.random.Generator],
) -> Iterator[tuple[dict[str, str], F64]]:
    requests, seconds = usual
    step_s, chance = steps
    n = len(load)
    latency = seconds * (1 + 0.3 * load) * np.exp(0.06 * chance.normal(size=n))
    yield _labels(LATENCY, service), latency
    errors = chance.poisson(requests * load * step_s * _ERROR_SHARE)
    yield _labels("http_requests_total", service, code="500"), _total(errors)
    for instance in ("1", "2"):
        name = f"{service}-{instance}"
        served = chance.poisson(requests * load * step_s / 2)
        yield _labels("http_requests_total", service, name, code="200"), _total(served)
        cpu = 0.08 + 0.5 * load * (1 + 0.05 * chance.normal(size=n))
        yield _labels("process_cpu_ratio", service, name), cpu
        memory = 2.5e8 * (1 + 0.1 * load + 0.01 * _wander(n, chance, memory=0.99))
        yield _labels("process_memory_bytes", service, name), np.round(memory)


def _total(increase: I64) -> F64:
    """A counter that has grown so."""
    return np.cumsum(increase).astype(np.float64)


def _labels(metric: str, service: str, instance: str = "", **more: str) -> dict[str, str]:
    labels = {METRIC_NAME: metric, "service": service, "environment": "shop", **more}
    return {**labels, "instance": instance} if instance else labels


def _wander(n: int, chance: np.random.Generator, *, memory: float) -> F64:
    """Noise of unit size that remembers: each step keeps a part of the one before."""
    fresh = chance.normal(size=n) * np.sqrt(1 - memory**2)
    wandered: Any = np.empty(n)
    level = 0.0
    for step in range(n):
        level = memory * level + fresh[step]
        wandered[step] = level
    return wandered  # type: ignore[no-any-return]
