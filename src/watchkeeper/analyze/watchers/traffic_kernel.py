"""Requests that stay away, and those that come all at once."""

import math

from watchkeeper.analyze.watchers.symptom_episode_kernel import (
    BIN_NS,
    BIN_S,
    BLOCK,
    C_COVER,
    C_REQUESTS,
    DAY_NS,
    FADE,
    GATED,
    LONG,
    MIDDLE,
    SURGE,
    TRAFFIC,
    UNSAID,
    WINSOR,
    scatter_of,
    sum_of,
    tell,
)
from watchkeeper.analyze.watchers.tails_kernel import lack_score, plenty_score
from watchkeeper.compiled.jit import kernel

PRIOR_SCATTER, LEAST_SCATTER = 0.05, 0.0025
FEWEST = 3.0
"""Requests more that are too few to speak of."""
RECENT, DRIFT, DAILY = 0.1, 1.0 / 30.0, 0.3
"""Weights of a minute in the recent rate and beside the profile, and of a day in the profile."""
CLIP, DAILY_CLIP = 0.5, 0.7
BUCKET_NS = 300_000_000_000


@kernel
def judge_traffic(state, index, one, window, settings, found, n_found):
    service, bins = state.service[index], state.ring[index]
    bucket = (one * BIN_NS % DAY_NS) // BUCKET_NS
    profile = state.profile[index]
    logged = profile[bucket] + service.drift if profile[bucket] != 0.0 else service.recent
    rate = math.exp(logged)
    least, most = _around(profile, bucket, logged - profile[bucket])
    scatter = scatter_of(
        service.traffic_scatter,
        service.traffic_weight,
        service.traffic_blocks,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )
    drop, surge, value, n = 0.0, 0.0, 0.0, 0.0
    surging = 0.0
    if service.traffic_blocks > 0.0:
        for length in (window, MIDDLE, LONG):
            if one - service.first_bin < length or not _is_covered(bins, one, length):
                break
            requests = sum_of(bins, C_REQUESTS, one, length)
            expected = least * BIN_S * length
            if requests <= (1.0 - settings.least_drop) * expected:
                said = lack_score(requests, expected, scatter)
                if said > drop:
                    drop, value, n = said, requests / (BIN_S * length), requests
            expected = most * BIN_S * length
            if requests >= (1.0 + settings.least_surge) * expected + FEWEST:
                said = plenty_score(requests, expected, scatter)
                if said > surge:
                    surge, surging = said, requests / (BIN_S * length)
    if one % BLOCK == 0 and one - service.first_bin >= BLOCK and _is_covered(bins, one, BLOCK):
        strange = max(drop, surge) >= settings.open_at
        _learn_traffic(
            service, profile, bucket, sum_of(bins, C_REQUESTS, one, BLOCK), rate, strange
        )
    reach = 3.0 * math.sqrt(scatter)
    low, high = least * max(0.0, 1.0 - reach), most * (1.0 + reach)
    said = (drop, value, low, high, n, _after_a_day(service), UNSAID)
    n_found = tell(state, index, TRAFFIC, (one + 1) * BIN_NS, said, settings, found, n_found)
    said = (surge, surging, low, high, n, _after_a_day(service), UNSAID)
    return tell(state, index, SURGE, (one + 1) * BIN_NS, said, settings, found, n_found)


@kernel
def _around(profile, bucket, drift):
    """(the least, the most) expected in this bucket of the day and its neighbours: jobs and people
    are not punctual to five minutes."""
    least = most = profile[bucket]
    if least != 0.0:
        for near in (profile[bucket - 1], profile[(bucket + 1) % len(profile)]):
            if near != 0.0:
                least, most = min(least, near), max(most, near)
    return math.exp(least + drift), math.exp(most + drift)


@kernel
def _after_a_day(service):
    """Bins that count for those who need to have seen a day."""
    is_old = service.newest_ns - service.first_bin * BIN_NS > DAY_NS
    return BLOCK * service.traffic_blocks if is_old else 0.0


@kernel
def _is_covered(bins, last, n):
    for one in range(last - n + 1, last + 1):
        if bins[one % len(bins), C_COVER] <= 0.0:
            return False
    return True


@kernel
def _learn_traffic(service, profile, bucket, requests, rate, strange):
    """One minute of requests."""
    seconds = BLOCK * BIN_S
    logged = math.log((requests + 0.5) / seconds)
    if service.traffic_blocks == 0.0:
        service.recent, service.traffic_blocks = logged, 1.0
        service.bucket = bucket + 1
    gate = GATED if strange else 1.0
    early = max(RECENT, 1.0 / service.traffic_blocks) if service.traffic_blocks < 10.0 else RECENT
    service.recent += gate * early * max(-CLIP, min(CLIP, logged - service.recent))
    if profile[bucket] != 0.0:
        beside = logged - profile[bucket] - service.drift
        service.drift += gate * DRIFT * max(-CLIP, min(CLIP, beside))
    expected = rate * seconds
    scatter = scatter_of(
        service.traffic_scatter,
        service.traffic_weight,
        service.traffic_blocks,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )
    squared = (requests - expected) ** 2
    squared = min(squared, WINSOR * (expected + scatter * expected * expected))
    keep = 1.0 - BLOCK * FADE
    service.traffic_scatter = keep * service.traffic_scatter + squared - expected
    service.traffic_weight = keep * service.traffic_weight + expected * expected
    service.traffic_blocks = keep * service.traffic_blocks + 1.0
    if service.bucket != bucket + 1:
        if service.bucket_n > 0.0:
            at = service.bucket - 1
            mean = service.bucket_sum / service.bucket_n
            if profile[at] == 0.0:
                profile[at] = mean if mean != 0.0 else 1e-6
            else:
                change = max(-DAILY_CLIP, min(DAILY_CLIP, mean - profile[at]))
                profile[at] += DAILY * change
        service.bucket, service.bucket_sum, service.bucket_n = bucket + 1, 0.0, 0.0
    service.bucket_sum += logged
    service.bucket_n += 1.0
