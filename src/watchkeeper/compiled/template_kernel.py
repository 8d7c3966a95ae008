"""The pattern of a log line: what stays when numbers, ids and values are taken out; and its hash.

Both are stored, so what they are of a line may never change. Of the line's first MAX_BYTES:

- a *word* is a run of bytes that are neither white space nor one of `= : , ; ( ) [ ] { } < > | @ &
  ? / \\ " '`; a word with a decimal digit becomes `<*>`, together with what hangs on it by `:`, as
  in 10:20:30 or fe80::1
- what is quoted becomes `<*>` between its quotes. A quote opens where neither a word nor `\\` comes
  before it, and where it is closed again; `\\` takes the meaning of the byte behind it
- what follows `=` at once becomes `<*>`, up to white space or one of `, ; & ) ] } | \\ " '`
- `"name":` keeps its name unless there is a digit in it, and the word that follows becomes `<*>`
- after the names msg, message, event, err and error the text is read on, be it quoted or not; not
  so what is quoted within a text that is quoted itself
- white space becomes one space, and none at either end; all else stays as it is

The hash of a pattern: `h` is its length times P0; for every eight bytes as a little-endian number,
the last filled up with zeros, `h` is the folded product of (h ^ them) and P1; at last that of
(h ^ P2) and P0. The empty pattern has 0.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_u8, store_u8
from watchkeeper.compiled.hashing import fold_multiply
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64, store_u64

MAX_BYTES = 1000
P0 = np.uint64(0xA0761D6478BD642F)
P1 = np.uint64(0xE7037ED1A0B428DB)
P2 = np.uint64(0x8EBC6AF09C88C6E3)

OUT_BYTES = 3 * MAX_BYTES + 16
"""Room for any pattern: one byte becomes three at most."""

_DIGIT, _SPACE, _MARK, _QUOTE, _ENDS_VALUE = 1, 2, 4, 8, 16
_EQUALS, _COLON, _BACKSLASH, _DOUBLE, _BLANK = 61, 58, 92, 34, 32

_CLASS = np.zeros(256, np.uint8)
_CLASS[list(b"0123456789")] = _DIGIT
_CLASS[list(b" \t\n\r\v\f")] = _SPACE | _ENDS_VALUE
_CLASS[list(b"=:<>@?/([{")] = _MARK
_CLASS[list(b",;&)]}|\\")] = _MARK | _ENDS_VALUE
_CLASS[list(b"\"'")] = _MARK | _QUOTE | _ENDS_VALUE

_ONE = np.uint64(1)
_EIGHT = np.uint64(8)
_WILD = np.uint64(int.from_bytes(b"<*>", "little"))
_MSG = np.uint64(int.from_bytes(b"msg", "little"))
_MESSAGE = np.uint64(int.from_bytes(b"message", "little"))
_EVENT = np.uint64(int.from_bytes(b"event", "little"))
_ERR = np.uint64(int.from_bytes(b"err", "little"))
_ERROR = np.uint64(int.from_bytes(b"error", "little"))

_PLAIN, _VALUE, _TEXT = range(3)
"""What comes next: anything, the value of a name, or a text that is to be read on."""


@kernel
def fingerprints(data, offset, out, scratch):
    """The hash of every run's pattern; `scratch` has OUT_BYTES."""
    buffer = address_of(data)
    into = address_of(scratch)
    for row in range(len(offset) - 1):
        n = _write(buffer, np.int64(offset[row]), np.int64(offset[row + 1]), into)
        out[row] = _hash(into, n)


@kernel
def write_pattern(data, start, end, scratch):
    """The pattern of data[start:end] in `scratch`; its length."""
    return _write(address_of(data), np.int64(start), np.int64(end), address_of(scratch))


@kernel
def _hash(buffer, n):
    if n == 0:
        return np.uint64(0)
    h = np.uint64(n) * P0
    i = 0
    while i + 8 <= n:
        h = fold_multiply(h ^ load_u64(buffer, i), P1)
        i += 8
    if i < n:
        h = fold_multiply(h ^ _head(load_u64(buffer, i), n - i), P1)
    return fold_multiply(h ^ P2, P0)


