"""Counts what a body would become in memory, without making any of it."""

import numpy as np

from watchkeeper.compiled.address import address_of
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.wire_kernel import MAX_DEPTH, SIZED, read_size, read_tag, skip_field

DEPTHS = 16
"""Of JSON, that are told apart; what is deeper is counted with the deepest."""

_QUOTE, _BACKSLASH, _COMMA = 34, 92, 44
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125
_FIELD_BITS = 3


@kernel
def count_json(data, in_lists, in_objects):
    """At least how many elements the lists, and how many members the objects, of each depth have
    together; an outermost one is of depth 1. An empty one counts as one of something."""
    is_list = np.zeros(DEPTHS, np.bool_)
    depth = 0
    i = 0
    n = len(data)
    while i < n:
        byte = data[i]
        i += 1
        if byte == _QUOTE:
            while i < n and data[i] != _QUOTE:
                i += 2 if data[i] == _BACKSLASH else 1
            i += 1
            continue
        if byte == _OPEN_LIST or byte == _OPEN_OBJECT:
            depth += 1
            is_list[min(depth, DEPTHS - 1)] = byte == _OPEN_LIST
        elif byte == _CLOSE_LIST or byte == _CLOSE_OBJECT:
            depth -= 1
            if depth < 0:  # no JSON: the decoder will say so
                return
            continue
        elif byte != _COMMA:
            continue
        place = min(depth, DEPTHS - 1)
        if is_list[place]:
            in_lists[place] += 1
        else:
            in_objects[place] += 1


@kernel
def count_messages(data, n_bytes, children, root, counts):
    """How many messages of each type are in one of type `root`; children[type, field] is the type
    of a field that is a message, else -1. READ_SLACK bytes must follow.

    Ends where the bytes are malformed, or nest too deep: the parser will say so.
    """
    buffer = address_of(data)
    types = np.empty(MAX_DEPTH, np.int64)
    ends = np.empty(MAX_DEPTH, np.int64)
    depth = 0
    types[0] = root
    ends[0] = n_bytes
    i = 0
    while True:
        while i == ends[depth]:
            if depth == 0:
                return
            depth -= 1
        tag, i = read_tag(buffer, i, ends[depth])
        if i < 0:
            return
        field = tag >> _FIELD_BITS
        child = -1
        if tag & 7 == SIZED and field < children.shape[1]:
            child = children[types[depth], field]
        if child < 0:
            i = skip_field(buffer, i, ends[depth], tag, MAX_DEPTH - depth)
            if i < 0:
                return
            continue
        start, stop = read_size(buffer, i, ends[depth])
        counts[child] += 1
        depth += 1
        if stop < 0 or depth == MAX_DEPTH:
            return
        types[depth] = child
        ends[depth] = stop
        i = start
