"""Compiled arithmetic of native histograms.

A histogram is (head, negative index, negative count, positive index, positive count); indices
ascend, and a bucket that is named may be empty. Rules and the order of operations are those of
Prometheus 2.42, model/histogram/float_histogram.go.
"""

from __future__ import annotations

import math

import numpy as np

from watchkeeper.compiled.jit import kernel
from watchkeeper.model.histogram_kernel import CUSTOM, HINT_RESET

SCHEMA, THRESHOLD, ZERO, COUNT, SUM, HINT, N_NEGATIVE, LAYOUT = range(8)
N_HEAD = 8
"""LAYOUT says which bounds a histogram lists, of those that a pool knows; -1 where it has none."""
_MOST = 1.7976931348623157e308


@kernel
def taken(pool, row):
    """One histogram of (head, offset, index, count): its head is a copy, its buckets are not."""
    head, offset, index, count = pool
    a = offset[row]
    b = offset[row + 1]
    middle = a + np.int64(head[row, N_NEGATIVE])
    return head[row].copy(), index[a:middle], count[a:middle], index[middle:b], count[middle:b]


@kernel
def bound(schema, index):
    """The upper bound of a bucket of the positive side."""
    if schema < 0:
        power = index << -schema
        part = 1.0
    else:
        power = index >> schema
        left = index - (power << schema)
        part = 1.0 if left == 0 else 2.0 ** (left / (1 << schema))
    if power == 1024 and part == 1.0:
        return _MOST
    return math.ldexp(part, power)


@kernel
def _swallowed(schema, index, count, threshold):
    """What a zero bucket takes of a side, and how far it must reach to cut no bucket in two."""
    total = 0.0
    for k in range(len(index)):
        if bound(schema, index[k] - 1) >= threshold:
            break
        total += count[k]
        high = bound(schema, index[k])
        if high > threshold:
            if count[k] != 0:
                threshold = high
            break
    return total, threshold


@kernel
def zero_beyond(h, threshold):
    """(zero count, threshold) if the zero bucket were as wide as this one, or somewhat wider."""
    head, ni, nc, pi, pc = h
    schema = np.int64(head[SCHEMA])
    if threshold == head[THRESHOLD]:
        return head[ZERO], threshold
    while True:
        above, reach = _swallowed(schema, pi, pc, threshold)
        below, threshold = _swallowed(schema, ni, nc, reach)
        if threshold == reach:
            return head[ZERO] + above + below, threshold


@kernel
def _filled(index, count, schema, threshold):
    """Buckets that are not empty and lie beyond the zero bucket."""
    kept = np.empty(len(index), np.int64)
    counts = np.empty(len(index), np.float64)
    n = 0
    for k in range(len(index)):
        if count[k] != 0 and bound(schema, index[k] - 1) >= threshold:
            kept[n] = index[k]
            counts[n] = count[k]
            n += 1
    return kept[:n], counts[:n]


@kernel
def _widened(h, threshold):
    """With a zero bucket that takes in what it covers."""
    zero, threshold = zero_beyond(h, threshold)
    head, ni, nc, pi, pc = h
    schema = np.int64(head[SCHEMA])
    wider = head.copy()
    wider[ZERO] = zero
    wider[THRESHOLD] = threshold
    ni, nc = _filled(ni, nc, schema, threshold)
    pi, pc = _filled(pi, pc, schema, threshold)
    return wider, ni, nc, pi, pc


@kernel
def _coarse(index, count, shift):
    if shift == 0:
        return index, count
    into = np.empty(len(index), np.int64)
    counts = np.empty(len(index), np.float64)
    n = 0
    for k in range(len(index)):
        at = ((index[k] - 1) >> shift) + 1
        if n > 0 and into[n - 1] == at:
            counts[n - 1] += count[k]
        else:
            into[n] = at
            counts[n] = count[k]
            n += 1
    return into[:n], counts[:n]


@kernel
def coarser(h, schema):
    """At a resolution that is not finer than its own."""
    head, ni, nc, pi, pc = h
    shift = np.int64(head[SCHEMA]) - schema
    if shift <= 0:
        return h
    changed = head.copy()
    changed[SCHEMA] = schema
    ni, nc = _coarse(ni, nc, shift)
    pi, pc = _coarse(pi, pc, shift)
    return changed, ni, nc, pi, pc


@kernel
def _beyond(index, schema, threshold):
    """How many of the first buckets a zero bucket covers. None where bounds are listed."""
    n = 0
    if schema != CUSTOM:
        while n < len(index) and bound(schema, index[n]) <= threshold:
            n += 1
    return n


