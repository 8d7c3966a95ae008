"""How improbable a count is: tails of the binomial with a scattering ratio, and of the Poisson with
a scattering rate, as negative decimal logarithms, so that nothing is too improbable to be told."""

import math

from watchkeeper.compiled.jit import kernel

LN10 = math.log(10.0)
ROUNDS = 300
TINY = 1e-300
CLOSE = 1e-10
GREATEST = 300.0
"""No score goes beyond it."""
Z99 = 2.326347874
"""Of a bell curve 99 % lie below so many deviations."""


@kernel
def beta_score(x, a, b):
    """-log10 of the regularised incomplete beta I_x(a, b), by Lentz's continued fraction.

    Press et al., "Numerical Recipes", 6.4.
    """
    if x <= 0.0:
        return GREATEST
    if x >= 1.0:
        return 0.0
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front += a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1.0) / (a + b + 2.0):
        said = -(front + math.log(_fraction(x, a, b) / a)) / LN10
        return min(GREATEST, max(0.0, said))
    other = math.exp(min(0.0, front)) * _fraction(1.0 - x, b, a) / b
    return -math.log10(max(TINY, 1.0 - other))


@kernel
def _fraction(x, a, b):
    c = 1.0
    d = 1.0 - (a + b) * x / (a + 1.0)
    if abs(d) < TINY:
        d = TINY
    d = 1.0 / d
    found = d
    for m in range(1, ROUNDS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        d = 1.0 + even * d
        c = 1.0 + even / c
        d = 1.0 / (d if abs(d) > TINY else TINY)
        c = c if abs(c) > TINY else TINY
        found *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        d = 1.0 + odd * d
        c = 1.0 + odd / c
        d = 1.0 / (d if abs(d) > TINY else TINY)
        c = c if abs(c) > TINY else TINY
        step = d * c
        found *= step
        if abs(step - 1.0) < CLOSE:
            break
    return max(TINY, found)


@kernel
def share_score(hits, n, usual, scatter):
    """-log10 P(so many hits or more of n), where the share is usually `usual` and scatters.

    `scatter` is the variance of the share itself as a part of its square. The hits are
    Beta-binomial; they are taken as binomial of fewer trials, with the same variance. Half a hit is
    taken off, as small counts are lumpy.
    """
    hits = hits - 0.5
    if hits <= n * usual or n <= 0.0:
        return 0.0
    within = scatter * usual / max(1e-12, 1.0 - usual)
    inflation = 1.0 + (n - 1.0) * within / (1.0 + within) if n > 1.0 else 1.0
    n, hits = n / inflation, hits / inflation
    return beta_score(usual, hits, max(1e-9, n - hits + 1e-3))


@kernel
def lack_score(n, expected, scatter):
    """-log10 P(n or fewer), where the rate scatters by `scatter` of its square.

    Negative binomial, as a gamma of Poissons is."""
    if n >= expected or expected <= 0.0:
        return 0.0
    shape = 1.0 / max(1e-6, scatter)
    return beta_score(shape / (shape + expected), shape, n + 1.0)


@kernel
def plenty_score(n, expected, scatter):
    """-log10 P(n or more), by the same."""
    if n <= expected:
        return 0.0
    shape = 1.0 / max(1e-6, scatter)
    return beta_score(expected / (shape + expected), max(0.5, n), shape)


@kernel
def lower_bound(hits, n):
    """The lower 99 % bound of a share (Wilson's)."""
    if n <= 0.0:
        return 0.0
    share, z2 = hits / n, Z99 * Z99
    centre = share + z2 / (2.0 * n)
    half = Z99 * math.sqrt(max(0.0, share * (1.0 - share) / n + z2 / (4.0 * n * n)))
    return max(0.0, (centre - half) / (1.0 + z2 / n))
