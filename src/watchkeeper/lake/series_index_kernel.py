"""Labels of all series as numbers: pairs interned once, rows of pairs, postings as linked chains.

A pair is (tenant, name, value). A row is the pairs of one series in canonical order. The links of
a row, beside its pairs, chain it to the next and the former series that has the same pair, so that
the series of a pair can be walked and a series be taken out without a search.

The outer kernels take the layout as an array, the inner ones its address.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_i64
from watchkeeper.compiled.columns import get8, get32, get64, set8, set16, set32, set64
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.compiled.wire_kernel import read_size
from watchkeeper.lake.series_layout_kernel import (
    FREE_NAME,
    FREE_PAIR,
    FREE_SLOTS,
    HIGH,
    IDENTITY,
    IDENTITY_TABLE,
    LINKS,
    LIVE_NAMES,
    LIVE_PAIRS,
    N_FREE,
    N_LABELS,
    N_NAMES,
    N_PAIRS,
    N_POSITIONS,
    N_RELEASED,
    N_USED,
    NAME_AT,
    NAME_HASH,
    NAME_PAIRS,
    NAME_SIZE,
    NAME_TABLE,
    PAIR,
    PAIR_AT,
    PAIR_COUNT,
    PAIR_HASH,
    PAIR_HEAD,
    PAIR_NAME,
    PAIR_SIZE,
    PAIR_TABLE,
    PAIR_TENANT,
    ROW,
    ROW_FREE,
    TENANT,
    TEXT,
    TEXT_END,
    TEXT_FREE,
    add,
    count,
    length,
    put,
)
from watchkeeper.lake.series_read_kernel import find_identity, name_at, pair_at
from watchkeeper.lake.series_table_kernel import copy_bytes, insert, remove, same_bytes

_NO_ROOM = 9


@kernel
def claim(layout, identity, verdict, slots, is_new, budget, refusals):
    """Find each sound row's slot, or give it one: how many are new.

    `budget` is (new series that are allowed, the same by rate); what goes beyond is refused with
    the verdict of the same place in `refusals`.
    """
    index = address_of(layout)
    n_new = 0
    for row in range(len(identity)):
        slots[row] = -1
        is_new[row] = 0
        if verdict[row] != 0:
            continue
        low = np.int64(identity[row, 0])
        high = np.int64(identity[row, 1])
        slot = find_identity(index, low, high)
        if slot < 0:
            slot = _take_slot(index) if n_new < budget[0] and n_new < budget[1] else -1
            if slot < 0:
                by_rate = n_new < budget[0] and n_new >= budget[1]
                verdict[row] = refusals[1] if by_rate else refusals[0]
                continue
            _own(index, slot, low, high)
            is_new[row] = 1
            n_new += 1
        slots[row] = slot
    return n_new


@kernel
def _take_slot(index):
    if count(index, N_FREE) > 0:
        return get32(index, FREE_SLOTS, add(index, N_FREE, -1) - 1)
    if count(index, HIGH) < length(index, N_LABELS):
        return add(index, HIGH, 1)
    return -1


@kernel
def _own(index, slot, low, high):
    set64(index, IDENTITY, 2 * slot, low)
    set64(index, IDENTITY, 2 * slot + 1, high)
    table = load_i64(index, IDENTITY_TABLE)
    insert(table, length(index, IDENTITY_TABLE), load_i64(index, IDENTITY), 2, slot)


@kernel
def _disown(index, slot):
    table = load_i64(index, IDENTITY_TABLE)
    remove(table, length(index, IDENTITY_TABLE), load_i64(index, IDENTITY), 2, slot)


@kernel
def occupy(layout, identity, slots):
    """Claim these very slots, which are free, for identities that are not known."""
    index = address_of(layout)
    for row in range(len(slots)):
        slot = np.int64(slots[row])
        _own(index, slot, np.int64(identity[row, 0]), np.int64(identity[row, 1]))
        put(index, HIGH, max(count(index, HIGH), slot + 1))


@kernel
def place(layout, run, starts, ends, rows, slots, tenant, first, verdict):
    """Write the labels of rows[first:] into their claimed slots; how far it came.

    It stops early where a table must grow. A row for whose labels there is no room gives up its
    claim, with a verdict.
    """
    index = address_of(layout)
    text = address_of(run)
    most = length(index, ROW_FREE)
    pairs = np.empty(most, np.int64)
    last_at = np.empty(most, np.int64)
    last_size = np.zeros(most, np.int64)
    last_pair = np.empty(most, np.int64)
    for k in range(first, len(rows)):
        if (
            3 * (count(index, LIVE_PAIRS) + most) > 2 * length(index, PAIR_TABLE)
            or 3 * (count(index, LIVE_NAMES) + most) > 2 * length(index, NAME_TABLE)
        ):  # fmt: skip
            return k
        row = rows[k]
        slot = np.int64(slots[row])
        i = starts[row]
        end = ends[row]
        n = 0
        while i < end:
            label, stop = read_size(text, i + 1, end)
            if stop < 0 or n + 1 == most:
                break
            # Most labels of a series are those of the one before it.
            if last_size[n] == stop - i and same_bytes(text, i, text, last_at[n], stop - i):
                pair = last_pair[n]
            else:
                pair = _intern_pair(index, text, label, stop, tenant)
                if pair < 0:
                    break
                last_at[n] = i
                last_size[n] = stop - i
                last_pair[n] = pair
            pairs[n] = pair
            n += 1
            i = stop
        position = _take_row(index, n) if i >= end and n > 0 else -1
        if position >= 0:
            _write_row(index, slot, tenant, position, pairs, n)
            continue
        for j in range(n):
            if get32(index, PAIR_COUNT, pairs[j]) == 0:
                _release_pair(index, pairs[j])
        last_size[:] = 0
        _disown(index, slot)
        set32(index, FREE_SLOTS, add(index, N_FREE, 1), slot)
        verdict[row] = _NO_ROOM
    return len(rows)


@kernel
def _write_row(index, slot, tenant, position, pairs, n):
    set32(index, ROW, slot, position)
    set8(index, N_LABELS, slot, n)
    set16(index, TENANT, slot, tenant)
    add(index, N_USED, 1)
    for j in range(n):
        pair = pairs[j]
        former = get32(index, PAIR_HEAD, pair)
        set32(index, PAIR, position + j, pair)
        set32(index, LINKS, 2 * (position + j), former)
        set32(index, LINKS, 2 * (position + j) + 1, -1)
        if former >= 0:
            set32(index, LINKS, 2 * _position(index, former, pair) + 1, slot)
        set32(index, PAIR_HEAD, pair, slot)
        set32(index, PAIR_COUNT, pair, get32(index, PAIR_COUNT, pair) + 1)


@kernel
def _position(index, slot, pair):
    """Where a series has this pair, which it has."""
    at = get32(index, ROW, slot)
    while get32(index, PAIR, at) != pair:
        at += 1
    return at


@kernel
def _take_row(index, n):
    """Room for n pairs, or -1. A freed row is used again for one of the same length."""
    at = get64(index, ROW_FREE, n) - 1
    if at >= 0:
        set64(index, ROW_FREE, n, get32(index, LINKS, 2 * at) + 1)
        return at
    if count(index, N_POSITIONS) + n > length(index, PAIR):
        return -1
    return add(index, N_POSITIONS, n)


@kernel
def _take_text(index, size):
    """Room for a run of bytes, or -1. Freed room is used again for one of about the same size."""
    words = (size + 7) >> 3
    if words >= length(index, TEXT_FREE):
        return -1
    at = get64(index, TEXT_FREE, words) - 1
    if at >= 0:
        set64(index, TEXT_FREE, words, get64(index, TEXT, at >> 3))
        return at
    if count(index, TEXT_END) + 8 * words + READ_SLACK > length(index, TEXT):
        return -1
    return add(index, TEXT_END, 8 * words)


@kernel
def _give_text(index, at, size):
    words = (size + 7) >> 3
    set64(index, TEXT, at >> 3, get64(index, TEXT_FREE, words))
    set64(index, TEXT_FREE, words, at + 1)


@kernel
def _intern_name(index, text, at, size):
    name, hashed = name_at(index, text, at, size)
    if name >= 0:
        return name
    freed = count(index, FREE_NAME) - 1
    name = freed if freed >= 0 else count(index, N_NAMES)
    copy = _take_text(index, size) if name < length(index, NAME_HASH) else -1
    if copy < 0:
        return -1
    if freed >= 0:
        put(index, FREE_NAME, get64(index, NAME_AT, name))
    else:
        add(index, N_NAMES, 1)
    copy_bytes(load_i64(index, TEXT), copy, text, at, size)
    set64(index, NAME_HASH, name, hashed)
    set64(index, NAME_AT, name, copy)
    set32(index, NAME_SIZE, name, size)
    set32(index, NAME_PAIRS, name, 0)
    table = load_i64(index, NAME_TABLE)
    insert(table, length(index, NAME_TABLE), load_i64(index, NAME_HASH), 1, name)
    add(index, LIVE_NAMES, 1)
    return name


@kernel
def _intern_pair(index, text, label, stop, tenant):
    """The number of a label's pair, new if need be; -1 if there is no room."""
    begin, end = read_size(text, label + 1, stop)
    name = _intern_name(index, text, begin, end - begin) if end >= 0 else -1
    if name < 0:
        return -1
    begin, end = read_size(text, end + 1, stop)
    size = end - begin
    pair, hashed = pair_at(index, text, begin, max(size, 0), name, tenant)
    if pair >= 0:
        return pair
    freed = count(index, FREE_PAIR) - 1
    pair = freed if freed >= 0 else count(index, N_PAIRS)
    copy = _take_text(index, size) if pair < length(index, PAIR_HASH) and end >= 0 else -1
    if copy < 0:
        if get32(index, NAME_PAIRS, name) == 0:
            _release_name(index, name)
        return -1
    if freed >= 0:
        put(index, FREE_PAIR, get64(index, PAIR_AT, pair))
    else:
        add(index, N_PAIRS, 1)
    copy_bytes(load_i64(index, TEXT), copy, text, begin, size)
    set64(index, PAIR_HASH, pair, hashed)
    set64(index, PAIR_AT, pair, copy)
    set32(index, PAIR_SIZE, pair, size)
    set32(index, PAIR_NAME, pair, name)
    set16(index, PAIR_TENANT, pair, tenant)
    set32(index, PAIR_HEAD, pair, -1)
    set32(index, PAIR_COUNT, pair, 0)
    set32(index, NAME_PAIRS, name, get32(index, NAME_PAIRS, name) + 1)
    table = load_i64(index, PAIR_TABLE)
    insert(table, length(index, PAIR_TABLE), load_i64(index, PAIR_HASH), 1, pair)
    add(index, LIVE_PAIRS, 1)
    return pair


