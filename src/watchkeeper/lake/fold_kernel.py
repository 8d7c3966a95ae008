"""Compiled folding: samples into cells, cells into steps, steps across series.

A cell is what must be known of a series' samples in a stretch of time so that any fold over longer
stretches follows: see `fold.Cells`. NaN is no value: it is passed over and not counted.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel

AVG = 0
MIN = 1
MAX = 2
SUM = 3
COUNT = 4
LAST = 5
RATE = 6
_LONG_AGO = np.int64(np.iinfo(np.int64).min)


@kernel
def count_cells(offset, time, value, grain, cut, count):
    """Cells per series: multiples of `grain` that hold a sample; the one around `cut` is two."""
    for s in range(len(offset) - 1):
        until = _LONG_AGO
        n = 0
        for i in range(offset[s], offset[s + 1]):
            if value[i] != value[i]:
                continue
            if time[i] >= until:
                n += 1
                until = (time[i] // grain + 1) * grain
                if time[i] < cut:
                    until = min(until, cut)
        count[s] = n


@kernel
def fill_cells(offset, time, value, grain, cut, cell_offset, numbers, values):
    """numbers: (time, count, first_ns, last_ns); values: (total, least, most, first, last, lost).

    Totals are compensated (Neumaier, 1974), so that they hardly depend on how samples were grouped.
    """
    for s in range(len(offset) - 1):
        c = cell_offset[s] - 1
        until = _LONG_AGO
        count = 0
        total = carry = lost = least = most = last = 0.0
        for i in range(offset[s], offset[s + 1]):
            x = value[i]
            if x != x:
                continue
            t = time[i]
            if t >= until:
                if count > 0:
                    _close(numbers, values, c, count, (total, carry, least, most, last, lost))
                c += 1
                start = t // grain * grain
                until = start + grain
                if t < cut:
                    until = min(until, cut)
                numbers[0, c] = start
                numbers[2, c] = t
                values[3, c] = x
                least = most = last = x
                total = carry = lost = 0.0
                count = 0
            summed = total + x
            carry += (total - summed) + x if abs(total) >= abs(x) else (x - summed) + total
            total = summed
            least = min(least, x)
            most = max(most, x)
            if x < last:
                lost += last
            last = x
            count += 1
            numbers[3, c] = t
        if count > 0:
            _close(numbers, values, c, count, (total, carry, least, most, last, lost))


@kernel
def _close(numbers, values, c, count, folded):
    """Infinite totals have no carry that means anything."""
    total, carry, least, most, last, lost = folded
    numbers[1, c] = count
    values[0, c] = total + carry if np.isfinite(carry) else total
    values[1, c] = least
    values[2, c] = most
    values[4, c] = last
    values[5, c] = lost


@kernel
def order_cells(begin, stop, first_ns, last_ns, take, offset, clash):
    """Cells of several sources, series by series, in order of time: `take` names them.

    clash[s]: two of the cells overlap in time, so that what they counted twice cannot be known.
    """
    n_sources, n_series = begin.shape
    at = 0
    for s in range(n_series):
        offset[s] = at
        in_order = True
        for k in range(n_sources):
            for i in range(begin[k, s], stop[k, s]):
                if at > offset[s] and first_ns[i] <= last_ns[take[at - 1]]:
                    in_order = False
                take[at] = i
                at += 1
        if not in_order:
            some = take[offset[s] : at].copy()
            order = np.argsort(first_ns[some], kind="mergesort")
            for j in range(len(order)):
                take[offset[s] + j] = some[order[j]]
                if j > 0 and first_ns[some[order[j]]] <= last_ns[some[order[j - 1]]]:
                    clash[s] = True
    offset[n_series] = at


@kernel
def count_steps(offset, time, last_ns, step, start, count):
    """Steps per series; cells that end before `start` only say what came before."""
    for s in range(len(offset) - 1):
        until = _LONG_AGO
        n = 0
        for c in range(offset[s], offset[s + 1]):
            if last_ns[c] >= start and time[c] >= until:
                n += 1
                until = (time[c] // step + 1) * step
        count[s] = n


@kernel
def fill_steps(offset, numbers, values, fold, step, start, gap, step_offset, out_time, out):
    """One value per series and step; steps that have none (a rate of one sample) stay NaN.

    A rate is the growth of all samples of the step, each over its predecessor (wherever that lies,
    but not more than `gap` before), by the time in which it came about.
    """
    for s in range(len(offset) - 1):
        at = step_offset[s] - 1
        until = _LONG_AGO
        total = 0.0
        carry = 0.0
        count = np.int64(0)
        elapsed = np.int64(0)
        for c in range(offset[s], offset[s + 1]):
            if numbers[3, c] < start:
                continue
            if numbers[0, c] >= until:
                at += 1
                out_time[at] = numbers[0, c] // step * step
                until = out_time[at] + step
                total = 0.0
                carry = 0.0
                count = np.int64(0)
                elapsed = np.int64(0)
                out[at] = np.nan
            count += numbers[1, c]
            if fold == MIN:
                if not out[at] <= values[1, c]:
                    out[at] = values[1, c]
            elif fold == MAX:
                if not out[at] >= values[2, c]:
                    out[at] = values[2, c]
            elif fold == LAST:
                out[at] = values[4, c]
            elif fold == COUNT:
                out[at] = count
            elif fold == RATE:
                since = numbers[2, c]
                grown = (values[4, c] - values[3, c]) + values[5, c]
                if c > offset[s] and numbers[2, c] - numbers[3, c - 1] <= gap:
                    since = numbers[3, c - 1]
                    before = values[4, c - 1]
                    now = values[3, c]
                    grown += now - before if now >= before else now
                total += grown
                elapsed += numbers[3, c] - since
                if elapsed > 0:
                    out[at] = total / (elapsed / 1e9)
            else:
                x = values[0, c]
                summed = total + x
                if abs(total) >= abs(x):
                    carry += (total - summed) + x
                else:
                    carry += (x - summed) + total
                total = summed
                whole = total + carry if np.isfinite(carry) else total
                out[at] = whole if fold == SUM else whole / count


@kernel
def add_across(offset, time, value, group, step, first_step, numbers, values):
    """Fold steps of series into their groups' steps; the rows of all are [group, step].

    numbers: count; values: (total, carry, least, most). A NaN is no value.
    """
    for s in range(len(offset) - 1):
        g = group[s]
        for i in range(offset[s], offset[s + 1]):
            x = value[i]
            if x != x:
                continue
            j = time[i] // step - first_step
            if numbers[g, j] == 0:
                values[2, g, j] = x
                values[3, g, j] = x
            numbers[g, j] += 1
            total = values[0, g, j]
            summed = total + x
            if abs(total) >= abs(x):
                values[1, g, j] += (total - summed) + x
            else:
                values[1, g, j] += (x - summed) + total
            values[0, g, j] = summed
            values[2, g, j] = min(values[2, g, j], x)
            values[3, g, j] = max(values[3, g, j], x)


@kernel
def count_falls(offset, value, falls):
    """How often each series went down: a counter seldom, a gauge every other time."""
    for s in range(len(offset) - 1):
        for i in range(offset[s] + 1, offset[s + 1]):
            falls[s] += value[i] < value[i - 1]


@kernel
def tidy_cells(offset, power, is_gauge, values):
    """Totals rounded to the decimals of their samples (power 0: none), and no growth of gauges."""
    for s in range(len(power)):
        for c in range(offset[s], offset[s + 1]):
            if is_gauge[s]:
                values[3, c] = values[4, c]
                values[5, c] = np.nan
            if power[s] > 0:
                for row in (0, 5):
                    scaled = np.rint(values[row, c] * power[s])
                    if abs(scaled) < 1e15:
                        values[row, c] = scaled / power[s]
