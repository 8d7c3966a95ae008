"""Admission of a batch in one compiled pass."""

import numpy as np

from watchkeeper.compiled.jit import kernel

ACCEPTED = 0
DUPLICATE = 1
CONFLICT = 2
TOO_OLD = 3
FUTURE = 4
REFUSED_SERIES = 5
N_VERDICTS = 6


@kernel
def admit(row, time_ns, value_bits, slot_of_row, newest, oldest_ns, latest_ns, late_ns, out):
    """Judge each sample against the newest of its series, and remember the newest.

    `newest` is (last_ns, last_bits) by slot; `out` is (slot, verdict, undo_ns, undo_bits) by
    sample. A sample that moved its series on has the series' former newest in the undo columns;
    all others have -1 in undo_ns there, which is no time that a series ever had last.
    """
    last_ns, last_bits = newest
    slots, verdicts, undo_ns, undo_bits = out
    counts = np.zeros(N_VERDICTS, np.int64)
    for i in range(len(row)):
        slot = slot_of_row[row[i]]
        slots[i] = slot
        undo_ns[i] = -1
        verdict = ACCEPTED
        if slot < 0:
            verdict = REFUSED_SERIES
        else:
            t = time_ns[i]
            last = last_ns[slot]
            if t > latest_ns:
                verdict = FUTURE
            elif t > last:
                if t < oldest_ns:
                    verdict = TOO_OLD
                else:
                    undo_ns[i] = last
                    undo_bits[i] = last_bits[slot]
                    last_ns[slot] = t
                    last_bits[slot] = value_bits[i]
            elif t == last:
                verdict = DUPLICATE if value_bits[i] == last_bits[slot] else CONFLICT
            elif last - t > late_ns or t < oldest_ns:
                verdict = TOO_OLD
        verdicts[i] = verdict
        counts[verdict] += 1
    return counts


@kernel
def undo(slots, undo_ns, undo_bits, newest):
    """Take an `admit` back: the newest of every series is what it was before."""
    last_ns, last_bits = newest
    for i in range(len(slots) - 1, -1, -1):
        if undo_ns[i] >= 0:
            last_ns[slots[i]] = undo_ns[i]
            last_bits[slots[i]] = undo_bits[i]


@kernel
def follow(slots, time_ns, value_bits, newest):
    """Remember the newest of samples that are known to be accepted (replay of the log)."""
    last_ns, last_bits = newest
    for i in range(len(slots)):
        slot = slots[i]
        if time_ns[i] > last_ns[slot]:
            last_ns[slot] = time_ns[i]
            last_bits[slot] = value_bits[i]
