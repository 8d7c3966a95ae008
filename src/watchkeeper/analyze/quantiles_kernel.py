"""Buckets of histograms to quantiles: growth since all buckets were last seen at one time.

A row of state is that of a bucket or, at the slot of the median, that of a histogram. The buckets
of a histogram are a chain, by ascending bound; slots in a row are one more than they are, so that 0
is none.
"""

import numpy as np

from watchkeeper.compiled.jit import kernel

UNSCORED = 3
UNKNOWN = 0
ACTIVE = 1
RESTING = 2
"""Of a bucket: in the chain, and counted or not."""
NO_HISTOGRAM = 3

_EXPONENTIAL_MIN = -4
_CUSTOM = -53
_COUNT, _SUM, _SCHEMA, _ZERO_THRESHOLD, _ZERO_COUNT, _HINT, _N_NEGATIVE, _N_POSITIVE = range(8)


@kernel
def n_unscored(slots, kind):
    """How many samples may be of buckets. Cheap, for most batches have none."""
    n = 0
    for i in range(len(slots)):
        n += kind[slots[i]] == UNSCORED
    return n


@kernel
def strangers(slots, kind, identity, rows, strange):
    """How many slots are strange, and they themselves: nobody looked yet whether their owners are
    buckets."""
    n_strange = 0
    for i in range(len(slots)):
        slot = slots[i]
        if kind[slot] != UNSCORED:
            continue
        if rows[slot].mark == UNKNOWN or rows[slot].identity != identity[slot, 0]:
            strange[n_strange] = slot
            n_strange += 1
    return n_strange


@kernel
def step(points, kind, rows, lookback_ns, quantiles, out):
    """Apply samples in order; how many derived samples were written to `out`.

    Each sample of a bucket is growth over the one before it, a fall being a restart from zero. When
    all buckets of a histogram have come to the same time, quantiles of their growth since the last
    such time are written: (slot, time_ns, value).
    """
    slots, times, values = points
    n_out = 0
    for i in range(len(slots)):
        slot = slots[i]
        if kind[slot] != UNSCORED or rows[slot].mark == NO_HISTOGRAM:
            continue
        group = rows[slot].group - 1
        t = times[i]
        value = values[i]
        if t <= rows[slot].last_ns:
            continue  # late: stored, and not scored
        if not np.isfinite(value):
            rest(rows, slot)
            continue
        if rows[slot].mark == ACTIVE:
            growth = value - rows[slot].last
            rows[slot].grown += growth if growth >= 0 else value
        else:
            rows[slot].mark = ACTIVE
            rows[slot].grown = 0.0
            rows[group].n_members += 1
        rows[slot].last = value
        rows[slot].last_ns = t
        if t > rows[group].last_ns:
            if rows[group].n_at < rows[group].n_members:
                _let_rest(rows, group, t - lookback_ns)
            rows[group].last_ns = t
            rows[group].n_at = 1
        elif t == rows[group].last_ns:
            rows[group].n_at += 1
        if rows[group].n_at == rows[group].n_members:
            n_out = _derive(rows, group, quantiles, out, n_out)
    return n_out


@kernel
def join(rows, slot, group, bound):
    """Put a bucket into the chain of its histogram, at rest."""
    rows[slot].group = group + 1
    rows[slot].bound = bound
    rows[slot].mark = RESTING
    after = -1
    at = rows[group].first - 1
    while at >= 0 and (rows[at].bound < bound or (rows[at].bound == bound and at < slot)):
        after = at
        at = rows[at].next - 1
    rows[slot].next = at + 1
    if after < 0:
        rows[group].first = slot + 1
    else:
        rows[after].next = slot + 1


@kernel
def leave(rows, slot):
    """Take a bucket out of its chain."""
    rest(rows, slot)
    group = rows[slot].group - 1
    after = -1
    at = rows[group].first - 1
    while at >= 0 and at != slot:
        after = at
        at = rows[at].next - 1
    if at == slot:
        if after < 0:
            rows[group].first = rows[slot].next
        else:
            rows[after].next = rows[slot].next


@kernel
def rest(rows, slot):
    """A bucket that ended, or was silent for long, is waited for no more."""
    if rows[slot].mark == ACTIVE:
        group = rows[slot].group - 1
        rows[slot].mark = RESTING
        rows[group].n_members -= 1
        if rows[slot].last_ns == rows[group].last_ns:
            rows[group].n_at -= 1


@kernel
def _let_rest(rows, group, before_ns):
    at = rows[group].first - 1
    while at >= 0:
        if rows[at].last_ns < before_ns:
            rest(rows, at)
        at = rows[at].next - 1


