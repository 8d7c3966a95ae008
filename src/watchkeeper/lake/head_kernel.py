"""Compiled work on the head: append, follow series' rows, put all rows in order.

A row is three words: its slot and, above it, 1 + the row before it of the same slot; its time; the
bits of its value. One row is one cache line, mostly, so that following a chain waits once per row.
An owner is three words, too: the identity's halves, and 1 + its newest row with, above it, the
number of its rows.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import prefetch

_AHEAD = 16
"""Rows between asking for a cache line and using it."""
_SIDE_BY_SIDE = 64
"""Chains that are followed together."""
_LOW = 0xFFFFFFFF
_HIGH = 32


@kernel
def append_rows(slot, time, bits, begin, identity, owner, rows, tally):
    """Take rows of a batch from `begin` on; where it stopped.

    It stops at the batch's end, when the head is full, at a slot beyond the room for owners, and at
    a slot that has changed hands since this head saw it. `tally` is (rows, series, 1 + greatest
    slot, least time, greatest time) so far.
    """
    n, n_series, top, least, greatest = tally[0], tally[1], tally[2], tally[3], tally[4]
    i = begin
    while i < len(slot) and n < len(rows):
        if i + _AHEAD < len(slot):
            prefetch(owner, np.int64(slot[i + _AHEAD]) * 3)
            prefetch(identity, np.int64(slot[i + _AHEAD]) * 2)
        s = np.int64(slot[i])
        if s < 0 or s >= len(owner):
            break
        newest = np.int64(owner[s, 2])
        if newest == 0:
            owner[s, 0] = identity[s, 0]
            owner[s, 1] = identity[s, 1]
            n_series += 1
            top = max(top, s + 1)
        elif owner[s, 0] != identity[s, 0]:
            break
        t = time[i]
        least = min(least, t)
        greatest = max(greatest, t)
        rows[n, 0] = s | ((newest & _LOW) << _HIGH)
        rows[n, 1] = t
        rows[n, 2] = bits[i]
        n += 1
        owner[s, 2] = n | (((newest >> _HIGH) + 1) << _HIGH)
        i += 1
    tally[0], tally[1], tally[2], tally[3], tally[4] = n, n_series, top, least, greatest
    return i


@kernel
def newest_rows(owner, slot, identity, rows, n, newest, count):
    """Each wanted slot's newest of the first `n` rows and how many it has at most.

    -1 and 0 where this head does not hold the series.
    """
    for w in range(len(slot)):
        s = slot[w]
        newest[w] = -1
        count[w] = 0
        if s >= 0 and s < len(owner) and owner[s, 2] > 0:
            if owner[s, 0] == identity[w, 0] and owner[s, 1] == identity[w, 1]:
                newest[w] = (np.int64(owner[s, 2]) & _LOW) - 1
                while newest[w] >= n:
                    newest[w] = (rows[newest[w], 0] >> _HIGH) - 1
                if newest[w] >= 0:
                    count[w] = np.int64(owner[s, 2]) >> _HIGH


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
def copy_chains(newest, rows, start, end, place, out_time, out_bits):
    """The rows in start <= time < end of each wanted series, by following its chain.

    They go before place[w], newest first, and `place` becomes the first of them. Every step waits
    for memory, so many chains are followed side by side.
    """
    at = newest.copy()
    for first in range(0, len(at), _SIDE_BY_SIDE):
        last = min(first + _SIDE_BY_SIDE, len(at))
        goes_on = True
        while goes_on:
            goes_on = False
            for w in range(first, last):
                row = at[w]
                if row >= 0:
                    goes_on = True
                    before = (rows[row, 0] >> _HIGH) - 1
                    if before >= 0:
                        prefetch(rows, before * 3)
                    at[w] = before
                    if start <= rows[row, 1] < end:
                        place[w] -= 1
                        out_time[place[w]] = rows[row, 1]
                        out_bits[place[w]] = rows[row, 2]


@kernel
def copy_rows(wanted_of_slot, rows, n, start, end, place, out_time, out_bits):
    """The same in one pass over the head; rows go from place[w] on, in the order of arrival."""
    for row in range(n):
        w = wanted_of_slot[rows[row, 0] & _LOW]
        if w >= 0 and start <= rows[row, 1] < end:
            out_time[place[w]] = rows[row, 1]
            out_bits[place[w]] = rows[row, 2]
            place[w] += 1


@kernel
def sort_rows(rank_of_slot, rows, n, at, out_time, out_bits):
    """A stable counting sort by rank; `at` are the first places and becomes the last."""
    for row in range(n):
        if row + _AHEAD < n:
            soon = at[rank_of_slot[rows[row + _AHEAD, 0] & _LOW]]
            prefetch(out_time, soon)
            prefetch(out_bits, soon)
        rank = rank_of_slot[rows[row, 0] & _LOW]
        place = at[rank]
        out_time[place] = rows[row, 1]
        out_bits[place] = rows[row, 2]
        at[rank] = place + 1
