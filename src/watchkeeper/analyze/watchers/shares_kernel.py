"""Symptoms that are shares of requests: those that failed, those that were slow."""

import math

from watchkeeper.analyze.watchers.symptom_episode_kernel import (
    BIN_NS,
    BIN_S,
    BLOCK,
    C_BOUNDS,
    C_ERRORS,
    C_REQUESTS,
    ERRORS,
    FADE,
    GATED,
    LATENCY,
    LITTLE,
    LONG,
    MARGIN,
    MIDDLE,
    PLAIN,
    PRIOR_BLOCKS,
    SHORT,
    STRANGE,
    WINSOR,
    scatter_of,
    sum_of,
    tell,
    told_since,
)
from watchkeeper.analyze.watchers.tails_kernel import lower_bound, share_score
from watchkeeper.compiled.jit import kernel

PRIOR_REQUESTS, PRIOR_ERRORS = 50.0, 0.5
"""Requests that everyone is thought to have had, and their errors."""
PRIOR_SCATTER, LEAST_SCATTER = 0.25, 0.09
MOST_ERRORS = 3.0
"""Errors of a strange bin count as so many times the usual ones at most."""
BRIEFER, BEFORE = 2.0, 360.0
"""How much more a share scatters from bin to bin than by the minute, and for how many bins that
counts of a service that is known."""
SLOW_SHARE = 0.05
"""Slow is what takes longer than the bound that about 95 % keep."""
FAR_SHARE, FAR_SCATTER = 0.005, 4.0
"""Far slower are those that exceed the bound that all but so few keep. How many these are scatters
from window to window by twice their share."""
LEAST_SLOW = 1e-4
REST, BELOW = 0.2, 0.01
"""What is bad beside two bins is so much of what is bad in them, or else it is evidence: it stays
so far below a page."""
FEWEST = 3.0
"""Errors, or slow requests, that are too few to speak of."""


@kernel
def judge_errors(state, index, one, window, settings, found, n_found):
    service, bins = state.service[index], state.ring[index]
    usual, scatter = usual_errors(service)
    known = one - service.first_bin
    known = min(known, told_since(state.symptom[index, ERRORS], one, BIN_NS))
    windows, usually = (window, MIDDLE, LONG), (usual, scatter, settings.least_requests)
    score, value, n, share = worst_errors(bins, one, known, windows, usually, settings)
    of = ((C_REQUESTS, C_ERRORS, False), usual)
    is_over = _is_over(state.symptom[index, ERRORS], bins, one, window, of, settings)
    if score >= settings.page_at and _is_blink(service, bins, one, known, of):
        score = settings.page_at - BELOW
    requests, errors = bins[one % len(bins), C_REQUESTS], bins[one % len(bins), C_ERRORS]
    weight = 1.0
    if score >= settings.open_at:
        weight, errors = GATED, min(errors, MOST_ERRORS * usual * requests)
    service.requests += weight * requests - FADE * service.requests
    service.errors += weight * errors - FADE * service.errors
    _learn_error_bin(service, bins[one % len(bins)], usual, weight)
    block = _block(service)
    if one % block == 0 and one - service.first_bin >= block:
        requests = sum_of(bins, C_REQUESTS, one, block)
        if requests > 0.0:
            hits = sum_of(bins, C_ERRORS, one, block), requests
            total, seen = _unusual(hits, usual, scatter, WINSOR if weight == 1.0 else STRANGE)
            keep = 1.0 - block * FADE
            service.error_scatter = keep * service.error_scatter + total
            service.error_weight = keep * service.error_weight + seen
            service.error_blocks = keep * service.error_blocks + 1.0
    learned, most = learned_of_errors(service), most_errors(usual, scatter)
    said = (score, value, 0.0, most, n, learned, (share, is_over))
    return tell(state, index, ERRORS, (one + 1) * BIN_NS, said, settings, found, n_found)


