"""The passes of the presets over a batch of grid points; see `preset.py`."""

import math

from watchkeeper.analyze.detectors.dials_kernel import counts
from watchkeeper.compiled.jit import kernel

NOTHING, OPENED, WORSENED, CLOSED = 0, 1, 2, 3
HAS_LAST = 1
CALM_POINTS = 5
WORSE = 1.5
"""A new peak is so many times the last: bounds the changes of one episode."""
N_BLOCKS = 20
LARGEST = 1e30
WINSOR = 6.0
"""Deviations by which a point may move the window at most."""
FLAT = 1e-3
"""The least deviation, in the size of the mean: none at all would make everything infinite."""
DECADES = 4.0
"""Of a dial's shift, by which a line moves tenfold."""
FROZEN = 0.1
"""How much of its weight a point keeps that is beyond the line: a failure is not normal at once,
and not strange for ever."""


@kernel
def judge_zscore(points, rows, settings, found):
    """How many findings were written."""
    slots, times, values, dials = points
    grades, cold_start, block_points = settings
    n_found = 0
    for i in range(len(slots)):
        row = rows[slots[i]]
        if not _is_next(row, times[i], values[i]):
            continue
        x = min(max(values[i], -LARGEST), LARGEST)
        mean, deviation = _window(row, x)
        z = (x - mean) / deviation
        if row.n >= cold_start:
            line = grades[0] * 10.0 ** (-dials[slots[i]].shift / DECADES)
            row.beyond += abs(z) > grades[0]
            score = abs(z) / line if counts(dials[slots[i]], x, mean) else 0.0
            change = _follow(row, times[i], score)
            if change:
                _tell(row, slots[i], times[i], change, found[n_found])
                found[n_found].value = x
                found[n_found].low = mean - line * deviation
                found[n_found].high = mean + line * deviation
                found[n_found].streams[0] = z
                found[n_found].streams[1] = _grade(abs(z), grades)
                n_found += 1
            if row.n >= cold_start:
                x = min(max(x, mean - WINSOR * deviation), mean + WINSOR * deviation)
        _add(row, x, block_points)
        row.n += 1
    return n_found


@kernel
def judge_ewma(points, rows, settings, found):
    """How many findings were written."""
    slots, times, values, dials = points
    keep, multiplier, cold_start = settings
    n_found = 0
    for i in range(len(slots)):
        row = rows[slots[i]]
        if not _is_next(row, times[i], values[i]):
            continue
        x = min(max(values[i], -LARGEST), LARGEST)
        usual = row.level if row.n > 0 else x
        most = multiplier * max(abs(usual), 1e-9)
        beyond = abs(x) > most and x * usual >= 0.0
        if row.n >= cold_start:
            row.beyond += beyond
            most *= 10.0 ** (-dials[slots[i]].shift / DECADES)
            is_told = x * usual >= 0.0 and counts(dials[slots[i]], x, usual)
            score = abs(x) / most if is_told else 0.0
            change = _follow(row, times[i], score)
            if change:
                _tell(row, slots[i], times[i], change, found[n_found])
                found[n_found].value = x
                found[n_found].low = -most if usual < 0.0 else min(0.0, usual)
                found[n_found].high = most if usual >= 0.0 else max(0.0, usual)
                found[n_found].streams[0] = x / usual if usual != 0.0 else 0.0
                n_found += 1
        weight = (1.0 - keep) * (FROZEN if beyond and row.n >= cold_start else 1.0)
        row.level = usual + weight * (x - usual)
        row.n += 1
    return n_found


@kernel
def _is_next(row, time_ns, value):
    """Whether this is a number, and later than the last; notes its time then."""
    if not math.isfinite(value) or (row.marks & HAS_LAST and time_ns <= row.last_ns):
        return False
    row.marks = HAS_LAST
    row.last_ns = time_ns
    return True


@kernel
def _follow(row, time_ns, score):
    """Take one point into the series' episode; above 1 it is beyond the line."""
    if score > 1.0:
        row.calm = 0
        if row.top == 0.0:
            row.top = score
            row.since_ns = time_ns
            return OPENED
        if score <= WORSE * row.top:
            return NOTHING
        row.top = score
        return WORSENED
    if row.top == 0.0:
        return NOTHING
    row.calm += 1
    if row.calm < CALM_POINTS:
        return NOTHING
    row.top = 0.0
    return CLOSED


@kernel
def _tell(row, slot, time_ns, change, finding):
    """What all presets say alike. No tail is claimed: how often the line was crossed is."""
    finding.slot = slot
    finding.started_ns = row.since_ns
    finding.time_ns = time_ns
    finding.change = change
    finding.severity = 0
    finding.p_value = min(max(row.beyond, 1.0) / (row.n + 1.0), 1.0)
    finding.n_learned = row.n
    finding.learning_s = 0.0


@kernel
def _window(row, x):
    """Mean and deviation of what the window holds."""
    n = 0.0
    total = 0.0
    squares = 0.0
    for k in range(N_BLOCKS):
        n += row.counts[k]
        total += row.sums[k]
        squares += row.squares[k]
    if n == 0.0:
        row.base = x
        return x, FLAT * abs(x) + 1e-9
    mean = total / n
    variance = max(squares / n - mean * mean, 0.0)
    mean += row.base
    return mean, max(math.sqrt(variance), FLAT * abs(mean) + 1e-9)


@kernel
def _add(row, x, block_points):
    """Into the newest block of the window; a full one makes the oldest go."""
    at = row.at
    if row.counts[at] >= block_points:
        at = (at + 1) % N_BLOCKS
        row.at = at
        row.counts[at] = 0.0
        row.sums[at] = 0.0
        row.squares[at] = 0.0
    off = x - row.base
    row.counts[at] += 1.0
    row.sums[at] += off
    row.squares[at] += off * off


@kernel
def _grade(z, grades):
    """1 for the first line that is crossed, and one more for each other."""
    grade = 0.0
    for line in grades:
        if z > line:
            grade += 1.0
    return max(grade, 1.0)
