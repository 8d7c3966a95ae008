"""A decompressed `io.prometheus.write.v2.Request`: bytes to columns.

Labels are numbers of symbols here, so the symbols are hashed once, and a series' key is mixed from
the hashes of those that it names. A first walk finds the symbols, which by custom come first and by
protobuf's rules may come last; it passes over the series by their sizes.
"""

import numpy as np

from watchkeeper.compiled.address import (
    address_of,
    load_i64,
    load_u8,
    store_f64,
    store_i64,
)
from watchkeeper.compiled.hashing import fast_hash128, fold_multiply
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_f64, load_u64
from watchkeeper.compiled.wire_kernel import (
    MAX_DEPTH,
    read_size,
    read_tag,
    read_varint,
    skip_field,
)
from watchkeeper.ingest.receivers.remote_write_kernel import (
    DONE,
    EXEMPLAR,
    FULL,
    HISTOGRAM,
    MALFORMED,
    MAX_MS,
    N_ASIDE,
    N_BAD_REFERENCE,
    N_OUT_OF_RANGE,
    N_ROWS,
    N_SAMPLES,
    NS_PER_MS,
    SIX_BYTES,
    SIX_BYTES_MASK,
    begin,
    read_sample,
    set_aside,
    six_byte_varint,
    write_label,
)

LABEL_BYTES = 18
"""What a label takes at most besides its name and value: three tags, each with a size."""

_SYMBOLS = 0x22
_SERIES = 0x2A
_REF_BITS = np.uint64(0xFFFFFFFF)
_P0 = np.uint64(0xA0761D6478BD642F)
_P1 = np.uint64(0xE7037ED1A0B428DB)
_P2 = np.uint64(0x8EBC6AF09C88C6E3)
_NO_METADATA = -1


@kernel
def decode(array, size, seed, symbols, rows, samples, aside, counts):
    """Decode array[:size] into the rest; keys are hashed under `seed`.

    `symbols` is (hash, start, end), `rows` (key, start, end, type) of each series, `samples` (row,
    time_ns, value). Returns (code, number of symbols).
    """
    begin(aside, counts)
    buffer = address_of(array)
    counted = address_of(counts)
    n_symbols = _find_symbols(buffer, size, seed, symbols)
    if n_symbols < 0:
        return (FULL if n_symbols == -FULL else MALFORMED), 0
    keys, starts, ends, types = rows
    out = (
        address_of(samples[0]),
        address_of(samples[1]),
        address_of(samples[2]),
        len(samples[0]),
    )
    table = (address_of(symbols[0]), n_symbols, seed)
    i = 0
    while i < size:
        tag, i = read_tag(buffer, i, size)
        if tag != _SERIES:
            i = skip_field(buffer, i, size, tag, MAX_DEPTH)
            continue  # the first walk found it sound
        start, stop = read_size(buffer, i, size)
        i = stop
        row = counts[N_ROWS]
        if row >= len(starts):
            return FULL, n_symbols
        first = counts[N_SAMPLES]
        n_aside = counts[N_ASIDE]
        n_out_of_range = counts[N_OUT_OF_RANGE]
        code, low, high, kind, is_sound = _series(buffer, start, stop, row, table, out, counted)
        if code != DONE:
            return code, n_symbols
        if not is_sound:
            counts[N_BAD_REFERENCE] += (
                counts[N_SAMPLES] - first + counts[N_ASIDE] - n_aside
                + counts[N_OUT_OF_RANGE] - n_out_of_range
            )  # fmt: skip
            counts[N_SAMPLES] = first
            counts[N_ASIDE] = n_aside
            counts[N_OUT_OF_RANGE] = n_out_of_range
            continue
        if counts[N_SAMPLES] == first and counts[N_ASIDE] == n_aside:
            continue
        keys[row, 0] = low
        keys[row, 1] = high
        starts[row] = start
        ends[row] = stop
        types[row] = kind
        counts[N_ROWS] = row + 1
    return DONE, n_symbols


