"""The pass of AR over a batch of grid points; see `ar.py` for what the arrays hold."""

import math

from watchkeeper.analyze.detectors import episode_kernel as episode
from watchkeeper.analyze.detectors import tail_kernel as tail
from watchkeeper.analyze.detectors.averages_kernel import (
    DAY_S,
    DEV_S,
    GAP,
    HAS_LAST,
    LARGEST,
    LEVEL_S,
    MIN_POINTS,
    SLOW_S,
    WINSOR,
    clip,
    floor,
    pace,
    remember_size,
    weight,
)
from watchkeeper.analyze.detectors.dials_kernel import counts
from watchkeeper.compiled.jit import kernel

N_LAGS = 8
N_TERMS = N_LAGS + 1
"""The steps between the points before, how far the last is from the slow level, and a constant:
eight points and a constant, so turned that a forecast by none of them is the last point."""
N_PAIRS = N_TERMS * (N_TERMS + 1) // 2
"""Of the symmetric matrix one half is kept, so that rounding cannot make it anything else."""
FORGETS = 0.9995
"""Weight of the past at every point: 2,000 points are remembered."""
UNSURE = 10.0
"""The variance of a coefficient of which nothing is known."""
LOOSEST = 1e4
"""Variances do not grow beyond: a series that stands still teaches nothing, for however long."""
FARTHEST = 20.0
"""A step or a distance counts as no more than so many spreads."""


@kernel
def judge(points, state, settings, found):
    """Judge and learn point by point; how many findings were written."""
    slots, times, values, dials = points
    rows, histograms = state
    n_found = 0
    for i in range(len(slots)):
        slot = slots[i]
        row = rows[slot]
        time_ns = times[i]
        if not math.isfinite(values[i]) or (row.marks & HAS_LAST and time_ns <= row.last_ns):
            continue
        x = clip(values[i], LARGEST)
        elapsed_s = _arrive(row, time_ns, x)
        unit = floor(row) + row.spread
        centre = _forecast(row, unit)
        if row.n >= MIN_POINTS and row.n_lags == N_LAGS:
            centres, scales = (centre,), (row.error_dev + floor(row),)
            bins = tail.BINS_PER_UNIT * math.log(episode.strangeness(centres, scales, x))
            log_p = tail.log_share(row, histograms[slot], bins)
            if row.phase != episode.QUIET or log_p < 0.0:
                if log_p < 0.0 and not counts(dials[slot], x, centre):
                    log_p = 0.0
                limit = tail.limit_of(row, settings, dials[slot])
                change = tail.follow(row, time_ns, log_p, (limit, settings), found[n_found])
                if change:
                    least = tail.least_bins(row, histograms[slot], limit)
                    tail.explain(row, x, centres, scales, (1.0, least), found[n_found])
                    found[n_found].slot = slot
                    n_found += 1
            tail.remember(row, histograms[slot], bins, elapsed_s)
        _learn(row, x, centre, unit, elapsed_s)
    return n_found


@kernel
def _arrive(row, time_ns, x):
    """Note the point's time; how long a time it speaks for."""
    elapsed_s = (time_ns - row.last_ns) / 1e9
    row.last_ns = time_ns
    if math.isnan(row.last):  # a newcomer with a donor's coefficients: the level is its own
        row.slow = x
        row.level = x
        row.last = x
        row.n_lags = 0
    if not row.marks & HAS_LAST:
        row.marks = HAS_LAST
        return float(row.interval_s)
    if pace(row, elapsed_s):
        row.n_lags = 0  # what came before the gap is no news of what comes after it
        if elapsed_s > DAY_S:
            row.credit *= 2.0
    return min(elapsed_s, GAP * row.interval_s)


@kernel
def _forecast(row, unit):
    """What the points before say of this one: the last, until there are enough of them."""
    if row.n_lags < N_LAGS:
        return float(row.last)
    said = 0.0
    for k in range(N_TERMS):
        said += row.weights[k] * _term(row, k, unit)
    return row.last + unit * clip(said, FARTHEST)


@kernel
def _learn(row, x, centre, unit, elapsed_s):
    if row.n == 0:
        row.slow = x
        row.level = x
        row.size = abs(x)
        _forget_all(row)
    row.age_s += elapsed_s
    least = floor(row)
    error = x - centre
    away = x - row.slow
    off = x - row.level
    if row.n_lags == N_LAGS:
        if row.n >= MIN_POINTS:
            error = clip(error, WINSOR * (row.error_dev + least))
        _fit(row, error / unit, unit)
        row.error_dev += weight(elapsed_s, DEV_S, row.age_s) * (abs(error) - row.error_dev)
    if row.n >= MIN_POINTS:
        away = clip(away, WINSOR * (row.spread + least))
        off = clip(off, WINSOR * (row.spread + least))
    row.slow += weight(elapsed_s, SLOW_S, row.age_s) * away
    row.level += weight(elapsed_s, LEVEL_S, row.age_s) * off
    remember_size(row, x, elapsed_s)
    for k in range(N_LAGS - 1, 0, -1):
        row.lags[k] = row.lags[k - 1]
    row.lags[0] = x
    row.n_lags = min(row.n_lags + 1, N_LAGS)
    row.last = x
    row.n += 1


@kernel
def _pair(i, j):
    """Where the matrix has the pair of two terms."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


@kernel
def _forget_all(row):
    for i in range(N_TERMS):
        for j in range(i + 1):
            row.covariance[_pair(i, j)] = UNSURE if i == j else 0.0


@kernel
def _term(row, k, unit):
    if k == N_LAGS:
        return 1.0
    before = row.lags[k + 1] if k < N_LAGS - 1 else row.slow
    newer = row.lags[k] if k < N_LAGS - 1 else row.lags[0]
    return clip((newer - before) / unit, FARTHEST)


@kernel
def _gain(row, i, unit):
    total = 0.0
    for j in range(N_TERMS):
        total += row.covariance[_pair(i, j)] * _term(row, j, unit)
    return total


@kernel
def _fit(row, error, unit):
    """One step of recursive least squares; `error` is the forecast's, in units."""
    known = 0.0
    loosest = 0.0
    for i in range(N_TERMS):
        row.gains[i] = _gain(row, i, unit)
        known += row.gains[i] * _term(row, i, unit)
        loosest = max(loosest, row.covariance[_pair(i, i)])
    if not math.isfinite(known) or known < 0.0:
        _forget_all(row)
        return
    per = 1.0 / (FORGETS + known)
    fade = 1.0 / FORGETS if loosest < LOOSEST else 1.0
    for i in range(N_TERMS):
        row.weights[i] += row.gains[i] * per * error
        for j in range(i + 1):
            pair = _pair(i, j)
            row.covariance[pair] = fade * (row.covariance[pair] - row.gains[i] * row.gains[j] * per)
