"""What is usual of a service's members: where each is, how far it strays, and with whom.

See `space.py` for what the arrays hold.
"""

import math

import numpy as np

from watchkeeper.analyze.detectors.averages_kernel import DAY_S, LEVEL_S, WEEK_S, clip, weight
from watchkeeper.analyze.joint.eigen_kernel import decompose
from watchkeeper.compiled.jit import kernel

MEMORY_S = WEEK_S
"""Of what is usual."""
MIN_ROWS = 30
"""Rows of a member before its deviations mean something."""
RIPE_ROWS = 200
"""Rows of a member before it belongs to the subspace."""
FIRST_FIT_ROWS = 256
SETTLED_ROWS = 1000
WINSOR = 3.0
"""Deviations by which a row may move what is usual: the subspace is that of calm rows."""
LARGEST = 50.0
"""Deviations beyond are taken as this."""
FLOOR, RELATIVE = 0.05, 1e-4
"""The least deviation: parts of the range that was seen, and of the size."""
LEFT_S = DAY_S
"""A member that was not heard of for so long does not belong any more."""
LASTS_S = 3600.0
"""So long far off on one side, and it is usual to be there."""
UNUSUAL = 0.01
"""Share of rows in which a member is beyond its own `unusual`."""


@kernel
def scale(column):
    return (
        math.sqrt(column.var)
        + FLOOR * (column.high - column.low)
        + RELATIVE * abs(column.centre)
        + 1e-9
    )


@kernel
def learn(columns, row, told, moments):
    """Move what is usual of each member, and of each pair of those that are here."""
    time_ns, elapsed_s = told
    n = len(columns)
    z = np.empty(n)
    for j in range(n):
        z[j] = math.nan
        if math.isfinite(row[j]):
            z[j] = _learn_member(columns[j], clip(row[j], 1e100), elapsed_s)
            columns[j].seen_ns = time_ns
    for j in range(n):
        if math.isnan(z[j]):
            continue
        for k in range(j + 1):
            if math.isnan(z[k]):
                continue
            age_s = min(columns[j].age_s, columns[k].age_s)
            w = weight(elapsed_s, MEMORY_S, age_s)
            moments[j, k] += w * (z[j] * z[k] - moments[j, k])
    for j in range(n):
        if not math.isnan(z[j]):
            columns[j].age_s += elapsed_s


@kernel
def _learn_member(column, x, elapsed_s):
    """The member's deviation, as it is learned: nan while it is too young."""
    if column.n == 0:
        column.centre = x
        column.low = x
        column.high = x
        column.level = x
        column.n = 1
        return math.nan
    usual = scale(column)
    off = x - column.centre
    young = column.n < MIN_ROWS
    _learn_level(column, x, usual, elapsed_s)
    if not young and _lasts(column, off, usual, elapsed_s):
        _move(column, column.level)
        off = x - column.centre
    reach = math.inf if young else LARGEST * usual
    column.low = min(column.low, max(x, column.centre - reach))
    column.high = max(column.high, min(x, column.centre + reach))
    learned = off if young else clip(off, WINSOR * usual)
    w = max(1.0 / (column.n + 1.0), elapsed_s / (MEMORY_S + elapsed_s))
    column.centre += w * learned
    column.var += w * (learned * learned - column.var)
    keep = 1.0 - elapsed_s / MEMORY_S
    column.low = column.centre + keep * (column.low - column.centre)
    column.high = column.centre + keep * (column.high - column.centre)
    column.n += 1
    return math.nan if young else learned / usual


@kernel
def _learn_level(column, x, usual, elapsed_s):
    """The level of the last hour, and how far off is unusual: rare steps up, small steps down."""
    off = x - column.level
    if column.n == MIN_ROWS:
        column.unusual = 3.0 * usual
    if column.n >= MIN_ROWS:
        pace = 0.02 if column.n >= SETTLED_ROWS else 0.1
        column.unusual *= 1.0 + pace * ((1.0 if abs(off) > column.unusual else 0.0) - UNUSUAL)
        column.unusual = max(column.unusual, 1e-3 * usual)
        off = clip(off, WINSOR * max(usual, column.unusual))
    column.level += max(1.0 / (column.n + 1.0), elapsed_s / (LEVEL_S + elapsed_s)) * off


@kernel
def _lasts(column, off, usual, elapsed_s):
    """Whether the member has been far off on one side for so long that this is usual now."""
    if abs(off) <= WINSOR * usual:
        column.off_s = 0.0
        return False
    if off * column.off_s < 0.0:
        column.off_s = 0.0
    column.off_s += math.copysign(elapsed_s, off)
    return abs(column.off_s) >= LASTS_S


@kernel
def _move(column, level):
    shift = level - column.centre
    column.centre += shift
    column.low += shift
    column.high += shift
    column.off_s = 0.0


@kernel
def is_due(head, settings):
    """Fitted at first rows, then at twice the age, then on schedule."""
    if head.n < FIRST_FIT_ROWS:
        return False
    return head.age_s - head.fitted_s >= min(settings.refit_s, max(head.fitted_s, 1e-9))


@kernel
def fit(space, explained):
    """Take the directions that explain so much of the variance of those who belong."""
    head = space.head[0]
    columns = space.columns
    n = len(columns)
    matrix = np.zeros((n, n))
    n_ripe = 0
    total = 0.0
    for j in range(n):
        here = (head.last_ns - columns[j].seen_ns) / 1e9 <= LEFT_S
        columns[j].is_ripe = 1 if columns[j].n >= RIPE_ROWS and here else 0
        if not columns[j].is_ripe:
            continue
        n_ripe += 1
        total += space.moments[j, j]
        for k in range(j + 1):
            if columns[k].is_ripe:
                matrix[j, k] = space.moments[j, k]
                matrix[k, j] = space.moments[j, k]
    head.fitted_s = head.age_s
    head.n_ripe = n_ripe
    head.rank = 0
    head.rest = total
    head.is_fitted = 1
    if explained <= 0.0 or total <= 0.0:
        return
    decompose(matrix, space.values, space.basis)
    while head.rank < n_ripe and head.rest > (1.0 - explained) * total:
        space.values[head.rank] = max(space.values[head.rank], 0.0)
        head.rest = max(head.rest - space.values[head.rank], 0.0)
        head.rank += 1
