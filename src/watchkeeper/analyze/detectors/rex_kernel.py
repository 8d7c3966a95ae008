"""The pass of REX over a batch of grid points; see `rex.py` for what the rows hold."""

import math

from watchkeeper.analyze.detectors.averages_kernel import (
    HAS_LAST,
    LARGEST,
    clip,
)
from watchkeeper.analyze.detectors.dials_kernel import counts
from watchkeeper.compiled.jit import kernel

HOUR_NS = 3_600_000_000_000
N_HOURS = 168

VALUE, LEVEL, WEEK, WEEK_MEAN, MEAN, SQUASHED, SLOW_LEVEL, SHORT_MEAN = 0, 1, 2, 3, 4, 5, 6, 7
N_STREAMS, N_ALL_STREAMS = 6, 8
"""Rows hold those that everybody listens to, or all of them."""
STARTS = (0, 50, 30, 42, 50, 50, 50, 5)
"""Points before a stream has anything to say."""
WARM = 60
"""Points from there on by which its range is learned before it is judged."""
N_MEAN, N_WEEK_MEAN, N_SHORT_MEAN = 50, 12, 5
N_POINTS = (0, 0, 0, N_WEEK_MEAN, N_MEAN, 0, 0, N_SHORT_MEAN)
"""What a stream is a mean of, all of which have to be the series' own and not its donor's."""

LEVEL_WEIGHT, SLOW_LEVEL_WEIGHT = 0.01, 0.005
DEV_WEIGHT = 0.005
PROFILE_WEIGHT = 0.3
SQUASHED_WEIGHT = 0.02
FIRST_CLIPPED = 100
WINSOR = 8.0
"""What a bucket of the week learns of a point, in mean deviations from it."""
FIRST_MEDIAN = 20
"""Points by plain averages, before medians follow their signs."""
SETTLED, FARTHEST = 200, 10.0
"""From so many points on, a value counts as no farther outside its range than so many ranges."""

FLOOR = 0.02
"""The least width of a range, in the series' mean |x|."""
SQUASHED_FLOOR = 0.1
SHRINK = 1e-5
"""A range loses this part of itself at each end with every point inside: it forgets in weeks."""
LOUDEST = 4.0

HABIT_LASTS = 8.0
"""How much longer alarms are remembered as a habit than as a peak."""
CALM_POINTS = 20
"""Points without an alarm that end an episode."""
WORSE = 1.1
OPENED, WORSENED, CLOSED = 1, 2, 3
DECADES = 4.0
"""Of a dial's shift, by which the threshold moves tenfold."""
N_COUNTS = 32
COUNTS_PER_UNIT = 3.0


