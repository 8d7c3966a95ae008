"""FK: the calibrated tier, on the grid that T1 makes (a mean per series and minute).

Four streams, each in units of its own usual deviation: distance from the level of the last hour,
from the point before, from the day's profile (288 buckets, shifted by the level's own drift), and
from a level that takes a night to move. The mean of their log1p is judged by the series' own
history, nearly half of it with that of the point before, because incidents last and most noise does
not: a histogram with an exponential tail above the highest in a hundred. A run of high scores is
one event and counts once, at its highest, and by half if it is rarer than one in a thousand, so
that an incident does not become normal, and a recurring job does. No p-value is below a hundredth
of the share of past scores that were as high.

Method: robust residuals, and peaks over a threshold in the line of Siffer et al., "Anomaly
Detection in Streams with Extreme Value Theory" (KDD 2017), without its fits.

A dial may ask for a profile of the week instead (672 quarters of an hour, from the second week on),
for none, and for days by the clocks of a time zone.

Blind to: the first 1,000 points, whose history supports no small probability; weekly seasons where
nobody asks (a Sunday is judged by Saturday's profile); slow ramps; what one minute's mean hides (T1
sees that).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from watchkeeper.analyze.detectors import episodes
from watchkeeper.analyze.detectors.base import EVIDENCE, Dump, Findings, Points
from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.analyze.detectors.fk_kernel import N_BUCKETS, judge
from watchkeeper.analyze.detectors.rows import Rows, become_newcomers
from watchkeeper.analyze.detectors.seasons import Weeks
from watchkeeper.analyze.detectors.tail_kernel import N_BINS
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I32, I64, U8, Mask

ROW = np.dtype(
    [
        ("last_ns", "i8"),
        ("level", "f4"),
        ("level_dev", "f4"),  # mean distance from it
        ("last", "f4"),
        ("step_dev", "f4"),  # mean distance from the point before
        ("season_level", "f4"),  # what is to be added to the profile now
        ("season_dev", "f4"),  # mean distance from their sum
        ("slow", "f4"),  # a level that takes a night to move
        ("slow_dev", "f4"),
        ("size", "f4"),  # mean of |x|
        ("spread", "f4"),  # mean distance from the slow level, over a week
        ("interval_s", "f4"),  # mean time between points
        ("age_s", "f4"),  # time that was learned from
        ("credit", "f4"),  # what a new score weighs in the histogram: old ones fade by its growth
        ("score", "f4"),  # of the last point alone, in bins
        ("excess", "f4"),  # mean distance of the scores above `bulk` from it, in bins
        ("n", "u4"),  # points learned
        ("bulk", "u1"),  # the last bin below the tail
        ("marks", "u1"),  # bits: 1 has a last point; 2 and 4 count points without a step
        ("run_s", "f4"),  # how long the points have been off the level on one side
        ("run", "i1"),  # how many they are, signed
        ("run_points", "u1"),  # of the present run of scores above `bulk`
        *episodes.fields(10),
        ("run_bin", "u1"),  # the highest of the present run of scores above `bulk`; 0 is none
        ("share", "u2"),  # of the scores above `bulk`, in millionths
    ]
)
FINDING = episodes.finding_dtype(4)
_NO_BANDS = np.empty((0, 2))
PERSONAL = (
    "last_ns",
    "marks",
    "run",
    "run_s",
    "score",
    "run_bin",
    "run_points",
    *episodes.PERSONAL,
)
"""What a newcomer does not take over from a donor: its last point and its episode."""


class Settings(NamedTuple):
    """What the kernel reads of the configuration, in the kernel's units."""

    budget_per_week: float
    rearm_ns: int


class FK:
    """The grid tier: one point per series and cell, whatever the sender's interval."""

    name = "fk"
    version = 4
    claims = EVIDENCE
    streams = ("fast", "difference", "seasonal", "slow")

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the detector `fk`."""

        budget_per_week: float = 0.1
        """Episodes per series and week: at one point a minute p < 1e-5."""
        rearm_s: float = 3600.0
        """Quiet time after an episode before an equally strange one counts as another."""

    def __init__(self, config: Config | None = None, *, capacity: int = 1 << 20) -> None:
        config = config or self.Config()
        self._settings = Settings(config.budget_per_week, round(config.rearm_s * NS_PER_S))
        self._rows = Rows(ROW, capacity)
        self._profile = Rows(np.float32, capacity, N_BUCKETS)
        self._histogram = Rows(np.float32, capacity, N_BINS)
        self._weeks = Weeks()

    @property
    def bytes_per_series(self) -> int:
        """Of those that ask for no profile of the week."""
        return sum(part.bytes_per_row for part in self._parts())

    def step(self, points: Points, kind: U8, dials: DialArray) -> Findings:
        """Judge grid points. They are gauges by then, so `kind` is not read."""
        return self._judge(points, dials, np.empty(0), _NO_BANDS)

    def p_values(self, points: Points, dials: DialArray) -> F64:
        """The same, but the p-value of each point: 1 of all that is usual, or not judged yet."""
        log_ps = np.zeros(len(points))
        self._judge(points, dials, log_ps, _NO_BANDS)
        return np.power(10.0, log_ps)

    def bands(self, points: Points, dials: DialArray) -> tuple[F64, F64]:
        """The same, but p-values and bands (n, 2): between which values each point would not have
        been beyond the budget; NaN while the series has no tail."""
        log_ps, bands = np.zeros(len(points)), np.full((len(points), 2), np.nan)
        self._judge(points, dials, log_ps, bands)
        return np.power(10.0, log_ps), bands

    def admit(self, slot: I32, donor: I32) -> None:
        """Start afresh, or with what a donor of the same role has learned but its levels."""
        for part in self._parts():
            part.admit(slot, donor)
        self._weeks.admit(slot, donor)
        become_newcomers(self._rows.array, slot, PERSONAL)

    def holds(self, slot: I32, started_ns: I64) -> Mask:
        return episodes.holds(self._rows, slot, started_ns)

    def let_go(self, slot: I32) -> None:
        episodes.let_go(self._rows, slot)

    def dump(self, slot: I32) -> Dump:
        return {
            "row": self._rows.take(slot),
            "profile": self._profile.take(slot),
            "histogram": self._histogram.take(slot),
            "week": self._weeks.take(slot),
        }

    def load(self, slot: I32, state: Dump) -> None:
        self._rows.put(slot, state["row"])
        self._profile.put(slot, state["profile"])
        self._histogram.put(slot, state["histogram"])
        self._weeks.put(slot, state["week"])

    def _judge(self, points: Points, dials: DialArray, log_ps: F64, bands: F64) -> Findings:
        for part in self._parts():
            part.hold(points.slot)
        season = self._weeks.of(points, dials)
        found = np.empty(len(points), FINDING)
        n_found = judge(
            (points.slot, points.time_ns, points.value, dials),
            (
                self._rows.array,
                self._profile.array,
                self._histogram.array,
                (*season, self._weeks.array),
            ),
            self._settings,
            found,
            (log_ps, bands),
        )
        return episodes.findings(found[:n_found])

    def _parts(self) -> tuple[Rows, Rows, Rows]:
        return self._rows, self._profile, self._histogram
