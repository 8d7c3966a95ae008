"""How a system is doing, by the first seconds of what it tells: the level of its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from watchkeeper.sdk.series import METRIC_NAME

Labels = Mapping[str, str]
_BUCKET: Final = "_bucket"
_OTHERS: Final = ("_count", "_sum")
_COUNTER: Final = "_total"
_BOUND: Final = "le"


class Point(NamedTuple):
    labels: Labels
    time_s: float
    value: float


class Requests(NamedTuple):
    """A histogram of durations: who and what, how many a second, and how long they take."""

    labels: Labels
    """Without a metric's ending and a bucket's bound."""
    bounds: tuple[str, ...]
    """As they were written, the least first; the last one is infinity."""
    per_s: float
    shares: tuple[float, ...]
    """Of the requests between two bounds."""


class Gauge(NamedTuple):
    labels: Labels
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Levels:
    requests: tuple[Requests, ...]
    gauges: tuple[Gauge, ...]
    began_s: float
    """When its first seconds were over. History ends there: who is not asked for anything yet looks
    as if everybody had gone, and who does everything for the first time is slow."""

    @property
    def services(self) -> tuple[str, ...]:
        """Whose requests there are."""
        return tuple(sorted({one.labels.get("service", "") for one in self.requests} - {""}))

    @property
    def n_series(self) -> int:
        return len(self.gauges) + sum(len(one.bounds) + len(_OTHERS) for one in self.requests)


@dataclass(slots=True)
class _Buckets:
    labels: Labels
    points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By bound."""


def levels(points: Iterable[Point], settling_s: float) -> Levels | None:
    """What they come to, of histograms and of gauges; None of nothing. The first seconds, in which
    everything is done for the first time, do not count."""
    told = sorted(points, key=lambda one: one.time_s)
    if not told:
        return None
    first_s, last_s = told[0].time_s, told[-1].time_s
    from_s = first_s + settling_s
    buckets: dict[tuple[tuple[str, str], ...], _Buckets] = {}
    gauges: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for one in told:
        name = one.labels[METRIC_NAME]
        if name.endswith(_BUCKET):
            own = {**one.labels, METRIC_NAME: name.removesuffix(_BUCKET)}
            bound = own.pop(_BOUND, "")
            row = buckets.setdefault(_key(own), _Buckets(own))
            row.points.setdefault(bound, []).append((one.time_s, one.value))
        elif one.time_s >= from_s and not name.endswith(_COUNTER):
            gauges.setdefault(_key(one.labels), []).append(one.value)
    also = {row.labels[METRIC_NAME] + ending for row in buckets.values() for ending in _OTHERS}
    lasted_s = max(1.0, last_s - from_s)
    return Levels(
        tuple(_requests(row, from_s, lasted_s) for row in buckets.values()),
        tuple(
            Gauge(dict(key), float(np.mean(values)), float(np.std(values)))
            for key, values in gauges.items()
            if dict(key)[METRIC_NAME] not in also
        ),
        from_s,
    )


def _requests(row: _Buckets, from_s: float, lasted_s: float) -> Requests:
    bounds = sorted(row.points, key=float)
    up_to = np.array([_added(row.points[bound], from_s) for bound in bounds])
    each = np.diff(up_to, prepend=0.0).clip(0.0)
    total = float(each.sum())
    shares = each / total if total else np.full(len(each), 1.0 / len(each))
    return Requests(row.labels, tuple(bounds), total / lasted_s, tuple(shares.tolist()))


def _added(points: list[tuple[float, float]], from_s: float) -> float:
    """From a time on. A counter that was not there before began at zero."""
    before = [value for time_s, value in points if time_s <= from_s]
    return points[-1][1] - (before[-1] if before else 0.0)


def _key(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
