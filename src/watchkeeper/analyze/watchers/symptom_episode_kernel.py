"""Bins of a service summed up, and the episodes of its symptoms moved on."""

from watchkeeper.compiled.jit import kernel

BIN_S = 10.0
BIN_NS = 10_000_000_000
DAY_NS = 86_400_000_000_000
HALF_HOUR_NS = 1_800_000_000_000
SHORT, MIDDLE, LONG, BLOCK = 3, 12, 30, 6
"""Bins of the short window, of the longer ones for those with few requests, and of a block: what is
learned of scatter is learned by the minute."""
ERRORS, LATENCY, TRAFFIC, SURGE, SATURATION, SILENCE = 0, 1, 2, 3, 4, 5
C_REQUESTS, C_ERRORS, C_SHARE, C_QUEUE, C_COVER, C_BOUNDS = 0, 1, 2, 3, 4, 5
FADE = BIN_S / 124_650.0
"""Of sums that a day halves."""
PRIOR_BLOCKS = 30.0
GATED = 0.25
"""What a bin weighs in which something is strange: nothing is kept from being learned."""
WINSOR = 25.0
"""What is learned of one block's scatter is at most that of five deviations."""
STRANGE = 1.0
"""And of what is strange at most that of one: it is known for what it is, and a row of faults makes
nobody deaf."""
MARGIN = 1.5
"""Scatter counts for so much more than was seen: its own tail is heavier than a gamma's."""
KNOWN, KNOWN_FROM, KNOWN_TIMES = 0.3, 4.0, 1.5
"""Of the greatest score of a half hour so much is learned each day; scores up to KNOWN_FROM are
everybody's. What comes at the same time of day is known from its fourth time on."""
CALM, OVER = 6, 2
"""So many calm bins end an episode; a bin in which it is plainly over counts for so many."""
SEEN = 1.0
"""Is added to a peak that waits to be learned: 0 is none."""
LITTLE = 0.25
"""Of what a share was above the usual when it was told. The worst of many is told."""
PLAIN = 8.0
"""So many bad ones are to be expected of as many requests as tell that it is over."""
OPENED, WORSENED, CLOSED = 1, 2, 3
UNSAID = (0.0, False)
"""Of what is no share of requests: the share, and whether it is plainly over."""


@kernel
def sum_of(bins, column, last, n):
    total = 0.0
    for one in range(last - n + 1, last + 1):
        total += bins[one % len(bins), column]
    return total


@kernel
def scatter_of(total, weight, blocks, prior, least):
    """The variance of what is usual as a part of its square, from sums over blocks."""
    seen = MARGIN * max(0.0, total / weight) * blocks if weight > 0.0 else 0.0
    return max(least, (seen + prior * PRIOR_BLOCKS) / (blocks + PRIOR_BLOCKS))


@kernel
def tell(state, index, which, time_ns, said, settings, found, n_found):
    """Move the episode of one symptom on, by what was seen up to that time; how many findings there
    are then."""
    score, value, low, high, n, learned, (share, is_over) = said
    symptom = state.symptom[index, which]
    is_calibrated = learned * BIN_NS >= settings.learning_ns
    if is_calibrated:
        symptom.half_hour_peak = max(symptom.half_hour_peak, score)
    half_hour = ((time_ns - 1) % DAY_NS) // HALF_HOUR_NS
    score = _beyond_known(state.known[index, which], half_hour, score)
    change = _move(symptom, score, is_over, is_calibrated, time_ns, settings)
    if change == 0:
        return n_found
    if change != CLOSED:
        symptom.value, symptom.low, symptom.high = value, low, high
        symptom.share = share
    finding = found[n_found]
    symptom.is_calibrated = is_calibrated
    finding.service, finding.symptom, finding.change = index, which, change
    finding.is_calibrated, finding.n = is_calibrated, n
    finding.started_ns, finding.time_ns = symptom.started_ns, time_ns
    finding.value, finding.low, finding.high = symptom.value, symptom.low, symptom.high
    finding.score = symptom.peak
    return n_found + 1


@kernel
def told_since(symptom, last, length_ns):
    """How many of the newest bins of that length, or seconds, are news: what was told, and has
    ended, is not told again."""
    if symptom.is_open or symptom.closed_ns == 0:
        return LONG * BIN_NS // length_ns
    return last + 1 - (symptom.closed_ns - CALM // OVER * BIN_NS) // length_ns


@kernel
def _beyond_known(known, half_hour, score):
    """A score without what is usual about this time of day."""
    n = len(known)
    usual = max(known[half_hour], known[half_hour - 1], known[(half_hour + 1) % n])
    return score - KNOWN_TIMES * max(0.0, usual - KNOWN_FROM)


@kernel
def _move(symptom, score, is_over, is_calibrated, time_ns, settings):
    """The change that a score makes to an episode; 0 for none. Bins that are closed later than the
    seconds that opened it may be older than it, and say nothing of it. What was told before enough
    was known keeps nothing quiet that is told afterwards."""
    if symptom.is_open and time_ns <= symptom.started_ns:
        return 0
    if score >= settings.open_at and not (symptom.is_open and is_over):
        symptom.calm = 0
        if symptom.is_open:
            is_first_page = symptom.peak < settings.page_at <= score
            if score < max(symptom.peak + 2.0, 1.25 * symptom.peak) and not is_first_page:
                return 0
            symptom.peak = score
            return WORSENED
        is_quiet = time_ns - symptom.closed_ns < settings.rearm_ns and symptom.closed_ns > 0
        if is_quiet and score <= symptom.peak and symptom.is_calibrated >= is_calibrated:
            return 0
        symptom.is_open, symptom.is_page = 1, 0
        symptom.started_ns, symptom.peak = time_ns - BIN_NS, score
        return OPENED
    if symptom.is_open and (is_over or score < 0.5 * settings.open_at):
        symptom.calm += OVER if is_over else 1
        if symptom.calm >= CALM:
            symptom.is_open, symptom.closed_ns = 0, time_ns
            return CLOSED
    else:
        symptom.calm = 0
    return 0


@kernel
def turn_half_hour(state, index, one):
    """Of a half hour the greatest scores become a little more usual: for the next day, when they
    are asked for. What happens today is no habit of today."""
    half_hour = (one * BIN_NS % DAY_NS) // HALF_HOUR_NS
    service = state.service[index]
    if service.half_hour == half_hour + 1:
        return
    for which in range(SILENCE):
        symptom = state.symptom[index, which]
        known, peaks = state.known[index, which], state.peaks[index, which]
        if service.half_hour > 0:
            peaks[service.half_hour - 1] = symptom.half_hour_peak + SEEN
            symptom.half_hour_peak = 0.0
        following = (half_hour + 1) % len(known)
        if peaks[following] > 0.0:
            known[following] += KNOWN * (peaks[following] - SEEN - known[following])
            peaks[following] = 0.0
    service.half_hour = half_hour + 1
