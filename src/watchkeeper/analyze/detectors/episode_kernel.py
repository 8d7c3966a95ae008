"""Episodes of one series: when a run of strange points begins, worsens, ends, and is worth saying.

`row` is any record with the fields of `episodes.FIELDS`. Probabilities are log10, so that they
neither vanish nor cost precision; `limit` is the one below which a point is strange.
"""

import math

from watchkeeper.compiled.jit import kernel

QUIET, MUTED, SHOWN = 0, 1, 2
NOTHING, OPENED, WORSENED, CLOSED = 0, 1, 2, 3

LOWEST = -30.0
"""log10 of the least probability that is told apart."""
DEEPER = 0.3
"""A new peak is at most half as probable as the last: bounds the changes of one episode."""
CLOSING = 1.0
"""Points ten times as probable as the limit count as calm."""
MUCH_DEEPER = 1.0
"""What it takes to speak again before the re-arm time is over: a tenth of the last peak."""
N_BEST = 3
WEEK_S = 604_800
CENTI = 100.0


@kernel
def follow(row, time_ns, log_p, limits):
    """Take one scored point into the series' episode; what changed, if anything.

    `limits` is (limit, calm points that end an episode, re-arm time).
    """
    limit, calm_points, rearm_ns = limits
    if row.phase == QUIET:
        if log_p >= limit:
            return NOTHING
        rearmed = row.since_ns == 0 or time_ns - row.since_ns >= rearm_ns
        if not rearmed and log_p > row.peak - MUCH_DEEPER:
            row.since_ns = time_ns
            return NOTHING
        row.since_ns = time_ns
        row.peak = log_p
        row.calm = 0
        row.phase = SHOWN if _beats_the_week(row, time_ns, log_p) else MUTED
        return OPENED if row.phase == SHOWN else NOTHING
    if log_p > limit + CLOSING:
        row.calm += 1
        return _close(row, time_ns) if row.calm >= calm_points else NOTHING
    row.calm = 0
    if log_p >= row.peak - DEEPER:
        return NOTHING
    row.peak = log_p
    if row.phase == SHOWN:
        return WORSENED
    if not _beats_the_week(row, time_ns, log_p):
        return NOTHING
    row.phase = SHOWN
    return OPENED


@kernel
def _close(row, time_ns):
    _remember(row, time_ns)
    shown = row.phase == SHOWN
    row.phase = QUIET
    row.since_ns = time_ns
    return CLOSED if shown else NOTHING


@kernel
def _beats_the_week(row, time_ns, log_p):
    """Whether this is stranger than the third strangest episode of the last seven days.

    What recurs becomes known this way: muted episodes are remembered like the others.
    """
    worst = LOWEST - 1.0
    now_s = time_ns // 1_000_000_000
    for i in range(N_BEST):
        if now_s - row.best_s[i] >= WEEK_S or row.best_s[i] == 0:
            return True
        worst = max(worst, row.best[i] / CENTI)
    return log_p < worst - DEEPER


@kernel
def _remember(row, time_ns):
    """Keep the episode among the three strangest of the week.

    Its place is an expired one; else the oldest of those that were not clearly stranger, so that
    something that recurs alike keeps its memory fresh.
    """
    now_s = time_ns // 1_000_000_000
    place = -1
    for i in range(N_BEST):
        if now_s - row.best_s[i] >= WEEK_S or row.best_s[i] == 0:
            place = i
            break
        comparable = row.best[i] / CENTI >= row.peak - DEEPER
        if comparable and (place < 0 or row.best_s[i] < row.best_s[place]):
            place = i
    if place >= 0:
        row.best_s[place] = max(now_s, 1)
        row.best[place] = round(max(row.peak, LOWEST) * CENTI)


@kernel
def calm_points(interval_s):
    """How many calm points end an episode: five, and a minute."""
    return max(5, math.ceil(60.0 / max(interval_s, 1e-3)))


@kernel
def began_ns(row, time_ns):
    """When the episode began that this point belongs to; ask before `follow`."""
    return time_ns if row.phase == QUIET else row.since_ns


@kernel
def band(centres, scales, limit, value):
    """The values around the best centre for which prod(1 + |x - centre| / scale) <= limit.

    Each factor is one stream of a detector, its scale infinite where the stream is silent. The
    product has no closed inverse, so both ends are found by doubling and halving: findings are
    rare. If even the best centre is too strange (the streams contradict each other), both ends are
    that centre.
    """
    best = centres[0]
    least = strangeness(centres, scales, best)
    for i in range(1, len(centres)):
        if math.isfinite(scales[i]) and strangeness(centres, scales, centres[i]) < least:
            best = centres[i]
            least = strangeness(centres, scales, best)
    if least >= limit:
        return best, best
    low = _crossing(centres, scales, limit, (best, value, -1.0))
    high = _crossing(centres, scales, limit, (best, value, 1.0))
    return low, high


@kernel
def strangeness(centres, scales, x):
    product = 1.0
    for i in range(len(centres)):
        product *= 1.0 + abs(x - centres[i]) / scales[i]
    return product


@kernel
def _crossing(centres, scales, limit, start):
    inside, value, sign = start
    step = scales[0]
    for i in range(1, len(scales)):
        step = min(step, scales[i])
    outside = inside + sign * step
    if (value - inside) * sign > 0.0 and strangeness(centres, scales, value) > limit:
        outside = value
    for _ in range(200):
        if strangeness(centres, scales, outside) > limit:
            break
        step *= 2.0
        outside = inside + sign * step
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        if strangeness(centres, scales, middle) > limit:
            outside = middle
        else:
            inside = middle
    return inside
