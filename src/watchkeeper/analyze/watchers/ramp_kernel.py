"""Blocks of half an hour, and how surely they climb; see `ramp.py` for what the rows hold."""

import math

import numpy as np

from watchkeeper.compiled.jit import kernel

N_BLOCKS = 12
"""Half-hours that a ramp is read from."""
BLOCK_NS = 1_800_000_000_000
BLOCKS_A_DAY = 48
N_DAYS = 7
LARGEST = 1e30
WALK = 1.25
"""Means of blocks of a random walk step on: their steps seem to agree by so much more than they do.
"""
NO_NOISE = 1e-3
"""The least scatter of steps, in the size of the values: no line is certain."""


@kernel
def gather(points, rows, watched, fresh):
    """Take grid points into their blocks; marks the slots one of whose blocks was closed."""
    slots, times, values = points
    for i in range(len(slots)):
        slot = slots[i]
        if not watched[slot] or not math.isfinite(values[i]):
            continue
        row = rows[slot]
        block = times[i] // BLOCK_NS
        if row.n > 0 and block < row.block:
            continue
        if row.n > 0 and block > row.block:
            _close(row, block)
            fresh[slot] = True
        row.block = block
        row.last = min(max(values[i], -LARGEST), LARGEST)
        row.total += row.last
        row.n += 1


@kernel
def _close(row, block):
    mean = row.total / row.n
    day = row.block // BLOCKS_A_DAY
    if day != row.day:
        _turn(row, day)
    row.top[0] = max(row.top[0], mean)
    row.bottom[0] = min(row.bottom[0], mean)
    for i in range(N_BLOCKS - 1):
        row.means[i] = row.means[i + 1]
    row.means[N_BLOCKS - 1] = mean
    row.filled = 0 if block - row.block > 2 else min(row.filled + 1, N_BLOCKS)
    row.total = 0.0
    row.n = 0


@kernel
def _turn(row, day):
    """Another day begins: days that were not seen have nothing to say."""
    passed = min(day - row.day, N_DAYS) if row.day > 0 else N_DAYS
    for i in range(N_DAYS - 1, -1, -1):
        known = i >= passed
        row.top[i] = row.top[i - passed] if known else -math.inf
        row.bottom[i] = row.bottom[i - passed] if known else math.inf
    row.day = day


@kernel
def climb(row):
    """(mean step from block to block, t value of its being none, level now).

    Nothing is claimed of fewer blocks.
    """
    now = float(row.means[N_BLOCKS - 1])
    if row.filled < N_BLOCKS:
        return 0.0, 0.0, now
    n = N_BLOCKS - 1
    mean = (now - row.means[0]) / n
    total = 0.0
    size = 0.0
    for i in range(n):
        off = row.means[i + 1] - row.means[i] - mean
        total += off * off
        size = max(size, abs(row.means[i + 1]))
    scatter = WALK * math.sqrt(total / (n - 1)) + NO_NOISE * size
    return mean, (mean / (scatter / math.sqrt(n)) if scatter > 0.0 else 0.0), now


@kernel
def remarkable(slots, rows, sure, growth):
    """The slots whose ramp is told, or that climb as surely and as far as one that is to be."""
    kept = np.empty(len(slots), np.int32)
    n = 0
    for slot in slots:
        row = rows[slot]
        step, t, now = climb(row)
        is_told = row.since_ns != 0
        if is_told or not (abs(t) < sure or abs(step) * N_BLOCKS < growth * abs(now)):
            kept[n] = slot
            n += 1
    return kept[:n]


@kernel
def stalled(row):
    """Whether the last steps of a ramp came to little: it is over."""
    if row.filled < N_BLOCKS:
        return True
    whole = (row.means[N_BLOCKS - 1] - row.means[0]) / (N_BLOCKS - 1)
    late = (row.means[N_BLOCKS - 1] - row.means[N_BLOCKS - 4]) / 3
    return late * whole <= 0.0 or abs(late) < 0.25 * abs(whole)


@kernel
def is_news(row, step, now):
    """Whether the level is where no day before this one was; unknown days have been everywhere."""
    known = False
    beyond = True
    for i in range(1, N_DAYS):
        if row.top[i] == -math.inf:
            continue
        known = True
        spread = 0.1 * (row.top[i] - row.bottom[i])
        if step > 0.0:
            beyond = beyond and now > row.top[i] + spread
        else:
            beyond = beyond and now < row.bottom[i] - spread
    return known, beyond
