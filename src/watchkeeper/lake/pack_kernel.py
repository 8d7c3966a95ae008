"""Compiled writing of Parquet pages: DELTA_BINARY_PACKED, LZ4 blocks, and their headers.

The other way round in `page_kernel`. A row group is one page per column, of required whole numbers,
so nothing of Parquet is needed but these three; any reader of Parquet reads the outcome.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.address import address_of, load_i64, store_i64
from watchkeeper.compiled.bits import leading_zeros, trailing_zeros
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64, store_u64

_LEAST, _MOST = np.int64(np.iinfo(np.int64).min), np.int64(np.iinfo(np.int64).max)
_BLOCK, _MINI = 128, 32
"""Numbers of a block, and of its parts that have a width each: the least that Parquet allows."""
_PACKED_BLOCK, _PACKED_MINI = 1024, 128
"""The same where LZ4 follows. It finds longer repetitions in them (measured: a third less)."""
BLOCK_ROWS = 1024
"""Of the larger."""
ROW_BYTES = 9
PAGE_BYTES = 2048
"""What a page may take, compressed or not, with its header: so much for each row and for itself."""

_MATCH = 4
_LAST_MATCH = 12
_LAST_LITERALS = 5
"""LZ4: the shortest match, and how far before the end the last one may begin and must end."""
_FARTHEST = 65535
TABLE_ROWS = 4096
_TO_SLOT = np.uint64(64 - 12)
_PATIENCE = 6
"""After 2**6 places without a match every other place is tried, and so on."""


@kernel
def put_varint(number, out, at):
    """An unsigned number, seven bits a byte; where it ends."""
    number = np.uint64(number)
    while number > np.uint64(127):
        out[at] = np.uint8(number & np.uint64(127)) | np.uint8(128)
        number >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(number)
    return at + 1


@kernel
def put_zigzag(number, out, at):
    """A signed one, small where it is near zero."""
    number = np.int64(number)
    return put_varint(np.uint64((number << 1) ^ (number >> 63)), out, at)


@kernel
def _put_word(some, size, word, filled, out, at):
    """`size` bits more behind the `filled` ones of a word; (word, filled, at)."""
    word |= some << filled
    filled += size
    if filled < np.uint64(64):
        return word, filled, at
    store_u64(out, at, word)
    filled -= np.uint64(64)
    word = some >> (size - filled) if filled > np.uint64(0) else np.uint64(0)
    return word, filled, at + 8


@kernel
def _put_mini(deltas, first, n, least, width, out, at):
    """`n` numbers of `width` bits; up to eight bytes behind them are written, too.

    Four or two of them at a time where that is no more than a word.
    """
    filled = np.uint64(0)
    word = np.uint64(0)
    bits = np.uint64(width)
    if width <= 16:
        for i in range(first, first + n, 4):
            some = (
                np.uint64(load_i64(deltas, i) - least)
                | np.uint64(load_i64(deltas, i + 1) - least) << bits
                | np.uint64(load_i64(deltas, i + 2) - least) << (bits + bits)
                | np.uint64(load_i64(deltas, i + 3) - least) << (bits + bits + bits)
            )
            word, filled, at = _put_word(some, np.uint64(4) * bits, word, filled, out, at)
    elif width <= 32:
        for i in range(first, first + n, 2):
            some = (
                np.uint64(load_i64(deltas, i) - least)
                | np.uint64(load_i64(deltas, i + 1) - least) << bits
            )
            word, filled, at = _put_word(some, bits + bits, word, filled, out, at)
    else:
        for i in range(first, first + n):
            some = np.uint64(load_i64(deltas, i) - least)
            word, filled, at = _put_word(some, bits, word, filled, out, at)
    store_u64(out, at, word)
    return at + np.int64(filled >> np.uint64(3))


@kernel
def pack_deltas(column, first, n, is_narrow, shape, scratch, out, at):
    """Numbers first..first + n of a column; where they end. `scratch` has room for a block.

    `shape` is how many numbers a block has, and how many each of its parts, which have a width
    each. Narrow numbers are of 32 bits, and so are their differences. Eight bytes behind the
    outcome are written, too.
    """
    numbers = address_of(column)
    deltas = address_of(scratch)
    block, per_mini = shape
    n_minis = block // per_mini
    at = put_varint(block, out, at)
    at = put_varint(n_minis, out, at)
    at = put_varint(n, out, at)
    at = put_zigzag(column[first], out, at)
    for begin in range(first + 1, first + n, block):
        count = min(block, first + n - begin)
        least = _MOST
        most = _LEAST
        for i in range(count):
            delta = load_i64(numbers, begin + i) - load_i64(numbers, begin + i - 1)
            store_i64(deltas, i, delta)
            least = min(least, delta)
            most = max(most, delta)
        if is_narrow and (least < -(1 << 31) or most >= 1 << 31):
            least = _MOST
            most = _LEAST
            for i in range(count):
                delta = (load_i64(deltas, i) << 32) >> 32
                store_i64(deltas, i, delta)
                least = min(least, delta)
                most = max(most, delta)
        at = put_zigzag(least, out, at)
        widths = at
        at += n_minis
        if least == most:
            for mini in range(n_minis):
                out[widths + mini] = 0
            continue
        for i in range(count, block):
            store_i64(deltas, i, least)
        for mini in range(n_minis):
            every = np.uint64(0)
            for i in range(mini * per_mini, (mini + 1) * per_mini):
                every |= np.uint64(load_i64(deltas, i) - least)
            width = 64 - leading_zeros(every)
            out[widths + mini] = width
            if width > 0:
                at = _put_mini(deltas, mini * per_mini, per_mini, least, width, out, at)
    return at


@kernel
def _put_length(length, out, at):
    """What a token's four bits could not say of a length."""
    length -= 15
    while length >= 255:
        out[at] = 255
        at += 1
        length -= 255
    out[at] = length
    return at + 1


