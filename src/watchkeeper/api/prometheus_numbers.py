"""Numbers as Prometheus writes them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def numbers(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[str]:
    return [number(value) for value in values.tolist()]


def number(value: float) -> str:
    """The fewest digits that say it exactly."""
    if math.isfinite(value):
        text = repr(float(value))
        return text.removesuffix(".0")
    return "NaN" if value != value else ("+Inf" if value > 0 else "-Inf")