@kernel
def judge(points, state, settings, found):
    """Judge and learn point by point; how many findings were written."""
    threshold, pace, ways = settings
    slots, times, values, dials = points
    rows, profiles = state
    n_found = 0
    for i in range(len(slots)):
        row = rows[slots[i]]
        time_ns = times[i]
        if not math.isfinite(values[i]) or (row.marks & HAS_LAST and time_ns <= row.last_ns):
            continue
        x = clip(values[i], LARGEST)
        profile = profiles[slots[i]]
        _arrive(row, profile, time_ns, x)
        least = FLOOR * (1e-9 + row.size)
        x = _near(row, x, least)
        heard = _listen(row, profile, time_ns // HOUR_NS % N_HOURS, x)
        said = heard[0]
        least = FLOOR * (1e-9 + row.size)
        out = _excursions(row, said, least, ways)
        strange = _strangeness(out, ways)
        alarm = _alarm(row, strange, pace)
        bar = threshold
        if alarm > 0.0:
            dial = dials[slots[i]]
            bar *= 10.0 ** (-dial.shift / DECADES)
            alarm = alarm if counts(dial, x, row.median) else 0.0
        change = _follow(row, time_ns, alarm, bar)
        if change:
            finding = found[n_found]
            finding.slot = slots[i]
            finding.time_ns = time_ns
            finding.started_ns = row.since_ns
            finding.change = change
            finding.severity = 0
            finding.value = clip(values[i], LARGEST)
            finding.p_value = _share(row, strange)
            finding.n_learned = row.n
            finding.learning_s = 0.0
            _explain(row, x, heard, out, finding)
            n_found += 1
        _learn_ranges(row, said, least, ways)
        row.counts[min(int(strange * COUNTS_PER_UNIT), N_COUNTS - 1)] += 1
        row.last = x
        row.n += 1
        row.own = min(row.own + 1, 255)
    return n_found


@kernel
def _arrive(row, profile, time_ns, x):
    """Note the point's time. A gap is nothing special: ranges are as wide as they were."""
    if row.n > 0 and math.isnan(row.last):
        _relevel(row, profile, x)
        row.last = x
    row.marks = HAS_LAST
    row.last_ns = time_ns


@kernel
def _relevel(row, profile, x):
    """A newcomer with a donor's statistics: ranges around its own level, if that is another."""
    row.own = 0
    width = row.high[VALUE] - row.low[VALUE]
    if row.low[VALUE] - width <= x <= row.high[VALUE] + width:
        return
    shift = x - 0.5 * (row.low[VALUE] + row.high[VALUE])
    for k in (VALUE, MEAN, SHORT_MEAN):
        if k < len(row.low):
            row.low[k] += shift
            row.high[k] += shift
    for k in range(len(row.level)):
        row.level[k] += shift
    row.median += shift
    row.size = abs(x)
    for k in range(N_HOURS):
        profile[k] += shift


@kernel
def _near(row, x, least):
    """No farther from what was seen than any stream has to know."""
    if row.n < SETTLED:
        return x
    far = FARTHEST * (row.high[VALUE] - row.low[VALUE] + least)
    return min(max(x, row.low[VALUE] - far), row.high[VALUE] + far)


@kernel
def _listen(row, profile, hour, x):
    """Let the averages take in the point. What each stream says of it, by how much each would say
    more of a value greater by one, and what the squashed stream, which is bent, measures by."""
    n = row.n
    weight = 1.0 / (n + 1.0)
    row.size += weight * (abs(x) - row.size)
    off = x - row.level[0] if n > 0 else 0.0
    row.level[0] = row.level[0] + max(LEVEL_WEIGHT, weight) * off if n > 0 else x
    unseasonal = _unseasonal(row, profile, hour, x)
    row.recent[row.n % N_MEAN] = x
    row.weekly[row.n % N_WEEK_MEAN] = unseasonal
    n_recent, n_weekly = min(row.own + 1, N_MEAN), min(row.own + 1, N_WEEK_MEAN)
    mean = _mean(row.recent, row.n, n_recent)
    weekly = _mean(row.weekly, row.n, n_weekly)
    if n == 0:
        row.median = x
    unit = (row.median_dev if row.median_dev > 0.0 else abs(x - row.median)) + 1e-9
    unit += 1e-3 * abs(row.median)
    centre, usual = row.median, row.squashed
    squashed = math.asinh((x - centre) / unit)
    _learn_median(row, x)
    row.squashed += max(SQUASHED_WEIGHT, weight) * (squashed - usual)
    slow, short, n_short = 0.0, 0.0, min(row.own + 1, N_SHORT_MEAN)
    if len(row.low) > N_STREAMS:
        slow = x - row.level[1] if n > 0 else 0.0
        row.level[1] = row.level[1] + max(SLOW_LEVEL_WEIGHT, weight) * slow if n > 0 else x
        short = _mean(row.recent, row.n, n_short)
    said = (x, off, unseasonal, weekly, mean, squashed - usual, slow, short)
    slopes = (1.0, 1.0, 1.0, 1.0 / n_weekly, 1.0 / n_recent, 1.0, 1.0, 1.0 / n_short)
    return said, slopes, (centre, unit, usual)


@kernel
def _unseasonal(row, profile, hour, x):
    """How far the point is off what this hour of the week was, before it learns of it."""
    visits = row.visits[hour]
    if visits == 0:
        profile[hour] = x
    off = x - profile[hour] if visits > 0 else 0.0
    row.week_dev += max(DEV_WEIGHT, 1.0 / (row.n + 1.0)) * (abs(off) - row.week_dev)
    learnt = off
    if row.n > FIRST_CLIPPED and row.week_dev > 0.0:
        learnt = clip(off, WINSOR * row.week_dev)
    profile[hour] += max(PROFILE_WEIGHT, 1.0 / (visits + 1.0)) * learnt
    row.visits[hour] = min(visits + 1, 255)
    return off


@kernel
def _mean(ring, newest, n):
    total = 0.0
    for k in range(n):
        total += ring[(newest - k) % len(ring)]
    return total / n


@kernel
def _learn_median(row, x):
    """Follow the median and the median distance from it by the side that points are on."""
    if row.n <= FIRST_MEDIAN:
        weight = 1.0 / (row.n + 1.0)
        row.median += weight * (x - row.median)
        if row.n > 0:
            row.median_dev += weight * (abs(x - row.median) - row.median_dev)
        return
    step = 2.0 * LEVEL_WEIGHT * row.median_dev
    if row.median_dev == 0.0:
        step = 2.0 * LEVEL_WEIGHT * abs(x - row.median)
    if x != row.median:
        row.median += math.copysign(step, x - row.median)
    away = abs(x - row.median)
    step = 2.0 * LEVEL_WEIGHT * (row.median_dev if row.median_dev > 0.0 else away)
    row.median_dev = max(row.median_dev + (step if away > row.median_dev else -step), 0.0)


@kernel
def _excursions(row, said, least, ways):
    """How far each stream is outside its range, in ranges and signed."""
    return (
        _excursion(row, VALUE, said[VALUE], least, ways),
        _excursion(row, LEVEL, said[LEVEL], least, ways),
        _excursion(row, WEEK, said[WEEK], least, ways),
        _excursion(row, WEEK_MEAN, said[WEEK_MEAN], least, ways),
        _excursion(row, MEAN, said[MEAN], least, ways),
        _excursion(row, SQUASHED, said[SQUASHED], SQUASHED_FLOOR, ways),
        _excursion(row, SLOW_LEVEL, said[SLOW_LEVEL], least, ways),
        _excursion(row, SHORT_MEAN, said[SHORT_MEAN], least, ways),
    )


@kernel
def _excursion(row, k, y, least, ways):
    if ways[k].weight == 0.0 or not _is_judged(row, k):
        return 0.0
    over, under = max(y - row.high[k], 0.0), max(row.low[k] - y, 0.0)
    return (over - under) / (row.high[k] - row.low[k] + least)


@kernel
def _is_judged(row, k):
    refilled = N_POINTS[k] == 0 or row.own >= N_POINTS[k] + WARM
    return row.n >= STARTS[k] + WARM and refilled


@kernel
def _learn_ranges(row, said, least, ways):
    """Take the point into the ranges, with all its size where they are not judged by yet."""
    for k in range(len(row.low)):
        y = said[k]
        if row.n < STARTS[k] or row.own < min(N_POINTS[k], row.n):
            continue
        if row.n == STARTS[k]:
            row.low[k] = y
            row.high[k] = y
            continue
        width = row.high[k] - row.low[k]
        grows = math.inf
        if width > 0.0 and _is_judged(row, k):
            grows = ways[k].growth * (width + (SQUASHED_FLOOR if k == SQUASHED else least))
        over, under = y - row.high[k], row.low[k] - y
        row.high[k] += min(over, grows) if over > 0.0 else -SHRINK * width
        row.low[k] -= min(under, grows) if under > 0.0 else -SHRINK * width


@kernel
def _strangeness(out, ways):
    total = 0.0
    for k in range(N_ALL_STREAMS):
        far = abs(out[k])
        if far > 0.0:
            total += (ways[k].weight * (LOUDEST * far / (far + ways[k].half))) ** 2
    return math.sqrt(total)


@kernel
def _alarm(row, strange, pace):
    """What is stranger than all that fades from memory, less what one has got used to; else 0."""
    memory, habit, young = pace
    row.peak *= 1.0 - 1.0 / memory
    row.habit *= 1.0 - 1.0 / memory / HABIT_LASTS
    if strange <= row.peak:
        return 0.0
    alarm = strange / (1.0 + habit * row.habit) / (1.0 + young / row.n)
    row.peak = strange
    row.habit += alarm
    return alarm


@kernel
def _follow(row, time_ns, alarm, threshold):
    """Take the point into the series' episode; what changed, if anything."""
    loud = alarm >= threshold
    if row.top == 0.0:
        if not loud:
            return 0
        row.since_ns = time_ns
        row.top = alarm
        row.calm = 0
        return OPENED
    if not loud:
        row.calm += 1
        if row.calm < CALM_POINTS:
            return 0
        row.top = 0.0
        return CLOSED
    row.calm = 0
    if alarm < WORSE * row.top:
        return 0
    row.top = alarm
    return WORSENED


@kernel
def _share(row, strange):
    """Of the series' own points, this one included, the share that was as strange."""
    if strange == 0.0:
        return 1.0
    at = min(int(strange * COUNTS_PER_UNIT), N_COUNTS - 1)
    above = 1.0
    for k in range(at, N_COUNTS):
        above += row.counts[k]
    return above / (row.n + 1.0)


@kernel
def _explain(row, x, heard, out, finding):
    """The values for which the stream that is farthest outside would be within its range."""
    said, slopes, squash = heard
    far = 0
    for k in range(len(row.low)):
        finding.streams[k] = out[k]
        if abs(out[k]) > abs(out[far]):
            far = k
    low, high = row.low[far], row.high[far]
    if far == SQUASHED:
        centre, unit, usual = squash
        low, high = centre + unit * math.sinh(low + usual), centre + unit * math.sinh(high + usual)
    else:
        low, high = x + (low - said[far]) / slopes[far], x + (high - said[far]) / slopes[far]
    if out[far] != 0.0 and low <= finding.value <= high:  # a value too far for its stream to follow
        low, high = row.low[VALUE], row.high[VALUE]
    finding.low, finding.high = low, high
