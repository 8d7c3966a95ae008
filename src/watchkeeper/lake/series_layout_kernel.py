"""Where the columns of an index of labels are, and how kernels read and write them.

A kernel takes one array: the addresses of all columns, then sizes. So a call costs the same however
many columns there are, and small functions can be many. Nothing here checks a bound.
"""

from watchkeeper.compiled.address import (
    load_i32,
    load_i64,
    load_u8,
    load_u16,
    store_i32,
    store_i64,
    store_u8,
)
from watchkeeper.compiled.jit import kernel

# The layout: columns in the order of `Columns`, ...
COUNTERS = 0
IDENTITY = 1
TENANT = 2
N_LABELS = 3
ROW = 4
PAIR = 5
LINKS = 6
PAIR_HASH = 7
PAIR_AT = 8
PAIR_SIZE = 9
PAIR_NAME = 10
PAIR_TENANT = 11
PAIR_HEAD = 12
PAIR_COUNT = 13
NAME_HASH = 14
NAME_AT = 15
NAME_SIZE = 16
NAME_PAIRS = 17
TEXT = 18
FREE_SLOTS = 19
ROW_FREE = 20
TEXT_FREE = 21
IDENTITY_TABLE = 22
PAIR_TABLE = 23
NAME_TABLE = 24
N_COLUMNS = 25
# ... and behind them the length of each.

# Of the column `counters`.
N_USED = 0
HIGH = 1
N_FREE = 2
N_POSITIONS = 3
N_PAIRS = 4
LIVE_PAIRS = 5
FREE_PAIR = 6
N_NAMES = 7
LIVE_NAMES = 8
FREE_NAME = 9
TEXT_END = 10
N_RELEASED = 11
"""Pairs ever released: while it stands still, a pair's number means what it meant."""
SEED = 12
N_COUNTERS = 16


@kernel
def length(index, column):
    return load_i64(index, N_COLUMNS + column)


@kernel
def get8(index, column, i):
    return load_u8(load_i64(index, column), i)


@kernel
def get16(index, column, i):
    return load_u16(load_i64(index, column), i)


@kernel
def get32(index, column, i):
    return load_i32(load_i64(index, column), i)


@kernel
def get64(index, column, i):
    return load_i64(load_i64(index, column), i)


@kernel
def set8(index, column, i, value):
    store_u8(load_i64(index, column), i, value)


@kernel
def set16(index, column, i, value):
    at = load_i64(index, column) + 2 * i
    store_u8(at, 0, value)
    store_u8(at, 1, value >> 8)


@kernel
def set32(index, column, i, value):
    store_i32(load_i64(index, column), i, value)


@kernel
def set64(index, column, i, value):
    store_i64(load_i64(index, column), i, value)


@kernel
def count(index, counter):
    return load_i64(load_i64(index, COUNTERS), counter)


@kernel
def add(index, counter, change):
    """Change a counter; what it was."""
    counters = load_i64(index, COUNTERS)
    former = load_i64(counters, counter)
    store_i64(counters, counter, former + change)
    return former


@kernel
def put(index, counter, value):
    store_i64(load_i64(index, COUNTERS), counter, value)
