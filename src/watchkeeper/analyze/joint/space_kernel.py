"""The pass over a service's rows; see `space.py` for what the arrays hold."""

import math

import numpy as np

from watchkeeper.analyze.detectors.averages_kernel import GAP, clip
from watchkeeper.analyze.joint import tail_kernel as tail
from watchkeeper.analyze.joint.count_kernel import STRETCH_NS, USUAL_SHARE, count, flag
from watchkeeper.analyze.joint.learn_kernel import LARGEST, fit, is_due, learn, scale
from watchkeeper.analyze.joint.voice_kernel import DISTANCE, follow, limit, severity
from watchkeeper.compiled.jit import kernel

NOISE = 0.02
"""Variance that every direction is taken to have: of a direction that never varied, a hair's
breadth is no news."""
ROUNDS = 5
"""How often members that are missing are guessed from the others, and these from them."""
MIN_MEMBERS = 3
CALM = 2.0
"""Rows further away than this are asked how far they are without the member that has most part in
it: what one shows alone is for its own detectors to judge."""
BINS_PER_UNIT = 16.0


@kernel
def judge(times, rows, space, settings, found, shares):
    """Judge and learn row by row; how many findings were written.

    `found` and `shares` have room for two findings a row.
    """
    head = space.head[0]
    columns = space.columns
    n_members = len(columns)
    z = np.empty(n_members)
    left = np.empty(n_members)
    place = np.empty(n_members)
    part = np.empty(n_members)
    n_found = 0
    for i in range(len(times)):
        if head.n > 0 and times[i] <= head.last_ns:
            continue
        elapsed_s = _arrive(head, times[i])
        n_found += count(space, settings, times[i], found[n_found], shares[n_found])
        n_here = _deviations(columns, rows[i], z)
        if head.is_fitted and n_here >= min(MIN_MEMBERS, head.n_ripe):
            project(z, space.basis, head.rank, place, left)
            score = distance(head, space.values, place, left, n_here)
            parts(head, space, (z, place, left), part)
            w = _smoothing(elapsed_s, settings.smoothing_s)
            head.smooth += w * (score - head.smooth)
            if score > CALM and n_here > MIN_MEMBERS:
                z[np.argmax(part)] = math.nan
                project(z, space.basis, head.rank, place, left)
                score = min(score, distance(head, space.values, place, left, n_here - 1))
            head.shared += w * (score - head.shared)
            if _say(space, settings, (times[i], elapsed_s), found[n_found]):
                shares[n_found, :] = part
                n_found += 1
        flag(head, columns, rows[i])
        learn(columns, rows[i], (times[i], elapsed_s), space.moments)
        head.n += 1
        head.age_s += elapsed_s
        if is_due(head, settings):
            fit(space, settings.explained)
    return n_found


@kernel
def score_rows(times, rows, space, settings, scores):
    """The smoothed distance of each row from what is usual now, learning nothing."""
    head = space.head[0]
    n_members = len(space.columns)
    z = np.empty(n_members)
    left = np.empty(n_members)
    place = np.empty(n_members)
    smooth = 1.0
    for i in range(len(times)):
        n_here = _deviations(space.columns, rows[i], z)
        if head.is_fitted and n_here >= min(MIN_MEMBERS, head.n_ripe):
            project(z, space.basis, head.rank, place, left)
            elapsed_s = (times[i] - times[i - 1]) / 1e9 if i else math.inf
            score = distance(head, space.values, place, left, n_here)
            smooth += _smoothing(elapsed_s, settings.smoothing_s) * (score - smooth)
        scores[i] = smooth


@kernel
def _smoothing(elapsed_s, memory_s):
    if elapsed_s == math.inf:
        return 1.0
    return elapsed_s / (memory_s + elapsed_s) if elapsed_s > 0.0 else 0.0


