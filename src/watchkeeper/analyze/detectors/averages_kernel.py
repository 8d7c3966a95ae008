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
SHIFT_Z = 3.0
SHIFT_POINTS = 20
SHIFT_S = 1_800.0
"""So many points over so long, all this far off on one side: the level is where they are.
Of a series that was flat before, the number alone is enough."""
QUICK_S = 600.0
"""Memory of the usual step while the level may be changing."""
WINSOR = 6.0
"""A point moves averages by no more than this many deviations."""
FAR = 1_000.0
"""What a point may add to the week's averages, in their own size: a week must survive garbage."""
DAY_S = 86_400.0
WEEK_S = 604_800.0

HAS_LAST = 1
STEPLESS = 2
"""Bits of `marks`: that there was a point before, and (a count of two bits) how many points are to
come whose step is not to be trusted."""


@kernel
def weight(elapsed_s, memory_s, age_s):
    """How far a point moves an average: not at all if no time is known to have passed."""
    return elapsed_s / (min(memory_s, age_s) + elapsed_s) if elapsed_s > 0.0 else 0.0


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


@kernel
def lasts(row, off, least, elapsed_s):
    """Count the points that are off the level on one side; whether theirs is the level now."""
    if abs(off) <= SHIFT_Z * (row.level_dev + least):
        row.run = 0
        row.run_s = 0.0
        return False
    side = 1 if off > 0.0 else -1
    if row.run * side < 0:
        row.run = 0
        row.run_s = 0.0
    row.run = min(max(row.run + side, -100), 100)
    row.run_s += elapsed_s
    was_flat = row.level_dev < least
    return abs(row.run) >= SHIFT_POINTS and (row.run_s >= SHIFT_S or was_flat)


@kernel
def learn_step(row, step, least, elapsed_s):
    """Move the usual step; quickly upwards where the level may be changing, whose first step is
    the change and the others are the noise of the new state."""
    quick = abs(row.run) > 1 and abs(step) > row.step_dev
    if quick:
        row.step_dev += elapsed_s / (QUICK_S + elapsed_s) * (abs(step) - row.step_dev)
        return
    if row.n >= MIN_POINTS:
        step = clip(step, WINSOR * (row.step_dev + least))
    row.step_dev += weight(elapsed_s, DEV_S, row.age_s) * (abs(step) - row.step_dev)


@kernel
def remember_size(row, x, elapsed_s):
    """Move the averages that last a week: no single point far, but at once after a new level."""
    by_long = weight(elapsed_s, LONG_S, row.age_s)
    away = abs(x - row.slow)
    size = abs(x)
    if row.spread > 0.0:
        away = min(away, max(FAR * row.spread, 10.0 * abs(row.level - row.slow)))
    if row.size > 0.0:
        size = min(size, max(FAR * row.size, 10.0 * abs(row.level)))
    row.spread += by_long * (away - row.spread)
    row.size += by_long * (size - row.size)
