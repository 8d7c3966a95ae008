"""What a sender's labels come to: canonical bytes, identity, role, kind. Pure, one pass over rows.

Canonical labels are sorted by name, unique, without empty values and without replica labels, in the
shortest protobuf form of `prometheus.Label`. That form tells where everything ends, so no two label
sets have the same bytes whatever their values hold.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_i64, load_u8
from watchkeeper.compiled.columns import get64, set64
from watchkeeper.compiled.hashing import fast_hash128, siphash128
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.wire_kernel import is_ascii, is_utf8, read_size
from watchkeeper.lake.series_read_kernel import label_bytes, size_bytes
from watchkeeper.lake.series_table_kernel import copy_bytes

# What is wrong with a row. The last three are found when it is registered.
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

# What the configuration says of a label's name.
METRIC = 1
INSTANCE = 2
REPLICA = 4
RELEVANT = 8

_UNSCORED = 3
_BY_NAME = 0

# Columns of the labels of one row: where the run, the name, the value are; what the name means.
_AT, _END, _NAME, _NAME_SIZE, _VALUE, _VALUE_SIZE, _FLAGS = range(7)
N_SPANS = 7

# Columns of `keys`: of the tenant's identities, of its roles, of hashes that no one else sees.
_ID, _ROLE, _SEED = 0, 2, 4


@kernel
def canonicalise(block, keys, special, suffixes, limits, scratch, out):
    """Fill `out` for every row of a label block.

    `special` is a table of (hash, hash, flags) by name; `suffixes` is (letters, rows of start, end
    and kind); `limits` is (labels, bytes of a name, of a value, of a series); `scratch` is (layout
    of the labels of one row, room for the text of one). `out` is (text, start, end, identity, role,
    relevant, kind, verdict), and `kind` holds the sender's word when called.
    """
    _, starts, ends = block
    _, text_start, text_end, identity, role, relevant, kind, verdict = out
    buffer = address_of(block[0])
    text = address_of(out[0])
    spans = address_of(scratch[0])
    role_text = address_of(scratch[1])
    names = address_of(special)
    letters = address_of(suffixes[0])
    endings = address_of(suffixes[1])
    seed = keys[_SEED]
    at = 0
    for row in range(len(starts)):
        start = starts[row]
        text_start[row] = at
        n, verdict[row] = _read_labels(buffer, start, ends[row], limits, spans)
        if verdict[row] == SOUND:
            n, verdict[row] = _arrange(buffer, n, names, len(special), seed, spans)
        if verdict[row] == SOUND:
            begin = at
            if _is_arranged(spans, n, start, ends[row]):
                at = copy_bytes(text, at, buffer, start, ends[row] - start)
            else:
                at = _write(text, at, buffer, spans, n, 0)
            low, high = siphash128(text, begin, at, keys[_ID], keys[_ID + 1])
            identity[row, 0] = low
            identity[row, 1] = high
            size = _write(role_text, 0, buffer, spans, n, INSTANCE)
            role[row] = siphash128(role_text, 0, size, keys[_ROLE], keys[_ROLE + 1])[0]
            relevant[row] = _relevant(buffer, spans, n, seed)
            said = np.int64(kind[row])
            kind[row] = _kind(buffer, spans, letters, endings, len(suffixes[1]), said)
        text_end[row] = at


@kernel
def _read_labels(buffer, i, end, limits, spans):
    """Parse a run into spans, leaving out empty values: (how many, verdict)."""
    n = 0
    if end - i > limits[3]:
        return n, TOO_LONG
    is_plain = is_ascii(buffer, i, end)
    while i < end:
        at = i
        inside, i = read_size(buffer, at + 1, end)
        if load_u8(buffer, at) != 0x0A or i < 0 or load_u8(buffer, inside) != 0x0A:
            return n, MALFORMED
        name, name_end = read_size(buffer, inside + 1, i)
        if name_end < 0 or load_u8(buffer, name_end) != 0x12:
            return n, MALFORMED
        value, value_end = read_size(buffer, name_end + 1, i)
        name_size = name_end - name
        value_size = value_end - value
        inner = label_bytes(name_size, value_size)
        if value_end != i or i - at != 1 + size_bytes(inner) + inner:
            return n, MALFORMED
        if value_size == 0:
            continue
        if name_size == 0:
            return n, MALFORMED
        if n == limits[0]:
            return n, TOO_MANY_LABELS
        if name_size > limits[1] or value_size > limits[2]:
            return n, TOO_LONG
        if not (is_plain or (is_utf8(buffer, name, name_end) and is_utf8(buffer, value, i))):
            return n, NOT_UTF8
        set64(spans, _AT, n, at)
        set64(spans, _END, n, i)
        set64(spans, _NAME, n, name)
        set64(spans, _NAME_SIZE, n, name_size)
        set64(spans, _VALUE, n, value)
        set64(spans, _VALUE_SIZE, n, value_size)
        n += 1
    return n, SOUND


@kernel
def _arrange(buffer, n, special, n_special, seed, spans):
    """Flag names, leave out replica labels, sort: (how many are left, verdict)."""
    n_kept = 0
    is_named = False
    for k in range(n):
        name = get64(spans, _NAME, k)
        flags = _flags(special, n_special, buffer, name, get64(spans, _NAME_SIZE, k), seed)
        is_named = is_named or flags & METRIC > 0
        if flags & REPLICA:
            continue
        set64(spans, _FLAGS, k, flags)
        if n_kept < k:
            _swap(spans, n_kept, k)
        j = n_kept
        while j > 0:
            order = _compare(buffer, spans, j, j - 1)
            if order == 0:
                return n_kept, DUPLICATE
            if order > 0:
                break
            _swap(spans, j, j - 1)
            j -= 1
        n_kept += 1
    return n_kept, SOUND if is_named else UNNAMED


@kernel
def _swap(spans, a, b):
    for column in range(N_SPANS):
        former = get64(spans, column, a)
        set64(spans, column, a, get64(spans, column, b))
        set64(spans, column, b, former)


@kernel
def _compare(buffer, spans, a, b):
    """Order of two names by their bytes: below, at or above 0."""
    i = get64(spans, _NAME, a)
    j = get64(spans, _NAME, b)
    size_a = get64(spans, _NAME_SIZE, a)
    size_b = get64(spans, _NAME_SIZE, b)
    for k in range(min(size_a, size_b)):
        order = load_u8(buffer, i + k) - load_u8(buffer, j + k)
        if order != 0:
            return order
    return size_a - size_b


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
def _is_arranged(spans, n, i, end):
    """Whether the labels stand one behind the other from i to end, as a tidy sender sends them."""
    for k in range(n):
        if get64(spans, _AT, k) != i:
            return False
        i = get64(spans, _END, k)
    return i == end


@kernel
def _write(text, at, buffer, spans, n, without):
    """The labels in order, but for those with the flag `without`; where they end."""
    for k in range(n):
        if get64(spans, _FLAGS, k) & without == 0:
            begin = get64(spans, _AT, k)
            at = copy_bytes(text, at, buffer, begin, get64(spans, _END, k) - begin)
    return at


@kernel
def _relevant(buffer, spans, n, seed):
    """A hash of the labels that enrichment looks at: the key of a cache."""
    found = seed
    for k in range(n):
        if get64(spans, _FLAGS, k) & RELEVANT:
            found, _ = fast_hash128(buffer, get64(spans, _AT, k), get64(spans, _END, k), found)
    return found


@kernel
def _kind(buffer, spans, letters, endings, n_endings, said):
    """A name that is never scored decides; else the sender's word; else the name.

    The first ending that fits counts; the last one is empty and fits.
    """
    k = 0
    while get64(spans, _FLAGS, k) & METRIC == 0:
        k += 1
    size = get64(spans, _VALUE_SIZE, k)
    stop = get64(spans, _VALUE, k) + size
    for e in range(n_endings):
        end = load_i64(endings, 3 * e + 1)
        length = end - load_i64(endings, 3 * e)
        j = 1
        while j <= min(length, size) and load_u8(buffer, stop - j) == load_u8(letters, end - j):
            j += 1
        if j > length:
            kind = load_i64(endings, 3 * e + 2)
            return kind if said == _BY_NAME or kind == _UNSCORED else said
    return said
