"""Running averages over time: what both tiers do with each point of a series.

All memories are in seconds: a point moves an average by w / (tau + w), where w is the time since
the point before it and tau the average's memory, or the time learned from while that is shorter, so
that young averages are plain ones. A point a minute, an hour or a second apart means the same.
"""

from watchkeeper.compiled.jit import kernel

LEVEL_S = 2_940.0
DEV_S = 11_940.0
SLOW_S = 29_940.0
LONG_S = 599_940.0
"""At one point a minute these are weights of .02, .005, .002 and 1e-4."""

MIN_POINTS = 30
"""Points before the first score: with fewer, deviations are guesses."""
LARGEST = 1e30
"""Values beyond are taken as this: state is float32, and sums of it must stay finite."""
GAP = 3.0
"""Intervals without a point that make a gap: the step across it says nothing."""
DAY_S = 86_400.0
WEEK_S = 604_800.0

HAS_LAST = 1
STEPLESS = 2
"""Bits of `marks`: that there was a point before, and (a count of two bits) how many points are to
come whose step is not to be trusted."""


@kernel
def weight(elapsed_s, memory_s, age_s):
    return elapsed_s / (min(memory_s, age_s) + elapsed_s)


@kernel
def clip(x, limit):
    return min(max(x, -limit), limit)


@kernel
def pace(row, elapsed_s):
    """Learn the interval between points; whether this one comes after a gap."""
    if row.interval_s == 0.0:
        row.interval_s = elapsed_s
        return False
    longest_s = GAP * row.interval_s
    gap = elapsed_s > longest_s and row.n >= GAP
    step = min(elapsed_s, longest_s) - row.interval_s
    row.interval_s += max(0.05, 1.0 / (row.n + 2.0)) * step
    if gap:
        row.marks = HAS_LAST | 2 * STEPLESS
    return gap


@kernel
def floor(row):
    """The least deviation that is told from none.

    A tenth of the week's spread is what keeps a series that is calm for an hour from crying wolf.
    """
    return 1e-9 + 1e-3 * row.size + 0.1 * row.spread
