"""Latencies of a shop, minute by minute, and the bodies that tell them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from watchkeeper.sdk import remote_write
from watchkeeper.sdk.series import TimeSeries

BEGIN_S = 1_767_571_200
"""2026-01-05T00:00:00Z, a Monday."""
STEP_S = 60


def latency(minute: int, seed: int = 7) -> float:
    """Milliseconds: a day's rhythm and some noise, the same at every call."""
    noise = random.Random(seed * 1_000_003 + minute).gauss(0, 2.0)
    return 100.0 + 15.0 * math.sin(2 * math.pi * minute / 1440) + noise


def minutes(first: int, last: int, step: int = 60) -> Iterator[range]:
    """A stretch of time in pieces, as a sender would send it."""
    for begin in range(first, last, step):
        yield range(begin, min(last, begin + step))


def body(rows: Sequence[tuple[Mapping[str, str], int, float]]) -> bytes:
    by_series: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
    for labels, minute, value in rows:
        by_series.setdefault(tuple(sorted(labels.items())), []).append((minute, value))
    return remote_write.encode(
        [
            TimeSeries(
                labels=dict(labels),
                time_ms=np.array([(BEGIN_S + m * STEP_S) * 1000 for m, _ in points], np.int64),
                value=np.array([value for _, value in points], np.float64),
            )
            for labels, points in by_series.items()
        ]
    )
