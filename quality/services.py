"""Made-up services in which nothing happens: requests, errors, latencies, resources and queues.

Traffic has days, working weeks and nightly jobs; its level, the share of errors and the latency
wander; deploys reset counters and cost some latency. What an operator would call an incident is
only there where one is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from quality import synthetic
from quality.synthetic import DAY_S, F64, Draw

BOUNDS_S: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, float("inf"))
N_SERIES: Final = 20
PLAIN: Final = tuple(synthetic.GENERATORS)
N_PLAIN: Final = N_SERIES - 2 - len(BOUNDS_S) - 2
KINDS: Final = ("errors", "latency", "traffic", "silence")
COUNTED: Final = slice(0, 2 + len(BOUNDS_S))
"""Rows of a service that are counters."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What is done to a service from one sample to another."""

    kind: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Service:
    """Values by series and sample; of counters what was added since the sample before."""

    values: F64
    requests_per_s: float
    resets: Any
    """Samples at which its counters begin again."""


def labels(service: str) -> list[Mapping[str, str]]:
    """Of the series of a service, in their order."""
    own = {"service": service}
    name = "http_server_request_duration_seconds"
    found: list[Mapping[str, str]] = [
        {"__name__": "http_requests_total", "code": code, **own} for code in ("200", "500")
    ]
    found += [{"__name__": f"{name}_bucket", "le": str(bound), **own} for bound in BOUNDS_S]
    found += [
        {"__name__": "process_cpu_utilization", **own},
        {"__name__": "jobs_queue_depth", **own},
    ]
    return found + [{"__name__": "plain", "n": str(n), **own} for n in range(N_PLAIN)]


def make(seed: int, *, step_s: float, n: int, incident: Incident | None = None) -> Service:
    """One service: the same for the same arguments."""
    rng = np.random.default_rng([seed, 77])
    time_s = np.arange(n) * step_s
    draw = Draw(rng, time_s, step_s)
    rate = float(np.exp(rng.uniform(np.log(2.0), np.log(300.0))))
    hour = draw.phase_s(DAY_S)
    job = (time_s + hour) % DAY_S < draw.around(1_800.0)
    deploys = np.zeros(n, np.bool_)
    when = np.cumsum(rng.exponential(2 * DAY_S, n) + 3_600.0) / step_s
    deploys[when[when < n].astype(int)] = True
    fresh = np.convolve(deploys, np.ones(max(1, round(120 / step_s))))[:n] > 0
    weekend = np.where((time_s // DAY_S) % 7 < 5, 1.0, draw.around(0.7) ** 0.5)
    load = np.exp(rng.uniform(0.1, 0.6) * draw.wave(DAY_S)) * weekend
    load = load * _wander(draw, 0.06) * np.where(job, draw.around(1.6), 1.0)
    ratio = rng.uniform(5e-4, 1e-2) * _wander(draw, 0.25) * np.where(fresh, 1.3, 1.0)
    median = draw.around(0.06) * _wander(draw, 0.04) * load ** rng.uniform(0.0, 0.3)
    median = median * np.where(fresh, 1.15, 1.0)
    touched = np.zeros(n, np.bool_)
    if incident is not None:
        touched[incident.first : incident.last] = True
        ratio = np.where(touched & (incident.kind == "errors"), 5.0 * ratio, ratio)
        median = np.where(touched & (incident.kind == "latency"), 2.0 * median, median)
    asked = rate * load * step_s
    if incident is not None and incident.kind == "traffic":
        asked = np.where(touched, 0.2 * asked, asked)
    requests = rng.poisson(asked)
    errors = rng.binomial(requests, np.minimum(ratio, 1.0))
    rows = [requests - errors, errors, *_buckets(rng, requests, median)]
    cpu = np.clip(0.35 * load * _wander(draw, 0.05), 0.01, 0.93)
    queue = rng.poisson(draw.around(4.0) * load)
    weeks = n * step_s / (7 * DAY_S)
    plain = [
        synthetic.make(PLAIN[(seed + k) % len(PLAIN)], step_s=step_s, weeks=weeks, seed=seed)
        for k in range(N_PLAIN)
    ]
    values = np.array([*rows, cpu, queue, *plain], np.float64)
    if incident is not None and incident.kind == "silence":
        values[:, touched] = np.nan
    return Service(values, rate, deploys)


def _wander(draw: Draw, size: float) -> F64:
    """Around 1, correlated over half an hour."""
    n = len(draw.time_s)
    every = max(1, round(300.0 / draw.step_s))
    knots = n // every + 3
    white = draw.rng.standard_normal(knots)
    slow = np.empty(knots)
    x, keep = white[0], float(np.exp(-300.0 / 1_800.0))
    for k, e in enumerate(white.tolist()):
        x = keep * x + (1.0 - keep**2) ** 0.5 * e
        slow[k] = x
    wandered: F64 = np.exp(size * np.interp(np.arange(n), np.arange(knots) * every, slow))
    return wandered


def _buckets(rng: np.random.Generator, requests: Any, median: F64) -> list[Any]:
    """Requests up to each bound: latencies are lognormal with a spread of a half."""
    left, below, total = requests.copy(), np.zeros(len(requests)), np.zeros_like(requests)
    rows = []
    for bound in BOUNDS_S[:-1]:
        share = _normal(np.log(bound / median) / 0.5)
        within = (share - below) / np.maximum(1e-9, 1.0 - below)
        taken = rng.binomial(left, np.clip(within, 0.0, 1.0))
        left, below, total = left - taken, share, total + taken
        rows.append(total)
    return [*rows, requests]


def _normal(x: F64) -> F64:
    """The bell curve's distribution, to 1e-4 (Abramowitz and Stegun 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    poly = t * (
        0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
    )
    tail = np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi) * poly
    return np.where(x >= 0, 1.0 - tail, tail)
