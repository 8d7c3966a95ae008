"""One pass over a decompressed `prometheus.WriteRequest`: bytes to columns.

A series' labels are nearly always one run of bytes in their shortest form, in front of its samples,
and then that run is the series' name as it stands. Where a sender does otherwise, which protobuf
allows, the labels are written anew in that form behind the body, in the same buffer. Whether labels
make sense (a name, UTF-8, not too long) is for the catalog to judge, once for each series.

Histograms, exemplars and metadata are rare among samples: only where they lie is noted.
"""

import numpy as np

from watchkeeper.compiled.address import (
    address_of,
    load_i64,
    load_u8,
    store_f64,
    store_i64,
    store_u8,
)
from watchkeeper.compiled.hashing import fast_hash128
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import READ_SLACK, load_f64, load_u64
from watchkeeper.compiled.wire_kernel import (
    MAX_DEPTH,
    read_size,
    read_tag,
    read_varint,
    skip_field,
    write_varint,
)

DONE = 0
MALFORMED = 1
FULL = 2
"""More series or samples than the columns hold: decode again into larger ones."""
NO_ROOM_BEHIND = 3
"""Labels must be written anew, and behind the body is no room: decode again in a larger buffer."""
_LATE_LABEL = 4

N_ROWS = 0
N_SAMPLES = 1
N_ASIDE = 2
N_OUT_OF_RANGE = 3
N_BAD_REFERENCE = 4
"""Of remote write 2.0 only: samples, histograms and exemplars of series that name no symbol."""
_ASIDE_AT = 5
_ASIDE_ROOM = 6
N_COUNTS = 7

HISTOGRAM = 1
EXEMPLAR = 2
METADATA = 3
ASIDE_COLUMNS = 4
"""Of what is set aside: its series' row (of metadata -1), what it is, where it starts and ends."""

ROOM_BEHIND = 3
"""A label written anew takes at most this many times the bytes that it came in."""

NS_PER_MS = 1_000_000
MAX_MS = (2**63 - 1) // NS_PER_MS
# `0A size 0A size` with both sizes below 128, and the tag of a value.
_LABEL_HEAD = np.uint64(0x000A000A)
_LABEL_HEAD_MASK = np.uint64(0x80FF80FF)
_VALUE_TAG = np.uint64(0x12)
_BYTE = np.uint64(0xFF)
# A varint of six bytes, which is any millisecond from 2004 to 2109: five high bits, then none.
SIX_BYTES = np.uint64(0x0000008080808080)
SIX_BYTES_MASK = np.uint64(0x0000808080808080)


@kernel
def decode(array, size, seed, rows, samples, aside, counts):
    """Decode array[:size] into the rest; keys are hashed under `seed`.

    `rows` is (key, start, end) of each series, `samples` (row, time_ns, value). Returns a code.
    """
    keys, starts, ends = rows
    begin(aside, counts)
    buffer = address_of(array)
    counted = address_of(counts)
    out = (
        address_of(samples[0]),
        address_of(samples[1]),
        address_of(samples[2]),
        len(samples[0]),
    )
    behind = size + READ_SLACK
    i = 0
    while i < size:
        tag, i = read_tag(buffer, i, size)
        if i < 0:
            return MALFORMED
        if tag != 0x0A:
            start = i
            i = skip_field(buffer, i, size, tag, MAX_DEPTH)
            if i < 0:
                return MALFORMED
            if tag == 0x1A:
                start, _ = read_size(buffer, start, size)
                if not set_aside(counted, -1, METADATA, start, i):
                    return FULL
            continue
        start, stop = read_size(buffer, i, size)
        if stop < 0:
            return MALFORMED
        i = stop
        row = counts[N_ROWS]
        if row >= len(starts):
            return FULL

        first = counts[N_SAMPLES]
        n_aside = counts[N_ASIDE]
        n_out_of_range = counts[N_OUT_OF_RANGE]
        run_start = start
        run_end = _short_labels(buffer, start, stop)
        code = _LATE_LABEL
        if run_end >= 0:
            code = _fields(buffer, run_end, stop, row, out, counted, False)
        if code == _LATE_LABEL:
            if behind + ROOM_BEHIND * (stop - start) + READ_SLACK > len(array):
                return NO_ROOM_BEHIND
            run_start = behind
            run_end = _rewrite_labels(buffer, start, stop, behind)
            if run_end < 0:
                return MALFORMED
            behind = run_end
            counts[N_ASIDE] = n_aside
            counts[N_OUT_OF_RANGE] = n_out_of_range
            code = _fields(buffer, start, stop, row, out, counted, True)
        if code != DONE:
            return code

        if counts[N_SAMPLES] == first and counts[N_ASIDE] == n_aside:
            continue
        low, high = fast_hash128(buffer, run_start, run_end, seed)
        keys[row, 0] = low
        keys[row, 1] = high
        starts[row] = run_start
        ends[row] = run_end
        counts[N_ROWS] = row + 1
    return DONE


