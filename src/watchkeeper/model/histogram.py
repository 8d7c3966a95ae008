"""A native histogram as it came: the bytes of a `prometheus.Histogram`, read when somebody asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from watchkeeper.compiled.memory import padded
from watchkeeper.errors import BadInput
from watchkeeper.model import histogram_kernel as kernel
from watchkeeper.model.series import F64, I64, U8, Mask

_SIDES: Final = 2


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many observations lie between two bounds."""

    low: float
    high: float
    count: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """What a payload says, for people and tests."""

    count: float
    total: float
    """Sum of all observations."""
    buckets: tuple[Bucket, ...]
    """Ascending; only those that are named."""


class Reader:
    """Reads payloads, with memory that it uses again. For one thread."""

    def __init__(self) -> None:
        n = kernel.MAX_BUCKETS
        self.head: F64 = np.zeros(kernel.N_HEAD)
        self._whole: I64 = np.zeros((kernel.N_WHOLE, n), np.int64)
        self._real: F64 = np.zeros((kernel.N_REAL, n))
        self.index: I64 = np.zeros(_SIDES * n, np.int64)
        self.count: F64 = np.zeros(_SIDES * n)

    @property
    def scratch(self) -> tuple[Any, ...]:
        """For kernels that read many."""
        return self.head, self._whole, self._real, self.index, self.count

    @property
    def custom(self) -> F64:
        """The listed bounds of the histogram read last, if it lists any."""
        bounds: F64 = self._real[-1, : int(self.head[kernel.N_CUSTOM])]
        return bounds

    def judge(self, buffer: U8, start: I64, end: I64) -> tuple[I64, Mask]:
        """(milliseconds, whether it is sound) of each run of a buffer with slack behind it."""
        ms = np.zeros(len(start), np.int64)
        sound = np.zeros(len(start), np.bool_)
        kernel.judge(buffer, start, end, self.scratch, (ms, sound))
        return ms, sound

    def read(self, payload: bytes) -> bool:
        """Take one payload apart; whether it is sound."""
        array = padded(payload)
        _, sound = kernel.expand(
            array, 0, len(payload), (self.head, self._whole, self._real), (self.index, self.count)
        )
        return bool(sound)


def histogram(payload: bytes) -> Histogram:
    """What a payload says. Raises BadInput if it is not sound."""
    reader = Reader()
    if not reader.read(payload):
        raise BadInput(f"histogram: {len(payload)} bytes are no sound native histogram")
    head = reader.head
    n_negative, n_positive = int(head[kernel.N_NEGATIVE]), int(head[kernel.N_POSITIVE])
    rows = list(
        zip(
            reader.index[: n_negative + n_positive].tolist(),
            reader.count[: n_negative + n_positive].tolist(),
            strict=True,
        )
    )
    schema, custom = int(head[kernel.SCHEMA]), reader.custom.tolist()
    buckets = []
    for index, count in reversed(rows[:n_negative]):
        low, high = bounds(schema, index, custom)
        buckets.append(Bucket(-high, -low, count))
    if head[kernel.ZERO_COUNT]:
        threshold = float(head[kernel.ZERO_THRESHOLD])
        buckets.append(Bucket(-threshold, threshold, float(head[kernel.ZERO_COUNT])))
    buckets += [Bucket(*bounds(schema, index, custom), count) for index, count in rows[n_negative:]]
    return Histogram(float(head[kernel.COUNT]), float(head[kernel.SUM]), tuple(buckets))


def bounds(schema: int, index: int, custom: list[float]) -> tuple[float, float]:
    """Between which values a bucket of the positive side lies: beyond the first, up to the second.

    Of schema s the bounds are powers of 2 to the 2 to the -s.
    """
    if schema == kernel.CUSTOM:
        low = custom[index - 1] if index else -math.inf
        return low, custom[index] if index < len(custom) else math.inf
    return _power(schema, index - 1), _power(schema, index)


def _power(schema: int, index: int) -> float:
    exponent = math.ldexp(index, -schema)
    return math.inf if exponent >= 1024 else 2.0**exponent