@kernel
def _find_symbols(buffer, size, seed, symbols):
    """Hash all symbols of a body; how many, or a code below 0."""
    hashes, starts, ends = symbols
    n = 0
    i = 0
    while i < size:
        tag, i = read_tag(buffer, i, size)
        if i < 0:
            return -MALFORMED
        if tag == _SERIES:
            _, i = read_size(buffer, i, size)
        elif tag == _SYMBOLS:
            start, i = read_size(buffer, i, size)
            if i < 0:
                return -MALFORMED
            if n >= len(starts):
                return -FULL
            low, high = fast_hash128(buffer, start, i, seed)
            hashes[n, 0] = low
            hashes[n, 1] = high
            starts[n] = start
            ends[n] = i
            n += 1
        else:
            i = skip_field(buffer, i, size, tag, MAX_DEPTH)
        if i < 0:
            return -MALFORMED
    return n


@kernel
def _series(buffer, i, stop, row, table, out, counts):
    """(code, key, key, type, whether all references are sound); samples to columns, rest aside.

    `out` is (row, time_ns, value) by their addresses, and how many they hold.
    """
    rows, times, values, capacity = out
    hashes, n_symbols, seed = table
    low = seed ^ _P0
    high = seed ^ _P2
    kind = _NO_METADATA
    help_ref = 0
    unit_ref = 0
    n_refs = 0
    worst = -1
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
                return MALFORMED, low, high, kind, False
            if tag == 0x0A:
                i, end = read_size(buffer, i, stop)
                if end < 0:
                    return MALFORMED, low, high, kind, False
                while i < end:
                    ref = load_u8(buffer, i)
                    if ref < 0x80:
                        i += 1
                    elif i + 1 < end and load_u8(buffer, i + 1) < 0x80:
                        ref = ref & 0x7F | load_u8(buffer, i + 1) << 7
                        i += 2
                    else:
                        number, i = read_varint(buffer, i, end)
                        if i < 0:
                            return MALFORMED, low, high, kind, False
                        ref = np.int64(number & _REF_BITS)
                    worst = max(worst, ref)
                    n_refs += 1
                    if ref < n_symbols:
                        x = load_u64(hashes, 16 * ref)
                        y = load_u64(hashes, 16 * ref + 8)
                        low = fold_multiply(x ^ _P1, y ^ low)
                        high = fold_multiply(y ^ _P2, x ^ high)
                continue
            if tag == 0x08:
                number, i = read_varint(buffer, i, stop)
                if i < 0:
                    return MALFORMED, low, high, kind, False
                ref = np.int64(number & _REF_BITS)
                worst = max(worst, ref)
                n_refs += 1
                if ref < n_symbols:
                    x = load_u64(hashes, 16 * ref)
                    y = load_u64(hashes, 16 * ref + 8)
                    low = fold_multiply(x ^ _P1, y ^ low)
                    high = fold_multiply(y ^ _P2, x ^ high)
                continue
            if tag != 0x12:
                start = i
                i = skip_field(buffer, i, stop, tag, MAX_DEPTH - 1)
                if i < 0:
                    return MALFORMED, low, high, kind, False
                if tag == 0x2A:
                    start, _ = read_size(buffer, start, stop)
                    kind, help_ref, unit_ref, start = _metadata(
                        buffer, start, i, (max(kind, 0), help_ref, unit_ref)
                    )
                    if start < 0:
                        return MALFORMED, low, high, kind, False
                elif tag == 0x1A or tag == 0x22:
                    start, _ = read_size(buffer, start, stop)
                    what = HISTOGRAM if tag == 0x1A else EXEMPLAR
                    if not set_aside(counts, row, what, start, i):
                        return FULL, low, high, kind, False
                continue
            start, end = read_size(buffer, i, stop)
            if end < 0:
                return MALFORMED, low, high, kind, False
            ms, value, i = read_sample(buffer, start, end)
            if i < 0:
                return MALFORMED, low, high, kind, False
        if ms > MAX_MS or ms < -MAX_MS:
            store_i64(counts, N_OUT_OF_RANGE, load_i64(counts, N_OUT_OF_RANGE) + 1)
            continue
        if n >= capacity:
            return FULL, low, high, kind, False
        store_i64(rows, n, row)
        store_i64(times, n, ms * NS_PER_MS)
        store_f64(values, n, value)
        n += 1
    store_i64(counts, N_SAMPLES, n)
    if kind != _NO_METADATA:
        # A family that is described anew is seen as a series is that was not seen before.
        for ref in (help_ref, unit_ref):
            x = np.uint64(kind)
            y = np.uint64(ref != 0)
            if ref < n_symbols:
                x ^= load_u64(hashes, 16 * ref)
                y ^= load_u64(hashes, 16 * ref + 8)
            low = fold_multiply(x ^ _P1, y ^ low)
            high = fold_multiply(y ^ _P2, x ^ high)
    is_sound = worst < n_symbols and n_refs & 1 == 0
    return (
        DONE,
        fold_multiply(low ^ _P0, high ^ np.uint64(n_refs)),
        fold_multiply(high ^ _P1, low ^ np.uint64(n_refs)),
        kind,
        is_sound,
    )


