"""The pass of T1 over a batch; see `basic.py` for what a row holds."""

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

COUNTER, UNSCORED = 2, 3
AHEAD = 12
"""Rows are asked for this many samples before their turn."""

TAIL = 0.01
"""The share of cells above `bulk`."""
YOUNG = 5.0
"""While there are few cells the share is that of so many of them."""
MEMORY = 20_160.0
"""Cells (two weeks of minutes) over which the quantile forgets."""
PRIOR_EXCESS = 0.8
PRIOR_EXCESSES = 10.0
"""Mean excess expected before any was seen, and how many that opinion weighs."""
MAX_EXCESSES = 400
"""Excesses over which their mean forgets."""
LEAST_EXCESS = 0.4
LARGEST_EXCESS = 15.0
"""Bounds of a mean excess and of one excess, in log(strange)."""
FOLLOWER = 0.15
"""What a cell above `bulk` weighs that follows another: a run of them is one event, not many."""
FLOOR_CELLS = 1000
"""Below so many cells no p-value under 1 / (cells + 1) is claimed."""

LN10 = math.log(10.0)


@kernel
def sweep(points, known, rows, settings, found, closed):
    """Judge and learn sample by sample; how many findings and closed cells were written.

    `known` is the kinds and the dials of all slots.
    """
    slots, times, values = points
    kinds, dials = known
    n = len(slots)
    n_found = 0
    n_closed = 0
    for i in range(n):
        if i + AHEAD < n:
            prefetch(rows, slots[i + AHEAD])
            prefetch_second(rows, slots[i + AHEAD])
        slot = slots[i]
        value = values[i]
        kind = kinds[slot]
        if kind == UNSCORED or not math.isfinite(value):
            continue
        row = rows[slot]
        time_ns = times[i]
        elapsed_s = 0.0
        gap = False
        if row.marks & HAS_LAST:
            if time_ns <= row.last_ns:
                continue
            elapsed_s = (time_ns - row.last_ns) / 1e9
            begin_ns = row.last_ns - row.last_ns % settings.grid_ns
            if time_ns - begin_ns >= settings.grid_ns:
                if row.cell_n > 0:
                    _emit(row, closed, n_closed, slot, begin_ns)
                    n_closed += 1
                if row.cell_strangest > 0.0:
                    _calibrate(row, settings)
            gap = pace(row, elapsed_s)
            if gap and elapsed_s > DAY_S:
                row.n_cells //= 2
                row.n_excess //= 2
        elif row.n > 0:
            row.marks = 2 * STEPLESS  # a newcomer with a donor's statistics
        x = _read(row, value, kind == COUNTER, elapsed_s, gap)
        row.last_raw = value
        row.last_ns = time_ns
        row.marks |= HAS_LAST
        if math.isnan(x):
            row.marks = HAS_LAST | 2 * STEPLESS
            continue
        row.cell_max = x if row.cell_n == 0 else max(row.cell_max, x)
        row.cell_sum += x
        if row.cell_n < 65_535:
            row.cell_n += 1
        if math.isnan(row.last):
            row.level = x  # levels are personal: a newcomer's is its own, not its donor's
            row.slow = x
            row.last = x
        elif gap and elapsed_s > LEVEL_S:
            row.level = x  # the level that we knew is history
        if row.n >= MIN_POINTS:
            strange = _strangeness(row, x)
            if row.phase != episode.QUIET or strange > min(row.bulk, row.alarm_at) > 0.0:
                seen = (x, time_ns, strange)
                if _judge(row, seen, dials[slot], settings, found[n_found]):
                    found[n_found].slot = slot
                    n_found += 1
        _learn(row, x, min(elapsed_s, GAP * row.interval_s))
    return n_found, n_closed


@kernel
def _emit(row, closed, place, slot, begin_ns):
    slots, times, means, maxima, counts = closed
    slots[place] = slot
    times[place] = begin_ns
    means[place] = row.cell_sum / row.cell_n
    maxima[place] = row.cell_max
    counts[place] = row.cell_n
    row.cell_sum = 0.0
    row.cell_n = 0


@kernel
def _read(row, value, is_counter, elapsed_s, gap):
    """What the sample says, as a number to judge; nan where it says nothing.

    A counter says its increase per second. One that fell was reset (or wrapped): it has grown by
    what it shows since then, but what was lost before is unknown, so that the rate is too low and
    is not used. Nor is a rate over a gap, in which the counter may have been reset unseen.
    """
    if is_counter:
        increase = value - row.last_raw
        if elapsed_s == 0.0 or gap or increase < 0.0:
            return math.nan
        value = increase / elapsed_s
    return min(max(value, -LARGEST), LARGEST)


@kernel
def _scales(row):
    least = floor(row)
    step_scale = row.step_dev + least if row.marks < STEPLESS else math.inf
    return row.level_dev + least, step_scale


@kernel
def _strangeness(row, x):
    """How strange a sample is, which its cell notes."""
    level_scale, step_scale = _scales(row)
    strange = (1.0 + abs(x - row.level) / level_scale) * (1.0 + abs(x - row.last) / step_scale)
    row.cell_strangest = max(row.cell_strangest, min(strange, LARGEST))
    return strange


