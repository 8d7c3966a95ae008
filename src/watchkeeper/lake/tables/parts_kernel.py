"""Compiled search for parts of text: filters of what bytes stand beside one another, and the rows
that have a part as it is.

Filters know each byte, each pair of bytes and each *piece*, SIZE bytes in a row. Pieces with a
digit are mostly of ids and counters, of which each is another: they go into a filter of their own,
in which a single bit stands for one, so that they neither fill the other nor take much room.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.hashing import fold_multiply
from watchkeeper.compiled.jit import kernel
from watchkeeper.lake.tables.words_kernel import FOLD, mark

SIZE = 5
"""Bytes of a piece. All there are of four hex digits are in 10,000 ids, of five by far not."""
N_PROBES = 3
"""Of a plain filter: few, because a part has several pieces that must all be there."""
VARIED_BITS = 19
"""A filter of varied pieces is made with 2 to the power of this many bits."""

_SEEN_BITS = 12
"""Of pieces remembered, so that those which come again and again cost next to nothing."""
_BLOCK = 64
"""Places looked at together."""
_SAMPLE = 1 << 12

_STEP = np.uint64(0xD6E8FEB86659FD93)
_PIECE = np.uint64((1 << 8 * SIZE) - 1)
_DIGITS = np.uint64((1 << SIZE) - 1)
_PAIR = np.uint64(0xFFFF)
_ONE = np.uint64(1)
_BYTE = np.uint64(8)
_WORD = np.uint64(6)
_IN_WORD = np.uint64(63)
_VARIED = np.uint64(64 - VARIED_BITS)
_SEEN = np.uint64(64 - _SEEN_BITS)


@kernel
def _hash(value, n_bytes):
    return fold_multiply(value ^ _STEP, np.uint64(n_bytes) * _STEP)


@kernel
def _is_digit(byte):
    return np.uint64(np.uint8(byte - np.uint8(48)) < np.uint8(10))


@kernel
def mark_parts(data, offset, plain, varied):
    """Let filters know all parts of these rows: `plain` the short ones and pieces without a digit,
    `varied` the other pieces."""
    pairs = np.zeros(1 << 16, np.uint8)
    lasts = np.zeros(256, np.uint8)
    seen = np.zeros(1 << _SEEN_BITS, np.uint64)
    for row in range(len(offset) - 1):
        begin = offset[row]
        end = offset[row + 1]
        value = np.uint64(0)
        digits = np.uint64(0)
        for i in range(begin, min(begin + SIZE - 1, end)):
            value = (value << _BYTE) | np.uint64(data[i])
            digits = (digits << _ONE) | _is_digit(data[i])
            if i > begin:
                pairs[value & _PAIR] = 1
        for i in range(begin + SIZE - 1, end):
            value = (value << _BYTE) | np.uint64(data[i])
            digits = (digits << _ONE) | _is_digit(data[i])
            pairs[value & _PAIR] = 1
            piece = value & _PIECE
            h = piece * _STEP
            if digits & _DIGITS:
                varied[h >> _VARIED >> _WORD] |= _ONE << (h >> _VARIED & _IN_WORD)
            elif seen[h >> _SEEN] != piece:
                seen[h >> _SEEN] = piece
                mark(plain, _hash(piece, SIZE), N_PROBES)
        if end > begin:
            lasts[data[end - 1]] = 1
    _mark_short(pairs, lasts, plain)


@kernel
def _mark_short(pairs, lasts, bits):
    """Pairs; and single bytes, of which each begins a pair or ends a row."""
    for first in range(256):
        is_there = lasts[first] > 0
        for pair in range(first << 8, (first + 1) << 8):
            if pairs[pair]:
                is_there = True
                mark(bits, _hash(np.uint64(pair), 2), N_PROBES)
        if is_there:
            mark(bits, _hash(np.uint64(first), 1), N_PROBES)


@kernel
def hash_part(part, plain, varied):
    """What each filter must know for a part to be there; how many of each. Both have room for
    twice the bytes of the part."""
    if len(part) == 1:
        plain[0] = _hash(np.uint64(part[0]), 1)
        return 1, 0
    n_plain = 0
    n_varied = 0
    value = np.uint64(0)
    digits = np.uint64(0)
    for i in range(len(part)):
        value = (value << _BYTE) | np.uint64(part[i])
        digits = (digits << _ONE) | _is_digit(part[i])
        if i >= 1:
            plain[n_plain] = _hash(value & _PAIR, 2)
            n_plain += 1
        if i >= SIZE - 1:
            piece = value & _PIECE
            if digits & _DIGITS:
                varied[n_varied] = piece * _STEP >> _VARIED
                n_varied += 1
            else:
                plain[n_plain] = _hash(piece, SIZE)
                n_plain += 1
    return n_plain, n_varied


@kernel
def _rarest(data, begin, end, part):
    """Two places of a part, whose bytes are rarest in a sample of the data."""
    counts = np.zeros(256, np.int64)
    for i in range(begin, end, max(1, (end - begin) // _SAMPLE)):
        counts[data[i]] += 1
    first = 0
    second = len(part) - 1
    for k in range(len(part)):
        if counts[part[k]] < counts[part[first]]:
            first = k
    for k in range(len(part)):
        if k != first and (second == first or counts[part[k]] < counts[part[second]]):
            second = k
    return first, second


@kernel
def _next(data, i, stop, first, second, part):
    """The first place from `i` where both of these bytes of a part stand as in it; else `stop`."""
    a = part[first]
    b = part[second]
    at_a = np.uint64(first)
    at_b = np.uint64(second)
    while i + _BLOCK <= stop:
        here = np.uint64(i)
        found = np.uint8(0)
        for k in range(_BLOCK):
            at = here + np.uint64(k)
            found |= np.uint8(data[at + at_a] == a) & np.uint8(data[at + at_b] == b)
        if found:
            break
        i += _BLOCK
    while i < stop and (data[i + first] != a or data[i + second] != b):
        i += 1
    return i


@kernel
def _is_here(data, i, part):
    for j in range(len(part)):
        if data[i + j] != part[j]:
            return False
    return True


@kernel
def keep_with_part(data, offset, rows, part, whole):
    """Keep of ascending `rows`, in place, those that have `part` as it is; how many. If `whole`,
    where it does not go on as a word on either side."""
    size = len(part)
    opens = whole and FOLD[part[0]] > 0
    closes = whole and FOLD[part[size - 1]] > 0
    first, second = _rarest(data, offset[0], offset[-1], part)
    kept = 0
    k = 0
    while k < len(rows):
        last = k  # rows that stand one behind the other are looked through as one
        while last + 1 < len(rows) and rows[last + 1] == rows[last] + 1:
            last += 1
        i = offset[rows[k]]
        stop = offset[rows[last] + 1] - size + 1
        while True:
            i = _next(data, i, stop, first, second, part)
            if i >= stop:
                break
            while offset[rows[k] + 1] <= i:
                k += 1
            begin = offset[rows[k]]
            end = offset[rows[k] + 1]
            if (
                i + size > end
                or not _is_here(data, i, part)
                or (opens and i > begin and FOLD[data[i - 1]])
                or (closes and i + size < end and FOLD[data[i + size]])
            ):
                i += 1
                continue
            rows[kept] = rows[k]
            kept += 1
            k += 1
            i = end
            if k > last:
                break
        k = last + 1
    return kept
