"""Reading an index of labels: names, pairs, rows, and the series that fit a plan.

The outer kernels take the layout as an array, the inner ones its address.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_i32, load_i64, load_u8, store_u8
from watchkeeper.compiled.columns import get8, get16, get32, get64
from watchkeeper.compiled.hashing import fast_hash128
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.compiled.wire_kernel import write_varint
from watchkeeper.lake.series_layout_kernel import (
    IDENTITY,
    IDENTITY_TABLE,
    LINKS,
    N_LABELS,
    N_PAIRS,
    NAME_AT,
    NAME_HASH,
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
    SEED,
    TENANT,
    TEXT,
    count,
    length,
)
from watchkeeper.lake.series_table_kernel import copy_bytes, home, same_bytes

# How a condition of a plan judges the pair that a series has of its name.
ONLY = 0
"""It must be this pair."""
EXCEPT = 1
"""Any pair but this one."""
AMONG = 2
"""One of a set, given as a map over all pairs; a pair that came later is in no set."""


@kernel
def find_identity(index, low, high):
    """The slot whose two words of identity are these, or -1."""
    mask = length(index, IDENTITY_TABLE) - 1
    i = home(low, mask)
    while True:
        slot = get32(index, IDENTITY_TABLE, i) - 1
        if slot < 0:
            return slot
        if get64(index, IDENTITY, 2 * slot) == low and get64(index, IDENTITY, 2 * slot + 1) == high:
            return slot
        i = (i + 1) & mask


@kernel
def find_identities(layout, wanted, slots):
    """The slot of every identity, or -1; one that is claimed and has no labels yet is not there."""
    index = address_of(layout)
    for row in range(len(wanted)):
        slot = find_identity(index, np.int64(wanted[row, 0]), np.int64(wanted[row, 1]))
        if slot >= 0 and get8(index, N_LABELS, slot) == 0:
            slot = -1
        slots[row] = slot


@kernel
def name_at(index, text, at, size):
    """The number of a name, or -1; and its hash. `text` is an address."""
    hashed, _ = fast_hash128(text, at, at + size, np.uint64(count(index, SEED)))
    mask = length(index, NAME_TABLE) - 1
    i = home(hashed, mask)
    while True:
        name = get32(index, NAME_TABLE, i) - 1
        if name < 0:
            return name, np.int64(hashed)
        if (
            get64(index, NAME_HASH, name) == np.int64(hashed)
            and get32(index, NAME_SIZE, name) == size
            and same_bytes(load_i64(index, TEXT), get64(index, NAME_AT, name), text, at, size)
        ):
            return name, np.int64(hashed)
        i = (i + 1) & mask


@kernel
def pair_at(index, text, at, size, name, tenant):
    """The number of a pair, or -1; and its hash. `text` is an address."""
    seed = np.uint64(get64(index, NAME_HASH, name) + tenant)
    hashed, _ = fast_hash128(text, at, at + size, seed)
    mask = length(index, PAIR_TABLE) - 1
    i = home(hashed, mask)
    while True:
        pair = get32(index, PAIR_TABLE, i) - 1
        if pair < 0:
            return pair, np.int64(hashed)
        if (
            get64(index, PAIR_HASH, pair) == np.int64(hashed)
            and get32(index, PAIR_NAME, pair) == name
            and get16(index, PAIR_TENANT, pair) == tenant
            and get32(index, PAIR_SIZE, pair) == size
            and same_bytes(load_i64(index, TEXT), get64(index, PAIR_AT, pair), text, at, size)
        ):
            return pair, np.int64(hashed)
        i = (i + 1) & mask


@kernel
def find_name(layout, text, size):
    """The number of the name text[:size], or -1."""
    return name_at(address_of(layout), address_of(text), 0, size)[0]


@kernel
def find_pair(layout, text, size, name, tenant):
    """The number of the pair of a name and text[:size], or -1."""
    return pair_at(address_of(layout), address_of(text), 0, size, name, tenant)[0]


@kernel
def gather_pairs(layout, slots):
    """The pairs of some series, one row after the other, and where each row ends."""
    index = address_of(layout)
    ends = np.empty(len(slots), np.int64)
    total = 0
    for k in range(len(slots)):
        total += get8(index, N_LABELS, np.int64(slots[k]))
        ends[k] = total
    pairs = np.empty(total, np.int32)
    at = 0
    for k in range(len(slots)):
        position = get32(index, ROW, np.int64(slots[k]))
        while at < ends[k]:
            pairs[at] = get32(index, PAIR, position)
            position += 1
            at += 1
    return pairs, ends


@kernel
def gather_text(layout, at, size):
    """Runs of the index's text, one after the other, and where each ends."""
    source = load_i64(address_of(layout), TEXT)
    ends = np.empty(len(at), np.int64)
    total = 0
    for k in range(len(at)):
        total += size[k]
        ends[k] = total
    text = np.empty(total + READ_SLACK, np.uint8)
    target = address_of(text)
    i = 0
    for k in range(len(at)):
        i = copy_bytes(target, i, source, at[k], np.int64(size[k]))
    return text, ends


