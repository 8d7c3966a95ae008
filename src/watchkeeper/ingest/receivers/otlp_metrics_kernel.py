"""One pass over an `ExportMetricsServiceRequest`: bytes to columns.

A series is known by a hash of the bytes of its resource, of its metric's name and unit, and of its
point's attributes; its labels are made from those bytes only when somebody asks. All of a body is
checked as the reference checks it. What protobuf allows but no known sender does (a field given
twice that is to be merged, unpacked arrays) is left to the reference: the code is UNUSUAL.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_i64, store_i64
from watchkeeper.compiled.hashing import fast_hash128
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.wire_kernel import (
    MAX_DEPTH,
    is_utf8,
    read_size,
    read_tag,
    read_varint,
    skip_field,
)
from watchkeeper.ingest.receivers.otlp_attribute_kernel import (
    MALFORMED,
    NOT_UTF8,
    RESOURCE,
    UNUSUAL,
    check_message,
)
from watchkeeper.ingest.receivers.otlp_point_kernel import (
    COUNTER,
    DELTA_BIT,
    DONE,
    EXPONENTIAL,
    GAUGE,
    HISTOGRAM,
    IS_DELTA,
    METRIC_KEY,
    N_DELTA,
    N_DELTA_METRICS,
    N_METRICS,
    N_NO_NAME,
    N_NO_TEMPORALITY,
    N_NOT_UTF8,
    RESOURCE_KEY,
    SUMMARY,
    UP_DOWN,
    WHAT,
    emit_distribution,
    emit_number,
    fault_of_point,
    join_keys,
    read_point,
)

FULL = 2
"""More series or metrics than the columns hold: decode again into larger ones."""

METRIC_COLUMNS = 7
"""What is kept of a metric: (resource start, end, name start, end, unit start, end, its sort)."""

_CUMULATIVE = 2
_DELTA = 1


@kernel
def decode(array, size, seed, rows_array, metrics_array, scratch):
    """Decode array[:size]; `scratch` is (state, stack).

    Rows and metrics are written. The state's counts say how many, and what was left out. Returns a
    code.
    """
    scratch[0][:] = 0
    buffer = address_of(array)
    state = address_of(scratch[0])
    stack = address_of(scratch[1])
    rows = (address_of(rows_array), len(rows_array))
    metrics = (address_of(metrics_array), len(metrics_array))
    i = 0
    while i < size:
        tag, i = read_tag(buffer, i, size)
        if i < 0:
            return MALFORMED
        if tag == 0x0A:
            start, i = read_size(buffer, i, size)
            if i < 0:
                return MALFORMED
            code = _resource_metrics(buffer, start, i, seed, state, stack, rows, metrics)
            if code != DONE:
                return code
        else:
            i = skip_field(buffer, i, size, tag, MAX_DEPTH)
            if i < 0:
                return MALFORMED
    return DONE


@kernel
def _resource_metrics(buffer, i, end, seed, state, stack, rows, metrics):
    resource = (i, i, True)
    _set_key(state, RESOURCE_KEY, fast_hash128(buffer, i, i, seed))
    is_late = False
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return MALFORMED
        if tag != 0x0A and tag != 0x12:
            i = skip_field(buffer, i, end, tag, MAX_DEPTH - 1)
            if i < 0:
                return MALFORMED
            continue
        start, i = read_size(buffer, i, end)
        if i < 0:
            return MALFORMED
        if tag == 0x0A:
            if is_late:
                return UNUSUAL
            code = check_message(buffer, start, i, RESOURCE, MAX_DEPTH - 2, stack)
            if code == MALFORMED or code == UNUSUAL:
                return code
            resource = (start, i, code != NOT_UTF8)
            _set_key(state, RESOURCE_KEY, fast_hash128(buffer, start, i, seed))
        else:
            code = _scope_metrics(buffer, start, i, seed, resource, state, stack, rows, metrics)
            if code != DONE:
                return code
        is_late = True
    return DONE


@kernel
def _scope_metrics(buffer, i, end, seed, resource, state, stack, rows, metrics):
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return MALFORMED
        if tag == 0x12:
            start, i = read_size(buffer, i, end)
            if i < 0:
                return MALFORMED
            data, data_end, fault, code = _metric(buffer, start, i, seed, resource, state, metrics)
            if code == DONE:
                code = _points(buffer, data, data_end, seed, fault, state, stack, rows)
            if code != DONE:
                return code
        else:
            i = skip_field(buffer, i, end, tag, MAX_DEPTH - 2)
            if i < 0:
                return MALFORMED
    return DONE


@kernel
def _metric(buffer, i, end, seed, resource, state, metrics):
    """Read all of a metric but its points: (its data, their end, fault, code)."""
    name = name_end = unit = unit_end = i
    data = data_end = i
    data_tag = 0
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return 0, 0, 0, MALFORMED
        if tag == 0x0A:
            name, name_end = read_size(buffer, i, end)
            i = name_end
        elif tag == 0x1A:
            unit, unit_end = read_size(buffer, i, end)
            i = unit_end
        elif tag == 0x2A or tag == 0x3A or tag == 0x4A or tag == 0x52 or tag == 0x5A:
            if data_tag != 0:
                return 0, 0, 0, UNUSUAL
            data_tag = tag
            data, data_end = read_size(buffer, i, end)
            i = data_end
        else:
            i = skip_field(buffer, i, end, tag, MAX_DEPTH - 3)
        if i < 0:
            return 0, 0, 0, MALFORMED
    if data_tag == 0:
        return 0, 0, 0, DONE

    what = GAUGE
    fault = DONE
    delta_bit = 0
    if data_tag == 0x5A:
        what = SUMMARY
    elif data_tag != 0x2A:
        temporality, is_monotonic, code = _settings(buffer, data, data_end, data_tag == 0x3A)
        if code != DONE:
            return 0, 0, 0, code
        if data_tag == 0x3A:
            what = COUNTER if is_monotonic else UP_DOWN
        else:
            what = HISTOGRAM if data_tag == 0x4A else EXPONENTIAL
        if temporality == _DELTA and what != UP_DOWN:
            delta_bit = IS_DELTA
            store_i64(state, N_DELTA_METRICS, load_i64(state, N_DELTA_METRICS) + 1)
        elif temporality != _CUMULATIVE:
            fault = N_DELTA if temporality == _DELTA else N_NO_TEMPORALITY
    resource_start, resource_end, is_text = resource
    if not (is_text and is_utf8(buffer, name, name_end) and is_utf8(buffer, unit, unit_end)):
        fault = N_NOT_UTF8
    if name == name_end:
        fault = N_NO_NAME

    number = load_i64(state, N_METRICS)
    if number >= metrics[1]:
        return 0, 0, 0, FULL
    store_i64(state, N_METRICS, number + 1)
    to = metrics[0] + 8 * METRIC_COLUMNS * number
    store_i64(to, 0, resource_start)
    store_i64(to, 1, resource_end)
    store_i64(to, 2, name)
    store_i64(to, 3, name_end)
    store_i64(to, 4, unit)
    store_i64(to, 5, unit_end)
    store_i64(to, 6, what)
    store_i64(state, WHAT, what)
    store_i64(state, DELTA_BIT, delta_bit)
    name_0, name_1 = fast_hash128(buffer, name, name_end, seed)
    unit_0, unit_1 = fast_hash128(buffer, unit, unit_end, seed ^ np.uint64(what + 1))
    named_0, named_1 = join_keys(name_0, name_1, unit_0, unit_1)
    resource_key = (load_i64(state, RESOURCE_KEY), load_i64(state, RESOURCE_KEY + 1))
    _set_key(state, METRIC_KEY, join_keys(resource_key[0], resource_key[1], named_0, named_1))
    return data, data_end, fault, DONE


@kernel
def _settings(buffer, i, end, is_sum):
    """(temporality, is monotonic, code) of a sum or histogram; they stand behind its points."""
    temporality = 0
    is_monotonic = False
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return temporality, is_monotonic, MALFORMED
        if tag == 0x10:
            number, i = read_varint(buffer, i, end)
            temporality = np.int64(np.int32(number & np.uint64(0xFFFFFFFF)))
        elif tag == 0x18 and is_sum:
            number, i = read_varint(buffer, i, end)
            is_monotonic = number != np.uint64(0)
        else:
            i = skip_field(buffer, i, end, tag, MAX_DEPTH - 4)
        if i < 0:
            return temporality, is_monotonic, MALFORMED
    return temporality, is_monotonic, DONE


@kernel
def _points(buffer, i, end, seed, fault_of_metric, state, stack, rows):
    """All points of a metric; they are checked even if none of them is to be taken."""
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return MALFORMED
        if tag != 0x0A:
            i = skip_field(buffer, i, end, tag, MAX_DEPTH - 4)
            if i < 0:
                return MALFORMED
            continue
        start, i = read_size(buffer, i, end)
        if i < 0:
            return MALFORMED
        code = read_point(buffer, start, i, state, stack)
        if code != DONE:
            return code
        fault = fault_of_metric
        if fault == DONE:
            fault = fault_of_point(state)
        if fault != DONE:
            store_i64(state, fault, load_i64(state, fault) + 1)
            continue
        if load_i64(state, WHAT) <= UP_DOWN:
            is_written = emit_number(buffer, start, i, seed, state, rows)
        else:
            is_written = emit_distribution(buffer, start, i, seed, state, rows)
        if not is_written:
            return FULL
    return DONE


@kernel
def _set_key(state, at, key):
    store_i64(state, at, np.int64(key[0]))
    store_i64(state, at + 1, np.int64(key[1]))
