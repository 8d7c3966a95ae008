"""A profile of the week beside that of the day; see `seasons.py` for who has one.

It holds values as they come, and a level of its own that follows what differs from last week's. A
quarter of an hour that is visited for the first time has no say until it is left.
"""

import math

import numpy as np

from watchkeeper.analyze.detectors.averages_kernel import LEVEL_S, WINSOR, clip, weight
from watchkeeper.compiled.jit import kernel

BY_DAY, SILENT = -1, -2
"""Instead of a place: those that have no profile of the week."""
LEVEL, NEW, FIRST = 0, 1, 2
"""In a row: what is to be added now; the column of the quarter that is visited for the first time;
where the profile begins."""
N_QUARTERS = 672
WEEK_WIDTH = FIRST + N_QUARTERS
QUARTER_NS = 900_000_000_000
WEEK_S = 2_820.0
"""Memory of a quarter, in time spent inside it: a weight of .02 a minute, .27 a week."""
FIRST_WEIGHT = 0.2
"""Of a point of the first visit."""
UNSEEN, NEARLY_ZERO = 0.0, 1e-30
NOTHING = np.float32(math.nan)
"""What is expected where the week is not known."""


@kernel
def any_asks(slots, dials):
    """Whether one of these asks for anything but the universal day."""
    for i in range(len(slots)):
        if dials[slots[i]].season:
            return True
    return False


@kernel
def expected(row, week, local_ns, x):
    """What the week lets expect; NOTHING where it is not known. A newcomer's level is its own."""
    at = _column(local_ns)
    if not _is_known(week, at):
        return NOTHING
    if math.isnan(row.last):
        week[LEVEL] = x - week[at]
    return week[at] + week[LEVEL]


@kernel
def learn_week(row, week, local_ns, x, learned):
    """Move the profile: `learned` is how far off it was, and for how long the point speaks.

    It is NaN where the level has moved, so that this one has to be right from here on.
    """
    off, elapsed_s = learned
    if row.n <= 1:
        return
    at = _column(local_ns)
    if _is_known(week, at):
        if math.isnan(off):
            week[LEVEL] = x - week[at]
            off = 0.0
        off = clip(off, WINSOR * row.season_dev + 1e-12)
        week[LEVEL] += weight(elapsed_s, LEVEL_S, row.age_s) * off
        week[at] += elapsed_s / (WEEK_S + elapsed_s) * off
        week[NEW] = 0.0
    elif week[at] == UNSEEN:
        week[at] = x - week[LEVEL]
        week[NEW] = at
    else:
        week[at] += FIRST_WEIGHT * (x - week[LEVEL] - week[at])
    if week[at] == UNSEEN:
        week[at] = NEARLY_ZERO


@kernel
def _column(local_ns):
    return FIRST + local_ns // QUARTER_NS % N_QUARTERS


@kernel
def _is_known(week, at):
    return week[at] != UNSEEN and week[NEW] != at
