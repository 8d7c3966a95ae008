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
    LITTLE,
    LONG,
    MIDDLE,
    PLAIN,
    SHORT,
    STRANGE,
    SURGE,
    TRAFFIC,
    UNSAID,
    WINSOR,
    scatter_of,
    sum_of,
    tell,
    told_since,
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
SECOND_NS = 1_000_000_000
LACKING_S = (10, 15, 30)
"""Windows of seconds: the first is longer than a restart or a pause."""
HARDLY = 0.4
"""Of the usual requests; what falls less is left to bins, as people come and go in seconds."""


@kernel
def judge_traffic(state, index, one, window, settings, found, n_found):
    service, bins = state.service[index], state.ring[index]
    bucket = (one * BIN_NS % DAY_NS) // BUCKET_NS
    profile = state.profile[index]
    logged = profile[bucket] + service.drift if profile[bucket] != 0.0 else service.recent
    rate = math.exp(logged)
    least, most = _around(profile, bucket, logged - profile[bucket])
    scatter = _scatter(service)
    drop, surge, value, n = 0.0, 0.0, 0.0, 0.0
    surging, share = 0.0, 0.0
    lacking = told_since(state.symptom[index, TRAFFIC], one, BIN_NS)
    if service.traffic_blocks > 0.0:
        for length in (window, MIDDLE, LONG):
            if one - service.first_bin < length or not _is_covered(bins, one, length):
                break
            requests = sum_of(bins, C_REQUESTS, one, length)
            expected = least * BIN_S * length
            if requests <= (1.0 - settings.least_drop) * expected and length <= lacking:
                said = lack_score(requests, expected, scatter)
                if said > drop:
                    drop, value, n = said, requests / (BIN_S * length), requests
                if said >= settings.open_at:
                    share = max(share, 1.0 - requests / expected)
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
    _learn_traffic_bin(service, bins[one % len(bins)], rate, max(drop, surge) >= settings.open_at)
    reach = 3.0 * math.sqrt(scatter)
    low, high = least * max(0.0, 1.0 - reach), most * (1.0 + reach)
    is_over = _is_back(state.symptom[index, TRAFFIC], bins, one, window, least)
    said = (drop, value, low, high, n, _after_a_day(service), (share, is_over))
    n_found = tell(state, index, TRAFFIC, (one + 1) * BIN_NS, said, settings, found, n_found)
    said = (surge, surging, low, high, n, _after_a_day(service), UNSAID)
    return tell(state, index, SURGE, (one + 1) * BIN_NS, said, settings, found, n_found)


@kernel
def lack_of_seconds(state, index, last, known, settings):
    """Whether hardly anybody asks any more in windows of seconds that end with `last`, and are no
    longer than what is known: (score, rate, requests, least rate, greatest, bins that were
    learned, share that is missing) of the least probable."""
    service, looks = state.service[index], state.looks[index]
    score, value, n, share = 0.0, 0.0, 0.0, 0.0
    bucket = (last * SECOND_NS % DAY_NS) // BUCKET_NS
    profile, learned = state.profile[index], _after_a_day(service)
    if profile[bucket] == 0.0 or learned == 0.0:
        return score, value, n, 0.0, 0.0, learned, share
    least, most = _around(profile, bucket, service.drift)
    scatter = max(_scatter(service), _brief_scatter(service))
    for length in LACKING_S:
        if known < length or not _is_covered(looks, last, length):
            break
        requests, expected = sum_of(looks, C_REQUESTS, last, length), least * length
        if requests > HARDLY * expected:
            continue
        said = lack_score(requests, expected, scatter)
        if said > score:
            score, value, n, share = said, requests / length, requests, 1.0 - requests / expected
    reach = 3.0 * math.sqrt(scatter)
    return score, value, n, least * max(0.0, 1.0 - reach), most * (1.0 + reach), learned, share


@kernel
def _scatter(service):
    return scatter_of(
        service.traffic_scatter,
        service.traffic_weight,
        service.traffic_blocks,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )


@kernel
def _brief_scatter(service):
    """From bin to bin, where senders are quick enough to tell."""
    return scatter_of(
        service.traffic_bin_scatter,
        service.traffic_bin_weight,
        service.traffic_bins,
        PRIOR_SCATTER,
        LEAST_SCATTER,
    )


@kernel
def _learn_traffic_bin(service, counts, rate, strange):
    expected = rate * BIN_S
    if service.interval_s > BIN_S or counts[C_COVER] <= 0.0 or service.traffic_blocks == 0.0:
        return
    weight = GATED if strange else 1.0
    squared = (counts[C_REQUESTS] - expected) ** 2
    most = STRANGE if strange else WINSOR
    squared = min(squared, most * (expected + _brief_scatter(service) * expected * expected))
    added, seen = squared - expected, expected * expected
    service.traffic_bin_scatter += weight * added - FADE * service.traffic_bin_scatter
    service.traffic_bin_weight += weight * seen - FADE * service.traffic_bin_weight
    service.traffic_bins += weight - FADE * service.traffic_bins


@kernel
def _is_back(symptom, bins, last, window, least):
    """Whether in the newest bins, as few as would show what the episode was told for, little of it
    is missing."""
    if not symptom.is_open or symptom.share <= 0.0:
        return False
    length = max(
        window if window > SHORT else 1, math.ceil(PLAIN / (least * BIN_S * symptom.share))
    )
    if length > LONG or not _is_covered(bins, last, length):
        return False
    expected = least * BIN_S * length
    return expected - sum_of(bins, C_REQUESTS, last, length) <= LITTLE * symptom.share * expected


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
    """Whether all bins, or seconds, were told of."""
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
