"""One data point of OTLP metrics: read, checked, and written as the series that it makes.

A number makes one series. Histograms and summaries make several, in the shape that Prometheus gave
them: `_count`, `_sum`, and a series for each bucket or quantile.

All state is one array of integers and all output another, both by their addresses.
"""

import numpy as np

from watchkeeper.compiled.address import load_i64, load_u8, store_f64, store_i64
from watchkeeper.compiled.hashing import fast_hash128, fold_multiply
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64
from watchkeeper.compiled.wire_kernel import (
    MAX_DEPTH,
    read_size,
    read_tag,
    read_varint,
    skip_field,
)
from watchkeeper.ingest.receivers.otlp_attribute_kernel import (
    ATTRIBUTE_DEPTH,
    KEY_VALUE,
    MALFORMED,
    NOT_UTF8,
    SOUND,
    UNUSUAL,
    check_message,
    is_short_text,
)

DONE = SOUND  # and MALFORMED and UNUSUAL

# What a metric is.
GAUGE = 0
COUNTER = 1
UP_DOWN = 2
HISTOGRAM = 3
EXPONENTIAL = 4
SUMMARY = 5

# Which of a point's series a row is.
VALUE = 0
COUNT = 1
SUM = 2
BUCKET = 3
QUANTILE = 4

# Kind, as in model.series.
_KIND_GAUGE = 1
_KIND_COUNTER = 2
_KIND_UNSCORED = 3

# Columns of a row, which is one sample and where its series' labels are from.
KEY = 0  # and 1
KIND = 2  # and IS_DELTA, where the value is what was added since the last one
METRIC = 3
POINT = 4
POINT_END = 5
PART = 6
PART_NUMBER = 7
TIME_NS = 8
VALUE_BITS = 9
ROW_COLUMNS = 10

IS_DELTA = 0x100

# Positions in the state: first what is counted, ...
N_ROWS = 0
N_METRICS = 1
N_NO_NAME = 2
N_NOT_UTF8 = 3
N_DELTA = 4
N_NO_TEMPORALITY = 5
N_NO_TIME = 6
N_OUT_OF_RANGE = 7
N_NO_VALUE = 8
N_BAD_BUCKETS = 9
N_EXPONENTIAL = 10
N_DELTA_METRICS = 11
N_EXEMPLARS = 12
N_COUNTS = 13
# ... then the metric at hand, ...
WHAT = 13
METRIC_KEY = 14  # and 15
RESOURCE_KEY = 16  # and 17
DELTA_BIT = 18  # IS_DELTA or 0
# ... then the point at hand. What lies _AT a place of the body is absent if that is 0.
_POINT_STATE = 19
_TIME = 19
_FLAGS = 20
_VALUE_AT = 21
_IS_INT = 22
_SUM_AT = 23
_COUNTS_AT = 24
_N_BUCKETS = 25
_BOUNDS_AT = 26
_N_BOUNDS = 27
_ATTRIBUTES_AT = 28
_ATTRIBUTES_END = 29
_IS_NOT_UTF8 = 30
N_STATE = 31

_STALE_BITS = 0x7FF0000000000002
_INFINITE_BITS = np.uint64(0x7FF0000000000000)
_MAX_NS = np.uint64(2**63 - 1)
_SALT_0 = np.uint64(0xD6E8FEB86659FD93)
_SALT_1 = np.uint64(0xA5A3564E27F8862B)


@kernel
def join_keys(left_0, left_1, right_0, right_1):
    """One key of 128 bits out of two, in order."""
    low = fold_multiply(np.uint64(left_0) ^ _SALT_0, np.uint64(right_0) ^ np.uint64(left_1))
    high = fold_multiply(np.uint64(left_1) ^ _SALT_1, np.uint64(right_1) ^ np.uint64(left_0))
    return fold_multiply(low ^ _SALT_1, high ^ np.uint64(right_1)), fold_multiply(
        high ^ _SALT_0, low ^ np.uint64(right_0)
    )


