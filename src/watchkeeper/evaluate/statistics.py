"""Figures from few trials, with what they may really be: bounds of 95 %."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

_Z: Final = 1.959964
_TAIL: Final = 0.025


class Share(msgspec.Struct, frozen=True):
    """So many of so many."""

    n: int
    of: int

    @property
    def value(self) -> float | None:
        return self.n / self.of if self.of else None

    @property
    def bounds(self) -> tuple[float, float]:
        return wilson(self.n, self.of)


class Rate(msgspec.Struct, frozen=True):
    """So many in so many hours."""

    n: int
    hours: float

    @property
    def value(self) -> float | None:
        return self.n / self.hours if self.hours else None

    @property
    def bounds(self) -> tuple[float, float]:
        if not self.hours:
            return 0.0, math.inf
        low, high = poisson(self.n)
        return low / self.hours, high / self.hours


def wilson(n: int, of: int) -> tuple[float, float]:
    """Wilson's score interval of a share (J. Am. Stat. Assoc. 22, 1927); of no trials, all."""
    if of == 0:
        return 0.0, 1.0
    share, weight = n / of, _Z * _Z / of
    middle = share + weight / 2
    half = _Z * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    # At the ends the formula is exact, and only its arithmetic is not.
    low = 0.0 if n == 0 else (middle - half) / (1 + weight)
    high = 1.0 if n == of else (middle + half) / (1 + weight)
    return low, high


def poisson(n: int) -> tuple[float, float]:
    """The exact interval of what is expected, where `n` came (Garwood, Biometrika 28, 1936)."""
    low = 0.0 if n == 0 else _mean(n - 1, 1 - _TAIL)
    return low, _mean(n, _TAIL)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that such a share does not exceed: one that was there."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _at_most(n: int, mean: float) -> float:
    """The probability that no more than `n` come."""
    return math.fsum(
        math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) if mean else float(k == 0)
        for k in range(n + 1)
    )


def _mean(n: int, probability: float) -> float:
    """The mean at which no more than `n` come with such a probability."""
    low, high = 0.0, 4.0 * (n + 4)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(n, middle) > probability else (low, middle)
    return (low + high) / 2