@kernel
def _derive(rows, group, quantiles, out, n_out):
    slots, times, values = out
    total = 0.0
    top = 0.0
    n = 0
    at = rows[group].first - 1
    while at >= 0:
        if rows[at].mark == ACTIVE:
            total = max(total, rows[at].grown)
            top = rows[at].bound
            n += 1
        at = rows[at].next - 1
    if n >= 2 and top == np.inf and total > 0:
        for k in range(len(quantiles)):
            slot = group
            if k > 0:
                slot = (rows[group].second if k == 1 else rows[group].third) - 1
            if slot >= 0:
                slots[n_out] = slot
                times[n_out] = rows[group].last_ns
                values[n_out] = _quantile(rows, group, quantiles[k] * total, n)
                n_out += 1
    at = rows[group].first - 1
    while at >= 0:
        rows[at].grown = 0.0
        at = rows[at].next - 1
    return n_out


@kernel
def _quantile(rows, group, rank, n):
    """As `histogram_quantile` of PromQL has it: linear between bounds, from 0 on if the first bound
    is above it; beyond the last finite bound there is only that."""
    low = 0.0
    below = 0.0
    k = 0
    at = rows[group].first - 1
    while at >= 0:
        if rows[at].mark == ACTIVE:
            high = rows[at].bound
            count = max(below, rows[at].grown)
            if k == n - 1:
                return low
            if count >= rank:
                if k == 0 and high <= 0:
                    return high
                return low + (high - low) * ((rank - below) / (count - below))
            low = high
            below = count
            k += 1
        at = rows[at].next - 1
    return low


@kernel
def native(before, now, custom, quantiles, out):
    """Quantiles of a native histogram's growth since another, into `out`; how much it grew.

    Both are (head, index, count). After a restart, or with nothing before, all that is there has
    grown; where they are divided otherwise than before, nothing can be told, and it is -1.
    """
    head, index, count = now
    n_negative = np.int64(head[_N_NEGATIVE])
    n_all = n_negative + np.int64(head[_N_POSITIVE])
    growth = count[:n_all].copy()
    zero = head[_ZERO_COUNT]
    old, old_index, old_count = before
    if old[_COUNT] > 0:
        if old[_SCHEMA] != head[_SCHEMA] or old[_ZERO_THRESHOLD] != head[_ZERO_THRESHOLD]:
            return -1.0
        fell = head[_COUNT] < old[_COUNT] or head[_ZERO_COUNT] < old[_ZERO_COUNT]
        n_old = np.int64(old[_N_NEGATIVE])
        m_old = n_old + np.int64(old[_N_POSITIVE])
        fell |= _subtract(growth, index, (0, n_negative), old_index, old_count, (0, n_old))
        fell |= _subtract(growth, index, (n_negative, n_all), old_index, old_count, (n_old, m_old))
        if fell:
            growth[:] = count[:n_all]
        else:
            zero -= old[_ZERO_COUNT]
    total = zero + growth.sum()
    if total > 0:
        for k in range(len(quantiles)):
            out[k] = _native_quantile(
                quantiles[k] * total, zero, (growth, index, n_negative), head, custom
            )
    return total


@kernel
def _subtract(growth, index, where, old_index, old_count, old_where):
    """Whether some bucket has fallen."""
    i, end = where
    for j in range(old_where[0], old_where[1]):
        if old_count[j] == 0:
            continue
        while i < end and index[i] < old_index[j]:
            i += 1
        if i >= end or index[i] != old_index[j] or growth[i] < old_count[j]:
            return True
        growth[i] -= old_count[j]
    return False


@kernel
def _native_quantile(rank, zero, buckets, head, custom):
    growth, index, n_negative = buckets
    schema = np.int64(head[_SCHEMA])
    below = 0.0
    last = 0.0
    for k in range(n_negative - 1, -1, -1):
        if growth[k] > 0:
            low, high = _bounds(schema, index[k], custom)
            if below + growth[k] >= rank:
                return -_between(high, low, (rank - below) / growth[k])
            below += growth[k]
    if zero > 0:
        has_negative = below > 0
        has_positive = growth[n_negative:].sum() > 0
        low = 0.0 if has_positive and not has_negative else -head[_ZERO_THRESHOLD]
        high = 0.0 if has_negative and not has_positive else head[_ZERO_THRESHOLD]
        if below + zero >= rank:
            return low + (high - low) * ((rank - below) / zero)
        below += zero
    for k in range(n_negative, len(growth)):
        if growth[k] > 0:
            low, high = _bounds(schema, index[k], custom)
            share = (rank - below) / growth[k]
            last = low if high == np.inf else high
            if below + growth[k] >= rank:
                if schema != _CUSTOM:
                    return _between(low, high, share)
                if high == np.inf:
                    return low
                if low == -np.inf:
                    if high <= 0:
                        return high
                    low = 0.0
                return low + (high - low) * share
            below += growth[k]
    return last


@kernel
def _between(low, high, share):
    """Where observations of a bucket lie, evenly on the scale of its bounds."""
    if high == np.inf:
        return low
    return low * (high / low) ** share


@kernel
def _bounds(schema, index, custom):
    if schema == _CUSTOM:
        low = custom[index - 1] if index > 0 else -np.inf
        return low, custom[index] if index < len(custom) else np.inf
    step = 2.0 ** (-float(schema))
    return 2.0 ** ((index - 1) * step), 2.0 ** (index * step)