@kernel
def gather_labels(layout, slots):
    """The canonical labels of some series: (text, start, end)."""
    index = address_of(layout)
    starts = np.empty(len(slots), np.int64)
    ends = np.empty(len(slots), np.int64)
    total = 0
    for k in range(len(slots)):
        position = get32(index, ROW, np.int64(slots[k]))
        for j in range(position, position + get8(index, N_LABELS, np.int64(slots[k]))):
            pair = get32(index, PAIR, j)
            name = get32(index, PAIR_NAME, pair)
            total += 16 + get32(index, PAIR_SIZE, pair) + get32(index, NAME_SIZE, name)
    text = np.empty(total + READ_SLACK, np.uint8)
    target = address_of(text)
    at = 0
    for k in range(len(slots)):
        starts[k] = at
        position = get32(index, ROW, np.int64(slots[k]))
        for j in range(position, position + get8(index, N_LABELS, np.int64(slots[k]))):
            at = _write_pair(index, get32(index, PAIR, j), target, at)
        ends[k] = at
    return text, starts, ends


@kernel
def _write_pair(index, pair, target, at):
    name = get32(index, PAIR_NAME, pair)
    name_size = get32(index, NAME_SIZE, name)
    value_size = get32(index, PAIR_SIZE, pair)
    source = load_i64(index, TEXT)
    store_u8(target, at, 0x0A)
    at = write_varint(target, at + 1, label_bytes(name_size, value_size))
    store_u8(target, at, 0x0A)
    at = write_varint(target, at + 1, name_size)
    at = copy_bytes(target, at, source, get64(index, NAME_AT, name), name_size)
    store_u8(target, at, 0x12)
    at = write_varint(target, at + 1, value_size)
    return copy_bytes(target, at, source, get64(index, PAIR_AT, pair), value_size)


@kernel
def label_bytes(name_size, value_size):
    """Size of a label in its shortest form, without the tag and the size in front of it."""
    return 2 + size_bytes(name_size) + name_size + size_bytes(value_size) + value_size


@kernel
def size_bytes(number):
    """Bytes of a number in its shortest form."""
    n = 1
    while number > 0x7F:
        number >>= 7
        n += 1
    return n


@kernel
def live_pairs(layout, tenant, name):
    """The pairs of a tenant, of one name or of all (-1), that some series has."""
    index = address_of(layout)
    n_pairs = count(index, N_PAIRS)
    found = np.empty(n_pairs, np.int32)
    n = 0
    for pair in range(n_pairs):
        if (
            get32(index, PAIR_COUNT, pair) > 0
            and get16(index, PAIR_TENANT, pair) == tenant
            and (name < 0 or get32(index, PAIR_NAME, pair) == name)
        ):
            found[n] = pair
            n += 1
    return found[:n].copy()


@kernel
def _fits(index, slot, plan, n_conditions, sets, width):
    """`plan` has four numbers per condition: name, mode, pair or row of sets, absent_fits."""
    position = get32(index, ROW, slot)
    stop = position + get8(index, N_LABELS, slot)
    for c in range(n_conditions):
        name = load_i32(plan, 4 * c)
        mode = load_i32(plan, 4 * c + 1)
        operand = load_i32(plan, 4 * c + 2)
        found = -1
        for at in range(position, stop):
            pair = get32(index, PAIR, at)
            if (mode == ONLY and pair == operand) or (
                mode != ONLY and get32(index, PAIR_NAME, pair) == name
            ):
                found = pair
                break
        if found < 0:
            fits = load_i32(plan, 4 * c + 3) > 0
        elif mode == EXCEPT:
            fits = found != operand
        elif mode == AMONG:
            fits = found < width and load_u8(sets, width * operand + found) > 0
        else:
            fits = True
        if not fits:
            return False
    return True


@kernel
def walk(layout, pairs, plan, sets, found):
    """The series that have one of these pairs, all of one name, and fit: how many."""
    index = address_of(layout)
    conditions = address_of(plan)
    maps = address_of(sets)
    n = 0
    for k in range(len(pairs)):
        pair = np.int64(pairs[k])
        slot = get32(index, PAIR_HEAD, pair)
        while slot >= 0:
            if _fits(index, slot, conditions, len(plan), maps, sets.shape[1]):
                found[n] = slot
                n += 1
            at = get32(index, ROW, slot)
            while get32(index, PAIR, at) != pair:
                at += 1
            slot = get32(index, LINKS, 2 * at)
    return n


@kernel
def scan(layout, tenant, first, last, plan, sets, found):
    """The tenant's series among slots first to last that fit: how many."""
    index = address_of(layout)
    conditions = address_of(plan)
    maps = address_of(sets)
    n = 0
    for slot in range(first, last):
        if (
            get8(index, N_LABELS, slot) > 0
            and get16(index, TENANT, slot) == tenant
            and _fits(index, slot, conditions, len(plan), maps, sets.shape[1])
        ):
            found[n] = slot
            n += 1
    return n
