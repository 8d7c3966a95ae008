"""A series' own tail: how rare a score is by its past, and what is to be said of that.

`row` is any record with the fields of FK's that are named here, its histogram has N_BINS places. A
score is BINS_PER_UNIT times the mean log1p of what a detector's streams say, in their deviations.
"""

import math

from watchkeeper.analyze.detectors import episode_kernel as episode
from watchkeeper.analyze.detectors.averages_kernel import DAY_S, WEEK_S
from watchkeeper.compiled.jit import kernel

N_BINS = 160
BINS_PER_UNIT = 16.0
"""Of the mean log1p: the last bin begins where a point is 20,000 deviations off everywhere."""
TAIL = 0.0075
"""The share of scores above `bulk`."""
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
LEAST_EXCESS = 2.25
"""Of counts and other coarse values the mean excess may be that of one value: too small."""
RARE, RARE_WEIGHT = -3.0, 0.5
"""What is rarer than this (log10) counts by half in the history: much of it is trouble, which is
not to be expected from then on; not all is, or a job that recurs would never be known."""
BOLDEST = 0.01
"""No p-value is below this part of the share of past scores that were as high: a tail may go on as
it began, but not far beside what was counted."""
FLOOR_POINTS = 1000
"""Below so many points no p-value under 1 / (n + 1) is claimed, so none is an alarm."""
NEW_STATE = 120
"""Scores above `bulk` in a row after which each counts: the series is another now."""
EVIDENCE_POINTS, EVIDENCE_S = 500, DAY_S
"""History that makes a finding more than information."""

CALM_POINTS = 5
"""Calm points that end an episode."""
LN10 = math.log(10.0)


@kernel
def log_share(row, histogram, bins):
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
    elif log_p < RARE:
        log_p = max(log_p, math.log10(BOLDEST * _counted(histogram, int(above))))
    return max(log_p, episode.LOWEST)


@kernel
def _counted(histogram, place):
    """The share of past scores in this bin or above."""
    above = 0.0
    whole = 0.0
    for k in range(N_BINS):
        whole += histogram[k]
        if k >= place:
            above += histogram[k]
    return above / whole


@kernel
def limit_of(row, settings, dial):
    """log10 of the p-value that is as rare as the budget wants episodes to be."""
    limit = min(settings.budget_per_week * row.interval_s / WEEK_S, 0.5 * TAIL)
    return math.log10(episode.dialled(limit, dial, 0.5 * TAIL))


@kernel
def follow(row, time_ns, log_p, rules, finding):
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
def least_bins(row, histogram, limit):
    """From where on a score is beyond the limit."""
    least = _reckoned(row, limit)
    if row.n < FLOOR_POINTS:
        return least
    left = 0.0
    for k in range(N_BINS):
        left += histogram[k]
    left *= 10.0**limit / BOLDEST
    place = N_BINS
    while place > 0 and left > histogram[place - 1]:
        place -= 1
        left -= histogram[place]
    return max(least, float(place))


@kernel
def _reckoned(row, limit):
    """The same by the exponential tail alone."""
    beyond = (math.log(row.share / MILLION) - limit * LN10) * max(row.excess, LEAST_EXCESS)
    return row.bulk + 1.0 + beyond


@kernel
def explain(row, x, centres, scales, told, finding):
    """What was expected: the values that would not have been beyond the budget."""
    n_streams, least_score = told
    limit = strangest(least_score, n_streams)
    finding.value = x
    finding.low, finding.high = episode.band(centres, scales, limit, x)
    for k in range(len(centres)):
        finding.streams[k] = (x - centres[k]) / scales[k]


@kernel
def strangest(score, n_streams):
    """The strangeness of a point that has this score."""
    return math.exp(score * n_streams / BINS_PER_UNIT)


@kernel
def remember(row, histogram, bins, elapsed_s):
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
                was = histogram[row.run_bin] - _weight(row, row.run_bin)
                histogram[row.run_bin] = max(was, 0.0)
            histogram[place] += _weight(row, place)
            row.run_bin = place
    row.credit *= 1.0 + elapsed_s / FADE_S
    if row.credit > MAX_CREDIT:
        for k in range(N_BINS):
            histogram[k] /= row.credit
        row.credit = 1.0
    if row.n % REFRESH == 0:
        _refresh(row, histogram)


@kernel
def _weight(row, place):
    """What a run counts whose highest score is in this bin."""
    is_rare = row.n >= FLOOR_POINTS and place > _reckoned(row, RARE)
    return row.credit * (RARE_WEIGHT if is_rare else 1.0)


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