@kernel
def _merged(index, count, others, counts, sign):
    into = np.empty(len(index) + len(others), np.int64)
    out = np.empty(len(into), np.float64)
    n = i = k = 0
    while i < len(index) or k < len(others):
        if k == len(others) or (i < len(index) and index[i] < others[k]):
            into[n] = index[i]
            out[n] = count[i]
            i += 1
        elif i == len(index) or others[k] < index[i]:
            into[n] = others[k]
            out[n] = sign * counts[k]
            k += 1
        else:
            into[n] = index[i]
            out[n] = count[i] + sign * counts[k]
            i += 1
            k += 1
        n += 1
    return into[:n], out[:n]


@kernel
def _added(h, other, sign):
    """`other` is not coarser than `h`."""
    zero, threshold = other[0][ZERO], other[0][THRESHOLD]
    while threshold != h[0][THRESHOLD]:
        if threshold < h[0][THRESHOLD]:
            zero, threshold = zero_beyond(other, h[0][THRESHOLD])
        if threshold > h[0][THRESHOLD]:
            h = _widened(h, threshold)
    head, ni, nc, pi, pc = h
    schema = np.int64(head[SCHEMA])
    _, oni, onc, opi, opc = coarser(other, schema)
    n = _beyond(oni, schema, threshold)
    ni, nc = _merged(ni, nc, oni[n:], onc[n:], sign)
    n = _beyond(opi, schema, threshold)
    pi, pc = _merged(pi, pc, opi[n:], opc[n:], sign)
    total = head.copy()
    total[ZERO] += sign * zero
    total[COUNT] += sign * other[0][COUNT]
    total[SUM] += sign * other[0][SUM]
    return total, ni, nc, pi, pc


@kernel
def added(h, other, sign):
    """`h` plus or minus `other`, at the resolution of the coarser one."""
    schema = np.int64(other[0][SCHEMA])
    if schema >= h[0][SCHEMA]:
        return _added(h, other, sign)
    if sign > 0:
        return _added(other, h, sign)
    return _added(coarser(h, schema), other, sign)


@kernel
def are_alike(h, other):
    """Whether they can be added: bounds that are listed must be the same ones."""
    return h[0][LAYOUT] == other[0][LAYOUT]


@kernel
def compact(h):
    """Without its empty buckets."""
    head, ni, nc, pi, pc = h
    n = nc != 0
    p = pc != 0
    return head, ni[n], nc[n], pi[p], pc[p]


@kernel
def _fell(index, count, before, counts):
    i = 0
    for k in range(len(before)):
        while i < len(index) and index[i] < before[k]:
            i += 1
        now = count[i] if i < len(index) and index[i] == before[k] else 0.0
        if now < counts[k]:
            return True
    return False


@kernel
def is_reset(h, before):
    """Whether a counter began anew between two of its histograms."""
    if h[0][HINT] == HINT_RESET or h[0][LAYOUT] != before[0][LAYOUT]:
        return True
    schema = np.int64(h[0][SCHEMA])
    threshold = h[0][THRESHOLD]
    if (
        h[0][COUNT] < before[0][COUNT]
        or schema > before[0][SCHEMA]
        or threshold < before[0][THRESHOLD]
    ):
        return True
    zero, reach = zero_beyond(before, threshold)
    if reach != threshold or h[0][ZERO] < zero:
        return True
    _, ni, nc, pi, pc = h
    _, bni, bnc, bpi, bpc = coarser(before, schema)
    n = _beyond(bni, schema, threshold)
    p = _beyond(bpi, schema, threshold)
    return _fell(ni, nc, bni[n:], bnc[n:]) or _fell(pi, pc, bpi[p:], bpc[p:])


@kernel
def ladder(h, bounds):
    """(low, high, count) of all buckets, ascending. `bounds` are those that it lists."""
    head, ni, nc, pi, pc = h
    schema = np.int64(head[SCHEMA])
    threshold = head[THRESHOLD]
    n = len(ni) + len(pi) + 1
    low, high, count = np.empty(n), np.empty(n), np.empty(n)
    at = 0
    for k in range(len(ni) - 1, -1, -1):
        low[at] = -bound(schema, ni[k])
        high[at] = min(-bound(schema, ni[k] - 1), -threshold)
        count[at] = nc[k]
        at += 1
    if head[ZERO] > 0:
        low[at] = -threshold
        high[at] = threshold
        count[at] = head[ZERO]
        at += 1
    for k in range(len(pi)):
        if schema == CUSTOM:
            low[at] = bounds[pi[k] - 1] if pi[k] > 0 else -np.inf
            high[at] = bounds[pi[k]] if pi[k] < len(bounds) else np.inf
        else:
            low[at] = max(bound(schema, pi[k] - 1), threshold)
            high[at] = bound(schema, pi[k])
        count[at] = pc[k]
        at += 1
    return low[:at], high[:at], count[:at]
