"""Compiled work on the head: append, follow one series' rows, put all rows in order."""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import prefetch

_AHEAD = 16
"""Rows between asking for a slot's cache line and using it."""


@kernel
def append_rows(slot, time, value, begin, identity, owner, columns, n):
    """Take rows of a batch from `begin` on; where it stopped, rows held, least and greatest time.

    It stops at the batch's end, when the columns are full, at a slot beyond the room for owners,
    and at a slot that has changed hands since this head saw it. owner[s] is (identity low, high,
    1 + the newest row of s); column `previous` leads from a row to the one before it of its slot.
    """
    slots, times, values, previous = columns
    room = len(slots)
    least = np.iinfo(np.int64).max
    greatest = np.iinfo(np.int64).min
    i = begin
    end = len(slot)
    while i < end and n < room:
        if i + _AHEAD < end:
            prefetch(owner, np.int64(slot[i + _AHEAD]) * 3)
            prefetch(identity, np.int64(slot[i + _AHEAD]) * 2)
        s = slot[i]
        if s >= len(owner):
            break
        newest = owner[s, 2]
        if newest == 0:
            owner[s, 0] = identity[s, 0]
            owner[s, 1] = identity[s, 1]
        elif owner[s, 0] != identity[s, 0]:
            break
        t = time[i]
        least = min(least, t)
        greatest = max(greatest, t)
        slots[n] = s
        times[n] = t
        values[n] = value[i]
        previous[n] = np.int32(newest) - 1
        n += 1
        owner[s, 2] = n
        i += 1
    return i, n, least, greatest


@kernel
def newest_rows(owner, slot, identity, columns, n, newest):
    """Each wanted slot's newest of the first `n` rows, or -1 where it belongs to someone else."""
    previous = columns[3]
    for w in range(len(slot)):
        s = slot[w]
        newest[w] = -1
        if s >= 0 and s < len(owner) and owner[s, 2] > 0:
            if owner[s, 0] == identity[w, 0] and owner[s, 1] == identity[w, 1]:
                newest[w] = np.int64(owner[s, 2]) - 1
        while newest[w] >= n:
            newest[w] = previous[newest[w]]


@kernel
def find_owners(owner, identity, slot):
    """Fill in the slots of wanted series (sorted by low, high half), by who owns them here."""
    for s in range(len(owner)):
        if owner[s, 2] == 0:
            continue
        low = owner[s, 0]
        a = 0
        b = len(identity)
        while a < b:
            middle = (a + b) // 2
            if identity[middle, 0] < low:
                a = middle + 1
            else:
                b = middle
        while a < len(identity) and identity[a, 0] == low:
            if identity[a, 1] == owner[s, 1]:
                slot[a] = s
            a += 1


@kernel
def count_chains(newest, columns, start, end, count):
    """Rows in start <= time < end of each wanted series, by following its chain."""
    _, times, _, previous = columns
    for w in range(len(newest)):
        row = newest[w]
        found = 0
        while row >= 0:
            found += start <= times[row] < end
            row = previous[row]
        count[w] = found


@kernel
def copy_chains(newest, columns, start, end, offset, out_time, out_value):
    """The rows that were counted, oldest arrival first."""
    _, times, values, previous = columns
    for w in range(len(newest)):
        row = newest[w]
        at = offset[w + 1]
        while row >= 0:
            if start <= times[row] < end:
                at -= 1
                out_time[at] = times[row]
                out_value[at] = values[row]
            row = previous[row]


@kernel
def scan_rows(wanted_of_slot, columns, n, start, end, count):
    """The rows of all wanted series in one pass over the head, and how many each has.

    For many series a pass is quicker than following chains, whose every step waits for memory.
    """
    slots, times, _, _ = columns
    found = np.empty(1 << 16, np.int32)
    n_found = 0
    for row in range(n):
        w = wanted_of_slot[slots[row]]
        if w >= 0 and start <= times[row] < end:
            if n_found == len(found):
                larger = np.empty(2 * n_found, np.int32)
                larger[:n_found] = found
                found = larger
            found[n_found] = row
            n_found += 1
            count[w] += 1
    return found[:n_found]


@kernel
def copy_rows(found, wanted_of_slot, columns, offset, out_time, out_value):
    """Rows that a scan found, series by series, in the order of arrival."""
    slots, times, values, _ = columns
    at = offset[:-1].copy()
    for i in range(len(found)):
        row = found[i]
        w = wanted_of_slot[slots[row]]
        out_time[at[w]] = times[row]
        out_value[at[w]] = values[row]
        at[w] += 1


@kernel
def rank_counts(rank_of_slot, columns, n, count):
    slots = columns[0]
    for row in range(n):
        count[rank_of_slot[slots[row]]] += 1


@kernel
def sort_rows(rank_of_slot, columns, n, at, out_time, out_value):
    """A stable counting sort by rank; `at` are the first places and becomes the last."""
    slots, times, values, _ = columns
    for row in range(n):
        if row + _AHEAD < n:
            soon = at[rank_of_slot[slots[row + _AHEAD]]]
            prefetch(out_time, soon)
            prefetch(out_value, soon)
        rank = rank_of_slot[slots[row]]
        place = at[rank]
        out_time[place] = times[row]
        out_value[place] = values[row]
        at[rank] = place + 1