@kernel
def read_point(buffer, i, end, state, stack):
    """Read a data point of any sort into the state, and check it."""
    for k in range(_POINT_STATE, N_STATE):
        store_i64(state, k, 0)
    what = load_i64(state, WHAT)
    attribute_tag = 0x3A
    flags_tag = 0x40
    if what == HISTOGRAM or what == EXPONENTIAL:
        attribute_tag = 0x4A if what == HISTOGRAM else 0x0A
        flags_tag = 0x50
    run = run_end = -1
    while i < end:
        at = i
        tag = load_u8(buffer, i)
        i += 1
        if tag >= 0x80:
            tag, i = read_tag(buffer, at, end)
            if i < 0:
                return MALFORMED
        if tag == attribute_tag:
            start, stop = read_size(buffer, i, end)
            if stop < 0:
                return MALFORMED
            i = stop
            if not is_short_text(buffer, start, stop):
                code = check_message(buffer, start, stop, KEY_VALUE, ATTRIBUTE_DEPTH, stack)
                if code == MALFORMED or code == UNUSUAL:
                    return code
                if code == NOT_UTF8:
                    store_i64(state, _IS_NOT_UTF8, 1)
            if run < 0:
                run = at
            elif run_end != at:
                return UNUSUAL
            run_end = stop
        elif tag == 0x11 or tag == 0x19 or tag == 0x21 or (tag == 0x31 and what <= UP_DOWN):
            if i + 8 > end:
                return MALFORMED
            if tag == 0x19:
                store_i64(state, _TIME, np.int64(load_u64(buffer, i)))
            elif tag != 0x11:
                store_i64(state, _VALUE_AT, i)
                store_i64(state, _IS_INT, np.int64(tag == 0x31))
            i += 8
        elif tag == flags_tag:
            flags, i = read_varint(buffer, i, end)
            store_i64(state, _FLAGS, np.int64(flags))
        else:
            i, code = _rare_field(buffer, i, end, tag, state)
            if code != DONE:
                return code
        if i < 0:
            return MALFORMED
    store_i64(state, _ATTRIBUTES_AT, max(run, 0))
    store_i64(state, _ATTRIBUTES_END, max(run_end, 0))
    return DONE


@kernel
def _rare_field(buffer, i, end, tag, state):
    """A field that not all sorts of point have: (its end, code)."""
    what = load_i64(state, WHAT)
    if what > UP_DOWN and tag == 0x29:
        store_i64(state, _SUM_AT, i)
    elif what == HISTOGRAM and (tag == 0x31 or tag == 0x39):
        return i, UNUSUAL
    elif what == HISTOGRAM and (tag == 0x32 or tag == 0x3A):
        start, i = read_size(buffer, i, end)
        if i < 0 or (i - start) & 7 != 0:
            return i, MALFORMED
        at = _COUNTS_AT if tag == 0x32 else _BOUNDS_AT
        if load_i64(state, at) != 0:
            return i, UNUSUAL
        store_i64(state, at, start)
        store_i64(state, at + 1, (i - start) >> 3)
        return i, DONE
    elif what == SUMMARY and tag == 0x32:
        start, i = read_size(buffer, i, end)
        if i < 0:
            return i, MALFORMED
        _, _, code = _quantile(buffer, start, i)
        store_i64(state, _N_BOUNDS, load_i64(state, _N_BOUNDS) + 1)
        return i, code
    if tag == _exemplar_tag(what):
        store_i64(state, N_EXEMPLARS, load_i64(state, N_EXEMPLARS) + 1)
    i = skip_field(buffer, i, end, tag, MAX_DEPTH - 5)
    return i, (DONE if i >= 0 else MALFORMED)


@kernel
def _exemplar_tag(what):
    if what <= UP_DOWN:
        return 0x2A
    return 0x42 if what == HISTOGRAM else 0x5A


@kernel
def _quantile(buffer, i, end):
    """(bits of the quantile, bits of its value, code)."""
    quantile = value = np.uint64(0)
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return quantile, value, MALFORMED
        at = i
        i = skip_field(buffer, i, end, tag, MAX_DEPTH - 6)
        if i < 0:
            return quantile, value, MALFORMED
        if tag == 0x09:
            quantile = load_u64(buffer, at)
        elif tag == 0x11:
            value = load_u64(buffer, at)
    return quantile, value, DONE


@kernel
def fault_of_point(state):
    """Why the point at hand is not to be taken, as a position in the counts; or DONE."""
    what = load_i64(state, WHAT)
    time = np.uint64(load_i64(state, _TIME))
    if load_i64(state, _IS_NOT_UTF8):
        return N_NOT_UTF8
    if time == np.uint64(0):
        return N_NO_TIME
    if time > _MAX_NS:
        return N_OUT_OF_RANGE
    if load_i64(state, _FLAGS) & 1:
        return DONE
    if what <= UP_DOWN and load_i64(state, _VALUE_AT) == 0:
        return N_NO_VALUE
    n_buckets = load_i64(state, _N_BUCKETS)
    n_bounds = load_i64(state, _N_BOUNDS)
    if what == HISTOGRAM and n_buckets + n_bounds > 0 and n_buckets != n_bounds + 1:
        return N_BAD_BUCKETS
    return DONE


