"""Compiled reading of the Parquet pages that we write: LZ4 blocks and DELTA_BINARY_PACKED.

A query wants a few row groups out of thousands. A general reader spends about 35 microseconds on
each column chunk before the first value; here the sidecar says where the chunk lies, and a chunk is
one data page of required values in one of two encodings. Anything else is answered with a negative
number, never with wrong values.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64, store_u64

BROKEN = -1
"""The page is not what we write: damaged, or written by something else."""
_MOST_IN_BLOCK = np.uint64(1 << 16)
"""Numbers of a block, of which 128 are written: so that no size computed of it overflows."""


@kernel
def _varint(buffer, at, end):
    """An unsigned number and where it ends; the end is BROKEN when there is none."""
    number = np.uint64(0)
    shift = np.uint64(0)
    while at < end and shift < np.uint64(64):
        byte = np.uint64(buffer[at])
        at += 1
        number |= (byte & np.uint64(127)) << shift
        if byte < np.uint64(128):
            return number, at
        shift += np.uint64(7)
    return number, BROKEN


@kernel
def _zigzag(number):
    return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1))


@kernel
def page_header(buffer, at, end):
    """(first byte of the page, its size, its size unpacked) of the chunk at `at`, or BROKEN.

    The header is a Thrift struct in the compact protocol. The three numbers come first; what
    follows (the numbers of the data page) is walked over.
    """
    raw_size = np.int64(-1)
    size = np.int64(-1)
    depth = 0
    field = 0
    while at < end:
        byte = np.int64(buffer[at])
        at += 1
        if byte == 0:
            if depth == 0:
                if size < 0 or raw_size < 0 or size > end - at:
                    return BROKEN, 0, 0
                return at, size, raw_size
            depth -= 1
            field = 5
            continue
        kind = byte & 15
        if byte >> 4 == 0:
            return BROKEN, 0, 0
        field += byte >> 4
        if kind == 12:
            depth += 1
            field = 0
        elif kind == 5 or kind == 6 or kind == 4:
            number, at = _varint(buffer, at, end)
            if at < 0:
                return BROKEN, 0, 0
            if depth == 0 and field == 2:
                raw_size = _zigzag(number)
            elif depth == 0 and field == 3:
                size = _zigzag(number)
        elif kind != 1 and kind != 2:
            return BROKEN, 0, 0
    return BROKEN, 0, 0


@kernel
def unpack_lz4(source, at, end, target, room):
    """One LZ4 block into `target`; the bytes written, or BROKEN.

    READ_SLACK bytes must follow `end`. Beyond `room` nothing is written.
    """
    out = 0
    while at < end:
        token = np.int64(source[at])
        at += 1
        size = token >> 4
        if size == 15:
            more = 255
            while more == 255 and at < end:
                more = np.int64(source[at])
                at += 1
                size += more
        if at + size > end or out + size > room:
            return BROKEN
        if out + size + 8 <= room:
            for i in range(0, size, 8):
                store_u64(target, out + i, load_u64(source, at + i))
        else:
            for i in range(size):
                target[out + i] = source[at + i]
        at += size
        out += size
        if at == end:
            return out
        if at + 2 > end:
            return BROKEN
        back = np.int64(source[at]) | (np.int64(source[at + 1]) << 8)
        at += 2
        size = (token & 15) + 4
        if token & 15 == 15:
            more = 255
            while more == 255 and at < end:
                more = np.int64(source[at])
                at += 1
                size += more
        if back == 0 or back > out or out + size > room:
            return BROKEN
        # What repeats after few bytes repeats after a multiple of them, too: then words do.
        far = back
        while far < 8:
            far += back
        first = min(size, far - back)
        if out + size + 8 > room:
            first = size
        for i in range(first):
            target[out + i] = target[out - back + i]
        for i in range(first, size, 8):
            store_u64(target, out + i, load_u64(target, out - far + i))
        out += size
    return BROKEN


@kernel
def unpack_deltas(buffer, at, end, out, first, n, enough):
    """The first `enough` of `n` numbers that are DELTA_BINARY_PACKED, into out[first:].

    Where it ended, or BROKEN. READ_SLACK bytes must follow `end`.
    """
    block_size, at = _varint(buffer, at, end)
    if at < 0:
        return BROKEN
    n_minis, at = _varint(buffer, at, end)
    if at < 0:
        return BROKEN
    total, at = _varint(buffer, at, end)
    if at < 0 or total != np.uint64(n) or n_minis == np.uint64(0):
        return BROKEN
    if n_minis > block_size or block_size > _MOST_IN_BLOCK:
        return BROKEN
    raw, at = _varint(buffer, at, end)
    if at < 0:
        return BROKEN
    per_mini = np.int64(block_size // n_minis)
    value = np.uint64(_zigzag(raw))
    done = 0
    if enough > 0:
        out[first] = np.int64(value)
        done = 1
    while done < enough:
        raw, at = _varint(buffer, at, end)
        if at < 0 or at + np.int64(n_minis) > end:
            return BROKEN
        least = np.uint64(_zigzag(raw))
        widths = at
        at += np.int64(n_minis)
        for mini in range(np.int64(n_minis)):
            if done >= enough:
                break
            width = np.int64(buffer[widths + mini])
            count = min(per_mini, enough - done)
            # The last miniblock may be cut short; its full size is read only where it exists.
            if width > 64 or at + (count * width + 7) // 8 > end:
                return BROKEN
            bit = np.int64(0)
            if width == 0:
                for i in range(count):
                    value += least
                    out[first + done + i] = np.int64(value)
            elif width <= 56:
                mask = ~np.uint64(0) >> np.uint64(64 - width)
                for i in range(count):
                    word = load_u64(buffer, at + (bit >> 3)) >> np.uint64(bit & 7)
                    value += (word & mask) + least
                    out[first + done + i] = np.int64(value)
                    bit += width
            else:
                mask = ~np.uint64(0) >> np.uint64(64 - width)
                for i in range(count):
                    place = at + (bit >> 3)
                    shift = np.uint64(bit & 7)
                    word = load_u64(buffer, place) >> shift
                    if shift > 0:
                        word |= np.uint64(buffer[place + 8]) << (np.uint64(64) - shift)
                    value += (word & mask) + least
                    out[first + done + i] = np.int64(value)
                    bit += width
            at += per_mini * width // 8
            done += count
    return at


@kernel
def read_column(buffer, begin, end, rows, enough, packed, scratch, out):
    """One column of some row groups, one behind the other in `out`; how many rows, or BROKEN.

    Of group g's rows only the first enough[g] are read, the others' places stay as they are. Its
    chunk is buffer[begin[g]:end[g]]; READ_SLACK bytes follow `buffer`. `scratch` has room for an
    unpacked page and READ_SLACK.
    """
    done = 0
    for g in range(len(rows)):
        at, size, raw_size = page_header(buffer, begin[g], end[g])
        if at < 0:
            return BROKEN
        if packed:
            if raw_size > len(scratch) - 16:
                return BROKEN
            if unpack_lz4(buffer, at, at + size, scratch, raw_size) != raw_size:
                return BROKEN
            if unpack_deltas(scratch, 0, raw_size, out, done, rows[g], enough[g]) < 0:
                return BROKEN
        else:
            if size != raw_size:
                return BROKEN
            if unpack_deltas(buffer, at, at + size, out, done, rows[g], enough[g]) < 0:
                return BROKEN
        done += rows[g]
    return done
