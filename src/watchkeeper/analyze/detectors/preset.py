"""Rules that many know, for those who ask for them: z-scores and moving averages.

They are here to be compared with, and because a person may want just that: they promise no rate of
false alarms (a z-score above 3 is crossed by every real series several times a week), so what they
find is INFO. What is commonly wrong with them is mended: a deviation of nothing is not divided by;
nothing is judged before the cold start is over; an outlier moves what is usual by little, so that
a slow failure is not normal at once, and by something, so that it is not strange for ever. Their
p-value claims no bell curve: it is the share of the series' points that crossed the line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from watchkeeper.analyze.detectors import episodes
from watchkeeper.analyze.detectors.base import INFO, Dump, Findings, Points
from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.analyze.detectors.rows import Rows
from watchkeeper.model.series import I32, I64, U8, Mask

COMMON: list[Any] = [
    ("last_ns", "i8"),
    ("since_ns", "i8"),  # when the present episode began
    ("top", "f8"),  # of the present episode, in lines; 0 is none
    ("n", "i8"),  # points learned
    ("beyond", "i8"),  # points that crossed the line
    ("calm", "u4"),  # points in a row that did not, within an episode
    ("marks", "u4"),  # bits: 1 has a last point
]


class Preset(ABC):
    """State by slot, and one pass over a batch."""

    version = 1
    claims = INFO
    streams: tuple[str, ...]

    def __init__(self, row: list[Any], capacity: int) -> None:
        self._rows = Rows(np.dtype([*COMMON, *row]), capacity)

    def step(self, points: Points, kind: U8, dials: DialArray) -> Findings:
        """Judge grid points. They are gauges by then, so `kind` is not read."""
        self._rows.hold(points.slot)
        found = np.empty(len(points), episodes.finding_dtype(len(self.streams)))
        columns = (points.slot, points.time_ns, points.value, dials)
        n_found = self._judge(columns, self._rows.array, found)
        return episodes.findings(found[:n_found])

    def admit(self, slot: I32, donor: I32) -> None:
        """Start afresh: a cold start is short, and a window of another's values no help."""
        self._rows.admit(slot, np.full(len(donor), -1, np.int32))

    def holds(self, slot: I32, started_ns: I64) -> Mask:
        return episodes.holds(self._rows, slot, started_ns)

    def let_go(self, slot: I32) -> None:
        episodes.let_go(self._rows, slot)

    def dump(self, slot: I32) -> Dump:
        return {"row": self._rows.take(slot)}

    def load(self, slot: I32, state: Dump) -> None:
        self._rows.put(slot, state["row"])

    @abstractmethod
    def _judge(self, columns: tuple[Any, ...], rows: Any, found: Any) -> int:
        """The kernel over rows of state; how many findings it wrote."""
