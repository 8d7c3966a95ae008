"""Compiled work on many native histograms: sums of some of them, and numbers about each.

A pool is (head, offset, index, count); `layouts` is (offset, bounds) of the bounds that are listed.
Formulas are those of Prometheus 2.42, promql/quantile.go and promql/functions.go; those of
functions that it does not have yet are Prometheus 3's.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel
from watchkeeper.lake.promql.native_kernel import (
    COUNT,
    HINT,
    LAYOUT,
    N_NEGATIVE,
    SCHEMA,
    SUM,
    THRESHOLD,
    ZERO,
    added,
    are_alike,
    coarser,
    compact,
    is_reset,
    ladder,
    taken,
)
from watchkeeper.model import histogram_kernel as wire


@kernel
def unpacked(data, runs, scratch, is_whole, out):
    """Payloads as a pool, and the bounds that each lists; `runs` says where each begins and ends.

    First without buckets and bounds, to size the arrays for them; then whole.
    """
    of_one, whole, real, indices, counts = scratch
    head, offset, index, count, bounds_offset, bounds = out
    start, end = runs
    at = n_bounds = 0
    for row in range(len(start)):
        wire.expand(data, start[row], end[row], (of_one, whole, real), (indices, counts))
        n = np.int64(of_one[wire.N_NEGATIVE] + of_one[wire.N_POSITIVE])
        n_listed = np.int64(of_one[wire.N_CUSTOM])
        if is_whole:
            index[at : at + n] = indices[:n]
            count[at : at + n] = counts[:n]
            bounds[n_bounds : n_bounds + n_listed] = real[-1, :n_listed]
        at += n
        n_bounds += n_listed
        offset[row + 1] = at
        bounds_offset[row + 1] = n_bounds
        head[row, SCHEMA] = of_one[wire.SCHEMA]
        head[row, THRESHOLD] = of_one[wire.ZERO_THRESHOLD]
        head[row, ZERO] = of_one[wire.ZERO_COUNT]
        head[row, COUNT] = of_one[wire.COUNT]
        head[row, SUM] = of_one[wire.SUM]
        head[row, HINT] = of_one[wire.HINT]
        head[row, N_NEGATIVE] = of_one[wire.N_NEGATIVE]
        head[row, LAYOUT] = -1.0


@kernel
def resets(pool, offset, row, out):
    """Of each sample whether it began anew since the one before it of its series."""
    for s in range(len(offset) - 1):
        for k in range(offset[s] + 1, offset[s + 1]):
            out[k] = is_reset(taken(pool, row[k]), taken(pool, row[k - 1]))


@kernel
def changes(pool, offset, row, out):
    """Of each sample whether it differs from the one before it of its series."""
    for s in range(len(offset) - 1):
        for k in range(offset[s] + 1, offset[s + 1]):
            out[k] = not are_equal(taken(pool, row[k]), taken(pool, row[k - 1]))


@kernel
def are_equal(h, other):
    """To the last bit, and with the same buckets."""
    for k in (SCHEMA, THRESHOLD, ZERO, COUNT, SUM, LAYOUT):
        if h[0][k] != other[0][k]:
            return False
    return (
        np.array_equal(h[1], other[1])
        and np.array_equal(h[2], other[2])
        and np.array_equal(h[3], other[3])
        and np.array_equal(h[4], other[4])
    )


@kernel
def _total(pool, row, sign, schema):
    """The sum of some histograms, at this resolution at most, and whether they can be added."""
    h = coarser(taken(pool, row[0]), schema)
    for k in range(1, len(row)):
        other = taken(pool, row[k])
        if not are_alike(h, other):
            return h, False
        h = added(h, other, sign[k])
    return h, True


@kernel
def _longer(array, n):
    longer = np.empty(max(n, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


@kernel
def totals(pool, cells, is_compact, most, out):
    """A pool with one sum per cell, and which of them there are.

    `cells` is (offset, row, sign, schema): what is added up for each, the first of it not negated,
    and how fine it may be. Ends early when there are more than `most` buckets.
    """
    offset, row, sign, schema = cells
    head, ends, found = out
    index = np.empty(1024, np.int64)
    count = np.empty(1024, np.float64)
    n = 0
    for c in range(len(offset) - 1):
        a = offset[c]
        b = offset[c + 1]
        h, found[c] = _total(pool, row[a:b], sign[a:b], schema[c])
        if is_compact:
            h = compact(h)
        own, ni, nc, pi, pc = h
        size = len(ni) + len(pi)
        if n + size > most:
            return index, count, n + size
        if n + size > len(index):
            index = _longer(index, n + size)
            count = _longer(count, n + size)
        index[n : n + len(ni)] = ni
        count[n : n + len(ni)] = nc
        index[n + len(ni) : n + size] = pi
        count[n + len(ni) : n + size] = pc
        head[c] = own
        head[c, N_NEGATIVE] = len(ni)
        n += size
        ends[c + 1] = n
    return index[:n].copy(), count[:n].copy(), n


@kernel
def growth_rows(windows, resets, schema, is_counter, out):
    """What growth in each window is made of: the last, less the first, and what was there before
    every reset. Twice: to count, when `row` is empty, and to fill."""
    begin, stop, n = windows
    cell, row, sign, finest = out
    at = 0
    c = 0
    for s in range(begin.shape[0]):
        for i in range(begin.shape[1]):
            if n[s, i] < 2:
                continue
            a = begin[s, i]
            b = stop[s, i]
            least = min(schema[a], schema[b - 1])
            if len(row):
                row[at], sign[at] = b - 1, 1.0
                row[at + 1], sign[at + 1] = a, -1.0
            at += 2
            if is_counter:
                for j in range(a + 1, b):
                    least = min(least, schema[j])
                    if resets[j]:
                        if len(row):
                            row[at], sign[at] = j - 1, 1.0
                        at += 1
            finest[c] = least
            c += 1
            cell[c] = at
    return at


@kernel
def growth_factors(windows, time, ref, length, is_rate, out):
    """How much more than what was seen is told: up to the window's edges, or half a step on."""
    begin, stop, n = windows
    c = 0
    for s in range(begin.shape[0]):
        for i in range(begin.shape[1]):
            if n[s, i] < 2:
                continue
            a = begin[s, i]
            b = stop[s, i]
            to_start = (time[a] - (ref[i] - length)) / 1e9
            to_end = (ref[i] - time[b - 1]) / 1e9
            sampled = (time[b - 1] - time[a]) / 1e9
            between = sampled / (b - a - 1)
            beyond = between * 1.1
            covered = sampled
            covered += to_start if to_start < beyond else between / 2
            covered += to_end if to_end < beyond else between / 2
            out[c] = covered / sampled
            if is_rate:
                out[c] /= length / 1e9
            c += 1


