"""The pass of FK over a batch of grid points; see `fk.py` for what the arrays hold."""

import math

from watchkeeper.analyze.detectors import episode_kernel as episode
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
    WEEK_S,
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

N_BINS = 160
BINS_PER_UNIT = 16.0
"""Of the mean log1p: the last bin begins where a point is 20,000 deviations off everywhere."""
TAIL = 0.0075
"""The share of scores above `bulk`."""
ECHO_S, ALONE = 50.0, 6.0
"""Memory of a score, at one point a minute .45 of what is judged: incidents last, and most noise
does not. A point that is stranger alone than with the one before is judged alone, at so many bins
less: as if every stream were off by a third less."""
HEAP = 2.0
"""A bin that would make the tail larger than so many times its share stays outside of it."""
MILLION = 1e6
REFRESH = 64
"""Points between two looks at the histogram for where its tail begins."""
MIN_CALIBRATED = 200
"""Points before the first p-value below 1."""
FADE_S = 6_000_000.0
"""The credit of a new score grows by an e-fold in this time: old scores fade without being touched.
At one point a minute 1e-5 a point, a half-life of seven weeks."""
MAX_CREDIT = 1e6
PRIOR_EXCESS, PRIOR_SCORES = 4.0, 5.0
"""Mean excess in bins expected before any was seen, and how many scores that weighs."""
LEAST_EXCESS = 2.75
"""Of counts and other coarse values the mean excess may be that of one value: too small."""
FLOOR_POINTS = 1000
"""Below so many points no p-value under 1 / (n + 1) is claimed, so none is an alarm."""
NEW_STATE = 120
"""Scores above `bulk` in a row after which each counts: the series is another now."""
EVIDENCE_POINTS, EVIDENCE_S = 500, DAY_S
"""History that makes a finding more than information."""

STEP, SEASONAL, SLOW = 1, 2, 3
"""Streams by their place, behind that of the level."""
CALM_POINTS = 5
"""Calm points that end an episode."""
HOPELESS = 50.0
"""Deviations from the slow level that it is spared, once the level has moved."""
LN10 = math.log(10.0)


@kernel
def judge(points, state, settings, found, each):
    """Judge and learn point by point; how many findings were written.

    `each` is (log10 of each point's p-value, its band), which are written where there is room.
    """
    log_ps, bands = each
    n_told, n_banded = len(log_ps), len(bands)
    slots, times, values, dials = points
    rows, profiles, histograms = state
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
            prefetch(flat_histograms, ahead * N_BINS)
        slot = slots[i]
        row = rows[slot]
        time_ns = times[i]
        if not math.isfinite(values[i]) or (row.marks & HAS_LAST and time_ns <= row.last_ns):
            continue
        x = clip(values[i], LARGEST)
        bucket = _bucket(time_ns)
        seen = profiles[slot, bucket]
        elapsed_s = _arrive(row, time_ns, x, seen)
        centres, scales, n_streams = _streams(row, seen)
        if row.n >= MIN_POINTS:
            product = episode.strangeness(centres, scales, x)
            score = BINS_PER_UNIT / n_streams * math.log(product)
            echo = ECHO_S / (ECHO_S + elapsed_s)
            bins = max(echo * row.score + (1.0 - echo) * score, score - ALONE)
            log_p = _log_p(row, bins)
            if i < n_told:
                log_ps[i] = log_p
                if i < n_banded and row.n >= MIN_CALIBRATED:
                    least = _least_score(row, _limit(row, settings, dials[slot]), echo)
                    limit = _strangest(least, n_streams)
                    bands[i, 0], bands[i, 1] = episode.band(centres, scales, limit, x)
            if row.phase != episode.QUIET or log_p < 0.0:
                if log_p < 0.0 and not _counts(x, centres, scales, dials[slot]):
                    log_p = 0.0
                limit = _limit(row, settings, dials[slot])
                change = _follow(row, time_ns, log_p, (limit, settings), found[n_found])
                if change:
                    least = _least_score(row, limit, echo)
                    _explain(row, x, centres, scales, (n_streams, least), found[n_found])
                    found[n_found].slot = slot
                    n_found += 1
            row.score = score
            _remember(row, histograms[slot], bins, elapsed_s)
        profiles[slot, bucket] = _learn(row, x, seen, centres, elapsed_s)
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
def _streams(row, seen):
    """Where each stream expects the point, how far off it usually is, and how many speak.

    A stream that has nothing to say has an infinite scale. While the bucket of the day was never
    seen, the seasonal stream expects the last value.
    """
    least = floor(row)
    step_scale = row.step_dev + least
    season = seen + row.season_level
    season_scale = row.season_dev + least
    n_streams = 4.0
    if row.marks >= STEPLESS:
        step_scale = math.inf
        n_streams -= 1.0
    if seen == UNSEEN:
        season = float(row.last)
        if row.marks >= STEPLESS:
            season_scale = math.inf
            n_streams -= 1.0
    centres = (float(row.level), float(row.last), season, float(row.slow))
    scales = (row.level_dev + least, step_scale, season_scale, row.slow_dev + least)
    return centres, scales, n_streams


