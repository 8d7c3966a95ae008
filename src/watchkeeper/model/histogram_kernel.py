"""Native histograms out of the bytes of a `prometheus.Histogram`: one pass each.

The message is the same in remote write 1.0 and 2.0. Nothing here checks who sent it.
"""

import numpy as np

from watchkeeper.compiled.address import address_of
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_f64
from watchkeeper.compiled.wire_kernel import (
    FIXED64,
    MAX_DEPTH,
    SIZED,
    VARINT,
    read_size,
    read_tag,
    read_varint,
    skip_field,
)

MAX_BUCKETS = 4096
"""Of one side of a histogram."""
CUSTOM = -53
"""The schema whose bounds are listed in the message."""

# Numbers of a histogram, in `head`.
COUNT, SUM, SCHEMA, ZERO_THRESHOLD, ZERO_COUNT, HINT, N_NEGATIVE, N_POSITIVE, N_CUSTOM = range(9)
N_HEAD = 9
HINT_RESET = 1
HINT_GAUGE = 3

# Columns of scratch, one row per value: spans and counts of both sides as they are written.
_NEG_OFFSET, _NEG_LENGTH, _NEG_DELTA, _POS_OFFSET, _POS_LENGTH, _POS_DELTA = range(6)
N_WHOLE = 6
_NEG_COUNT, _POS_COUNT, _CUSTOM_BOUND = range(3)
N_REAL = 3

_ONE = np.uint64(1)
_HALF = np.uint64(0xFFFFFFFF)
"""What is left of a number in a field of 32 bits."""


@kernel
def judge(buffer, starts, ends, scratch, out):
    """Of each histogram whether it is sound, and its time.

    `out` is (milliseconds, whether sound).
    """
    head, whole, real, index, count = scratch
    times, sound = out
    for row in range(len(starts)):
        times[row], sound[row] = expand(
            buffer, starts[row], ends[row], (head, whole, real), (index, count)
        )


@kernel
def expand(array, start, end, scratch, out):
    """(milliseconds, whether sound) of the histogram at array[start:end], taken apart.

    `scratch` is (head, whole, real); `out` is (index, count) of the buckets: those of the negative
    side, then those of the positive side, each by ascending index.
    """
    head, whole, real = scratch
    index, count = out
    head[:] = 0.0
    n = np.zeros(N_WHOLE + N_REAL, np.int64)
    ms = np.int64(0)
    is_float = False
    zero_whole = 0.0
    zero_real = 0.0
    buffer = address_of(array)
    i = start
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return ms, False
        field = tag >> 3
        kind = tag & 7
        if kind == VARINT and field in (1, 4, 6, 14, 15):
            number, i = read_varint(buffer, i, end)
            if field == 15:
                ms = np.int64(number)
            elif field == 4:
                head[SCHEMA] = _zigzag(number & _HALF)
            elif field == 14:
                head[HINT] = number & _HALF
            elif field == 1:
                head[COUNT] = number
                is_float = False
            else:
                zero_whole = float(number)
        elif kind == FIXED64 and field in (2, 3, 5, 7):
            if i + 8 > end:
                return ms, False
            value = load_f64(buffer, i)
            i += 8
            if field == 3:
                head[SUM] = value
            elif field == 5:
                head[ZERO_THRESHOLD] = value
            elif field == 2:
                head[COUNT] = value
                is_float = True
            else:
                zero_real = value
        elif field in (8, 11) and kind == SIZED:
            at = _NEG_OFFSET if field == 8 else _POS_OFFSET
            i = _span(buffer, i, end, whole, at, n)
        elif field in (9, 12) and kind in (SIZED, VARINT):
            at = _NEG_DELTA if field == 9 else _POS_DELTA
            i = _deltas(buffer, i, end, kind == SIZED, (whole, at, n))
        elif field in (10, 13, 16) and kind in (SIZED, FIXED64):
            at = _NEG_COUNT if field == 10 else _POS_COUNT if field == 13 else _CUSTOM_BOUND
            i = _reals(buffer, i, end, kind == SIZED, (real, at, n))
        else:
            i = skip_field(buffer, i, end, tag, MAX_DEPTH - 2)
        if i < 0:
            return ms, False
    head[ZERO_COUNT] = zero_real if zero_real != 0 else zero_whole
    head[N_CUSTOM] = n[N_WHOLE + _CUSTOM_BOUND]
    n_neg = _side(whole, real, n, is_float, (_NEG_OFFSET, _NEG_COUNT, 0), out)
    if n_neg < 0:
        return ms, False
    n_pos = _side(whole, real, n, is_float, (_POS_OFFSET, _POS_COUNT, n_neg), out)
    if n_pos < 0:
        return ms, False
    head[N_NEGATIVE] = n_neg
    head[N_POSITIVE] = n_pos
    return ms, _adds_up(head, real, index, count)


