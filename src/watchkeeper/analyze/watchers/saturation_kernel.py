"""Resources that are full, and queues that grow."""

import math

from watchkeeper.analyze.watchers.symptom_episode_kernel import (
    BIN_NS,
    C_QUEUE,
    C_SHARE,
    SATURATION,
    UNSAID,
    tell,
)
from watchkeeper.compiled.jit import kernel

LEVEL = 10.0 / 21_600.0
"""Weight of a bin in what is usual of resources."""
LEAST_SHARE_DEV, LEAST_QUEUE_DEV = 0.1, 0.25
LEAST_QUEUE = 10.0
SUSTAINED = 6
DAY_BINS = 8_640
LN10 = math.log(10.0)


@kernel
def judge_saturation(state, index, one, settings, found, n_found):
    service, bins = state.service[index], state.ring[index]
    share, queue = bins[one % len(bins), C_SHARE], bins[one % len(bins), C_QUEUE]
    if share <= 0.0 and queue <= 0.0 and not state.symptom[index, SATURATION].is_open:
        return n_found
    score, value, high = 0.0, max(share, 0.0), 1.0
    if share > 0.0:
        logit = math.log(max(1e-3, min(0.999, share)) / (1.0 - max(1e-3, min(0.999, share))))
        least, n = _lowest(bins, C_SHARE, one, SUSTAINED)
        far = (logit - service.share_level) / max(LEAST_SHARE_DEV, service.share_dev)
        if least >= settings.full and n >= 2 and far > 0.0 and service.share_n > 0.0:
            score, high = far / LN10 + 0.3, settings.full
        service.share_n += 1.0
        weight = max(LEVEL, 1.0 / service.share_n)
        dev = abs(logit - service.share_level) if service.share_n > 1.0 else 0.0
        service.share_dev += weight * (min(dev, 6.0 * service.share_dev + 0.1) - service.share_dev)
        clip = 6.0 * max(LEAST_SHARE_DEV, service.share_dev)
        change = logit - service.share_level
        if service.share_n > 1.0:
            change = max(-clip, min(clip, change))
        service.share_level += weight * change
    if queue > 0.0:
        logged = math.log1p(queue)
        least, n = _lowest(bins, C_QUEUE, one, SUSTAINED)
        far = (math.log1p(least) - service.queue_level) / max(LEAST_QUEUE_DEV, service.queue_dev)
        is_long = least >= LEAST_QUEUE and least + 1.0 >= 2.0 * math.exp(service.queue_level)
        if is_long and n >= 2 and far / LN10 + 0.3 > score and service.queue_n > 0.0:
            score, value = far / LN10 + 0.3, queue
            high = math.expm1(service.queue_level + 3.0 * service.queue_dev)
        service.queue_n += 1.0
        weight = max(LEVEL, 1.0 / service.queue_n)
        change = logged - service.queue_level
        dev = abs(change) if service.queue_n > 1.0 else 0.0
        service.queue_dev += weight * (min(dev, 6.0 * service.queue_dev + 0.1) - service.queue_dev)
        clip = 6.0 * max(LEAST_QUEUE_DEV, service.queue_dev)
        service.queue_level += weight * (
            change if service.queue_n == 1.0 else max(-clip, min(clip, change))
        )
    seen = max(service.share_n, service.queue_n)
    learned = seen if one - service.first_bin > DAY_BINS else 0.0
    said = (score, value, 0.0, high, seen, learned, UNSAID)
    return tell(state, index, SATURATION, (one + 1) * BIN_NS, said, settings, found, n_found)


@kernel
def _lowest(bins, column, last, n):
    """(the least of the bins that hold something, how many they are)."""
    least, seen = math.inf, 0
    for one in range(last - n + 1, last + 1):
        value = bins[one % len(bins), column]
        if value > 0.0:
            least, seen = min(least, value), seen + 1
    return least, seen
