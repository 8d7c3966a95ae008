"""How rare a score is by its own past: a histogram, and an exponential tail above its 99 % bin.

As FK does it of a series (`detectors/fk_kernel.py`), for scores of several. `row` is any record
with the fields of `space.VOICE`.
"""

import math

from watchkeeper.analyze.detectors.episode_kernel import LOWEST
from watchkeeper.compiled.jit import kernel

N_BINS = 160
TAIL = 0.01
"""The share of scores above `bulk`."""
HEAP = 2.0
"""A bin that would make the tail larger than so many times its share stays outside of it."""
REFRESH = 64
"""Scores between two looks at the histogram for where its tail begins."""
MIN_CALIBRATED = 200
"""Scores before the first p-value below 1."""
FLOOR_POINTS = 1000
"""Below so many scores no p-value under 1 / (n + 1) is claimed, so none is an alarm."""
FADE_S = 6_000_000.0
"""The credit of a new score grows by an e-fold in this time: old scores fade untouched."""
MAX_CREDIT = 1e6
PRIOR_EXCESS, PRIOR_SCORES = 4.0, 5.0
"""Mean excess in bins expected before any was seen, and how many scores that weighs."""
LEAST_EXCESS = 2.25
FOLLOWER, PRECURSOR = 0.1, 24
"""What a score above `bulk` weighs that follows another, unless it is so many bins higher."""
LN10 = math.log(10.0)


@kernel
def log_p(row, bins):
    """log10 of the share of scores as high as this; 0 below the tail, and while few are known."""
    if row.n < MIN_CALIBRATED or int(min(bins, N_BINS - 1.0)) <= row.bulk:
        return 0.0
    excess = max(row.excess, LEAST_EXCESS)
    found = (math.log(row.share) - (bins - row.bulk - 1.0) / excess) / LN10
    if row.n < FLOOR_POINTS:
        found = max(found, -math.log10(row.n + 1.0))
    return min(max(found, LOWEST), 0.0)


@kernel
def limit_bins(row, limit):
    """The score whose log10 probability is `limit`."""
    return row.bulk + 1.0 + (math.log(row.share) - limit * LN10) * max(row.excess, LEAST_EXCESS)


@kernel
def remember(row, histogram, bins, elapsed_s):
    """Take a score into the past. A run of high ones is one event, and counts little more."""
    if row.credit == 0.0:
        row.credit = 1.0
    place = min(int(bins), N_BINS - 1)
    credit = row.credit
    if place <= row.bulk:
        row.run_bin = 0
    elif row.run_bin > 0 and place <= row.run_bin + PRECURSOR:
        credit *= FOLLOWER
    else:
        row.run_bin = place
    histogram[place] += credit
    row.mass += credit
    row.credit *= 1.0 + elapsed_s / FADE_S
    if row.credit > MAX_CREDIT:
        for k in range(N_BINS):
            histogram[k] /= row.credit
        row.mass /= row.credit
        row.credit = 1.0
    row.n += 1
    if row.n % REFRESH == 0:
        _refresh(row, histogram)


@kernel
def _refresh(row, histogram):
    wanted = TAIL * row.mass
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
    row.share = min((mass + prior) / row.mass, HEAP * TAIL)