@kernel
def _write(buffer, start, end, out):
    end = min(end, start + MAX_BYTES)
    i = start
    o = 0
    expected = _PLAIN
    text_end = -1
    while i < end:
        byte = load_u8(buffer, i)
        sort = _CLASS[byte]
        if sort <= _DIGIT:
            first = o
            i, o, is_wild = _word(buffer, i, end, out, o)
            if is_wild or expected == _VALUE:
                o = _wild(out, first)
            expected = _PLAIN
            if i < end and load_u8(buffer, i) == _EQUALS:
                if _is_message(out, first, o):
                    expected = _TEXT
                else:
                    expected = _VALUE
            continue
        if sort & _SPACE:
            if o > 0 and load_u8(out, o - 1) != _BLANK:
                store_u8(out, o, _BLANK)
                o += 1
            i += 1
            continue
        if sort & _QUOTE and i != text_end and _may_open(out, o):
            # Where no end is found, no quote of the sort can open behind, so none is sought twice.
            close = _close(buffer, i, text_end if i < text_end else end, byte)
            if byte == _DOUBLE and 0 < close < end - 1 and load_u8(buffer, close + 1) == _COLON:
                expected, o = _name(buffer, i, close, out, o)
                i = close + 1
                continue
            if expected == _TEXT and close > 0 and i >= text_end:
                text_end = close
            elif close > 0:
                store_u8(out, o, byte)
                o = _wild(out, o + 1)
                store_u8(out, o, byte)
                o += 1
                i = close + 1
                expected = _PLAIN
                continue
        store_u8(out, o, byte)
        o += 1
        i += 1
        if byte == _EQUALS:
            if expected != _TEXT:
                i, o = _value(buffer, i, end, out, o)
                expected = _PLAIN
        elif byte != _COLON:
            expected = _PLAIN
    if o > 0 and load_u8(out, o - 1) == _BLANK:
        o -= 1
    return o


@kernel
def _word(buffer, i, end, out, o):
    """Copy the word at `i`; where it ends here and there, and whether a digit was in it."""
    seen = 0
    while i < end:
        byte = load_u8(buffer, i)
        sort = _CLASS[byte]
        if sort > _DIGIT:
            break
        seen |= sort
        store_u8(out, o, byte)
        o += 1
        i += 1
    if seen:
        i = _hanging(buffer, i, end)
    return i, o, seen != 0


@kernel
def _hanging(buffer, i, end):
    """Where what hangs on a number by colons ends."""
    while i + 1 < end and load_u8(buffer, i) == _COLON:
        after = load_u8(buffer, i + 1)
        if after != _COLON and _CLASS[after] > _DIGIT:
            break
        i += 1
        while i < end and _CLASS[load_u8(buffer, i)] <= _DIGIT:
            i += 1
    return i


@kernel
def _value(buffer, i, end, out, o):
    """Pass over the value behind `=`."""
    first = i
    while i < end and not _CLASS[load_u8(buffer, i)] & _ENDS_VALUE:
        i += 1
    if i > first:
        o = _wild(out, o)
    return i, o


@kernel
def _name(buffer, i, close, out, o):
    """Copy the quoted name at `i`; what is expected behind it."""
    store_u8(out, o, _DOUBLE)
    o += 1
    first = o
    seen = 0
    for k in range(i + 1, close):
        byte = load_u8(buffer, k)
        seen |= _CLASS[byte]
        store_u8(out, o, byte)
        o += 1
    if seen & _DIGIT:
        o = _wild(out, first)
    expected = _TEXT if _is_message(out, first, o) else _VALUE
    store_u8(out, o, _DOUBLE)
    return expected, o + 1


@kernel
def _may_open(out, o):
    if o == 0:
        return True
    before = load_u8(out, o - 1)
    return _CLASS[before] > _DIGIT and before != _BACKSLASH


@kernel
def _close(buffer, i, limit, quote):
    """Where the quote at `i` is closed, or -1."""
    i += 1
    while i < limit:
        byte = load_u8(buffer, i)
        if byte == quote:
            return i
        i += 2 if byte == _BACKSLASH else 1
    return -1


@kernel
def _is_message(out, first, o):
    size = o - first
    if size < 3 or size > 7:
        return False
    word = _head(load_u64(out, first), size)
    return word == _MSG or word == _MESSAGE or word == _EVENT or word == _ERR or word == _ERROR


@kernel
def _wild(out, o):
    store_u64(out, o, _WILD)
    return o + 3


@kernel
def _head(word, n_bytes):
    """The first bytes of eight."""
    return word & ((_ONE << (_EIGHT * np.uint64(n_bytes))) - _ONE)
