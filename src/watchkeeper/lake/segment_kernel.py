"""Compiled work on runs of samples: order, merge, and values as small whole numbers.

A value is stored as a whole number beside one code per series and file. Code k up to MAX_DECIMALS:
the value is number / 10**k, exactly (most telemetry has few decimals; the idea is that of ALP,
Afroozeh, Kuffó and Boncz, 2023). Code RAW + z: the number is the value's 64 bits without its z
trailing zeros, which neighbours share. Numbers beyond LIMIT stand for what has no decimals.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel

MAX_DECIMALS = 12
RAW = 64
LIMIT = 1 << 52
"""Below it a double holds every whole number and ten times it is exact, so that the way there and
back again is the same whichever number of decimals a series gets."""
POWER = np.array([10.0**k for k in range(MAX_DECIMALS + 1)])
UNDECIDED = 255
"""A run of bits (code RAW) that wants its code chosen."""

NAN_BITS = 0x7FF8000000000000
STALE_BITS = 0x7FF0000000000002
"""Prometheus' mark for a series that has ended."""
INF_BITS = 0x7FF0000000000000
MINUS_INF_BITS = -0x10000000000000
MINUS_ZERO_BITS = -0x8000000000000000
SPECIAL = np.array([NAN_BITS, STALE_BITS, INF_BITS, MINUS_INF_BITS, MINUS_ZERO_BITS], np.int64)


@kernel
def _as_decimal(value, bits, code):
    """The number for this value, or LIMIT when it has more decimals."""
    scaled = value * POWER[code]
    number = np.rint(scaled)
    if abs(number) < LIMIT and number / POWER[code] == value and bits != MINUS_ZERO_BITS:
        return np.int64(number)
    for i in range(len(SPECIAL)):
        if bits == SPECIAL[i]:
            return -LIMIT - 1 - i
    return LIMIT


@kernel
def _decimals(value, bits, first, last):
    """The fewest decimals that say every one of these values, or RAW."""
    code = 0
    settled = first
    for i in range(first, last):
        while _as_decimal(value[i], bits[i], code) == LIMIT:
            code += 1
            settled = i
            if code > MAX_DECIMALS:
                return RAW
    # More decimals say what fewer said, unless a number grew beyond LIMIT.
    for i in range(first, settled):
        if _as_decimal(value[i], bits[i], code) == LIMIT:
            return RAW
    return code


@kernel
def _encode_run(value, bits, first, last):
    """Values first..last as numbers in place (`bits` is the same memory); the code."""
    code = _decimals(value, bits, first, last)
    if code != RAW:
        for i in range(first, last):
            bits[i] = _as_decimal(value[i], bits[i], code)
        return code
    every = np.int64(0)
    for i in range(first, last):
        every |= bits[i]
    zeros = 0
    if every != 0:
        while every & 1 == 0:
            every >>= 1
            zeros += 1
    for i in range(first, last):
        bits[i] >>= zeros
    return RAW + zeros


@kernel
def encode_runs(value, bits, offset, code):
    """Choose codes and turn values into numbers where they lie; only runs that are UNDECIDED."""
    for s in range(len(code)):
        if code[s] == UNDECIDED:
            code[s] = _encode_run(value, bits, offset[s], offset[s + 1])


@kernel
def encode_as(value, bits, offset, code):
    """Values of runs whose code is known to fit them, because they are some of its values."""
    for s in range(len(code)):
        for i in range(offset[s], offset[s + 1]):
            if code[s] >= RAW:
                bits[i] >>= code[s] - RAW
            else:
                bits[i] = _as_decimal(value[i], bits[i], code[s])


@kernel
def decode_run(number, first, last, code, value, bits, at):
    """Numbers first..last as values from `at` on; `value` and `bits` are the same memory."""
    if code >= RAW:
        for i in range(first, last):
            bits[at + i - first] = number[i] << (code - RAW)
        return
    power = POWER[code]
    for i in range(first, last):
        x = number[i]
        if x < -LIMIT:
            bits[at + i - first] = SPECIAL[-LIMIT - 1 - x]
        else:
            value[at + i - first] = x / power


@kernel
def first_at(time, begin, stop, wanted):
    """The first row of a sorted run whose time is not before `wanted`."""
    while begin < stop:
        middle = (begin + stop) // 2
        if time[middle] < wanted:
            begin = middle + 1
        else:
            stop = middle
    return begin


@kernel
def _first_from(time, at, stop, wanted):
    """As `first_at`, for a row that is not far from `at`."""
    step = 1
    while at + step < stop and time[at + step] < wanted:
        at += step
        step *= 2
    return first_at(time, at, min(at + step, stop), wanted)


@kernel
def narrow_runs(time, begin, stop, least, most, count):
    """Cut each sorted run to least <= time <= most, and count what is left."""
    for s in range(len(begin)):
        begin[s] = first_at(time, begin[s], stop[s], least)
        stop[s] = first_at(time, begin[s], stop[s], most + 1)
        count[s] = stop[s] - begin[s]


