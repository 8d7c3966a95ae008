"""What is asked of detection for each series: how sensitive, which way, from which size on.

A dial says what is told. Of what is learned, and how strange a point is, it says no more than what
repeats in the series and by which clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.analyze.detectors.rows import Rows
from watchkeeper.model.series import I32

DIAL = np.dtype(
    [
        ("shift", "f4"),  # added to log10 of the limit: above 0 more is told
        ("least_ratio", "f4"),  # of the distance from what was expected to that
        ("least_change", "f4"),  # of the distance itself, in the series' own unit
        ("direction", "i1"),  # 1 upwards alone, -1 downwards alone, 0 both
        ("muted", "u1"),  # nothing is told
        ("season", "u2"),  # what repeats, and by which clocks; see `seasons.packed`
    ]
)

DialArray = np.ndarray[Any, np.dtype[Any]]
LARGEST_SHIFT = 6.0


class Dial(NamedTuple):
    """Of one series. The defaults change nothing."""

    shift: float = 0.0
    least_ratio: float = 0.0
    least_change: float = 0.0
    direction: int = 0
    muted: bool = False
    season: int = 0


class Dials:
    """By slot. Zeros, and so rows that nobody set, change nothing."""

    def __init__(self, capacity: int) -> None:
        self._rows = Rows(DIAL, capacity)

    @property
    def array(self) -> DialArray:
        """The column that detectors take, over all slots that were held."""
        return self._rows.array

    def hold(self, slots: I32) -> None:
        """Make sure that these slots have a dial."""
        self._rows.hold(slots)

    def turn(self, slots: int | Sequence[int], dial: Dial) -> None:
        """Set the dials of held slots."""
        self._rows.array[slots] = np.array(
            (min(max(dial.shift, -LARGEST_SHIFT), LARGEST_SHIFT), *dial[1:]), DIAL
        )


def plain(n: int) -> DialArray:
    """Dials that change nothing, for so many slots."""
    return np.zeros(n, DIAL)
