"""AR: how far a point is from what the eight before it let expect, on the grid that T1 makes.

A linear forecast from the last eight points and a constant, fitted by recursive least squares that
forgets in 2,000 points; its error, in units of its usual size, is judged by the series' own history
as FK's scores are (`tail_kernel.py`). For series whose next value follows from the last few, as
latencies and throughputs under steady load do, where the day says little.

Method: recursive least squares with exponential forgetting (Ljung, "System Identification", 1999,
chapter 11), its errors winsorised.

Blind to: the first 1,000 points; whatever comes slowly, and all of a lasting change but its
beginning, because the forecast goes along; the hour, the day and the week.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from watchkeeper.analyze.detectors import episodes
from watchkeeper.analyze.detectors.ar_kernel import N_LAGS, N_PAIRS, N_TERMS, judge
from watchkeeper.analyze.detectors.base import EVIDENCE, Dump, Findings, Points
from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.analyze.detectors.rows import Rows, become_newcomers
from watchkeeper.analyze.detectors.tail_kernel import N_BINS
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import I32, I64, U8, Mask

ROW = np.dtype(
    [
        ("last_ns", "i8"),
        ("last", "f4"),
        ("level", "f4"),
        ("slow", "f4"),  # a level that takes a night to move; forecasts are distances from it
        ("size", "f4"),  # mean of |x|
        ("spread", "f4"),  # mean distance from the slow level, over a week
        ("error_dev", "f4"),  # mean error of the forecasts
        ("interval_s", "f4"),  # mean time between points
        ("age_s", "f4"),  # time that was learned from
        ("credit", "f4"),  # what a new score weighs in the histogram
        ("excess", "f4"),  # mean distance of the scores above `bulk` from it, in bins
        ("n", "u4"),  # points learned
        ("lags", "f4", (N_LAGS,)),  # the last points, the newest first
        ("weights", "f4", (N_TERMS,)),  # of each in the forecast
        ("gains", "f4", (N_TERMS,)),  # of the last step of the fit
        ("covariance", "f4", (N_PAIRS,)),  # of the weights
        ("bulk", "u1"),  # the last bin below the tail
        ("marks", "u1"),  # 1: has a last point
        ("n_lags", "u1"),  # points since a gap, up to those a forecast needs
        ("run_points", "u1"),  # of the present run of scores above `bulk`
        ("run_bin", "u1"),  # the highest of them; 0 is none
        ("spare", "u1"),
        ("share", "u2"),  # of the scores above `bulk`, in millionths
        *episodes.fields(10),
        ("padding", "u1", (3,)),  # rows are whole words
    ]
)
FINDING = episodes.finding_dtype(1)
PERSONAL = ("last_ns", "marks", "n_lags", "run_bin", "run_points", *episodes.PERSONAL)
"""What a newcomer does not take over from a donor: its last points and its episode."""


class Settings(NamedTuple):
    """What the kernel reads of the configuration, in the kernel's units."""

    budget_per_week: float
    rearm_ns: int


class AR:
    """A forecaster for those who ask for it: one point per series and cell."""

    name = "ar"
    version = 2
    claims = EVIDENCE
    streams = ("forecast",)

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the detector `ar`."""

        budget_per_week: float = 0.1
        """Episodes per series and week: at one point a minute p < 1e-5."""
        rearm_s: float = 3600.0
        """Quiet time after an episode before an equally strange one counts as another."""

    def __init__(self, config: Config | None = None, *, capacity: int = 1 << 20) -> None:
        config = config or self.Config()
        self._settings = Settings(config.budget_per_week, round(config.rearm_s * NS_PER_S))
        self._rows = Rows(ROW, capacity)
        self._histogram = Rows(np.float32, capacity, N_BINS)

    @property
    def bytes_per_series(self) -> int:
        return self._rows.bytes_per_row + self._histogram.bytes_per_row

    def step(self, points: Points, kind: U8, dials: DialArray) -> Findings:
        """Judge grid points. They are gauges by then, so `kind` is not read."""
        self._rows.hold(points.slot)
        self._histogram.hold(points.slot)
        found = np.empty(len(points), FINDING)
        n_found = judge(
            (points.slot, points.time_ns, points.value, dials),
            (self._rows.array, self._histogram.array),
            self._settings,
            found,
        )
        return episodes.findings(found[:n_found])

    def admit(self, slot: I32, donor: I32) -> None:
        """Start afresh, or with what a donor of the same role has learned but its levels."""
        self._rows.admit(slot, donor)
        self._histogram.admit(slot, donor)
        become_newcomers(self._rows.array, slot, PERSONAL)

    def holds(self, slot: I32, started_ns: I64) -> Mask:
        return episodes.holds(self._rows, slot, started_ns)

    def let_go(self, slot: I32) -> None:
        episodes.let_go(self._rows, slot)

    def dump(self, slot: I32) -> Dump:
        return {"row": self._rows.take(slot), "histogram": self._histogram.take(slot)}

    def load(self, slot: I32, state: Dump) -> None:
        self._rows.put(slot, state["row"])
        self._histogram.put(slot, state["histogram"])