@kernel
def _put_literals(source, first, n, match, out, at):
    """A token (with a match of so many bytes to follow, or 0), and the bytes before the match.

    They are copied by words: up to seven bytes behind them are read and written, too.
    """
    code = min(15, max(0, match - _MATCH))
    out[at] = min(15, n) << 4 | code
    at += 1
    if n >= 15:
        at = _put_length(n, out, at)
    for i in range(0, n, 8):
        store_u64(out, at + i, load_u64(source, first + i))
    return at + n


@kernel
def pack_lz4(source, n, table, out, at):
    """The first `n` bytes as one LZ4 block; where it ends.

    `table` has TABLE_ROWS. Eight bytes behind `source` are read, and behind the outcome written.
    """
    for i in range(TABLE_ROWS):
        table[i] = -1
    anchor = 0
    place = 0
    tried = 1 << _PATIENCE
    while place <= n - _LAST_MATCH - 1:
        word = load_u64(source, place)
        # Five bytes are hashed: with fewer, more short matches hide the long ones.
        slot = ((word << np.uint64(24)) * np.uint64(0x9E3779B185EBCA87)) >> _TO_SLOT
        found = np.int64(table[slot])
        table[slot] = place
        if (
            found < 0
            or place - found > _FARTHEST
            or np.uint32(load_u64(source, found)) != np.uint32(word)
        ):
            place += tried >> _PATIENCE
            tried += 1
            continue
        tried = 1 << _PATIENCE
        while place > anchor and found > 0 and source[place - 1] == source[found - 1]:
            place -= 1
            found -= 1
        end = place + _MATCH
        back = place - found
        while end < n - _LAST_LITERALS:
            other = load_u64(source, end) ^ load_u64(source, end - back)
            if other != 0:
                end += trailing_zeros(other) >> 3
                break
            end += 8
        end = min(end, n - _LAST_LITERALS)
        at = _put_literals(source, anchor, place - anchor, end - place, out, at)
        out[at] = back & 255
        out[at + 1] = back >> 8
        at += 2
        if end - place - _MATCH >= 15:
            at = _put_length(end - place - _MATCH, out, at)
        place = end
        anchor = end
    return _put_literals(source, anchor, n - anchor, 0, out, at)


@kernel
def put_header(n, raw_size, size, out, at):
    """A data page's header: a Thrift struct in the compact protocol; where it ends."""
    out[at] = 0x15
    out[at + 1] = 0  # a data page
    out[at + 2] = 0x15
    at = put_zigzag(raw_size, out, at + 3)
    out[at] = 0x15
    at = put_zigzag(size, out, at + 1)
    out[at] = 0x2C
    out[at + 1] = 0x15
    at = put_zigzag(n, out, at + 2)
    # Values in DELTA_BINARY_PACKED (5); levels, of which there are none, in RLE (3).
    store_u64(out, at, np.uint64(0x0000_0615_0615_0A15))
    return at + 8


@kernel
def pack_groups(columns, n, group_rows, is_narrow, is_packed, work, out, chunk, raw):
    """The first `n` rows of all columns as row groups; how many bytes of `out` they are.

    `work` is (a block's deltas, a raw page, its LZ4 block, a table). chunk[g] becomes where each of
    group g's chunks begins in `out` and where the last one ends; raw[g] their sizes unpacked.
    """
    deltas, page, block, table = work
    at = 0
    for g in range(len(chunk)):
        first = g * group_rows
        rows = min(group_rows, n - first)
        for c in range(len(columns)):
            chunk[g, c] = at
            shape = (_PACKED_BLOCK, _PACKED_MINI) if is_packed[c] else (_BLOCK, _MINI)
            raw_size = pack_deltas(columns[c], first, rows, is_narrow[c], shape, deltas, page, 0)
            size = raw_size
            content = page
            if is_packed[c]:
                size = pack_lz4(page, raw_size, table, block, 0)
                content = block
            begin = put_header(rows, raw_size, size, out, at)
            raw[g, c] = raw_size + begin - at
            at = begin + size
            for i in range(0, size, 8):
                store_u64(out, begin + i, load_u64(content, i))
        chunk[g, len(columns)] = at
    return at
