"""Attributes of OTLP in protobuf as JSON objects of texts, a whole body's at once.

Texts, whole numbers and booleans are written here. All else is marked, for Python to write: values
of other sorts, text that is not UTF-8 or needs a rare escape, and whatever may be malformed.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_u8, store_u8
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.wire_kernel import is_utf8, read_size, read_tag, read_varint

MARKED = 1
MAX_COMPARED = 64
"""Of attributes of a row, whose names are compared with one another."""

_QUOTE, _COMMA, _COLON, _BACKSLASH, _OPEN, _CLOSE, _MINUS = 34, 44, 58, 92, 123, 125, 45
_KEY, _VALUE = 0x0A, 0x12
_TEXT, _BOOL, _INT = 0x0A, 0x10, 0x18
_TRUE = np.array(list(b"true"), np.uint8)
_FALSE = np.array(list(b"false"), np.uint8)
_TEN = np.uint64(10)


@kernel
def write(data, offset, first, extra, extra_offset, marks, twice, out, out_offset):
    """Row r's object has the attributes first[r] to first[r + 1]; attribute a is
    data[offset[a]:offset[a + 1]], or the next of `extra` where it is marked already.

    Marks what it cannot write, and sets `twice` where a name of a row may come again. Returns how
    many there are of both; where there are any, the rows are not to be used. READ_SLACK bytes must
    follow `data`.
    """
    buffer = address_of(data)
    more = address_of(extra)
    to = address_of(out)
    names = np.empty(MAX_COMPARED, np.int64)
    o = 0
    n_extra = 0
    n_marked = 0
    n_twice = 0
    for row in range(len(first) - 1):
        begin, stop = first[row], first[row + 1]
        is_compared = twice[row] == 0
        if is_compared and stop - begin > MAX_COMPARED:
            is_compared = False
            twice[row] = 1
            n_twice += 1
        for a in range(begin, stop):
            store_u8(to, o, _OPEN if a == begin else _COMMA)
            o += 1
            name = o
            if marks[a]:
                o = _copy(more, extra_offset[n_extra], extra_offset[n_extra + 1], to, o)
                n_extra += 1
            else:
                o = _member(buffer, np.int64(offset[a]), np.int64(offset[a + 1]), to, o)
                if o < 0:
                    marks[a] = MARKED
                    n_marked += 1
                    o = name
                    is_compared = False
            if is_compared:
                names[a - begin] = name
                for b in range(a - begin):
                    if _is_same(to, names[b], name, o):
                        twice[row] = 1
                        n_twice += 1
                        is_compared = False
                        break
        if stop > begin:
            store_u8(to, o, _CLOSE)
            o += 1
        out_offset[row + 1] = o
    return n_marked, n_twice


@kernel
def _member(buffer, i, end, out, o):
    """Write the KeyValue at `i`; where that ends, or -1 if it is not of the usual form."""
    key = i
    key_end = i
    value = i
    value_end = i
    n_keys = 0
    n_values = 0
    while i < end:
        tag, i = read_tag(buffer, i, end)
        if i < 0 or (tag != _KEY and tag != _VALUE):
            return -1
        start, i = read_size(buffer, i, end)
        if i < 0:
            return -1
        if tag == _KEY:
            key, key_end = start, i
            n_keys += 1
        else:
            value, value_end = start, i
            n_values += 1
    if n_keys > 1 or n_values > 1:
        return -1
    o = _quoted(buffer, key, key_end, out, o)
    if o < 0:
        return -1
    store_u8(out, o, _COLON)
    return _any_value(buffer, value, value_end, out, o + 1)


@kernel
def _any_value(buffer, i, end, out, o):
    if i == end:
        return _quoted(buffer, i, i, out, o)
    tag, i = read_tag(buffer, i, end)
    if i < 0:
        return -1
    if tag == _TEXT:
        start, i = read_size(buffer, i, end)
        return _quoted(buffer, start, i, out, o) if i == end else -1
    if tag != _BOOL and tag != _INT:
        return -1
    number, i = read_varint(buffer, i, end)
    if i != end:
        return -1
    store_u8(out, o, _QUOTE)
    o += 1
    if tag == _INT:
        o = _digits(np.int64(number), out, o)
    elif number:
        o = _word(_TRUE, out, o)
    else:
        o = _word(_FALSE, out, o)
    store_u8(out, o, _QUOTE)
    return o + 1


@kernel
def _quoted(buffer, i, end, out, o):
    store_u8(out, o, _QUOTE)
    o += 1
    high = 0
    for k in range(i, end):
        byte = load_u8(buffer, k)
        high |= byte
        if byte == _QUOTE or byte == _BACKSLASH:
            store_u8(out, o, _BACKSLASH)
            o += 1
        elif byte < 0x20:
            if byte == 10:
                byte = 110
            elif byte == 13:
                byte = 114
            elif byte == 9:
                byte = 116
            else:
                return -1
            store_u8(out, o, _BACKSLASH)
            o += 1
        store_u8(out, o, byte)
        o += 1
    if high > 0x7F and not is_utf8(buffer, i, end):
        return -1
    store_u8(out, o, _QUOTE)
    return o + 1


@kernel
def _digits(number, out, o):
    left = np.uint64(number)
    if number < 0:
        store_u8(out, o, _MINUS)
        o += 1
        left = np.uint64(0) - left
    n = 1
    power = np.uint64(1)
    while left // power >= _TEN:
        power *= _TEN
        n += 1
    for k in range(n):
        store_u8(out, o + k, 48 + np.int64(left // power % _TEN))
        power //= _TEN
    return o + n


@kernel
def _word(word, out, o):
    for k in range(len(word)):
        store_u8(out, o + k, np.int64(word[k]))
    return o + len(word)


@kernel
def _copy(buffer, i, end, out, o):
    for k in range(i, end):
        store_u8(out, o, load_u8(buffer, k))
        o += 1
    return o


@kernel
def _is_same(out, one, other, end):
    """Whether the members at `one` and `other` have one name: equal up to its closing quote."""
    is_escaped = False
    for k in range(1, end - other):
        byte = load_u8(out, other + k)
        if byte != load_u8(out, one + k):
            return False
        if byte == _QUOTE and not is_escaped:
            return True
        is_escaped = byte == _BACKSLASH and not is_escaped
    return False