@kernel
def _release_name(index, name):
    table = load_i64(index, NAME_TABLE)
    remove(table, length(index, NAME_TABLE), load_i64(index, NAME_HASH), 1, name)
    _give_text(index, get64(index, NAME_AT, name), get32(index, NAME_SIZE, name))
    set64(index, NAME_AT, name, count(index, FREE_NAME))
    put(index, FREE_NAME, name + 1)
    add(index, LIVE_NAMES, -1)


@kernel
def _release_pair(index, pair):
    name = get32(index, PAIR_NAME, pair)
    table = load_i64(index, PAIR_TABLE)
    remove(table, length(index, PAIR_TABLE), load_i64(index, PAIR_HASH), 1, pair)
    _give_text(index, get64(index, PAIR_AT, pair), get32(index, PAIR_SIZE, pair))
    set64(index, PAIR_AT, pair, count(index, FREE_PAIR))
    put(index, FREE_PAIR, pair + 1)
    add(index, LIVE_PAIRS, -1)
    add(index, N_RELEASED, 1)
    n_left = get32(index, NAME_PAIRS, name) - 1
    set32(index, NAME_PAIRS, name, n_left)
    if n_left == 0:
        _release_name(index, name)


@kernel
def displace(layout, slots):
    """Take series out. Their slots are free, and not yet given to others."""
    index = address_of(layout)
    for k in range(len(slots)):
        slot = np.int64(slots[k])
        n = get8(index, N_LABELS, slot)
        position = get32(index, ROW, slot)
        for at in range(position, position + n):
            _unchain(index, at, get32(index, PAIR, at))
        _disown(index, slot)
        set32(index, LINKS, 2 * position, get64(index, ROW_FREE, n) - 1)
        set64(index, ROW_FREE, n, position + 1)
        set8(index, N_LABELS, slot, 0)
        add(index, N_USED, -1)


@kernel
def _unchain(index, at, pair):
    after = get32(index, LINKS, 2 * at)
    before = get32(index, LINKS, 2 * at + 1)
    if before >= 0:
        set32(index, LINKS, 2 * _position(index, before, pair), after)
    else:
        set32(index, PAIR_HEAD, pair, after)
    if after >= 0:
        set32(index, LINKS, 2 * _position(index, after, pair) + 1, before)
    n_left = get32(index, PAIR_COUNT, pair) - 1
    set32(index, PAIR_COUNT, pair, n_left)
    if n_left == 0:
        _release_pair(index, pair)