@kernel
def usual_errors(service):
    """(the share that usually fails, how that scatters)."""
    usual = (service.errors + PRIOR_ERRORS) / (service.requests + PRIOR_REQUESTS)
    return usual, scatter_of(
        service.error_scatter,
        service.error_weight,
        service.error_blocks,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )


@kernel
def brief_errors(service):
    """How the share scatters from bin to bin, where senders are quick enough to tell."""
    seen = service.error_bin_scatter, service.error_bin_weight, service.error_bins
    _, scatter = usual_errors(service)
    return _brief(seen, scatter, service.error_blocks)


@kernel
def _learn_error_bin(service, counts, usual, weight):
    if service.interval_s > BIN_S or counts[C_REQUESTS] <= 0.0:
        return
    hits, most = (counts[C_ERRORS], counts[C_REQUESTS]), WINSOR if weight == 1.0 else STRANGE
    added, seen = _unusual(hits, usual, brief_errors(service), most)
    service.error_bin_scatter += weight * added - FADE * service.error_bin_scatter
    service.error_bin_weight += weight * seen - FADE * service.error_bin_weight
    service.error_bins += weight - FADE * service.error_bins


@kernel
def brief_slow(service):
    """The same of the share of slow ones."""
    seen = service.latency_bin_scatter, service.latency_bin_weight, service.latency_bins
    scatter = scatter_of(
        service.latency_scatter,
        service.latency_weight,
        service.latency_blocks,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )
    return _brief(seen, scatter, service.latency_blocks)


@kernel
def _brief(seen, scatter, blocks):
    """Of bins, who are thought to scatter by so much more than minutes: who is known for long is
    not known by his last minutes alone."""
    total, weight, n = seen
    before = min(BEFORE, PRIOR_BLOCKS + blocks)
    shown = MARGIN * max(0.0, total / weight) * n if weight > 0.0 else 0.0
    expected = PRIOR_SCATTER if blocks == 0.0 else BRIEFER * scatter
    return max(LEAST_SCATTER, (shown + expected * before) / (n + before))


@kernel
def _learn_latency_bin(service, counts, slow_at, usual, weight):
    requests = counts[C_BOUNDS]
    if service.interval_s > BIN_S or requests <= 0.0:
        return
    slow = max(0.0, requests - counts[C_BOUNDS + slow_at])
    most = WINSOR if weight == 1.0 else STRANGE
    added, seen = _unusual((slow, requests), usual, brief_slow(service), most)
    service.latency_bin_scatter += weight * added - FADE * service.latency_bin_scatter
    service.latency_bin_weight += weight * seen - FADE * service.latency_bin_weight
    service.latency_bins += weight - FADE * service.latency_bins


@kernel
def most_errors(usual, scatter):
    return usual + 3.0 * math.sqrt(scatter) * usual


@kernel
def learned_of_errors(service):
    """In bins."""
    return service.error_blocks * _block(service)


@kernel
def worst_errors(bins, last, known, windows, usually, settings):
    """Of windows that end with `last`, and are no longer than what is known: (score, share of
    errors, requests) of the least probable, and the greatest share that is strange by itself."""
    usual, scatter, least = usually
    score, value, n, share = 0.0, 0.0, 0.0, 0.0
    for length in windows:
        if known < length:
            break
        requests = sum_of(bins, C_REQUESTS, last, length)
        errors = min(requests, sum_of(bins, C_ERRORS, last, length))
        if requests < least or errors < FEWEST:
            continue
        ratio = errors / requests
        if ratio < usual * settings.error_ratio or ratio < usual + settings.error_rise:
            continue
        if lower_bound(errors, requests) <= usual:
            continue
        said = share_score(errors, requests, usual, scatter)
        if said > score:
            score, value, n = said, ratio, requests
        if said >= settings.open_at:
            share = max(share, ratio)
    return score, value, n, share