@kernel
def _bounds(head, layouts):
    offset, bounds = layouts
    which = np.int64(head[LAYOUT])
    if which < 0:
        return bounds[:0]
    return bounds[offset[which] : offset[which + 1]]


@kernel
def _inside(h, low, high):
    """A zero bucket with buckets on one side of it alone reaches no further than 0 on the other;
    nor does the first of listed bounds, or the last, reach on for ever."""
    if low < 0 and high > 0:
        if len(h[2]) == 0 and len(h[4]) > 0:
            low = 0.0
        elif len(h[4]) == 0 and len(h[2]) > 0:
            high = 0.0
    return low, high


@kernel
def _quantile(h, bounds, q):
    whole = h[0][COUNT]
    if q < 0:
        return -np.inf
    if q > 1:
        return np.inf
    if whole == 0 or np.isnan(q):
        return np.nan
    low, high, count = ladder(h, bounds)
    if len(low) == 0:
        return 0.0 if q > 0 else np.nan
    rank = q * whole
    total = 0.0
    at = 0
    for at in range(len(low)):
        total += count[at]
        if total >= rank:
            break
    below, above = _inside(h, low[at], high[at])
    total = min(total, whole)
    if h[0][LAYOUT] >= 0:
        if low[at] == -np.inf:
            if above <= 0:
                return above
            below = 0.0
        if above == np.inf:
            return below
    if total < rank:
        return above
    return below + (above - below) * ((rank - (total - count[at])) / count[at])


@kernel
def quantiles(pool, layouts, row, q, out):
    for c in range(len(row)):
        h = taken(pool, row[c])
        out[c] = _quantile(h, _bounds(h[0], layouts), q[c])


@kernel
def _fraction(h, bounds, lower, upper):
    whole = h[0][COUNT]
    if whole == 0 or np.isnan(lower) or np.isnan(upper):
        return np.nan
    if lower >= upper:
        return 0.0
    low, high, count = ladder(h, bounds)
    rank = 0.0
    first = last = -1.0
    for k in range(len(low)):
        below, above = _inside(h, low[k], high[k])
        if first < 0 and below >= lower:
            first = rank
        if last < 0 and below >= upper:
            last = rank
        if first < 0 and below < lower < above:
            first = rank + count[k] * (lower - below) / (above - below)
        if last < 0 and below < upper < above:
            last = rank + count[k] * (upper - below) / (above - below)
        rank += count[k]
    first = whole if first < 0 else min(first, whole)
    last = whole if last < 0 else min(last, whole)
    return (last - first) / whole


@kernel
def fractions(pool, layouts, row, lower, upper, out):
    for c in range(len(row)):
        h = taken(pool, row[c])
        out[c] = _fraction(h, _bounds(h[0], layouts), lower[c], upper[c])


@kernel
def variances(pool, layouts, row, out):
    """Every observation stands in the middle of its bucket, by powers where bounds are powers."""
    for c in range(len(row)):
        h = taken(pool, row[c])
        low, high, count = ladder(h, _bounds(h[0], layouts))
        mean = h[0][SUM] / h[0][COUNT]
        total = 0.0
        for k in range(len(low)):
            if count[k] == 0:
                continue
            if h[0][LAYOUT] >= 0:
                middle = (low[k] + high[k]) / 2
            elif low[k] <= 0 <= high[k]:
                middle = 0.0
            else:
                middle = np.sqrt(low[k] * high[k]) * (1.0 if high[k] > 0 else -1.0)
            total += count[k] * (middle - mean) ** 2
        out[c] = total / h[0][COUNT]


@kernel
def ladders(pool, layouts, row, ends, low, high, count):
    """The buckets of some histograms that are not empty; there is room for all."""
    n = 0
    for c in range(len(row)):
        h = taken(pool, row[c])
        below, above, counts = ladder(h, _bounds(h[0], layouts))
        for k in range(len(below)):
            if counts[k] != 0:
                low[n], high[n], count[n] = below[k], above[k], counts[k]
                n += 1
        ends[c + 1] = n


@kernel
def equals(pool, pairs, out):
    for c in range(len(pairs)):
        out[c] = are_equal(taken(pool, pairs[c, 0]), taken(pool, pairs[c, 1]))