@kernel
def begin(aside, counts):
    """Nothing is counted yet; what is set aside goes into `aside`, an array kept by the caller."""
    counts[:] = 0
    counts[_ASIDE_AT] = address_of(aside)
    counts[_ASIDE_ROOM] = len(aside)


@kernel
def set_aside(counts, row, what, start, end):
    """Note where something of a series lies; whether there was room for it."""
    n = load_i64(counts, N_ASIDE)
    if n >= load_i64(counts, _ASIDE_ROOM):
        return False
    aside = load_i64(counts, _ASIDE_AT)
    at = n * ASIDE_COLUMNS
    store_i64(aside, at, row)
    store_i64(aside, at + 1, what)
    store_i64(aside, at + 2, start)
    store_i64(aside, at + 3, end)
    store_i64(counts, N_ASIDE, n + 1)
    return True


@kernel
def _short_labels(buffer, start, stop):
    """Where the labels at the front of a series end; -1 if one is not in its shortest form."""
    i = start
    while i < stop and load_u8(buffer, i) == 0x0A:
        head = load_u64(buffer, i)
        end = i + 2 + np.int64(head >> np.uint64(8) & _BYTE)
        name_end = i + 4 + np.int64(head >> np.uint64(24) & _BYTE)
        if head & _LABEL_HEAD_MASK == _LABEL_HEAD and end <= stop and name_end + 2 <= end:
            middle = load_u64(buffer, name_end)
            n_value = np.int64(middle >> np.uint64(8) & _BYTE)
            if middle & _BYTE == _VALUE_TAG and name_end + 2 + n_value == end:
                i = end
                continue
        i = _long_label(buffer, i, stop)
        if i < 0:
            return -1
    return i


@kernel
def _long_label(buffer, i, stop):
    """As `_short_labels`, of one label whose sizes may take several bytes."""
    name_tag, end = read_size(buffer, i + 1, stop)
    if end < 0 or name_tag >= end or load_u8(buffer, name_tag) != 0x0A:
        return -1
    name, name_end = read_size(buffer, name_tag + 1, end)
    if name_end < 0 or name_end >= end or load_u8(buffer, name_end) != 0x12:
        return -1
    value, value_end = read_size(buffer, name_end + 1, end)
    if (
        value_end != end
        or _is_padded(buffer, i + 1, name_tag)
        or _is_padded(buffer, name_tag + 1, name)
        or _is_padded(buffer, name_end + 1, value)
    ):
        return -1
    return end


@kernel
def _is_padded(buffer, start, end):
    """Whether the varint could be shorter."""
    return end - start > 1 and load_u8(buffer, end - 1) == 0


@kernel
def _rewrite_labels(buffer, start, stop, at):
    """Write all labels of a series at `at`, in their shortest form; as `_short_labels`."""
    i = start
    while i < stop:
        tag, i = read_tag(buffer, i, stop)
        if i < 0:
            return -1
        if tag != 0x0A:
            i = skip_field(buffer, i, stop, tag, MAX_DEPTH - 1)
            if i < 0:
                return -1
            continue
        i, end = read_size(buffer, i, stop)
        if end < 0:
            return -1
        name = name_end = value = value_end = i
        while i < end:
            tag, i = read_tag(buffer, i, end)
            if i < 0:
                return -1
            if tag == 0x0A:
                name, name_end = read_size(buffer, i, end)
                i = name_end
            elif tag == 0x12:
                value, value_end = read_size(buffer, i, end)
                i = value_end
            else:
                i = skip_field(buffer, i, end, tag, MAX_DEPTH - 2)
            if i < 0:
                return -1
        at = write_label(buffer, at, name, name_end, value, value_end)
    return at


