"""Counting spans into the histograms of their groups, and what is told of these at a boundary."""

from watchkeeper.compiled.jit import kernel

NS_PER_S = 1e9


@kernel
def count(counted, bounds_ns, rows):
    """Add spans to the rows of their groups."""
    group, duration_ns, failed = counted
    for i in range(len(group)):
        row = rows[group[i]]
        took = duration_ns[i]
        k = 0
        while k < len(bounds_ns) and took > bounds_ns[k]:
            k += 1
        row.bucket[k] += 1
        row.sum_ns += took
        row.errors += failed[i]
        row.is_changed = 1


@kernel
def _is_placed(slots):
    for k in range(len(slots)):
        if slots[k] >= 0:
            return True
    return False


@kernel
def tell(groups, slots, rows, when, out):
    """How many samples were written to `out`: of each group all of its series, buckets by
    ascending bound.

    A group that was silent, or is new, begins with the values that it had at the boundary before.
    """
    now_ns, before_ns = when
    n_out = 0
    for i in range(len(groups)):
        row = rows[groups[i]]
        if row.is_changed:
            row.is_changed = 0
            row.changed_ns = now_ns
        if not _is_placed(slots[i]):
            continue
        if row.told_ns < before_ns:
            n_out = _write(slots[i], before_ns + 1_000_000, row.told, out, n_out)
        n_buckets = len(row.bucket)
        total = 0
        for k in range(n_buckets):
            total += row.bucket[k]
            row.told[k] = total
        row.told[n_buckets] = total
        row.told[n_buckets + 1] = row.sum_ns / NS_PER_S
        row.told[n_buckets + 2] = row.errors
        row.told_ns = now_ns
        n_out = _write(slots[i], now_ns, row.told, out, n_out)
    return n_out


@kernel
def _write(slots, time_ns, values, out, n_out):
    slot, times, value = out
    for k in range(len(slots)):
        if slots[k] >= 0:
            slot[n_out] = slots[k]
            times[n_out] = time_ns
            value[n_out] = values[k]
            n_out += 1
    return n_out
