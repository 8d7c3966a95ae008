"""Samples on their way to a server: columns per series, from whatever a program has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

METRIC_NAME = "__name__"

I64 = np.ndarray[Any, np.dtype[np.int64]]
F64 = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Some samples of one series, oldest first."""

    labels: Mapping[str, str]
    """With the metric's name as `__name__`."""
    time_ms: I64
    """Milliseconds since the epoch, UTC."""
    value: F64

    def __len__(self) -> int:
        return len(self.time_ms)


class Sample(NamedTuple):
    """One value of one series at one time."""

    name: str
    value: float
    time_s: float
    """Seconds since the epoch, UTC."""
    labels: Mapping[str, str] = {}


def series_of(samples: Iterable[Sample]) -> list[TimeSeries]:
    """The same samples by series, each in order of time."""
    by_labels: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
    for sample in samples:
        key = tuple(sorted({**sample.labels, METRIC_NAME: sample.name}.items()))
        by_labels.setdefault(key, []).append((round(sample.time_s * 1000), sample.value))
    return [
        TimeSeries(
            dict(key),
            np.array([time_ms for time_ms, _ in rows], np.int64),
            np.array([value for _, value in rows], np.float64),
        )
        for key, rows in (
            (key, sorted(rows, key=lambda row: row[0])) for key, rows in by_labels.items()
        )
    ]


def count(series: Sequence[TimeSeries]) -> int:
    """How many samples they have together."""
    return sum(len(one) for one in series)