@kernel
def sift_runs(time, bits, begin, stop, unit, first, every, length):
    """Keep of each sorted run what lies in the first `length` of every `every` since `first`.

    Rows move towards their run's beginning, and `stop` follows. `time` is in units of `unit`, the
    rest in nanoseconds.
    """
    for s in range(len(begin)):
        at = begin[s]
        kept = at
        end = stop[s]
        while at < end:
            since = time[at] * unit - first
            into = since % every
            wanted = time[at] * unit - into
            if into >= length:
                at = _first_from(time, at, end, -(-(wanted + every) // unit))
                continue
            last = _first_from(time, at, end, -(-(wanted + length) // unit))
            while at < last:
                time[kept] = time[at]
                bits[kept] = bits[at]
                kept += 1
                at += 1
        stop[s] = kept


@kernel
def copy_runs(column, begin, stop, unit, offset, out):
    """These runs of a column of numbers, side by side, times `unit`."""
    for s in range(len(begin)):
        at = offset[s] - begin[s]
        for i in range(begin[s], stop[s]):
            out[at + i] = column[i] * unit


@kernel
def decode_runs(number, begin, stop, code, offset, value, bits):
    """The values of these runs, side by side."""
    for s in range(len(begin)):
        if stop[s] > begin[s]:
            decode_run(number, begin[s], stop[s], code[s], value, bits, offset[s])


@kernel
def coarsest_unit(time):
    """The coarsest of ms, us, ns (in nanoseconds) in which all these times are whole numbers."""
    unit = 1_000_000
    for i in range(len(time)):
        if unit == 1_000_000 and time[i] % 1_000_000 != 0:
            unit = 1_000
        if unit == 1_000 and time[i] % 1_000 != 0:
            return 1
    return unit


@kernel
def settle_runs(offset, time, bits):
    """Sort each run by time where it is not, and keep the first of equal times; in place.

    Rows move together towards the front and `offset` follows. The number of rows left.
    """
    kept = 0
    for s in range(len(offset) - 1):
        a = offset[s]
        b = offset[s + 1]
        offset[s] = kept
        in_order = True
        for i in range(a + 1, b):
            if time[i] <= time[i - 1]:
                in_order = False
                break
        if in_order:
            if kept != a:
                for i in range(a, b):
                    time[kept + i - a] = time[i]
                    bits[kept + i - a] = bits[i]
            kept += b - a
            continue
        run_time = time[a:b].copy()
        run_bits = bits[a:b].copy()
        order = np.argsort(run_time, kind="mergesort")
        for j in range(len(order)):
            t = run_time[order[j]]
            if j > 0 and t == time[kept - 1]:
                continue
            time[kept] = t
            bits[kept] = run_bits[order[j]]
            kept += 1
    offset[len(offset) - 1] = kept
    return kept


@kernel
def concatenate_runs(begin, stop, time, number, offset, out_time, out_number):
    """Runs of several sources (rows of `begin`, `stop`) side by side, in the sources' order.

    Each source's runs are sorted; where all of a series' follow on one another, so is the outcome.
    """
    n_sources, n_series = begin.shape
    at = 0
    for s in range(n_series):
        offset[s] = at
        for k in range(n_sources):
            for i in range(begin[k, s], stop[k, s]):
                out_time[at] = time[i]
                out_number[at] = number[i]
                at += 1
    offset[n_series] = at
    return at


@kernel
def unify_codes(begin, stop, code, number, out_code):
    """One code per series: the common one, or bits that wait for theirs."""
    n_sources, n_series = begin.shape
    for s in range(n_series):
        common = -1
        for k in range(n_sources):
            if stop[k, s] > begin[k, s]:
                if common == -1:
                    common = np.int64(code[k, s])
                elif common != code[k, s]:
                    common = UNDECIDED
        out_code[s] = max(common, 0)
        if common != UNDECIDED:
            continue
        for k in range(n_sources):
            if code[k, s] <= MAX_DECIMALS:
                one = np.empty(1, np.float64)
                bits = one.view(np.int64)
                for i in range(begin[k, s], stop[k, s]):
                    decode_run(number, i, i + 1, code[k, s], one, bits, 0)
                    number[i] = bits[0]
            else:
                for i in range(begin[k, s], stop[k, s]):
                    number[i] <<= code[k, s] - RAW


@kernel
def _last_from(offset, row):
    """The last of those that begin at a row or before."""
    low, high = 0, len(offset)
    while low < high:
        middle = (low + high) >> 1
        if offset[middle] <= row:
            low = middle + 1
        else:
            high = middle
    return low - 1


@kernel
def fill_rows(offset, first_row, n, ordinal, time, unit, number, at, series, times, numbers):
    """Rows first_row.. of some series into the writer's columns from `at` on, times in `unit`."""
    s = _last_from(offset, first_row)
    for i in range(n):
        row = first_row + i
        while row >= offset[s + 1]:
            s += 1
        series[at + i] = ordinal + s
        numbers[at + i] = number[row]
    if unit == 1_000_000:
        for i in range(n):
            times[at + i] = time[first_row + i] // 1_000_000
    elif unit == 1_000:
        for i in range(n):
            times[at + i] = time[first_row + i] // 1_000
    else:
        for i in range(n):
            times[at + i] = time[first_row + i]


@kernel
def find_series(low, high, identity, place):
    """Where each identity is among the sorted ones, or -1."""
    for w in range(len(identity)):
        place[w] = -1
        wanted = identity[w, 0]
        a = 0
        b = len(low)
        while a < b:
            middle = (a + b) // 2
            if low[middle] < wanted:
                a = middle + 1
            else:
                b = middle
        while a < len(low) and low[a] == wanted:
            if high[a] == identity[w, 1]:
                place[w] = a
            a += 1


@kernel
def mark_groups(begin, stop, group_rows, enough):
    """How many rows, from its first one, must be read of each group to have all of these rows."""
    for s in range(len(begin)):
        if stop[s] > begin[s]:
            last = (stop[s] - 1) // group_rows
            for g in range(begin[s] // group_rows, last):
                enough[g] = group_rows
            enough[last] = max(enough[last], stop[s] - last * group_rows)
