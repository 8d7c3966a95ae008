"""Admission of a batch in one compiled pass."""

import numpy as np

from watchkeeper.compiled.jit import kernel

ACCEPTED = 0
DUPLICATE = 1
CONFLICT = 2
TOO_OLD = 3
FUTURE = 4
REFUSED_SERIES = 5
OUT_OF_ORDER = 6
N_VERDICTS = 7

_KNOWN = 0x7FF8_5745_1D3A_0001
"""What a remembered delta is mixed with, so that 0 is none: a NaN, and no NaN is ever added."""


@kernel
def admit(row, time_ns, values, slot_of_row, newest, limits, out):
    """Judge each sample against the newest of its series, and remember the newest.

    `values` is (value, is_delta by row or nothing, whether sums are resumed), `newest` (last_ns,
    last_bits, added) by slot, `limits` (oldest_ns, latest_ns, late_ns) and `out` (slot, verdict,
    undo_ns, undo_bits) by sample. A sample that moved its series on has the series' former newest
    in the undo columns; all others have -1 in undo_ns there, which is no time that a series ever
    had last.

    A delta becomes the sum of its series' newest value and itself, in `value`.
    """
    value, is_delta, resumes_sums = values
    value_bits = value.view(np.int64)
    last_ns, last_bits, added = newest
    last_value = last_bits.view(np.float64)
    oldest_ns, latest_ns, late_ns = limits
    slots, verdicts, undo_ns, undo_bits = out
    has_deltas = len(is_delta) > 0
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
            # What is no number, such as a marker of the end, is not added to anything.
            adds = has_deltas and is_delta[row[i]] and value[i] == value[i]
            if t > latest_ns:
                verdict = FUTURE
            elif t > last:
                if t < oldest_ns:
                    verdict = TOO_OLD
                else:
                    undo_ns[i] = last
                    undo_bits[i] = last_bits[slot]
                    if adds:
                        has_sum = resumes_sums or added[slot] != 0
                        added[slot] = value_bits[i] ^ _KNOWN
                        if has_sum and np.isfinite(last_value[slot]):
                            value[i] += last_value[slot]
                    last_ns[slot] = t
                    last_bits[slot] = value_bits[i]
            elif adds:
                verdict = OUT_OF_ORDER
                if t == last:
                    is_new = added[slot] != 0 and added[slot] != value_bits[i] ^ _KNOWN
                    verdict = CONFLICT if is_new else DUPLICATE
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
    last_ns, last_bits, added = newest
    for i in range(len(slots) - 1, -1, -1):
        if undo_ns[i] >= 0:
            last_ns[slots[i]] = undo_ns[i]
            last_bits[slots[i]] = undo_bits[i]
            if added[slots[i]] != 0:
                added[slots[i]] = 0


@kernel
def follow(slots, time_ns, value, newest):
    """Remember the newest of samples that are known to be accepted (replay of the log)."""
    value_bits = value.view(np.int64)
    last_ns, last_bits, _ = newest
    for i in range(len(slots)):
        slot = slots[i]
        if time_ns[i] > last_ns[slot]:
            last_ns[slot] = time_ns[i]
            last_bits[slot] = value_bits[i]


@kernel
def note(slots, now_ns, last_seen_ns):
    """These series were there just now."""
    for i in range(len(slots)):
        last_seen_ns[slots[i]] = now_ns
