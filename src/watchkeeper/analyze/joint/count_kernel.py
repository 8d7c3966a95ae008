"""How many of a service's members are unusual at once, in stretches of five minutes."""

import math

import numpy as np

from watchkeeper.analyze.detectors.averages_kernel import DAY_S, GAP, weight
from watchkeeper.analyze.joint import tail_kernel as tail
from watchkeeper.analyze.joint.learn_kernel import MEMORY_S, UNUSUAL, scale
from watchkeeper.analyze.joint.voice_kernel import COUNT, follow, severity
from watchkeeper.compiled.jit import kernel

STRETCH_NS = 300_000_000_000
STRETCH_S = 300.0
MIN_COUNTED, SEVERAL = 4, 3
"""Members that make counting worthwhile, and how many of them at once are worth a look."""
USUAL_SHARE = 0.05
"""Of members unusual in five minutes, before the service's own share is known."""
BINS_PER_DECADE = 8.0


@kernel
def count(space, settings, time_ns, finding, share):
    """At the end of five minutes: are more members unusual than the service's past explains?"""
    head = space.head[0]
    now = time_ns // STRETCH_NS
    if now == head.bin:
        return 0
    n, m = _ones(head.flagged), head.n_ripe
    flagged = head.flagged
    ended_ns = (head.bin + 1) * STRETCH_NS
    elapsed_s = min((now - head.bin) * STRETCH_S, GAP * STRETCH_S)
    head.bin = now
    head.flagged = 0
    if m < MIN_COUNTED or not head.is_fitted:
        return 0
    voice = space.voices[COUNT]
    strange = -log10_binomial(n, m, float(head.base)) if n >= SEVERAL else 0.0
    bins = BINS_PER_DECADE * strange
    log_p = max(tail.log_p(voice, bins), -strange)
    change = follow(voice, settings, (ended_ns, log_p, STRETCH_S), finding)
    if change:
        finding.value = n
        finding.high = m * head.base
        finding.voice = COUNT
        finding.severity = severity(head, voice)
        for j in range(len(share)):
            share[j] = ((flagged >> np.uint64(j)) & np.uint64(1)) / max(n, 1)
    tail.remember(voice, space.histograms[COUNT], bins, elapsed_s)
    seen = min(n / m, 2.0 * head.base + 1.0 / m)
    head.base += weight(elapsed_s, MEMORY_S, DAY_S + head.age_s) * (seen - head.base)
    head.base = max(head.base, UNUSUAL)
    return 1 if change else 0


@kernel
def _ones(word):
    n = 0
    while word:
        word &= word - np.uint64(1)
        n += 1
    return n


@kernel
def log10_binomial(n, m, p):
    """log10 of the probability of n or more of m, each with probability p."""
    total = 0.0
    for k in range(n, m + 1):
        ways = math.lgamma(m + 1.0) - math.lgamma(k + 1.0) - math.lgamma(m - k + 1.0)
        total += math.exp(ways + k * math.log(p) + (m - k) * math.log1p(-p))
    return math.log10(max(min(total, 1.0), 1e-30))


@kernel
def flag(head, columns, row):
    """Note the members that are further from their last hour than in 99 of 100 rows."""
    for j in range(len(columns)):
        column = columns[j]
        if not column.is_ripe or not math.isfinite(row[j]):
            continue
        if abs(row[j] - column.level) > max(column.unusual, 0.5 * scale(column)):
            head.flagged |= np.uint64(1) << np.uint64(j)
