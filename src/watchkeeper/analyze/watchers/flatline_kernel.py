"""Runs of equal points; see `flatline.py` for what the rows hold."""

import math

from watchkeeper.compiled.jit import kernel

LEAST_RUN = 15
LONGER = 5.0
"""How many times the longest run so far a run must be."""
MIN_POINTS = 500
BUSY = 0.5
"""The share of points that must have been another than the one before."""
FADE = 0.9995
"""What a change of value leaves of the longest run: two days at a point a minute."""

CALM, STUCK, TOLD, MOVED = 0, 1, 2, 3
"""Nothing; a run that is to be told; that was told; that is over, which is to be told."""


@kernel
def gather(points, rows, watched, fresh):
    """Take grid points in; marks the slots whose run began or ended to be news."""
    slots, times, values = points
    for i in range(len(slots)):
        slot = slots[i]
        if not watched[slot] or not math.isfinite(values[i]):
            continue
        row = rows[slot]
        if row.n > 0 and times[i] <= row.last_ns:
            continue
        if row.n > 0 and values[i] == row.value:
            row.run += 1
        else:
            _move(row, times[i])
            fresh[slot] = fresh[slot] or row.phase == MOVED
        row.value = values[i]
        row.last_ns = times[i]
        row.n += 1
        if row.phase == CALM and _is_stuck(row):
            row.phase = STUCK
            fresh[slot] = True


@kernel
def _move(row, time_ns):
    """Another value: the run is over. One that was never told is not told now."""
    if row.run > 1:
        row.longest = max(row.longest * FADE, float(row.run))
    else:
        row.longest *= FADE
    row.run = 1
    row.moves += 1
    row.began_ns = time_ns
    row.phase = MOVED if row.phase in (TOLD, MOVED) else CALM


@kernel
def _is_stuck(row):
    before = row.n - row.run
    if before < MIN_POINTS or row.moves < BUSY * before:
        return False
    return row.run >= max(LEAST_RUN, LONGER * row.longest)