@kernel
def _metadata(buffer, i, end, known):
    """(type, help, unit, end) with what a message adds to what is known."""
    kind, help_ref, unit_ref = known
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return kind, help_ref, unit_ref, -1
        if tag == 0x08 or tag == 0x18 or tag == 0x20:
            number, i = read_varint(buffer, i, end)
            ref = np.int64(number & _REF_BITS)
            if tag == 0x08:
                kind = min(ref, 255)
            elif tag == 0x18:
                help_ref = ref
            else:
                unit_ref = ref
        else:
            i = skip_field(buffer, i, end, tag, MAX_DEPTH - 2)
        if i < 0:
            return kind, help_ref, unit_ref, -1
    return kind, help_ref, unit_ref, i


@kernel
def label_room(array, starts, ends, symbols, refs):
    """Read the references of some series, which are sound, into `refs`; their number by row, and
    how many bytes their labels take at most. With no room in `refs`, only the numbers are right."""
    _, symbol_start, symbol_end = symbols
    buffer = address_of(array)
    n_refs = np.zeros(len(starts), np.int64)
    n_bytes = 0
    at = 0
    for row in range(len(starts)):
        first = at
        i = starts[row]
        while i < ends[row]:
            tag, i = read_tag(buffer, i, ends[row])
            if tag != 0x0A and tag != 0x08:
                i = skip_field(buffer, i, ends[row], tag, MAX_DEPTH - 1)
                continue
            stop = i + 1
            if tag == 0x0A:
                i, stop = read_size(buffer, i, ends[row])
            while i < stop:
                number, i = read_varint(buffer, i, ends[row])
                ref = np.int64(number & _REF_BITS)
                n_bytes += symbol_end[ref] - symbol_start[ref] + LABEL_BYTES
                if at < len(refs):
                    refs[at] = ref
                at += 1
        n_refs[row] = at - first
    return n_refs, n_bytes


@kernel
def write_labels(array, symbols, refs, n_refs, out):
    """The labels of series as a block; `out` is (text, start, end)."""
    _, symbol_start, symbol_end = symbols
    text, text_start, text_end = out
    buffer = address_of(array)
    offset = address_of(text) - buffer
    at = 0
    k = 0
    for row in range(len(n_refs)):
        text_start[row] = at
        for _ in range(n_refs[row] >> 1):
            name = refs[k]
            value = refs[k + 1]
            at = (
                write_label(
                    buffer,
                    offset + at,
                    symbol_start[name],
                    symbol_end[name],
                    symbol_start[value],
                    symbol_end[value],
                )
                - offset
            )
            k += 2
        text_end[row] = at
