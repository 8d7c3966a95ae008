"""Open addressing with linear probing, and runs of bytes compared and copied by words.

A *number table* holds numbers + 1 (0 is empty) whose hashes stand in a column elsewhere, so an
entry costs four bytes. Its length is a power of two, and there is always an empty entry. Removal
shifts back what follows; there are no tombstones. All of it works on addresses.
"""

import numpy as np

from watchkeeper.compiled.address import address_of, load_i32, load_i64, store_i32
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import load_u64, store_u64

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_THIRTY_TWO = np.uint64(32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_EIGHT = np.uint64(8)


@kernel
def home(hashed, mask):
    """Where the search for a hash begins in a table of mask + 1 entries."""
    return np.int64((np.uint64(hashed) * _SPREAD) >> _THIRTY_TWO) & mask


@kernel
def insert(table, size, hashes, stride, number):
    """Add a number that is not in the table; its hash is hashes[stride * number]."""
    mask = size - 1
    i = home(load_i64(hashes, stride * number), mask)
    while load_i32(table, i) != 0:
        i = (i + 1) & mask
    store_i32(table, i, number + 1)


@kernel
def remove(table, size, hashes, stride, number):
    """Take a number out, if it is there."""
    mask = size - 1
    i = home(load_i64(hashes, stride * number), mask)
    while load_i32(table, i) != number + 1:
        if load_i32(table, i) == 0:
            return
        i = (i + 1) & mask
    j = i
    while True:
        j = (j + 1) & mask
        entry = load_i32(table, j)
        if entry == 0:
            break
        begin = home(load_i64(hashes, stride * (entry - 1)), mask)
        if (j - begin) & mask >= (j - i) & mask:
            store_i32(table, i, entry)
            i = j
    store_i32(table, i, 0)


@kernel
def refill(table, former, hashes, stride):
    """Put all numbers of a former table into an empty one. Takes arrays."""
    into = address_of(table)
    column = address_of(hashes)
    for i in range(len(former)):
        if former[i] != 0:
            insert(into, len(table), column, stride, np.int64(former[i]) - 1)


@kernel
def same_bytes(left, i, right, j, size):
    """Whether two runs are equal; READ_SLACK bytes follow both."""
    k = 0
    while k + 8 <= size:
        if load_u64(left, i + k) != load_u64(right, j + k):
            return False
        k += 8
    if k == size:
        return True
    mask = (_ONE << (_EIGHT * np.uint64(size - k))) - _ONE
    return (load_u64(left, i + k) ^ load_u64(right, j + k)) & mask == _ZERO


@kernel
def copy_bytes(target, i, source, j, size):
    """Copy a run by whole words: up to 7 bytes behind it in `target` are overwritten as well."""
    k = 0
    while k < size:
        store_u64(target, i + k, load_u64(source, j + k))
        k += 8
    return i + size
