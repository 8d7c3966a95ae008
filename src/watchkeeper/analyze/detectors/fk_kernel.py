"""The pass of FK over a batch of grid points; see `fk.py` for what the arrays hold."""

import math

from watchkeeper.analyze.detectors import episode_kernel as episode
from watchkeeper.analyze.detectors import seasons_kernel as season
from watchkeeper.analyze.detectors import tail_kernel as tail
from watchkeeper.analyze.detectors.averages_kernel import (
    DAY_S,
    DEV_S,
    GAP,
    HAS_LAST,
    LARGEST,
    LEVEL_S,
    MIN_POINTS,
    SHIFT_Z,
    SLOW_S,
    STEPLESS,
    WINSOR,
    clip,
    floor,
    lasts,
    learn_step,
    pace,
    remember_size,
    weight,
)
from watchkeeper.analyze.detectors.dials_kernel import counts
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import prefetch, prefetch_second

AHEAD = 8
"""State is asked for this many points before its turn."""

N_BUCKETS = 288
BUCKET_NS = 300_000_000_000
PROFILE_S = 940.0
"""Memory of a bucket, in time spent inside it: a weight of .06 a minute, .27 a day."""
UNSEEN = 0.0
NEARLY_ZERO = 1e-30
"""A bucket never seen is 0, so that fresh memory need not be written; a true 0 is this."""

ECHO_S, LOUDEST, ALONE = 50.0, 12.0, 6.0
"""Memory of a score, at one point a minute .45 of what is judged: incidents last, and most noise
does not. It counts as at most so many bins above the point's own: what follows a spike is no spike.
A point that is stranger alone than with the one before is judged alone, at so many bins less: as
if every stream were off by a third less."""
STEP, SEASONAL, SLOW = 1, 2, 3
"""Streams by their place, behind that of the level."""
HOPELESS = 50.0
"""Deviations from the slow level that it is spared, once the level has moved."""


@kernel
def judge(points, state, settings, found, each):
    """Judge and learn point by point; how many findings were written.

    `each` is (log10 of each point's p-value, its band), which are written where there is room.
    `state` ends with what differs from a day in universal time, if anything does.
    """
    log_ps, bands = each
    n_told, n_banded = len(log_ps), len(bands)
    slots, times, values, dials = points
    rows, profiles, histograms, (local_ns, places, weeks) = state
    n_places = len(places)
    flat_profiles = profiles.reshape(-1)
    flat_histograms = histograms.reshape(-1)
    n = len(slots)
    n_found = 0
    for i in range(n):
        if i + AHEAD < n:
            ahead = slots[i + AHEAD]
            prefetch(rows, ahead)
            prefetch_second(rows, ahead)
            prefetch(flat_profiles, ahead * N_BUCKETS + _bucket(times[i + AHEAD]))
            prefetch(flat_histograms, ahead * tail.N_BINS)
        slot = slots[i]
        row = rows[slot]
        time_ns = times[i]
        if not math.isfinite(values[i]) or (row.marks & HAS_LAST and time_ns <= row.last_ns):
            continue
        x = clip(values[i], LARGEST)
        place = season.BY_DAY
        week = season.NOTHING
        bucket = _bucket(time_ns)
        if n_places:
            place = places[i]
            bucket = _bucket(local_ns[i])
            if place >= 0:
                week = season.expected(row, weeks[place], local_ns[i], x)
        seen = profiles[slot, bucket]
        elapsed_s = _arrive(row, time_ns, x, seen)
        centres, scales, n_streams = _streams(row, seen, week, place)
        if row.n >= MIN_POINTS:
            product = episode.strangeness(centres, scales, x)
            score = tail.BINS_PER_UNIT / n_streams * math.log(product)
            echo = ECHO_S / (ECHO_S + elapsed_s)
            heard = min(row.score, score + LOUDEST)
            bins = max(echo * heard + (1.0 - echo) * score, score - ALONE)
            log_p = tail.log_share(row, histograms[slot], bins)
            if i < n_told:
                log_ps[i] = log_p
                if i < n_banded and row.n >= tail.MIN_CALIBRATED:
                    limit = tail.limit_of(row, settings, dials[slot])
                    least = _least_score(row, tail.least_bins(row, histograms[slot], limit), echo)
                    limit = tail.strangest(least, n_streams)
                    bands[i, 0], bands[i, 1] = episode.band(centres, scales, limit, x)
            if row.phase != episode.QUIET or log_p < 0.0:
                if log_p < 0.0 and not _counts(x, centres, scales, dials[slot]):
                    log_p = 0.0
                limit = tail.limit_of(row, settings, dials[slot])
                change = tail.follow(row, time_ns, log_p, (limit, settings), found[n_found])
                if change:
                    least = _least_score(row, tail.least_bins(row, histograms[slot], limit), echo)
                    tail.explain(row, x, centres, scales, (n_streams, least), found[n_found])
                    found[n_found].slot = slot
                    n_found += 1
            row.score = score
            tail.remember(row, histograms[slot], bins, elapsed_s)
        learnt, off = _learn(row, x, (seen, week), centres, elapsed_s)
        if place != season.SILENT:
            profiles[slot, bucket] = learnt
        if place >= 0:
            season.learn_week(row, weeks[place], local_ns[i], x, (off, elapsed_s))
    return n_found


@kernel
def _bucket(time_ns):
    return time_ns // BUCKET_NS % N_BUCKETS