@kernel
def _adds_up(head, real, index, count):
    n_custom = np.int64(head[N_CUSTOM])
    n_buckets = np.int64(head[N_NEGATIVE] + head[N_POSITIVE])
    schema = head[SCHEMA]
    if schema == CUSTOM:
        if head[N_NEGATIVE] > 0 or head[ZERO_COUNT] > 0:
            return False
        for k in range(1, n_custom):
            if not real[_CUSTOM_BOUND, k - 1] < real[_CUSTOM_BOUND, k]:
                return False
        for k in range(n_buckets):
            if index[k] < 0 or index[k] > n_custom:
                return False
    elif not -4 <= schema <= 8:
        return False
    total = head[ZERO_COUNT]
    for k in range(n_buckets):
        if not count[k] >= 0:
            return False
        total += count[k]
    # The count of a NaN is in no bucket. Floats need not add up to the last digit.
    return (
        head[COUNT] >= 0
        and head[ZERO_COUNT] >= 0
        and head[ZERO_THRESHOLD] >= 0
        and total <= head[COUNT] * (1 + 1e-9) + 1e-9
    )


@kernel
def _side(whole, real, n, is_float, where, out):
    """Spans and counts of one side as buckets; how many, or -1 where they do not fit together."""
    spans, reals, at = where
    index, count = out
    n_spans = n[spans]
    n_given = n[N_WHOLE + reals] if is_float else n[spans + 2]
    first = at
    given = 0
    here = np.int64(0)
    level = 0.0
    for k in range(n_spans):
        offset = whole[spans, k]
        length = whole[spans + 1, k]
        if (k > 0 and offset < 0) or given + length > n_given:
            return -1
        here += offset
        for _ in range(length):
            if is_float:
                level = real[reals, given]
            else:
                level += whole[spans + 2, given]
            index[at] = here
            count[at] = level
            at += 1
            here += 1
            given += 1
    if given != n_given or abs(here) > 2**30:
        return -1
    return at - first


@kernel
def _span(buffer, i, end, whole, at, n):
    i, stop = read_size(buffer, i, end)
    if stop < 0 or n[at] >= MAX_BUCKETS:
        return -1
    offset = np.int64(0)
    length = np.int64(0)
    while i < stop:
        tag, i = read_tag(buffer, i, stop)
        if i < 0:
            return -1
        if tag == 0x08:
            number, i = read_varint(buffer, i, stop)
            offset = _zigzag(number & _HALF)
        elif tag == 0x10:
            number, i = read_varint(buffer, i, stop)
            length = np.int64(number & _HALF)
        else:
            i = skip_field(buffer, i, stop, tag, MAX_DEPTH - 3)
        if i < 0:
            return -1
    whole[at, n[at]] = offset
    whole[at + 1, n[at]] = length
    n[at] += 1
    return stop


@kernel
def _deltas(buffer, i, end, is_packed, into):
    whole, at, n = into
    stop = end
    if is_packed:
        i, stop = read_size(buffer, i, end)
        if stop < 0:
            return -1
    while i < stop:
        number, i = read_varint(buffer, i, stop)
        if i < 0 or n[at] >= MAX_BUCKETS:
            return -1
        whole[at, n[at]] = _zigzag(number)
        n[at] += 1
        if not is_packed:
            return i
    return stop if is_packed else -1


@kernel
def _reals(buffer, i, end, is_packed, into):
    real, at, n = into
    stop = end
    if is_packed:
        i, stop = read_size(buffer, i, end)
        if stop < 0 or (stop - i) & 7:
            return -1
    while i < stop:
        if i + 8 > stop or n[N_WHOLE + at] >= MAX_BUCKETS:
            return -1
        real[at, n[N_WHOLE + at]] = load_f64(buffer, i)
        n[N_WHOLE + at] += 1
        i += 8
        if not is_packed:
            return i
    return stop if is_packed else -1


@kernel
def _zigzag(number):
    return np.int64(number >> _ONE) ^ -np.int64(number & _ONE)
