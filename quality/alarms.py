"""How alarms fare beside labels: by episodes, as people live with them, and by points.

By episodes: an alarm is an onset. It hits an event from a little before its beginning to a little
after its end, and is false outside of every event and the hour behind it; what lies between is
neither. The first week is for learning and is not counted. By points: an event counts as found,
with all its points, if one of them is flagged soon enough, else as missed with all its points
(Ren et al., "Time-Series Anomaly Detection Service at Microsoft", KDD 2019). No figure here takes
a late flag for a whole event, which would make a random score look good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I64, Mask

WEEK_NS: Final = 7 * 86_400 * NS_PER_S
BEFORE, AFTER = 3, 10
"""Points around an event within which an alarm is one of it."""
ECHO_NS: Final = 3_600 * NS_PER_S
"""For so long after an event an alarm is not false: it has its reason."""
DELAY: Final = 7
"""Points after an event's beginning up to which a flag finds it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Alarms of one series beside its events, from its second week on."""

    n_false: int
    n_hit: int
    n_events: int
    weeks: float

    @property
    def false_per_week(self) -> float:
        return self.n_false / self.weeks


@dataclass(frozen=True, slots=True)
class Points:
    """Points of events found, of events missed, and flagged without reason."""

    found: int = 0
    missed: int = 0
    false: int = 0

    def __add__(self, other: Self) -> Points:
        return Points(
            self.found + other.found, self.missed + other.missed, self.false + other.false
        )

    @property
    def f1(self) -> float:
        wrong = self.missed + self.false
        return 2 * self.found / (2 * self.found + wrong) if self.found or wrong else 0.0


def events(strange: Mask) -> list[tuple[int, int]]:
    """Runs of strange points: first and last row."""
    edges = np.diff(strange.astype(np.int8), prepend=0, append=0)
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(firsts.tolist(), (ends - 1).tolist(), strict=True))


def tally(time_ns: I64, strange: Mask, onsets: I64) -> Tally | None:
    """Count the alarms of one series, given by row; None if it ends within its first week."""
    start_ns = time_ns[0] + WEEK_NS
    weeks = float(time_ns[-1] - start_ns) / WEEK_NS
    if weeks <= 0:
        return None
    onsets = np.sort(onsets[time_ns[onsets] >= start_ns])
    of_events = events(strange)
    counted = [event for event in of_events if time_ns[event[0]] >= start_ns]
    hits = sum(_any_within(onsets, a - BEFORE, b + AFTER) for a, b in counted)
    false = np.ones(len(onsets), np.bool_)
    for first, last in of_events:
        behind = int(np.searchsorted(time_ns, time_ns[last] + ECHO_NS, side="right")) - 1
        false &= (onsets < first - BEFORE) | (onsets > behind)
    return Tally(int(false.sum()), hits, len(counted), weeks)


def onsets(time_ns: I64, flagged: Mask) -> I64:
    """The rows at which flags begin an episode: those that come after an hour without one."""
    rows = np.flatnonzero(flagged)
    return rows[np.diff(time_ns[rows], prepend=time_ns[0] - 2 * ECHO_NS) > ECHO_NS]


def by_episodes(tallies: Sequence[Tally]) -> dict[str, float]:
    """The figures of one detector over all series."""
    rates: F64 = np.array([one.false_per_week for one in tallies])
    n_hit = sum(one.n_hit for one in tallies)
    n_false = sum(one.n_false for one in tallies)
    return {
        "fp_per_series_week": float(rates.mean()),
        "share_le_1": float((rates <= 1.0).mean()),
        "recall": n_hit / max(1, sum(one.n_events for one in tallies)),
        "precision": n_hit / max(1, n_hit + n_false),
    }


def by_points(strange: Mask, flagged: Mask, delay: int = DELAY) -> Points:
    """Count the flags of one series."""
    found = missed = 0
    for first, last in events(strange):
        if flagged[first : min(last, first + delay) + 1].any():
            found += last - first + 1
        else:
            missed += last - first + 1
    return Points(found, missed, int(np.count_nonzero(flagged & ~strange)))


def _any_within(rows: I64, first: int, last: int) -> bool:
    return bool(np.searchsorted(rows, first) < np.searchsorted(rows, last, side="right"))
