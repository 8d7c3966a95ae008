"""The protobuf wire format, UTF-8 and keys of byte runs, for kernels that decode.

What is sound is decided as upb, the reference, decides it, down to its limits: tags and sizes of
at most five bytes, varints of at most ten, groups skipped to a depth. `buffer` is the address of
bytes that READ_SLACK more follow; `end` is where the message at hand ends. A position of -1 means
that the bytes are malformed.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_u8, store_u8
from watchkeeper.compiled.hashing import fast_hash128
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64

VARINT = 0
FIXED64 = 1
SIZED = 2
GROUP = 3
END_GROUP = 4
FIXED32 = 5

MAX_DEPTH = 100
"""How deep messages and groups may nest, counted from the body's root."""

_MORE = np.uint64(0x80)
_LOW_SEVEN = np.uint64(0x7F)
_SEVEN = np.uint64(7)
_HIGH_BITS = np.uint64(0x8080808080808080)
_MAX_TAG = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
_EIGHT = np.uint64(8)


@kernel
def read_varint(buffer, i, end):
    """The number at `i`, and where it ends."""
    value = np.uint64(0)
    shift = np.uint64(0)
    stop = min(end, i + 10)
    while i < stop:
        byte = np.uint64(load_u8(buffer, i))
        i += 1
        value |= (byte & _LOW_SEVEN) << shift
        if byte < _MORE:
            return value, i
        shift += _SEVEN
    return value, -1


@kernel
def read_tag(buffer, i, end):
    """The tag at `i`, (field number << 3 | wire type), and where it ends."""
    if i < end and load_u8(buffer, i) < 0x80:
        return load_u8(buffer, i), i + 1
    value, stop = read_varint(buffer, i, min(end, i + 5))
    if value > _MAX_TAG:
        stop = -1
    return np.int64(value), stop


@kernel
def read_size(buffer, i, end):
    """Where the payload, whose size stands at `i`, starts and stops."""
    if i < end and load_u8(buffer, i) < 0x80:
        start = i + 1
        stop = start + load_u8(buffer, i)
    else:
        value, start = read_varint(buffer, i, min(end, i + 5))
        stop = start + np.int64(value)  # at most 35 bits, so it cannot overflow
    if start < 0 or stop > end:
        stop = -1
    return start, stop


@kernel
def skip_field(buffer, i, end, tag, depth):
    """Where the field, whose tag ends at `i`, ends; groups may open `depth` levels."""
    if tag < 8:  # no field has the number 0
        return -1
    if tag & 7 == GROUP:
        return _skip_group(buffer, i, end, tag >> 3, depth)
    return _skip_value(buffer, i, end, tag & 7)


@kernel
def _skip_value(buffer, i, end, wire_type):
    if wire_type == VARINT:
        _, i = read_varint(buffer, i, end)
    elif wire_type == SIZED:
        _, i = read_size(buffer, i, end)
    elif wire_type == FIXED64:
        i += 8
    elif wire_type == FIXED32:
        i += 4
    else:
        i = -1
    return i if i <= end else -1


@kernel
def _skip_group(buffer, i, end, number, depth):
    if depth < 1:
        return -1
    opened = np.empty(depth, np.int64)
    opened[0] = number
    n_open = 1
    while n_open > 0:
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return -1
        if tag & 7 == GROUP:
            if n_open >= depth:
                return -1
            opened[n_open] = tag >> 3
            n_open += 1
        elif tag & 7 == END_GROUP:
            n_open -= 1
            if opened[n_open] != tag >> 3:
                return -1
        else:
            i = _skip_value(buffer, i, end, tag & 7)
            if i < 0:
                return -1
    return i


@kernel
def write_varint(buffer, at, number):
    """Write `number` in its shortest form; where it ends."""
    while number >= 0x80:
        store_u8(buffer, at, number & 0x7F | 0x80)
        number >>= 7
        at += 1
    store_u8(buffer, at, number)
    return at + 1


@kernel
def is_ascii(buffer, start, end):
    """Whether no byte has its high bit set."""
    seen = np.uint64(0)
    n_words = (end - start) >> 3
    for k in range(n_words):
        seen |= load_u64(buffer, start + 8 * k)
    i = start + 8 * n_words
    if i < end:
        rest = _EIGHT * np.uint64(end - i)
        seen |= load_u64(buffer, i) & ((_ONE << rest) - _ONE)
    return seen & _HIGH_BITS == np.uint64(0)


@kernel
def is_utf8(buffer, start, end):
    """Whether the run is well-formed UTF-8: nothing overlong, no surrogates, not past U+10FFFF."""
    i = start
    while i < end:
        first = load_u8(buffer, i)
        i += 1
        if first < 0x80:
            continue
        low = 0x80
        high = 0xBF
        if first < 0xC2:
            return False
        if first < 0xE0:
            n_more = 1
        elif first < 0xF0:
            n_more = 2
            if first == 0xE0:
                low = 0xA0
            elif first == 0xED:
                high = 0x9F
        elif first < 0xF5:
            n_more = 3
            if first == 0xF0:
                low = 0x90
            elif first == 0xF4:
                high = 0x8F
        else:
            return False
        if i + n_more > end or load_u8(buffer, i) < low or load_u8(buffer, i) > high:
            return False
        for k in range(1, n_more):
            if load_u8(buffer, i + k) < 0x80 or load_u8(buffer, i + k) > 0xBF:
                return False
        i += n_more
    return True


@kernel
def hash_runs(array, starts, ends, seed, keys):
    """The key of every run of an array of bytes."""
    buffer = address_of(array)
    for row in range(len(starts)):
        low, high = fast_hash128(buffer, starts[row], ends[row], seed)
        keys[row, 0] = low
        keys[row, 1] = high