@kernel
def write_label(buffer, at, name, name_end, value, value_end):
    """Write a label in its shortest form at `at`; where it ends."""
    n_name = name_end - name
    n_value = value_end - value
    n_sizes = _n_varint(n_name) + _n_varint(n_value)
    store_u8(buffer, at, 0x0A)
    at = write_varint(buffer, at + 1, 2 + n_sizes + n_name + n_value)
    store_u8(buffer, at, 0x0A)
    at = write_varint(buffer, at + 1, n_name)
    for k in range(n_name):
        store_u8(buffer, at + k, load_u8(buffer, name + k))
    at += n_name
    store_u8(buffer, at, 0x12)
    at = write_varint(buffer, at + 1, n_value)
    for k in range(n_value):
        store_u8(buffer, at + k, load_u8(buffer, value + k))
    return at + n_value


@kernel
def _n_varint(number):
    n_bytes = 1
    while number >= 0x80:
        number >>= 7
        n_bytes += 1
    return n_bytes


@kernel
def _fields(buffer, i, stop, row, out, counts, is_rewritten):
    """The fields of a series from `i` on: its samples to columns, the rest set aside.

    `out` is (row, time_ns, value) by their addresses, and how many they hold.
    """
    rows, times, values, capacity = out
    n = load_i64(counts, N_SAMPLES)
    while i < stop:
        bits = load_u64(buffer, i + 12) if i + 18 <= stop else np.uint64(0)
        if (
            bits & SIX_BYTES_MASK == SIX_BYTES
            and load_u8(buffer, i) == 0x12
            and load_u8(buffer, i + 1) == 0x10
            and load_u8(buffer, i + 2) == 0x09
            and load_u8(buffer, i + 11) == 0x10
        ):
            ms = six_byte_varint(bits)
            value = load_f64(buffer, i + 3)
            i += 18
        else:
            tag, i = read_tag(buffer, i, stop)
            if i < 0:
                return MALFORMED
            if tag == 0x12:
                start, end = read_size(buffer, i, stop)
                if end < 0:
                    return MALFORMED
                ms, value, i = read_sample(buffer, start, end)
                if i < 0:
                    return MALFORMED
            else:
                if tag == 0x0A and not is_rewritten:
                    return _LATE_LABEL
                start = i
                i = skip_field(buffer, i, stop, tag, MAX_DEPTH - 1)
                if i < 0:
                    return MALFORMED
                if tag == 0x22 or tag == 0x1A:
                    start, _ = read_size(buffer, start, stop)
                    what = HISTOGRAM if tag == 0x22 else EXEMPLAR
                    if not set_aside(counts, row, what, start, i):
                        return FULL
                continue
        if ms > MAX_MS or ms < -MAX_MS:
            store_i64(counts, N_OUT_OF_RANGE, load_i64(counts, N_OUT_OF_RANGE) + 1)
            continue
        if n >= capacity:
            return FULL
        store_i64(rows, n, row)
        store_i64(times, n, ms * NS_PER_MS)
        store_f64(values, n, value)
        n += 1
    store_i64(counts, N_SAMPLES, n)
    return DONE


@kernel
def six_byte_varint(bits):
    """Bring the six groups of seven bits together."""
    pairs = (bits & np.uint64(0x00007F007F007F)) | (
        (bits & np.uint64(0x7F007F007F00)) >> np.uint64(1)
    )
    fourteen = np.uint64(0x3FFF)
    return np.int64(
        (pairs & fourteen)
        | ((pairs >> np.uint64(16)) & fourteen) << np.uint64(14)
        | ((pairs >> np.uint64(32)) & fourteen) << np.uint64(28)
    )


@kernel
def read_sample(buffer, i, end):
    """(milliseconds, value, end) of a sample in any form."""
    ms = np.int64(0)
    value = 0.0
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return ms, value, -1
        if tag == 0x09:
            if i + 8 > end:
                return ms, value, -1
            value = load_f64(buffer, i)
            i += 8
        elif tag == 0x10:
            number, i = read_varint(buffer, i, end)
            ms = np.int64(number)
        else:
            i = skip_field(buffer, i, end, tag, MAX_DEPTH - 2)
        if i < 0:
            return ms, value, -1
    return ms, value, i