@kernel
def judge_latency(state, index, one, window, settings, found, n_found):
    service, bins = state.service[index], state.ring[index]
    bounds, usual_counts, n_bounds = state.bounds[index], state.usual[index], service.n_bounds
    at = one % len(bins)
    slow_at = slow_bound(bounds, usual_counts, n_bounds)
    if slow_at == 0:
        usual_counts[:n_bounds] += bins[at, C_BOUNDS : C_BOUNDS + n_bounds]
        return n_found
    usual, scatter = usual_slow(service, usual_counts, slow_at)
    known = one - service.first_bin
    known = min(known, told_since(state.symptom[index, LATENCY], one, BIN_NS))
    windows, high = (window, MIDDLE, LONG), p95_of(bounds, n_bounds, usual_counts)
    far_at = far_bound(bounds, usual_counts, n_bounds)
    of = (bounds, n_bounds, slow_at, far_at)
    far = share_beyond(usual_counts, far_at)
    usually = (usual, scatter, high, settings.least_requests, far)
    score, value, n, share = worst_latency(bins, one, known, windows, of, usually, settings)
    weight = GATED if score >= settings.open_at else 1.0
    for k in range(n_bounds):
        usual_counts[k] += weight * bins[at, C_BOUNDS + k] - FADE * usual_counts[k]
    _learn_latency_bin(service, bins[at], slow_at, usual, weight)
    block = _block(service)
    if one % block == 0 and one - service.first_bin >= block:
        requests = sum_of(bins, C_BOUNDS, one, block)
        if requests > 0.0:
            slow = max(0.0, requests - sum_of(bins, C_BOUNDS + slow_at, one, block))
            most = WINSOR if weight == 1.0 else STRANGE
            added, seen = _unusual((slow, requests), usual, scatter, most)
            keep = 1.0 - block * FADE
            service.latency_scatter = keep * service.latency_scatter + added
            service.latency_weight = keep * service.latency_weight + seen
            service.latency_blocks = keep * service.latency_blocks + 1.0
    over_of = ((C_BOUNDS, C_BOUNDS + slow_at, True), usual)
    is_over = _is_over(state.symptom[index, LATENCY], bins, one, window, over_of, settings)
    if score >= settings.page_at and _is_blink(service, bins, one, known, over_of):
        score = settings.page_at - BELOW
    said = (score, value, 0.0, high, n, learned_of_latency(service), (share, is_over))
    return tell(state, index, LATENCY, (one + 1) * BIN_NS, said, settings, found, n_found)


@kernel
def usual_slow(service, usual_counts, slow_at):
    """(the share that usually takes longer than this bound, how that scatters)."""
    return share_beyond(usual_counts, slow_at), scatter_of(
        service.latency_scatter,
        service.latency_weight,
        service.latency_blocks,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )


@kernel
def share_beyond(usual_counts, at):
    """The share that usually takes longer than this bound."""
    total = usual_counts[0]
    return (max(0.0, total - usual_counts[at]) + PRIOR_ERRORS) / (total + PRIOR_REQUESTS)


@kernel
def learned_of_latency(service):
    """In bins."""
    return service.latency_blocks * _block(service)


@kernel
def _is_over(symptom, bins, last, window, of, settings):
    """Whether the newest bins, as few as would show what the episode was told for, show
    little of it: what is long past is still in the long windows."""
    (everybody, some, are_good), usual = of
    requests, counted = 0.0, 0.0
    for length in range(1, LONG + 1 if symptom.is_open else 1):
        at = (last - length + 1) % len(bins)
        requests += bins[at, everybody]
        counted += bins[at, some]
        is_told = requests >= settings.least_requests and requests * symptom.share >= PLAIN
        if is_told and (length >= window or window <= SHORT):
            bad = requests - counted if are_good else counted
            return bad <= requests * (usual + LITTLE * (symptom.share - usual))
    return False


@kernel
def _is_blink(service, bins, last, known, of):
    """Whether nearly all that is bad lies in two neighbouring bins: a restart, or a pause."""
    if service.interval_s > BIN_S:
        return False
    (everybody, some, are_good), usual = of
    total, most, before = 0.0, 0.0, 0.0
    for one in range(last - min(known, MIDDLE) + 1, last + 1):
        at = one % len(bins)
        counted = bins[at, some]
        bad = bins[at, everybody] - counted if are_good else counted
        bad -= usual * bins[at, everybody]
        total += bad
        most, before = max(most, before + bad), bad
    return total - most < REST * most


