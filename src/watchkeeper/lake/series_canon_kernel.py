"""What a sender's labels come to: canonical bytes, identity, role, kind. Pure, one pass over rows.

Canonical labels are sorted by name, unique, without empty values and without replica labels, in the
shortest protobuf form of `prometheus.Label`. That form tells where everything ends, so no two label
sets have the same bytes whatever their values hold.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_i64, load_u8, store_i64, store_u8
from watchkeeper.compiled.hashing import fast_hash128, siphash128
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.wire_kernel import (
    is_ascii,
    is_utf8,
    read_size,
    read_tag,
    skip_field,
    write_varint,
)
from watchkeeper.lake.series_read_kernel import label_bytes, size_bytes
from watchkeeper.lake.series_table_kernel import copy_bytes

SOUND = 0
MALFORMED = 1
TOO_MANY_LABELS = 2
TOO_LONG = 3
NOT_UTF8 = 4
DUPLICATE = 5
UNNAMED = 6
TOO_MANY_SERIES = 7
TOO_FAST = 8
NO_ROOM = 9
N_VERDICTS = 10

METRIC = 1
INSTANCE = 2
REPLICA = 4
RELEVANT = 8

UNSCORED = 3
BY_NAME = 0

_NAME_TAG = 0x0A
_VALUE_TAG = 0x12
# Columns of a parsed label: the run, the name, the value; the name's flags; is the form canonical?
_AT, _END, _NAME, _NAME_SIZE, _VALUE, _VALUE_SIZE, _FLAGS, _SHORT = range(8)
N_SPANS = 8

# Columns of `keys`: of the tenant's identities, of its roles, of hashes that no one else sees.
_ID, _ROLE, _SEED = 0, 2, 4


@kernel
def canonicalise(block, keys, special, suffixes, limits, scratch, out):
    """Fill `out` for every row of a label block.

    `special` is a table of (hash, hash, flags) by name; `suffixes` is (letters, rows of start, end
    and kind); `limits` is (labels, bytes of a name, of a value, of a series); `scratch` has room
    for the spans and the text of one row. `out` is (text, start, end, identity, role, relevant,
    kind, verdict), and `kind` holds the sender's word when called.
    """
    _, starts, ends = block
    _, text_start, text_end, identity, role, relevant, kind, verdict = out
    buffer = address_of(block[0])
    text = address_of(out[0])
    spans = address_of(scratch[0])
    role_text = address_of(scratch[1])
    names = address_of(special)
    n_names = len(special)
    letters = address_of(suffixes[0])
    endings = address_of(suffixes[1])
    n_endings = len(suffixes[1])
    seed = keys[_SEED]
    at = 0
    for row in range(len(starts)):
        text_start[row] = at
        n, verdict[row] = _read_labels(buffer, starts[row], ends[row], limits, spans)
        if verdict[row] == SOUND:
            n, verdict[row] = _arrange(buffer, n, names, n_names, seed, spans)
        if verdict[row] == SOUND:
            begin = at
            at = _write(text, at, buffer, starts[row], ends[row], spans, n)
            low, high = siphash128(text, begin, at, keys[_ID], keys[_ID + 1])
            identity[row, 0] = low
            identity[row, 1] = high
            size = _write_role(role_text, buffer, spans, n)
            low, _ = siphash128(role_text, 0, size, keys[_ROLE], keys[_ROLE + 1])
            role[row] = low
            relevant[row] = _relevant(buffer, spans, n, seed)
            said = np.int64(kind[row])
            kind[row] = _kind(buffer, spans, n, letters, endings, n_endings, said)
        text_end[row] = at


@kernel
def _get(spans, label, column):
    return load_i64(spans, N_SPANS * label + column)


@kernel
def _set(spans, label, column, value):
    store_i64(spans, N_SPANS * label + column, value)


@kernel
def _read_labels(buffer, i, end, limits, spans):
    """Parse a run into spans, leaving out empty values: (how many, verdict)."""
    n = 0
    if end - i > limits[3]:
        return n, TOO_LONG
    ascii_only = is_ascii(buffer, i, end)
    while i < end:
        at = i
        if load_u8(buffer, i) != _NAME_TAG:
            return n, MALFORMED
        inside, i = read_size(buffer, i + 1, end)
        if i < 0:
            return n, MALFORMED
        name = value = inside
        name_size = value_size = 0
        k = inside
        while k < i:
            tag, k = read_tag(buffer, k, i)
            if k < 0:
                return n, MALFORMED
            if tag == _NAME_TAG:
                name, k = read_size(buffer, k, i)
                name_size = k - name
            elif tag == _VALUE_TAG:
                value, k = read_size(buffer, k, i)
                value_size = k - value
            else:
                k = skip_field(buffer, k, i, tag, 99)
            if k < 0:
                return n, MALFORMED
        if value_size == 0:
            continue
        if name_size == 0:
            return n, MALFORMED
        if n == limits[0]:
            return n, TOO_MANY_LABELS
        if name_size > limits[1] or value_size > limits[2]:
            return n, TOO_LONG
        if not ascii_only and not (
            is_utf8(buffer, name, name + name_size) and is_utf8(buffer, value, value + value_size)
        ):
            return n, NOT_UTF8
        inner = label_bytes(name_size, value_size)
        _set(spans, n, _AT, at)
        _set(spans, n, _END, i)
        _set(spans, n, _NAME, name)
        _set(spans, n, _NAME_SIZE, name_size)
        _set(spans, n, _VALUE, value)
        _set(spans, n, _VALUE_SIZE, value_size)
        is_short = name < value and i - at == 1 + size_bytes(inner) + inner
        _set(spans, n, _SHORT, np.int64(is_short))
        n += 1
    return n, SOUND


@kernel
def _arrange(buffer, n, special, n_special, seed, spans):
    """Name flags, no replica labels, sorted: (how many are left, verdict)."""
    kept = 0
    is_named = False
    for k in range(n):
        flags = _flags(
            special, n_special, buffer, _get(spans, k, _NAME), _get(spans, k, _NAME_SIZE), seed
        )
        is_named = is_named or flags & METRIC > 0
        if flags & REPLICA:
            continue
        _set(spans, k, _FLAGS, flags)
        _put(spans, kept, k)
        order = 1
        j = kept
        while j > 0:
            order = _compare(buffer, spans, j, j - 1)
            if order >= 0:
                break
            _swap(spans, j)
            j -= 1
        if j > 0 and order == 0:
            return kept, DUPLICATE
        kept += 1
    return kept, SOUND if is_named else UNNAMED


@kernel
def _put(spans, target, source):
    if target != source:
        for c in range(N_SPANS):
            _set(spans, target, c, _get(spans, source, c))


@kernel
def _swap(spans, j):
    for c in range(N_SPANS):
        former = _get(spans, j, c)
        _set(spans, j, c, _get(spans, j - 1, c))
        _set(spans, j - 1, c, former)


@kernel
def _compare(buffer, spans, a, b):
    """Order of two names by their bytes: below, at or above 0."""
    i = _get(spans, a, _NAME)
    j = _get(spans, b, _NAME)
    n = min(_get(spans, a, _NAME_SIZE), _get(spans, b, _NAME_SIZE))
    for k in range(n):
        if load_u8(buffer, i + k) != load_u8(buffer, j + k):
            return load_u8(buffer, i + k) - load_u8(buffer, j + k)
    return _get(spans, a, _NAME_SIZE) - _get(spans, b, _NAME_SIZE)


@kernel
def _flags(special, n_special, buffer, name, size, seed):
    """What the configuration says of a name; in `special`, no flags means an empty entry."""
    low, high = fast_hash128(buffer, name, name + size, seed)
    mask = n_special - 1
    i = np.int64(low) & mask
    while True:
        flags = load_i64(special, 3 * i + 2)
        if flags == 0 or (
            load_i64(special, 3 * i) == np.int64(low)
            and load_i64(special, 3 * i + 1) == np.int64(high)
        ):
            return flags
        i = (i + 1) & mask


@kernel
def hash_names(names, starts, ends, seed, hashes):
    """The hashes that `special` holds."""
    for row in range(len(starts)):
        low, high = fast_hash128(address_of(names), starts[row], ends[row], seed)
        hashes[row, 0] = low
        hashes[row, 1] = high


@kernel
def _write(text, at, buffer, start, end, spans, n):
    """The canonical run; what a tidy sender sent is that run already."""
    i = start
    for k in range(n):
        if _get(spans, k, _AT) != i or not _get(spans, k, _SHORT):
            break
        i = _get(spans, k, _END)
    if i == end:
        return copy_bytes(text, at, buffer, start, end - start)
    for k in range(n):
        at = _write_label(text, at, buffer, spans, k)
    return at


@kernel
def _write_label(text, at, buffer, spans, k):
    if _get(spans, k, _SHORT):
        return copy_bytes(
            text, at, buffer, _get(spans, k, _AT), _get(spans, k, _END) - _get(spans, k, _AT)
        )
    name_size = _get(spans, k, _NAME_SIZE)
    value_size = _get(spans, k, _VALUE_SIZE)
    store_u8(text, at, _NAME_TAG)
    at = write_varint(text, at + 1, label_bytes(name_size, value_size))
    store_u8(text, at, _NAME_TAG)
    at = write_varint(text, at + 1, name_size)
    at = copy_bytes(text, at, buffer, _get(spans, k, _NAME), name_size)
    store_u8(text, at, _VALUE_TAG)
    at = write_varint(text, at + 1, value_size)
    return copy_bytes(text, at, buffer, _get(spans, k, _VALUE), value_size)


@kernel
def _write_role(role_text, buffer, spans, n):
    """The canonical labels that do not name an instance; how many bytes."""
    at = 0
    for k in range(n):
        if _get(spans, k, _FLAGS) & INSTANCE == 0:
            at = _write_label(role_text, at, buffer, spans, k)
    return at


@kernel
def _relevant(buffer, spans, n, seed):
    """A hash of the labels that enrichment looks at: the key of a cache."""
    h = seed
    for k in range(n):
        if _get(spans, k, _FLAGS) & RELEVANT:
            name = _get(spans, k, _NAME)
            value = _get(spans, k, _VALUE)
            h, _ = fast_hash128(buffer, name, name + _get(spans, k, _NAME_SIZE), h)
            h, _ = fast_hash128(buffer, value, value + _get(spans, k, _VALUE_SIZE), h)
    return h


@kernel
def _kind(buffer, spans, n, letters, endings, n_endings, said):
    """A name that is never scored decides; else the sender's word; else the name.

    The first ending that fits counts; the last one is empty and fits.
    """
    k = 0
    while _get(spans, k, _FLAGS) & METRIC == 0:
        k += 1
    size = _get(spans, k, _VALUE_SIZE)
    stop = _get(spans, k, _VALUE) + size
    for e in range(n_endings):
        end = load_i64(endings, 3 * e + 1)
        length = end - load_i64(endings, 3 * e)
        j = 1
        while j <= min(length, size) and load_u8(buffer, stop - j) == load_u8(letters, end - j):
            j += 1
        if j > length:
            kind = load_i64(endings, 3 * e + 2)
            return kind if said == BY_NAME or kind == UNSCORED else said
    return said
