"""Of whom spans speak: keys of operations and of peers, and a table of groups by key."""

import numpy as np

from watchkeeper.compiled.bits import trailing_zeros
from watchkeeper.compiled.hashing import fast_hash128, fold_multiply
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64

LONGEST = 120
"""Bytes of an operation's name; what is behind them is cut off."""
SCRATCH = LONGEST + 32
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
N_KINDS = 6

AMONG = 32
"""Strange keys of a batch that another one is compared with."""

NO_PEER, CALL, DATABASE, QUEUE = 0, 1, 2, 3
"""What the attributes of a span name as its other end."""

SEED = np.uint64(0x9E3779B97F4A7C15)
TO_PEER = np.uint64(0xD1342543DE82EF95)
FROM_PEER = np.uint64(0xAF251AF3B0F025B5)
_QUOTE, _BACKSLASH = 34, 92
_QUESTION, _HASH = 63, 35
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_QUOTES = _ONES * np.uint64(_QUOTE)
_BACKSLASHES = _ONES * np.uint64(_BACKSLASH)
_ID = np.frombuffer(b"{id}", np.uint8)

_NAMES = (
    "db.system.name", "db.system", "messaging.system", "peer.service", "server.address",
    "net.peer.name", "db.namespace", "db.name", "messaging.destination.name",
    "messaging.destination",
)  # fmt: skip
_TEXT = np.frombuffer("".join(_NAMES).encode(), np.uint8)
_ENDS = np.cumsum(np.array([len(name) for name in _NAMES]))
_N_NAMES = len(_NAMES)


@kernel
def masked(data, begin, end, out):
    """A span's name without what counts its objects: how long it is, in `out`.

    It ends before a query string. A word of digits, of hexadecimal digits, or with two digits
    becomes `{id}`; versions as `v1` and `v12` stay.
    """
    n = 0
    at = begin
    while at < end and data[at] != _QUESTION and data[at] != _HASH:
        stop = at
        while stop < end and _is_of_word(data[stop]):
            stop += 1
        if stop == at:
            if n < LONGEST:
                out[n] = data[at]
                n += 1
            at += 1
            continue
        if _is_id(data, at, stop):
            if n + 4 > LONGEST:
                return n
            for k in range(4):
                out[n + k] = _ID[k]
            n += 4
        else:
            for k in range(at, min(stop, at + LONGEST - n)):
                out[n] = data[k]
                n += 1
        at = stop
    return n


@kernel
def _is_of_word(c):
    return (
        97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57 or c == 45 or c == 95 or c == 37 or c > 127
    )


@kernel
def _is_id(data, begin, end):
    digits = 0
    hexadecimal = 0
    for i in range(begin, end):
        c = data[i]
        if 48 <= c <= 57:
            digits += 1
        elif 97 <= c <= 102 or 65 <= c <= 70 or c == 45:
            hexadecimal += 1
    n = end - begin
    if digits == 0:
        return False
    if n - digits == 1 and n <= 3 and (data[begin] == 118 or data[begin] == 86):
        return False
    return digits >= 2 or digits == n or (n >= 8 and digits + hexadecimal == n)


@kernel
def operations(spans, names, service, scratch, key):
    """The key of each span's operation, 0 where it is none; equal in every process.

    An operation is what a service is asked for: spans of servers and consumers, and roots that call
    nobody. `service` is the hash of each origin's service, 0 for one that names none.
    """
    origin, kind, parent = spans
    data, offset = names
    for row in range(len(origin)):
        own = service[origin[row]]
        k = kind[row]
        is_root = parent[row] == 0 and k != CLIENT and k != PRODUCER
        if own == 0 or not (k == SERVER or k == CONSUMER or is_root):
            key[row] = 0
            continue
        n = masked(data, offset[row], offset[row + 1], scratch)
        seed = own ^ np.uint64(k if k < N_KINDS else 0) * SEED
        key[row] = fast_hash128(scratch, 0, n, seed)[0] | np.uint64(1)


@kernel
def peers(spans, attributes, service, key, sort):
    """The key of the edge that each span's attributes tell of, and of which sort its peer is."""
    origin, kind = spans
    data, offset = attributes
    found = np.zeros((_N_NAMES, 2), np.int64)
    for row in range(len(origin)):
        key[row] = 0
        sort[row] = NO_PEER
        own = service[origin[row]]
        k = kind[row]
        if own == 0 or not (k == CLIENT or k == PRODUCER or k == CONSUMER):
            continue
        found[:] = 0
        _find(data, offset[row], offset[row + 1], found)
        what, first, second = _peer(found)
        if what == NO_PEER or (k == CONSUMER and what != QUEUE):
            continue
        way = FROM_PEER if k == CONSUMER else TO_PEER
        h = _hash(data, found[first, 0], found[first, 1], own ^ way * np.uint64(what))
        if second >= 0:
            h = _hash(data, found[second, 0], found[second, 1], h)
        key[row] = h | np.uint64(1)
        sort[row] = what


