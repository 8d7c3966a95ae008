"""The rule that everybody writes first: more than so many deviations from a moving average."""

import math

from watchkeeper.compiled.jit import kernel

WEIGHT = 0.02
FIRST = 30


@kernel
def strays(values, limit, flagged):
    """Flag what is more than `limit` deviations off; average and variance forget at WEIGHT."""
    mean = 0.0
    variance = 0.0
    n = 0
    for i in range(len(values)):
        x = values[i]
        if not math.isfinite(x):
            continue
        off = x - mean if n > 0 else 0.0
        flagged[i] = n >= FIRST and abs(off) > limit * math.sqrt(variance)
        n += 1
        weight = max(WEIGHT, 1.0 / n)
        mean += weight * (x - mean)
        variance = (1.0 - weight) * (variance + weight * off * off)
