"""Where the columns of an index of labels are in its layout, and its counters."""

from watchkeeper.compiled.address import load_i64
from watchkeeper.compiled.columns import get64, set64
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
    """Of a column, in elements."""
    return load_i64(index, N_COLUMNS + column)


@kernel
def count(index, counter):
    """What a counter stands at."""
    return get64(index, COUNTERS, counter)


@kernel
def add(index, counter, change):
    """Change a counter; what it was."""
    former = get64(index, COUNTERS, counter)
    set64(index, COUNTERS, counter, former + change)
    return former


@kernel
def put(index, counter, value):
    """Set a counter."""
    set64(index, COUNTERS, counter, value)