@kernel
def _log_p(row, bins):
    """log10 of the share of points as strange as this, by the series' own past.

    Nothing is claimed for the 99 % of usual scores: their exact rank serves nobody.
    """
    above = min(bins, N_BINS - 1.0)
    if row.n < MIN_CALIBRATED or int(above) <= row.bulk:
        return 0.0
    log_p = (
        math.log(row.share / MILLION) - (bins - row.bulk - 1.0) / max(row.excess, LEAST_EXCESS)
    ) / LN10
    if row.n < FLOOR_POINTS:
        log_p = max(log_p, -math.log10(row.n + 1.0))
    return max(log_p, episode.LOWEST)


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
def _limit(row, settings, dial):
    """log10 of the p-value that is as rare as the budget wants episodes to be."""
    limit = min(settings.budget_per_week * row.interval_s / WEEK_S, 0.5 * TAIL)
    return math.log10(episode.dialled(limit, dial, 0.5 * TAIL))


@kernel
def _follow(row, time_ns, log_p, rules, finding):
    limit, settings = rules
    began_ns = episode.began_ns(row, time_ns)
    said = row.phase
    phases = (episode.NOISY, episode.NOISY)
    limits = (limit, CALM_POINTS, settings.rearm_ns, *phases)
    change = episode.follow(row, time_ns, log_p, limits)
    if change:
        finding.started_ns = began_ns
        finding.time_ns = time_ns
        finding.change = change
        finding.p_value = 10.0**log_p
        finding.n_learned = row.n
        finding.learning_s = _learning_s(row)
        ripe = row.n >= EVIDENCE_POINTS and row.age_s >= EVIDENCE_S
        finding.severity = 1 if ripe and max(said, row.phase) == episode.SHOWN else 0
    return change


@kernel
def _learning_s(row):
    """How long until the series has the history to claim all that is claimed of any."""
    left_s = max(FLOOR_POINTS - float(row.n), 0.0) * row.interval_s
    return max(left_s, EVIDENCE_S - row.age_s, 0.0)


@kernel
def _least_score(row, limit, echo):
    """From where on the score of this point alone is beyond the limit, after the one before it."""
    beyond = (math.log(row.share / MILLION) - limit * LN10) * max(row.excess, LEAST_EXCESS)
    bins = row.bulk + 1.0 + beyond
    return min((bins - echo * row.score) / (1.0 - echo), bins + ALONE)


@kernel
def _explain(row, x, centres, scales, told, finding):
    """What was expected: the values that would not have been beyond the budget."""
    n_streams, least_score = told
    limit = _strangest(least_score, n_streams)
    finding.value = x
    finding.low, finding.high = episode.band(centres, scales, limit, x)
    for k in range(4):
        finding.streams[k] = (x - centres[k]) / scales[k]