@kernel
def emit_number(buffer, start, end, seed, state, rows):
    """Write the row of a sound number; False if it does not fit. `rows` is (address, capacity)."""
    row = load_i64(state, N_ROWS)
    if row >= rows[1]:
        return False
    to = rows[0] + 8 * ROW_COLUMNS * row
    store_i64(state, N_ROWS, row + 1)
    low, high = _point_key(buffer, seed, state)
    store_i64(to, KEY, np.int64(low))
    store_i64(to, KEY + 1, np.int64(high))
    kind = _KIND_COUNTER if load_i64(state, WHAT) == COUNTER else _KIND_GAUGE
    store_i64(to, KIND, kind | load_i64(state, DELTA_BIT))
    store_i64(to, METRIC, load_i64(state, N_METRICS) - 1)
    store_i64(to, POINT, start)
    store_i64(to, POINT_END, end)
    store_i64(to, PART, VALUE)
    store_i64(to, PART_NUMBER, 0)
    store_i64(to, TIME_NS, load_i64(state, _TIME))
    bits = np.int64(load_u64(buffer, load_i64(state, _VALUE_AT)))
    if load_i64(state, _FLAGS) & 1:
        store_i64(to, VALUE_BITS, _STALE_BITS)
    elif load_i64(state, _IS_INT):
        store_f64(to, VALUE_BITS, np.float64(bits))
    else:
        store_i64(to, VALUE_BITS, bits)
    return True


@kernel
def _point_key(buffer, seed, state):
    start = load_i64(state, _ATTRIBUTES_AT)
    low, high = fast_hash128(buffer, start, load_i64(state, _ATTRIBUTES_END), seed)
    return join_keys(load_i64(state, METRIC_KEY), load_i64(state, METRIC_KEY + 1), low, high)


@kernel
def emit_distribution(buffer, start, end, seed, state, rows):
    """As `emit_number`: count, sum, and buckets as Prometheus has them (all that is not above a
    bound), or quantiles. Their places are found on the way, for they are messages of their own.
    """
    what = load_i64(state, WHAT)
    row = load_i64(state, N_ROWS)
    n_bounds = load_i64(state, _N_BOUNDS)
    is_stale = load_i64(state, _FLAGS) & 1
    if row + 3 + n_bounds > rows[1]:
        return False
    low, high = _point_key(buffer, seed, state)
    count = np.float64(_number_at(buffer, load_i64(state, _VALUE_AT)))
    to = rows[0] + 8 * ROW_COLUMNS * row
    quantile_at = start
    total = np.uint64(0)
    for k in range(-2, n_bounds + (what == HISTOGRAM)):
        part = BUCKET if what == HISTOGRAM else QUANTILE
        kind = _KIND_UNSCORED if what == HISTOGRAM else _KIND_GAUGE
        bound = np.uint64(0)
        if k < 0:
            part = COUNT if k == -2 else SUM
            kind = _KIND_COUNTER
            if k == -2:
                store_f64(to, VALUE_BITS, count)
            elif what != SUMMARY and load_i64(state, _SUM_AT) == 0 and not is_stale:
                continue
            else:
                store_i64(to, VALUE_BITS, np.int64(_number_at(buffer, load_i64(state, _SUM_AT))))
        elif what == SUMMARY:
            quantile_at, bound, value = _next_quantile(buffer, quantile_at, end)
            store_i64(to, VALUE_BITS, np.int64(value))
        elif k == n_bounds:
            bound = _INFINITE_BITS
            store_f64(to, VALUE_BITS, count)
        else:
            bound = load_u64(buffer, load_i64(state, _BOUNDS_AT) + 8 * k)
            if k < load_i64(state, _N_BUCKETS):
                total += load_u64(buffer, load_i64(state, _COUNTS_AT) + 8 * k)
            store_f64(to, VALUE_BITS, np.float64(total))
        if is_stale:
            store_i64(to, VALUE_BITS, _STALE_BITS)
        key_0, key_1 = join_keys(low, high, part, bound)
        store_i64(to, KEY, np.int64(key_0))
        store_i64(to, KEY + 1, np.int64(key_1))
        store_i64(to, KIND, kind | load_i64(state, DELTA_BIT))
        store_i64(to, METRIC, load_i64(state, N_METRICS) - 1)
        store_i64(to, POINT, start)
        store_i64(to, POINT_END, end)
        store_i64(to, PART, part)
        store_i64(to, PART_NUMBER, max(k, 0))
        store_i64(to, TIME_NS, load_i64(state, _TIME))
        row += 1
        to += 8 * ROW_COLUMNS
    store_i64(state, N_ROWS, row)
    if what == EXPONENTIAL:
        store_i64(state, N_EXPONENTIAL, load_i64(state, N_EXPONENTIAL) + 1)
    return True


@kernel
def _next_quantile(buffer, i, end):
    """(where it ends, bits of the quantile, bits of its value); the point has been checked."""
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if tag == 0x32:
            start, i = read_size(buffer, i, end)
            quantile, value, _ = _quantile(buffer, start, i)
            return i, quantile, value
        i = skip_field(buffer, i, end, tag, MAX_DEPTH - 5)
    return i, np.uint64(0), np.uint64(0)


@kernel
def _number_at(buffer, at):
    return load_u64(buffer, at) if at > 0 else np.uint64(0)
