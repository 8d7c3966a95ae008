"""Episodes of one series: when a run of strange points begins, worsens, ends, and is worth saying.

`row` is any record with the fields of `episodes.FIELDS`. Probabilities are log10, so that they
neither vanish nor cost precision; `limit` is the one below which a point is strange.
"""

import math

from watchkeeper.compiled.jit import kernel

QUIET, MUTED, NOISY, SHOWN = 0, 1, 2, 3
"""No episode; one that is not told; one of a series that speaks too often; one that is told."""
NOTHING, OPENED, WORSENED, CLOSED = 0, 1, 2, 3

LOWEST = -30.0
"""log10 of the least probability that is told apart."""
DEEPER = 0.3
"""A new peak is at most half as probable as the last: bounds the changes of one episode."""
CLOSING = 1.0
"""Points ten times as probable as the limit count as calm."""
MUCH_DEEPER = 1.0
"""What it takes to speak again before the re-arm time is over: a tenth of the last peak."""

NTH_TO_BEAT = 3
"""A memory full of episodes within a week is noise: then only what beats the third is news."""
QUARTER_NS = 900_000_000_000
QUARTERS_A_DAY, QUARTERS_A_WEEK = 96, 672
WRAP = 65_536
"""Episodes are remembered by the quarter of an hour in which they began, modulo this."""
TENTHS = 10.0
ALIKE = 2
"""Episodes at the same time of day, within a week, after which the next is known; or at the same
time of the week, at any number of weeks' distance, after which it is no news."""


@kernel
def follow(row, time_ns, log_p, limits):
    """Take one scored point into the series' episode; what changed, if anything.

    `limits` is (limit, calm points that end an episode, re-arm time, phases of an episode that is
    one too many this week, and of one like two others exactly some weeks ago).
    """
    limit, calm_points, rearm_ns, too_many, weekly_again = limits
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
        row.phase = _phase(row, time_ns, too_many, weekly_again)
        return OPENED if row.phase > MUTED else NOTHING
    if log_p > limit + CLOSING:
        row.calm += 1
        return _close(row, time_ns) if row.calm >= calm_points else NOTHING
    row.calm = 0
    if log_p >= row.peak - DEEPER:
        return NOTHING
    row.peak = log_p
    was = row.phase
    row.phase = max(was, _phase(row, time_ns, too_many, weekly_again))
    if was > MUTED:
        return WORSENED
    return OPENED if row.phase > MUTED else NOTHING


@kernel
def _close(row, time_ns):
    _remember(row)
    told = row.phase > MUTED
    row.phase = QUIET
    row.since_ns = time_ns
    if told:
        return CLOSED
    row.peak = 0.0  # nobody heard of it, so nothing waits for the re-arm time
    return NOTHING


@kernel
def _phase(row, time_ns, too_many, weekly_again):
    """How to treat an episode as deep as this one, by those of the last seven days.

    What recurs daily at this time is muted, unless it is clearly stranger this time. What recurs
    weekly, as weekends do, may be something else again.
    """
    log_p = row.peak
    now = time_ns // QUARTER_NS
    alike = 0
    recent = 0
    stranger = 0
    weekly = 0
    for i in range(len(row.began)):
        age = (now - row.began[i]) % WRAP
        if row.peaks[i] == 0:
            continue
        peak = row.peaks[i] / -TENTHS
        as_strange = log_p > peak - DEEPER
        weekly += as_strange and age >= QUARTERS_A_WEEK - 1 and (age + 1) % QUARTERS_A_WEEK <= 2
        if age > QUARTERS_A_WEEK + 1:
            continue
        recent += 1
        stranger += as_strange
        if log_p > peak - MUCH_DEEPER and (age + 1) % QUARTERS_A_DAY <= 2:
            alike += 1
    if alike >= ALIKE:
        return MUTED
    if recent == len(row.began) and stranger >= NTH_TO_BEAT:
        return too_many
    return weekly_again if weekly >= ALIKE else SHOWN


@kernel
def _remember(row):
    """Put the episode in the place of the oldest. Muted ones too: what recurs stays known."""
    now = row.since_ns // QUARTER_NS
    place = 0
    oldest = -1
    for i in range(len(row.began)):
        age = (now - row.began[i]) % WRAP if row.peaks[i] else WRAP
        if age > oldest:
            oldest = age
            place = i
    row.began[place] = now % WRAP
    row.peaks[place] = round(min(max(-row.peak, 0.1), 25.0) * TENTHS)


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
    best = nearest(centres, scales)
    if strangeness(centres, scales, best) >= limit:
        return best, best
    low = _crossing(centres, scales, limit, (best, value, -1.0))
    high = _crossing(centres, scales, limit, (best, value, 1.0))
    return low, high


@kernel
def nearest(centres, scales):
    """The centre that is least strange: what was expected, if it has to be one value."""
    best = centres[0]
    least = strangeness(centres, scales, best)
    for i in range(1, len(centres)):
        if math.isfinite(scales[i]) and strangeness(centres, scales, centres[i]) < least:
            best = centres[i]
            least = strangeness(centres, scales, best)
    return best


@kernel
def dialled(limit, dial, largest):
    """A limit as the series' dial shifts it, which is not beyond where a tail begins."""
    return limit if dial.shift == 0.0 else min(limit * 10.0**dial.shift, largest)


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