@kernel
def _strangest(score, n_streams):
    """The strangeness of a point that has this score."""
    return math.exp(score * n_streams / BINS_PER_UNIT)


@kernel
def _remember(row, histogram, bins, elapsed_s):
    """Take the score into the series' history, and from time to time look where its tail is.

    A run of scores above `bulk` is one event and counts once, by its highest so far, unless it has
    become what the series is like now.
    """
    if row.credit == 0.0:
        row.credit = 1.0
    place = min(int(bins), N_BINS - 1)
    if place <= row.bulk:
        row.run_bin = 0
        row.run_points = 0
        histogram[place] += row.credit
    elif row.run_points >= NEW_STATE:
        histogram[place] += row.credit
    else:
        row.run_points += 1
        if place > row.run_bin:
            if row.run_bin > 0:
                histogram[row.run_bin] = max(histogram[row.run_bin] - row.credit, 0.0)
            histogram[place] += row.credit
            row.run_bin = place
    row.credit *= 1.0 + elapsed_s / FADE_S
    if row.credit > MAX_CREDIT:
        for k in range(N_BINS):
            histogram[k] /= row.credit
        row.credit = 1.0
    if row.n % REFRESH == 0:
        _refresh(row, histogram)


@kernel
def _refresh(row, histogram):
    """`bulk`, the share of scores above it, and their mean excess.

    The share is TAIL or a little more, unless one bin holds much: then it is what lies above that
    bin, because the mean of a tail that begins within a heap says nothing of what lies beyond it.
    Share and excess are shrunk towards what is usual while scores are few.
    """
    whole = 0.0
    for k in range(N_BINS):
        whole += histogram[k]
    wanted = TAIL * whole
    mass = 0.0
    moment = 0.0
    top = N_BINS - 1
    while top > 0 and mass < wanted and mass + histogram[top] <= HEAP * wanted:
        mass += histogram[top]
        moment += histogram[top] * top
        top -= 1
    prior = PRIOR_SCORES * row.credit
    row.bulk = top
    row.excess = (moment - mass * (top + 0.5) + PRIOR_EXCESS * prior) / (mass + prior)
    row.share = round(min((mass + prior) / whole, HEAP * TAIL) * MILLION)


@kernel
def _learn(row, x, seen, centres, elapsed_s):
    """Move the averages; the bucket's new value."""
    if row.n == 0:
        row.level = x
        row.last = x
        row.slow = x
        row.size = abs(x)
        row.marks = HAS_LAST
        row.n = 1
        return x if x != UNSEEN else NEARLY_ZERO
    off = x - centres[0]
    step = x - centres[1]
    unseasonal = x - centres[2]
    away = x - centres[3]
    least = floor(row)
    row.age_s += elapsed_s
    if row.n >= MIN_POINTS:
        if lasts(row, off, least, elapsed_s):
            _move(row, x, seen, step, least)
            off = 0.0
            unseasonal = 0.0
            away = x - row.slow
        off = clip(off, WINSOR * row.level_dev + 1e-12)
        unseasonal = clip(unseasonal, WINSOR * row.season_dev + 1e-12)
        away = clip(away, WINSOR * row.slow_dev + 1e-12)
    by_level = weight(elapsed_s, LEVEL_S, row.age_s)
    by_dev = weight(elapsed_s, DEV_S, row.age_s)
    stepless = row.marks >= STEPLESS
    if seen != UNSEEN:
        learnt = seen + elapsed_s / (PROFILE_S + elapsed_s) * unseasonal
        row.season_level += by_level * unseasonal
    else:
        learnt = x - row.season_level
    if seen != UNSEEN or not stepless:
        row.season_dev += by_dev * (abs(unseasonal) - row.season_dev)
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
    return learnt if learnt != UNSEEN else NEARLY_ZERO
