"""Symptoms that are shares of requests: those that failed, those that were slow."""

import math

from watchkeeper.analyze.watchers.symptom_episode_kernel import (
    BIN_S,
    BLOCK,
    C_BOUNDS,
    C_ERRORS,
    C_REQUESTS,
    ERRORS,
    FADE,
    GATED,
    LATENCY,
    LONG,
    MIDDLE,
    WINSOR,
    scatter_of,
    sum_of,
    tell,
)
from watchkeeper.analyze.watchers.tails_kernel import lower_bound, share_score
from watchkeeper.compiled.jit import kernel

PRIOR_REQUESTS, PRIOR_ERRORS = 50.0, 0.5
"""Requests that everyone is thought to have had, and their errors."""
PRIOR_SCATTER, LEAST_SCATTER = 0.25, 0.09
MOST_ERRORS = 3.0
"""Errors of a strange bin count as so many times the usual ones at most."""
SLOW_SHARE = 0.05
"""Slow is what takes longer than the bound that about 95 % keep."""
LEAST_SLOW = 1e-4
FEWEST = 3.0
"""Errors, or slow requests, that are too few to speak of."""


@kernel
def judge_errors(state, index, one, window, settings, found, n_found):
    service, bins = state.service[index], state.ring[index]
    usual = (service.errors + PRIOR_ERRORS) / (service.requests + PRIOR_REQUESTS)
    scatter = scatter_of(
        service.error_scatter,
        service.error_weight,
        service.error_blocks,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )
    score, value, n = 0.0, 0.0, 0.0
    for length in (window, MIDDLE, LONG):
        if one - service.first_bin < length:
            break
        requests = sum_of(bins, C_REQUESTS, one, length)
        errors = min(requests, sum_of(bins, C_ERRORS, one, length))
        if requests < settings.least_requests or errors < FEWEST:
            continue
        ratio = errors / requests
        if ratio < usual * settings.error_ratio or ratio < usual + settings.error_rise:
            continue
        if lower_bound(errors, requests) <= usual:
            continue
        said = share_score(errors, requests, usual, scatter)
        if said > score:
            score, value, n = said, ratio, requests
    requests, errors = bins[one % len(bins), C_REQUESTS], bins[one % len(bins), C_ERRORS]
    weight = 1.0
    if score >= settings.open_at:
        weight, errors = GATED, min(errors, MOST_ERRORS * usual * requests)
    service.requests += weight * requests - FADE * service.requests
    service.errors += weight * errors - FADE * service.errors
    block = _block(service)
    if one % block == 0 and one - service.first_bin >= block:
        requests = sum_of(bins, C_REQUESTS, one, block)
        if requests > 0.0:
            total, seen = _unusual(sum_of(bins, C_ERRORS, one, block), requests, usual, scatter)
            keep = 1.0 - block * FADE
            service.error_scatter = keep * service.error_scatter + total
            service.error_weight = keep * service.error_weight + seen
            service.error_blocks = keep * service.error_blocks + 1.0
    high = usual + 3.0 * math.sqrt(scatter) * usual
    learned = service.error_blocks * _block(service)
    said = (score, value, 0.0, high, n, learned)
    return tell(state, index, ERRORS, one, said, settings, found, n_found)


@kernel
def judge_latency(state, index, one, window, settings, found, n_found):
    service, bins = state.service[index], state.ring[index]
    bounds, usual_counts, n_bounds = state.bounds[index], state.usual[index], service.n_bounds
    slow_at = _slow_bound(bounds, usual_counts, n_bounds)
    if slow_at == 0:
        return n_found
    total = usual_counts[0]
    usual = (max(0.0, total - usual_counts[slow_at]) + PRIOR_ERRORS) / (total + PRIOR_REQUESTS)
    scatter = scatter_of(
        service.latency_scatter,
        service.latency_weight,
        service.latency_blocks,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )
    score, value, n = 0.0, 0.0, 0.0
    high = _p95(bounds, n_bounds, usual_counts)
    for length in (window, MIDDLE, LONG):
        if one - service.first_bin < length:
            break
        requests = sum_of(bins, C_BOUNDS, one, length)
        slow = max(0.0, requests - sum_of(bins, C_BOUNDS + slow_at, one, length))
        if requests < settings.least_requests or slow < FEWEST or slow <= requests * usual:
            continue
        said = share_score(slow, requests, usual, scatter)
        if said <= score:
            continue
        counts = bins[0, C_BOUNDS:].copy()
        for k in range(n_bounds):
            counts[k] = sum_of(bins, C_BOUNDS + k, one, length)
        p95 = _p95(bounds, n_bounds, counts)
        if p95 >= settings.latency_ratio * high and p95 >= high + settings.latency_rise_s:
            score, value, n = said, p95, requests
    weight = GATED if score >= settings.open_at else 1.0
    at = one % len(bins)
    for k in range(n_bounds):
        usual_counts[k] += weight * bins[at, C_BOUNDS + k] - FADE * usual_counts[k]
    block = _block(service)
    if one % block == 0 and one - service.first_bin >= block:
        requests = sum_of(bins, C_BOUNDS, one, block)
        if requests > 0.0:
            slow = max(0.0, requests - sum_of(bins, C_BOUNDS + slow_at, one, block))
            added, seen = _unusual(slow, requests, usual, scatter)
            keep = 1.0 - block * FADE
            service.latency_scatter = keep * service.latency_scatter + added
            service.latency_weight = keep * service.latency_weight + seen
            service.latency_blocks = keep * service.latency_blocks + 1.0
    learned = service.latency_blocks * _block(service)
    said = (score, value, 0.0, high, n, learned)
    return tell(state, index, LATENCY, one, said, settings, found, n_found)


@kernel
def _slow_bound(bounds, counts, n_bounds):
    """The finite bound that nearest to 5 % of all usually exceed; 0 for none. Of a bound that few
    exceed, the share would be doubled by every breeze."""
    best, least = 0, math.inf
    for k in range(1, n_bounds):
        beyond = max(LEAST_SLOW, 1.0 - counts[k] / max(1.0, counts[0]))
        far = abs(math.log(beyond / SLOW_SHARE))
        if far < least:
            best, least = k, far
    return best


@kernel
def _p95(bounds, n_bounds, counts):
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
def _unusual(hits, n, usual, scatter):
    """What one block says of the scatter, winsorised: (its sum, its weight)."""
    expected = n * usual
    chance = expected * (1.0 - min(1.0, usual))
    squared = (hits - expected) ** 2
    squared = min(squared, WINSOR * (chance + scatter * expected * expected))
    return squared - chance, expected * expected
