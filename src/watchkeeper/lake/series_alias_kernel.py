"""The alias table: 96 bits of a key beside a slot, so that a known series costs one line of memory.

An entry is two words: the first tells where the search begins, the second holds the upper half of
another word of the key, and slot + 1 (0 is empty).
"""

import numpy as np

from watchkeeper.compiled.jit import kernel
from watchkeeper.lake.series_table_kernel import home

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_HIGH = np.uint64(0xFFFFFFFF00000000)
_LOW = np.uint64(0x00000000FFFFFFFF)
_ZERO = np.uint64(0)


@kernel
def probe_aliases(table, keys, salt, slots, missed):
    """The slot of each key into `slots`, or -1; rows of the unknown into `missed`; how many."""
    mask = len(table) - 1
    n_missed = 0
    for row in range(len(keys)):
        upper = keys[row, 1] ^ salt[1]
        word = (keys[row, 0] ^ salt[0]) + upper * _SPREAD
        upper &= _HIGH
        i = home(word, mask)
        slot = -1
        while True:
            tail = table[i, 1]
            if tail & _LOW == _ZERO:
                break
            if table[i, 0] == word and tail & _HIGH == upper:
                slot = np.int64(tail & _LOW) - 1
                break
            i = (i + 1) & mask
        slots[row] = slot
        if slot < 0:
            missed[n_missed] = row
            n_missed += 1
    return n_missed


@kernel
def put_aliases(table, keys, rows, salt, slots, n_aliases, most):
    """Let keys[rows] mean `slots`, where these are >= 0; how many entries were added.

    A slot takes `most` keys. Whoever names a series in ever new ways pays for it alone.
    """
    mask = len(table) - 1
    n_added = 0
    for k in range(len(rows)):
        slot = slots[k]
        if slot < 0 or n_aliases[slot] >= most:
            continue
        upper = keys[rows[k], 1] ^ salt[1]
        word = (keys[rows[k], 0] ^ salt[0]) + upper * _SPREAD
        upper &= _HIGH
        i = home(word, mask)
        known = False
        while table[i, 1] & _LOW != _ZERO:
            if table[i, 0] == word and table[i, 1] & _HIGH == upper:
                known = True
                break
            i = (i + 1) & mask
        if not known:
            table[i, 0] = word
            table[i, 1] = upper | np.uint64(slot + 1)
            n_aliases[slot] += 1
            n_added += 1
    return n_added


@kernel
def refill_aliases(table, former):
    """Put all entries of a former alias table into an empty one."""
    mask = len(table) - 1
    for k in range(len(former)):
        if former[k, 1] & _LOW != _ZERO:
            i = home(former[k, 0], mask)
            while table[i, 1] & _LOW != _ZERO:
                i = (i + 1) & mask
            table[i, 0] = former[k, 0]
            table[i, 1] = former[k, 1]


@kernel
def sweep_aliases(table, n_labels, n_aliases, most):
    """Take out the keys of slots that are free, and of those that have `most`; how many.

    A slot that is full of keys starts afresh, so that old ways of naming it make room.
    """
    mask = len(table) - 1
    n_removed = 0
    i = 0
    while i <= mask:
        entry = np.int64(table[i, 1] & _LOW)
        if entry == 0 or (n_labels[entry - 1] > 0 and n_aliases[entry - 1] < most):
            i += 1
            continue
        n_removed += 1
        hole = i
        j = i
        while True:
            j = (j + 1) & mask
            if table[j, 1] & _LOW == _ZERO:
                break
            begin = home(table[j, 0], mask)
            if (j - begin) & mask >= (j - hole) & mask:
                table[hole, 0] = table[j, 0]
                table[hole, 1] = table[j, 1]
                hole = j
        table[hole, 0] = _ZERO
        table[hole, 1] = _ZERO
    for slot in range(len(n_aliases)):
        if n_aliases[slot] >= most or n_labels[slot] == 0:
            n_aliases[slot] = 0
    return n_removed