@kernel
def _arrive(head, time_ns):
    """Note the row's time; how long a time it speaks for."""
    elapsed_s = (time_ns - head.last_ns) / 1e9
    first = head.n == 0
    head.last_ns = time_ns
    if first:
        head.smooth = 1.0
        head.shared = 1.0
        head.base = USUAL_SHARE
        head.bin = time_ns // STRETCH_NS
        return 0.0
    if head.interval_s == 0.0:
        head.interval_s = elapsed_s
    longest_s = GAP * head.interval_s
    head.interval_s += max(0.05, 1.0 / (head.n + 2.0)) * (
        min(elapsed_s, longest_s) - head.interval_s
    )
    return min(elapsed_s, longest_s)


@kernel
def _deviations(columns, row, z):
    """Each ripe member's distance from where it usually is; nan where it is missing."""
    n_here = 0
    for j in range(len(columns)):
        z[j] = math.nan
        column = columns[j]
        if column.is_ripe and math.isfinite(row[j]):
            z[j] = clip((row[j] - column.centre) / scale(column), LARGEST)
            n_here += 1
    return n_here


@kernel
def project(z, basis, rank, place, left):
    """Where in the subspace a row is, and what of each member is left beside it.

    Members that are missing are where the others let expect them.
    """
    n = len(z)
    missing = 0
    for j in range(n):
        left[j] = z[j]
        if math.isnan(z[j]):
            left[j] = 0.0
            missing += 1
    for _ in range(ROUNDS if missing and rank else 1):
        for k in range(rank):
            total = 0.0
            for j in range(n):
                total += basis[k, j] * left[j]
            place[k] = total
        for j in range(n if missing else 0):
            if math.isnan(z[j]):
                left[j] = _expected(basis, rank, place, j)
    for j in range(n):
        left[j] = 0.0 if math.isnan(z[j]) else z[j] - _expected(basis, rank, place, j)


@kernel
def _expected(basis, rank, place, j):
    total = 0.0
    for k in range(rank):
        total += place[k] * basis[k, j]
    return total


@kernel
def distance(head, values, place, left, n_here):
    """Of both distances, beside and within the subspace, each in units of what is usual."""
    beside = 0.0
    for j in range(len(left)):
        beside += left[j] * left[j]
    beside *= head.n_ripe / max(n_here, 1) / _rest(head)
    within = 0.0
    for k in range(head.rank):
        within += place[k] * place[k] / (values[k] + NOISE)
    return math.sqrt(beside + within / max(head.rank, 1))


@kernel
def _rest(head):
    return head.rest + NOISE * (head.n_ripe - head.rank) + 1e-9


@kernel
def parts(head, space, split, share):
    """Each member's part of the distance; together they are 1."""
    z, place, left = split
    total = 0.0
    for j in range(len(z)):
        share[j] = 0.0
        if math.isnan(z[j]):
            continue
        pull = 0.0
        for k in range(head.rank):
            pull += space.basis[k, j] * place[k] / (space.values[k] + NOISE)
        within = max(z[j] * pull, 0.0) / max(head.rank, 1)
        share[j] = left[j] * left[j] / _rest(head) + within
        total += share[j]
    for j in range(len(z)):
        share[j] /= total + 1e-30


@kernel
def _say(space, settings, told, finding):
    """What the distance's own past says of it, and the episode's change."""
    time_ns, elapsed_s = told
    head = space.head[0]
    voice = space.voices[DISTANCE]
    bins = BINS_PER_UNIT * math.log1p(head.shared)
    log_p = tail.log_p(voice, bins)
    change = follow(voice, settings, (time_ns, log_p, float(head.interval_s)), finding)
    if change:
        most = tail.limit_bins(voice, limit(settings, float(head.interval_s)))
        finding.value = head.shared
        finding.high = math.expm1(most / BINS_PER_UNIT)
        finding.voice = DISTANCE
        finding.severity = severity(head, voice)
    tail.remember(voice, space.histograms[DISTANCE], bins, elapsed_s)
    return change