@kernel
def worst_latency(bins, last, known, windows, of, usually, settings):
    """Of windows that end with `last`, and are no longer than what is known: (score, 95 % quantile,
    requests) of the least probable, and the greatest share of slow ones that is strange."""
    (bounds, n_bounds, slow_at, far_at), (usual, scatter, high, least, far) = of, usually
    score, value, n, share = 0.0, 0.0, 0.0, 0.0
    for length in windows:
        if known < length:
            break
        requests = sum_of(bins, C_BOUNDS, last, length)
        slow = max(0.0, requests - sum_of(bins, C_BOUNDS + slow_at, last, length))
        if requests < least or slow < FEWEST or slow <= requests * usual:
            continue
        said = share_score(slow, requests, usual, scatter)
        if far_at > 0:
            late = max(0.0, requests - sum_of(bins, C_BOUNDS + far_at, last, length))
            said = max(said, share_score(late, requests, far, max(FAR_SCATTER, scatter)))
        if said <= score and said < settings.open_at:
            continue
        counts = bins[0, C_BOUNDS:].copy()
        for k in range(n_bounds):
            counts[k] = sum_of(bins, C_BOUNDS + k, last, length)
        p95 = p95_of(bounds, n_bounds, counts)
        if p95 < settings.latency_ratio * high or p95 < high + settings.latency_rise_s:
            continue
        if said > score:
            score, value, n = said, p95, requests
        if said >= settings.open_at:
            share = max(share, slow / requests)
    return score, value, n, share


@kernel
def slow_bound(bounds, counts, n_bounds):
    """The finite bound that nearest to 5 % of all usually exceed; 0 for none, or while nobody can
    know. Of a bound that few exceed, the share would be doubled by every breeze."""
    return _bound_of(bounds, counts, n_bounds, SLOW_SHARE)


@kernel
def far_bound(bounds, counts, n_bounds):
    """The same of those that hardly any exceed: of who is that slow, many at once are no breeze."""
    return _bound_of(bounds, counts, n_bounds, FAR_SHARE)


@kernel
def _bound_of(bounds, counts, n_bounds, share):
    best, least = 0, math.inf
    if counts[0] < PRIOR_REQUESTS:
        return best
    for k in range(1, n_bounds):
        beyond = max(LEAST_SLOW, 1.0 - counts[k] / max(1.0, counts[0]))
        far = abs(math.log(beyond / share))
        if far < least:
            best, least = k, far
    return best


@kernel
def p95_of(bounds, n_bounds, counts):
    """By linear interpolation between bounds, in seconds; beyond the last bound that bound."""
    target = 0.95 * counts[0]
    above, below, at_above, at_below = math.inf, 0.0, counts[0], 0.0
    for k in range(1, n_bounds):
        if counts[k] >= target:
            if bounds[k] < above:
                above, at_above = bounds[k], counts[k]
        elif bounds[k] > below:
            below, at_below = bounds[k], counts[k]
    if math.isinf(above):
        return below
    return below + (above - below) * (target - at_below) / max(1e-9, at_above - at_below)


@kernel
def _block(service):
    """Bins over which scatter is learned: five samples of a slow sender, or what was counted from
    one to the next would be spread over two blocks, and seem more regular than it is."""
    return max(2 * BLOCK, min(LONG, math.ceil(5.0 * service.interval_s / BIN_S - 0.1)))


@kernel
def _unusual(counts, usual, scatter, most):
    """What one block says of the scatter, winsorised: (its sum, its weight)."""
    hits, n = counts
    expected = n * usual
    chance = expected * (1.0 - min(1.0, usual))
    squared = (hits - expected) ** 2
    squared = min(squared, most * (chance + scatter * expected * expected))
    return squared - chance, expected * expected
