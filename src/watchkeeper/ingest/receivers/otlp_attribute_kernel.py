"""Checks of OTLP's attributes: that they are sound protobuf, and UTF-8 where they are text."""

import numpy as np

from watchkeeper.compiled.address import load_i64, store_i64
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64
from watchkeeper.compiled.wire_kernel import (
    MAX_DEPTH,
    is_ascii,
    is_utf8,
    read_size,
    read_tag,
    skip_field,
)

# What a check says. The first three are also codes of the decoders that use it.
SOUND = 0
MALFORMED = 1
UNUSUAL = 3
"""A field is given twice, and which one counts is for the reference to say."""
NOT_UTF8 = 4

# What a message is made of.
KEY_VALUE = 0
ANY_VALUE = 1
ARRAY = 2
LIST = 3
RESOURCE = 4
_TEXT = 5
_SCALAR = 6
_UNKNOWN = 7

ATTRIBUTE_DEPTH = MAX_DEPTH - 6
"""How deep an attribute of a data point may nest, as it lies that far below the body's root."""

STACK_SIZE = 4 * MAX_DEPTH
"""Integers that a check needs to remember where it is."""

_BYTE = np.uint64(0xFF)
# `0A size` of a key and `12 size 0A size` of its text, all sizes below 128.
_KEY_HEAD = np.uint64(0x000A)
_KEY_HEAD_MASK = np.uint64(0x80FF)
_TEXT_HEAD = np.uint64(0x000A0012)
_TEXT_HEAD_MASK = np.uint64(0x80FF80FF)


@kernel
def is_short_text(buffer, start, end):
    """Whether a KeyValue is a short key and a short ASCII text, as nearly all are: it is sound."""
    head = load_u64(buffer, start)
    key_end = start + 2 + np.int64(head >> np.uint64(8) & _BYTE)
    if head & _KEY_HEAD_MASK != _KEY_HEAD or key_end + 4 > end:
        return False
    middle = load_u64(buffer, key_end)
    return (
        middle & _TEXT_HEAD_MASK == _TEXT_HEAD
        and key_end + 2 + np.int64(middle >> np.uint64(8) & _BYTE) == end
        and key_end + 4 + np.int64(middle >> np.uint64(24) & _BYTE) == end
        and is_ascii(buffer, start, end)
    )


@kernel
def check_message(buffer, i, end, message, depth, stack):
    """Check a message of any sort and all that is in it; `stack` is the address of scratch.

    No recursion: numba cannot load a function from its cache that calls itself.
    """
    verdict = SOUND
    n_keys = n_values = level = 0
    while True:
        if i >= end:
            if message <= ANY_VALUE and (n_keys > 1 or n_values > 1):
                return UNUSUAL
            if level == 0:
                return verdict
            level -= 1
            end = load_i64(stack, 4 * level)
            message = load_i64(stack, 4 * level + 1)
            n_keys = load_i64(stack, 4 * level + 2)
            n_values = load_i64(stack, 4 * level + 3)
            continue
        tag, i = read_tag(buffer, i, end)
        if i < 0:
            return MALFORMED
        part = _part(message, tag)
        if message == KEY_VALUE and tag == 0x0A:
            n_keys += 1
        elif part != _UNKNOWN:
            n_values += 1
        if part >= _SCALAR:
            i = skip_field(buffer, i, end, tag, depth - level)
            if i < 0:
                return MALFORMED
            continue
        start, stop = read_size(buffer, i, end)
        if stop < 0:
            return MALFORMED
        if part == _TEXT:
            if not is_utf8(buffer, start, stop):
                verdict = NOT_UTF8
            i = stop
            continue
        if level >= depth:
            return MALFORMED
        store_i64(stack, 4 * level, end)
        store_i64(stack, 4 * level + 1, message)
        store_i64(stack, 4 * level + 2, n_keys)
        store_i64(stack, 4 * level + 3, n_values)
        level += 1
        i, end, message = start, stop, part
        n_keys = n_values = 0


@kernel
def _part(message, tag):
    """What a field of a message holds."""
    if message == ANY_VALUE:
        if tag == 0x0A:
            return _TEXT
        if tag == 0x2A:
            return ARRAY
        if tag == 0x32:
            return LIST
        if tag == 0x10 or tag == 0x18 or tag == 0x21 or tag == 0x3A:
            return _SCALAR
        return _UNKNOWN
    if message == KEY_VALUE:
        if tag == 0x0A:
            return _TEXT
        return ANY_VALUE if tag == 0x12 else _UNKNOWN
    if tag == 0x0A:
        return ANY_VALUE if message == ARRAY else KEY_VALUE
    return _UNKNOWN