@kernel
def _peer(found):
    """(sort, place of its name, place of a second name or -1)"""
    has = found[:, 1] > found[:, 0]
    if has[0] or has[1]:
        second = 6 if has[6] else (7 if has[7] else -1)
        return DATABASE, 0 if has[0] else 1, second
    if has[2] or has[8] or has[9]:
        target = 8 if has[8] else (9 if has[9] else -1)
        if has[2]:
            return QUEUE, 2, target
        return QUEUE, target, -1
    for place in (3, 4, 5):
        if has[place]:
            return CALL, place, -1
    return NO_PEER, 0, -1


@kernel
def _find(data, at, end, found):
    """Where the values of the names that we know are in a JSON object of texts."""
    while at < end:
        while at < end and data[at] != _QUOTE:
            at += 1
        name = at + 1
        name_end = _closed(data, name, end)
        at = name_end + 1
        while at < end and data[at] != _QUOTE:
            at += 1
        value = at + 1
        at = _closed(data, value, end)
        if at >= end:
            return
        place = _place(data, name, name_end)
        if place >= 0:
            found[place, 0] = value
            found[place, 1] = at
        at += 1


@kernel
def _closed(data, at, end):
    """Where the text that goes on at `at` is closed: eight bytes at a time."""
    while True:
        while at + 8 <= end:
            word = load_u64(data, at)
            found = _zeros(word ^ _QUOTES) | _zeros(word ^ _BACKSLASHES)
            if found:
                at += trailing_zeros(found) >> 3
                break
            at += 8
        while at < end and data[at] != _QUOTE and data[at] != _BACKSLASH:
            at += 1
        if at >= end or data[at] == _QUOTE:
            return at
        at += 2


@kernel
def _zeros(word):
    """The high bit of each byte that is zero; above the first, of some others too."""
    return (word - _ONES) & ~word & _HIGHS


@kernel
def _place(data, begin, end):
    c = data[begin]
    if c != 100 and c != 109 and c != 112 and c != 115 and c != 110:  # d m p s n
        return -1
    start = 0
    for place in range(_N_NAMES):
        stop = _ENDS[place]
        if stop - start == end - begin:
            same = True
            for i in range(stop - start):
                if _TEXT[start + i] != data[begin + i]:
                    same = False
                    break
            if same:
                return place
        start = stop
    return -1


@kernel
def _hash(data, begin, end, h):
    for i in range(begin, end):
        h = fold_multiply(h ^ np.uint64(data[i]), SEED)
    return fold_multiply(h ^ np.uint64(end - begin), TO_PEER)


# A table of groups by key: open addressing, nothing ever leaves.


@kernel
def look_up(table, key, group):
    """The group of each key: -1 where it has none, -2 for no key. How many have none."""
    n_strange = 0
    for row in range(len(key)):
        if key[row] == 0:
            group[row] = -2
            continue
        group[row] = get(table, key[row])
        n_strange += group[row] == -1
    return n_strange


@kernel
def get(table, key):
    keys, groups = table
    mask = np.uint64(len(keys) - 1)
    at = key & mask
    while keys[at] != 0:
        if keys[at] == key:
            return groups[at]
        at = (at + np.uint64(1)) & mask
    return np.int32(-1)


@kernel
def put(table, key, group):
    """Whether it is a new key. The caller sees to it that there is room."""
    keys, groups = table
    mask = np.uint64(len(keys) - 1)
    at = key & mask
    while keys[at] != 0 and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    is_new = keys[at] == 0
    keys[at] = key
    groups[at] = group
    return is_new


@kernel
def put_all(table, keys, groups):
    """How many of these keys are new; a key that is 0, or of no group, is passed over."""
    n_new = 0
    for i in range(len(keys)):
        if keys[i] != 0 and groups[i] >= 0:
            n_new += put(table, keys[i], groups[i])
    return n_new


@kernel
def strangers(group, key, rows):
    """The rows of keys that have no group, the first of each that is seen; how many."""
    n = 0
    for row in range(len(group)):
        if group[row] != -1:
            continue
        is_seen = False
        for j in range(max(0, n - AMONG), n):
            if key[rows[j]] == key[row]:
                is_seen = True
                break
        if not is_seen:
            rows[n] = row
            n += 1
    return n
