"""Compiled work on vectors: many series of a step become few, or fewer.

`group` says for each row of `value` (series, steps) where it goes. Formulas and the order of
operations are those of Prometheus 2.42, promql/engine.go and promql/quantile.go.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel
from watchkeeper.lake.promql.windows_kernel import quantile_of

SUM, AVG, MIN, MAX, COUNT, GROUP, STDVAR, STDDEV = range(8)


@kernel
def _avg(mean, count, v):
    if np.isinf(mean):
        if np.isinf(v) and (mean > 0) == (v > 0):
            return mean
        if not np.isinf(v) and not np.isnan(v):
            return mean
    return mean + (v / count - mean / count)


@kernel
def aggregate(code, value, held, group, out, count, mean):
    """`count` and `mean` begin as zeros; where `count` stays zero there is no value."""
    for s in range(value.shape[0]):
        g = group[s]
        for i in range(value.shape[1]):
            if not held[s, i]:
                continue
            v = value[s, i]
            count[g, i] += 1
            n = count[g, i]
            if n == 1:
                out[g, i] = 0.0 if code >= STDVAR else v
                mean[g, i] = v
            elif code == SUM:
                out[g, i] += v
            elif code == AVG:
                mean[g, i] = _avg(mean[g, i], float(n), v)
            elif code == MIN:
                if v < out[g, i] or np.isnan(out[g, i]):
                    out[g, i] = v
            elif code == MAX:
                if v > out[g, i] or np.isnan(out[g, i]):
                    out[g, i] = v
            elif code >= STDVAR:
                delta = v - mean[g, i]
                mean[g, i] += delta / n
                out[g, i] += delta * (v - mean[g, i])
    for g in range(out.shape[0]):
        for i in range(out.shape[1]):
            if code == AVG:
                out[g, i] = mean[g, i]
            elif code == COUNT:
                out[g, i] = count[g, i]
            elif code == GROUP:
                out[g, i] = 1.0
            elif code == STDVAR:
                out[g, i] /= count[g, i]
            elif code == STDDEV:
                out[g, i] = np.sqrt(out[g, i] / count[g, i])


@kernel
def quantile(q, value, held, members, offset, out, found):
    """Group g has the rows members[offset[g]:offset[g + 1]]."""
    room = np.empty(len(members))
    for g in range(len(offset) - 1):
        for i in range(value.shape[1]):
            n = 0
            for m in range(offset[g], offset[g + 1]):
                if held[members[m], i]:
                    room[n] = value[members[m], i]
                    n += 1
            found[g, i] = n > 0
            if n > 0:
                out[g, i] = quantile_of(q[i], room, n)


@kernel
def pick(k, sign, value, held, members, offset, kept):
    """The k greatest (sign 1) or least (-1) of each group and step; NaN comes last, ties as they
    are."""
    room = np.empty(len(members))
    who = np.empty(len(members), np.int64)
    for g in range(len(offset) - 1):
        for i in range(value.shape[1]):
            n = 0
            for m in range(offset[g], offset[g + 1]):
                if held[members[m], i]:
                    room[n] = -sign * value[members[m], i]
                    who[n] = members[m]
                    n += 1
            if n <= k[i]:
                for j in range(n):
                    kept[who[j], i] = True
                continue
            # A NaN is no greater than itself: counted apart, it goes to the end.
            order = np.argsort(np.where(np.isnan(room[:n]), np.inf, room[:n]), kind="mergesort")
            left = k[i]
            for with_nan in range(2):
                for j in order:
                    if left > 0 and np.isnan(room[j]) == (with_nan == 1):
                        kept[who[j], i] = True
                        left -= 1


@kernel
def _coalesced(bound, count, n):
    """Buckets of equal bounds become one, then counts never fall; how many are left."""
    kept = 0
    for j in range(1, n):
        if bound[j] == bound[kept]:
            count[kept] += count[j]
        else:
            kept += 1
            bound[kept] = bound[j]
            count[kept] = count[j]
    kept += 1
    most = count[0]
    for j in range(1, kept):
        if count[j] > most:
            most = count[j]
        elif count[j] < most:
            count[j] = most
    return kept


@kernel
def _bucket_quantile(q, bound, count, n):
    if np.isnan(q):
        return np.nan
    if q < 0:
        return -np.inf
    if q > 1:
        return np.inf
    if bound[n - 1] != np.inf:
        return np.nan
    n = _coalesced(bound, count, n)
    if n < 2:
        return np.nan
    total = count[n - 1]
    if total == 0:
        return np.nan
    rank = q * total
    a = 0
    b = n - 1
    while a < b:
        middle = (a + b) // 2
        if count[middle] >= rank:
            b = middle
        else:
            a = middle + 1
    if a == n - 1:
        return bound[n - 2]
    if a == 0 and bound[0] <= 0:
        return bound[0]
    start = 0.0
    inside = count[a]
    if a > 0:
        start = bound[a - 1]
        inside -= count[a - 1]
        rank -= count[a - 1]
    return start + (bound[a] - start) * (rank / inside)


@kernel
def bucket_quantiles(q, bound, value, held, members, offset, out, found):
    """Group g is a histogram: rows members[offset[g]:offset[g + 1]], in the order of `bound`."""
    bounds = np.empty(len(members))
    counts = np.empty(len(members))
    for g in range(len(offset) - 1):
        for i in range(value.shape[1]):
            n = 0
            for m in range(offset[g], offset[g + 1]):
                row = members[m]
                if held[row, i]:
                    bounds[n] = bound[row]
                    counts[n] = value[row, i]
                    n += 1
            found[g, i] = n > 0
            if n > 0:
                out[g, i] = _bucket_quantile(q[i], bounds, counts, n)
