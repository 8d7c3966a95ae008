"""The scoring rules of the Numenta Anomaly Benchmark, version 1.1, written anew.

Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms" (ICMLA 2015). Each file has
windows in which an alarm is right. The earliest alarm within a window earns the more the earlier it
is; an alarm outside of every window costs, less so shortly after one; a window without an alarm
costs. The first 15 % of a file, at most 750 rows, are not scored. One threshold serves the whole
corpus, and 0 is the score of saying nothing, 100 that of an alarm at the beginning of each window
and no other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.model.series import F64, I64

PROBATION, PROBATION_ROWS = 0.15, 5000
"""The share of a file that is not scored, and the length of file from which it grows no more."""
FAR: Final = 3.0
"""An alarm so many widths after a window is as wrong as one anywhere."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What an alarm in a window is worth, and what a missed window and a false alarm cost."""

    hit: float
    miss: float
    false_alarm: float


PROFILES: Final[Mapping[str, Profile]] = {
    "standard": Profile(1.0, 1.0, 0.11),
    "low_fp": Profile(1.0, 1.0, 0.22),
    "low_fn": Profile(1.0, 2.0, 0.11),
}


@dataclass(frozen=True, slots=True)
class Field:
    """What an alarm at each row of one file is worth before weights, and the window it is in."""

    worth: F64
    window: I64
    """-1 outside of windows."""
    n_unscored: int

    @property
    def n_windows(self) -> int:
        """Of which some part is scored."""
        inside = self.window[self.n_unscored :]
        return len(np.unique(inside[inside >= 0]))


def probation(n: int) -> int:
    """Of a file of `n` rows, how many at its beginning are not scored."""
    return math.floor(PROBATION * min(n, PROBATION_ROWS))


def field(n: int, windows: Sequence[tuple[int, int]]) -> Field:
    """Of a file of `n` rows with these windows, given as first and last row, in order."""
    worth, window = np.full(n, -1.0), np.full(n, -1, np.int64)
    best = _sigmoid(-1.0)
    for i, (first, last) in enumerate(windows):
        width = last - first + 1
        for row in range(first, last + 1):
            worth[row] = _sigmoid(-(last - row + 1) / width) / best
            window[row] = i
        until = windows[i + 1][0] if i + 1 < len(windows) else n
        for row in range(last + 1, until):
            worth[row] = _sigmoid((row - last) / (width - 1)) if width > 1 else -1.0
    return Field(worth, window, probation(n))


def raw_by_threshold(field: Field, score: F64, profile: Profile) -> tuple[F64, F64]:
    """Thresholds from high to low, the first above all, and the raw score at each.

    An alarm is a row whose score reaches the threshold. 0 is no alarm at any threshold.
    """
    rows = field.n_unscored + np.flatnonzero(score[field.n_unscored :] > 0.0)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    gain = profile.false_alarm * field.worth[rows]
    window = field.window[rows]
    for i in np.unique(window[window >= 0]):
        mine = np.flatnonzero(window == i)
        best = np.maximum.accumulate(profile.hit * field.worth[rows[mine]])
        gain[mine] = np.diff(best, prepend=-profile.miss)
    nothing = -profile.miss * field.n_windows
    at = score[rows]
    last = np.flatnonzero(np.diff(at, append=-1.0)) if len(at) else np.empty(0, np.int64)
    raw = nothing + np.cumsum(gain)[last]
    return np.concatenate([[np.inf], at[last]]), np.concatenate([[nothing], raw])


@dataclass(frozen=True, slots=True)
class Board:
    """Raw scores, a row for each file and a column for each setting of a detector's one dial."""

    raw: F64
    n_windows: I64
    profile: Profile

    def best(self, files: Sequence[int] | slice = slice(None)) -> int:
        """The setting that is best for these files together."""
        return int(np.argmax(self.raw[files].sum(axis=0)))

    def score(self, setting: int, files: Sequence[int] | slice = slice(None)) -> float:
        """0 for saying nothing, 100 for all that can be had."""
        n = float(self.n_windows[files].sum())
        nothing, all_of_it = -self.profile.miss * n, self.profile.hit * n
        return 100.0 * (float(self.raw[files, setting].sum()) - nothing) / (all_of_it - nothing)


def board(fields: Sequence[Field], scores: Sequence[F64], profile: Profile) -> Board:
    """Of a detector that gives every row a score: the dial is the threshold."""
    curves = [raw_by_threshold(f, s, profile) for f, s in zip(fields, scores, strict=True)]
    thresholds = np.unique(np.concatenate([at for at, _ in curves]))[::-1]
    raw = np.array(
        [found[np.searchsorted(-at, -thresholds, side="right") - 1] for at, found in curves]
    )
    return Board(raw, _n_windows(fields), profile)


def board_of_alarms(
    fields: Sequence[Field], alarms: Sequence[Sequence[I64]], profile: Profile
) -> Board:
    """Of a detector that raises alarms: by file and setting of its dial, the rows of its alarms."""
    raw = [
        [_raw_of(f, rows, profile) for rows in by_setting]
        for f, by_setting in zip(fields, alarms, strict=True)
    ]
    return Board(np.array(raw), _n_windows(fields), profile)


def _raw_of(field: Field, rows: I64, profile: Profile) -> float:
    score = np.zeros(len(field.worth))
    score[rows] = 1.0
    return float(raw_by_threshold(field, score, profile)[1][-1])


def _n_windows(fields: Sequence[Field]) -> I64:
    return np.array([f.n_windows for f in fields], np.int64)


def _sigmoid(position: float) -> float:
    """1 long before, 0 at 0, -1 long after; positions are in widths of a window."""
    return 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0 if position <= FAR else -1.0