@kernel
def _judge(row, seen, dial, settings, finding):
    """Take a sample into the series' episode; whether it changed one, which `finding` then tells.

    Few come here: those stranger than 99 % of the cells, and those of an episode.
    """
    x, time_ns, strange = seen
    if row.phase == episode.QUIET and dial.shift == 0.0 and strange <= row.alarm_at:
        return False
    centres = (float(row.level), float(row.last))
    scales = _scales(row)
    log_p = _log_p(row, strange)
    if log_p < 0.0 and not counts(dial, x, row.level):
        log_p = 0.0
    began_ns = episode.began_ns(row, time_ns)
    calm = episode.calm_points(row.interval_s)
    phases = (episode.MUTED, episode.SHOWN)
    limit = episode.dialled(_limit(row, settings), dial, 0.5 * _share(row.n_cells))
    limits = (math.log10(limit), calm, settings.rearm_ns, *phases)
    change = episode.follow(row, time_ns, log_p, limits)
    if change == episode.NOTHING:
        return False
    finding.started_ns = began_ns
    finding.time_ns = time_ns
    finding.change = change
    finding.severity = 0
    finding.value = x
    alarm_at = row.alarm_at if dial.shift == 0.0 else _alarm_at(row, _share(row.n_cells), limit)
    finding.low, finding.high = episode.band(centres, scales, alarm_at, x)
    claim = 1.0 / (row.n_cells + 1.0) if row.n_cells < FLOOR_CELLS else 0.0
    finding.p_value = max(10.0**log_p, claim)
    finding.n_learned = row.n_cells
    finding.learning_s = max(FLOOR_CELLS - row.n_cells, 0) * settings.grid_ns * 1e-9
    finding.streams[0] = (x - row.level) / scales[0]
    finding.streams[1] = (x - row.last) / scales[1]
    return True


@kernel
def _learn(row, x, elapsed_s):
    """Move the averages by a sample that was judged."""
    if row.n == 0:
        row.level = x
        row.slow = x
        row.size = abs(x)
        row.last = x
        row.n = 1
        return
    least = floor(row)
    off = x - row.level
    step = x - row.last
    away = x - row.slow
    row.age_s += elapsed_s
    if row.n >= MIN_POINTS:
        if lasts(row, off, least, elapsed_s):
            _move(row, x, step)
            off = 0.0
        off = clip(off, WINSOR * (row.level_dev + least))
        away = clip(away, WINSOR * (row.spread + least))
    row.level += weight(elapsed_s, LEVEL_S, row.age_s) * off
    row.level_dev += weight(elapsed_s, DEV_S, row.age_s) * (abs(off) - row.level_dev)
    if row.marks < STEPLESS:
        learn_step(row, step, least, elapsed_s)
    else:
        row.marks -= STEPLESS
    row.slow += weight(elapsed_s, SLOW_S, row.age_s) * away
    remember_size(row, x, elapsed_s)
    row.last = x
    if row.n < 255:
        row.n += 1


@kernel
def _move(row, x, step):
    """Take what has lasted for the level, and its noise for the usual deviation."""
    row.level = x
    row.level_dev = max(row.level_dev, abs(step), row.step_dev)
    row.run = 0
    row.run_s = 0.0


@kernel
def _share(n_cells):
    """The share of cells that `bulk` is to leave above itself."""
    return max(TAIL, YOUNG / (YOUNG + n_cells))


@kernel
def _limit(row, settings):
    """The p-value of a cell that is as rare as the budget wants episodes to be."""
    cell_s = max(row.interval_s, settings.grid_ns * 1e-9)
    return min(settings.budget_per_week * cell_s / WEEK_S, 0.5 * _share(row.n_cells))


@kernel
def _log_p(row, strange):
    """log10 of the share of cells as strange as this, by the tail of this series' own past.

    Above `bulk` log(strange) is taken as exponential with an unknown mean, of which some cells and
    a prior opinion speak: the predictive law is Lomax, which for few cells claims less. Below
    `bulk` nothing is claimed.
    """
    if strange <= row.bulk:
        return 0.0
    known = PRIOR_EXCESSES + row.n_excess
    over = math.log(strange / row.bulk) / (known * row.excess)
    log_p = math.log(_share(row.n_cells)) - known * math.log1p(over)
    return max(log_p / LN10, episode.LOWEST)


@kernel
def _calibrate(row, settings):
    """Take a closed cell into the tail, and move the strangeness from which on we speak.

    `bulk` follows its quantile by stochastic approximation in log(strange), with the step that is
    best for an exponential tail; the mean excess above it is a running mean with a prior.
    """
    strange = row.cell_strangest
    row.cell_strangest = 0.0
    if row.n_cells == 0:
        row.bulk = strange
        row.excess = PRIOR_EXCESS
    n = row.n_cells + YOUNG
    share = _share(row.n_cells)
    rise = row.excess / n  # the step of the approximation, times `share`
    over = strange > row.bulk
    first = over and not row.above
    row.above = over
    if first:
        excess = min(math.log(strange / row.bulk), LARGEST_EXCESS)
        row.n_excess = min(row.n_excess + 1, MAX_EXCESSES)
        row.excess += (excess - row.excess) / (PRIOR_EXCESSES + row.n_excess)
        row.excess = max(row.excess, LEAST_EXCESS)
    if over:
        step = rise * (1.0 - share) / share * (1.0 if first else FOLLOWER)
        row.bulk = min(row.bulk * math.exp(step), LARGEST)
    else:
        row.bulk = max(row.bulk * (1.0 - rise), 1.0)
    if share > TAIL:
        row.bulk *= 1.0 + row.excess / n  # the quantile itself moves outwards
    row.n_cells = min(row.n_cells + 1, round(MEMORY))
    if over or share > TAIL:
        row.alarm_at = _alarm_at(row, share, _limit(row, settings))
    else:
        row.alarm_at *= 1.0 - rise  # the same to first order, without the logarithms


@kernel
def _alarm_at(row, share, limit):
    """How strange is as rare as the limit, if so large a share is above `bulk`."""
    known = PRIOR_EXCESSES + row.n_excess
    rarer = math.log(share / limit) / known
    return min(row.bulk * math.exp(known * row.excess * math.expm1(rarer)), LARGEST)