@kernel
def _arrive(row, time_ns, x, seen):
    """Note the point's time; how long a time it speaks for."""
    elapsed_s = (time_ns - row.last_ns) / 1e9
    row.last_ns = time_ns
    if math.isnan(row.last):  # a newcomer with a donor's statistics: levels are personal
        _relevel(row, x, seen)
        row.slow = x
        row.last = x
    if not row.marks & HAS_LAST:
        row.marks = HAS_LAST | 2 * STEPLESS
        return float(row.interval_s)
    if pace(row, elapsed_s):
        if elapsed_s > LEVEL_S:
            row.level = x  # the level that we knew is history
        if elapsed_s > DAY_S:
            row.credit *= 2.0
    return min(elapsed_s, GAP * row.interval_s)


@kernel
def _relevel(row, x, seen):
    row.level = x
    if seen != UNSEEN:
        row.season_level = x - seen


@kernel
def _move(row, x, seen, step, least):
    """Take what has lasted for the level, and its noise for the usual deviations.

    The slow level keeps its memory of a shift, unless it would take it a week to come to terms.
    """
    noise = max(abs(step), row.step_dev)
    _relevel(row, x, seen)
    row.level_dev = max(row.level_dev, noise)
    row.season_dev = max(row.season_dev, noise)
    if abs(x - row.slow) > HOPELESS * (row.slow_dev + least):
        row.slow = x
        row.slow_dev = max(row.slow_dev, noise)
    row.run = 0
    row.run_s = 0.0


@kernel
def _streams(row, seen, week, place):
    """Where each stream expects the point, how far off it usually is, and how many speak.

    A stream that has nothing to say has an infinite scale. While the bucket of the day was never
    seen, the seasonal stream expects the last value; where nothing repeats, it is silent. `week`
    is what a profile of the week expects, if one is known.
    """
    least = floor(row)
    step_scale = row.step_dev + least
    usual = seen + row.season_level
    season_scale = row.season_dev + least
    n_streams = 4.0
    if row.marks >= STEPLESS:
        step_scale = math.inf
        n_streams -= 1.0
    if not math.isnan(week):
        usual = week
    elif seen == UNSEEN or place == season.SILENT:
        usual = row.last
        if row.marks >= STEPLESS or place == season.SILENT:
            season_scale = math.inf
            n_streams -= 1.0
    centres = (float(row.level), float(row.last), usual, float(row.slow))
    scales = (row.level_dev + least, step_scale, season_scale, row.slow_dev + least)
    return centres, scales, n_streams


@kernel
def _counts(x, centres, scales, dial):
    """Whether the dial lets the point count, by the nearest of what level, season and slow level
    expected. Only what is clearly off is on a side: the return from a spike is not."""
    best = 0
    for k in (SEASONAL, SLOW):
        is_known = k == SLOW or centres[k] != centres[STEP]
        if is_known and abs(x - centres[k]) / scales[k] < abs(x - centres[best]) / scales[best]:
            best = k
    off = x - centres[best]
    if dial.direction != 0 and off * dial.direction <= SHIFT_Z * scales[best]:
        return False
    return counts(dial, x, centres[best])


@kernel
def _least_score(row, bins, echo):
    """From where on the score of this point alone comes to so much, after the one before it."""
    after_louder = bins - echo * LOUDEST
    after_this = (bins - echo * row.score) / (1.0 - echo)
    return min(max(after_this, after_louder), bins + ALONE)


@kernel
def _learn(row, x, seasons, centres, elapsed_s):
    """Move the averages; the bucket's new value, and how far the season was off: NaN where the
    level has moved."""
    seen, week = seasons
    if row.n == 0:
        row.level = x
        row.last = x
        row.slow = x
        row.size = abs(x)
        row.marks = HAS_LAST
        row.n = 1
        return (x if x != UNSEEN else NEARLY_ZERO), 0.0
    off = x - centres[0]
    step = x - centres[1]
    unseasonal = x - centres[2]
    away = x - centres[3]
    least = floor(row)
    missed = unseasonal
    row.age_s += elapsed_s
    if row.n >= MIN_POINTS:
        if lasts(row, off, least, elapsed_s):
            _move(row, x, seen, step, least)
            off = 0.0
            unseasonal = 0.0
            missed = math.nan
            away = x - row.slow
        off = clip(off, WINSOR * row.level_dev + 1e-12)
        unseasonal = clip(unseasonal, WINSOR * row.season_dev + 1e-12)
        away = clip(away, WINSOR * row.slow_dev + 1e-12)
    by_level = weight(elapsed_s, LEVEL_S, row.age_s)
    by_dev = weight(elapsed_s, DEV_S, row.age_s)
    stepless = row.marks >= STEPLESS
    by_week = not math.isnan(week)
    if by_week or seen != UNSEEN or not stepless:
        row.season_dev += by_dev * (abs(unseasonal) - row.season_dev)
    if by_week:
        unseasonal = clip(x - seen - row.season_level, WINSOR * row.season_dev + 1e-12)
    if seen != UNSEEN:
        learnt = seen + elapsed_s / (PROFILE_S + elapsed_s) * unseasonal
        row.season_level += by_level * unseasonal
    else:
        learnt = x - row.season_level
    row.level += by_level * off
    row.level_dev += by_dev * (abs(off) - row.level_dev)
    if stepless:
        row.marks -= STEPLESS
    else:
        learn_step(row, step, least, elapsed_s)
    row.slow += weight(elapsed_s, SLOW_S, row.age_s) * away
    row.slow_dev += by_dev * (abs(away) - row.slow_dev)
    remember_size(row, x, elapsed_s)
    row.last = x
    row.n += 1
    return (learnt if learnt != UNSEEN else NEARLY_ZERO), missed
