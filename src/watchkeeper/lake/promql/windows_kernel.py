"""Compiled work on windows of samples: one window per series and step.

`begin` and `stop` (series, steps) say which rows of `time` (ns) and `value` a window has. Formulas
and the order of operations are those of Prometheus 2.42, promql/functions.go, so that answers are
the same to the last bits.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.jit import kernel

SUM, AVG, MIN, MAX, COUNT, LAST, PRESENT, STDVAR, STDDEV, CHANGES, RESETS = range(11)
MARK = 0x7FF0000000000002
"""Prometheus' mark for a series that has ended."""


@kernel
def latest(offset, time, bits, ref, lookback, row, held):
    """The newest row at or before each ref, not older than `lookback` and no mark of an end."""
    for s in range(len(offset) - 1):
        at = offset[s]
        last = offset[s + 1]
        for i in range(len(ref)):
            while at < last and time[at] <= ref[i]:
                at += 1
            found = at - 1
            row[s, i] = max(found, 0)
            held[s, i] = (
                found >= offset[s] and time[found] >= ref[i] - lookback and bits[found] != MARK
            )


@kernel
def windows(offset, time, ref, length, begin, stop):
    """ref - length <= time <= ref, for refs that do not fall."""
    for s in range(len(offset) - 1):
        a = offset[s]
        b = offset[s]
        last = offset[s + 1]
        for i in range(len(ref)):
            while b < last and time[b] <= ref[i]:
                b += 1
            while a < b and time[a] < ref[i] - length:
                a += 1
            begin[s, i] = a
            stop[s, i] = b


@kernel
def _add(increment, total, carry):
    """Kahan's sum as Neumaier improved it."""
    together = total + increment
    if abs(total) >= abs(increment):
        carry += (total - together) + increment
    else:
        carry += (increment - together) + total
    return together, carry


@kernel
def _sum(value, a, b):
    total = 0.0
    carry = 0.0
    for i in range(a, b):
        total, carry = _add(value[i], total, carry)
    return total if np.isinf(total) else total + carry


@kernel
def _avg(value, a, b):
    mean = 0.0
    carry = 0.0
    count = 0.0
    for i in range(a, b):
        v = value[i]
        count += 1.0
        if np.isinf(mean):
            if np.isinf(v) and (mean > 0) == (v > 0):
                continue
            if not np.isinf(v) and not np.isnan(v):
                continue
        mean, carry = _add(v / count - mean / count, mean, carry)
    return mean if np.isinf(mean) else mean + carry


@kernel
def _least(value, a, b, sign):
    least = value[a]
    for i in range(a, b):
        if sign * value[i] < sign * least or np.isnan(least):
            least = value[i]
    return least


@kernel
def _stdvar(value, a, b):
    count = 0.0
    mean = 0.0
    mean_carry = 0.0
    squares = 0.0
    squares_carry = 0.0
    for i in range(a, b):
        count += 1.0
        delta = value[i] - (mean + mean_carry)
        mean, mean_carry = _add(delta / count, mean, mean_carry)
        inc = delta * (value[i] - (mean + mean_carry))
        squares, squares_carry = _add(inc, squares, squares_carry)
    return (squares + squares_carry) / count


@kernel
def _turns(value, a, b, only_falls):
    n = 0.0
    for i in range(a + 1, b):
        before = value[i - 1]
        now = value[i]
        if only_falls:
            if now < before:
                n += 1.0
        elif now != before and not (np.isnan(now) and np.isnan(before)):
            n += 1.0
    return n


@kernel
def fold(code, value, begin, stop, out, held):
    """One of the codes above, of every window that has samples."""
    for s in range(begin.shape[0]):
        for i in range(begin.shape[1]):
            a = begin[s, i]
            b = stop[s, i]
            held[s, i] = b > a
            if b == a:
                continue
            if code == SUM:
                out[s, i] = _sum(value, a, b)
            elif code == AVG:
                out[s, i] = _avg(value, a, b)
            elif code == MIN:
                out[s, i] = _least(value, a, b, 1.0)
            elif code == MAX:
                out[s, i] = _least(value, a, b, -1.0)
            elif code == COUNT:
                out[s, i] = b - a
            elif code == LAST:
                out[s, i] = value[b - 1]
            elif code == PRESENT:
                out[s, i] = 1.0
            elif code == STDVAR:
                out[s, i] = _stdvar(value, a, b)
            elif code == STDDEV:
                out[s, i] = np.sqrt(_stdvar(value, a, b))
            else:
                out[s, i] = _turns(value, a, b, code == RESETS)


@kernel
def growth(time, value, begin, stop, ref, length, is_counter, is_rate, out, held):
    """rate, increase and delta: what was seen, extrapolated to the window's edges."""
    for s in range(begin.shape[0]):
        for i in range(begin.shape[1]):
            a = begin[s, i]
            b = stop[s, i]
            held[s, i] = b - a > 1
            if b - a < 2:
                continue
            grown = value[b - 1] - value[a]
            if is_counter:
                for j in range(a + 1, b):
                    if value[j] < value[j - 1]:
                        grown += value[j - 1]
            to_start = (time[a] - (ref[i] - length)) / 1e9
            to_end = (ref[i] - time[b - 1]) / 1e9
            sampled = (time[b - 1] - time[a]) / 1e9
            between = sampled / (b - a - 1)
            if is_counter and grown > 0 and value[a] >= 0:
                to_start = min(to_start, sampled * (value[a] / grown))
            beyond = between * 1.1
            covered = sampled
            covered += to_start if to_start < beyond else between / 2
            covered += to_end if to_end < beyond else between / 2
            factor = covered / sampled
            if is_rate:
                factor /= length / 1e9
            out[s, i] = grown * factor


@kernel
def instant_growth(time, value, begin, stop, is_rate, out, held):
    """irate and idelta: of the last two samples."""
    for s in range(begin.shape[0]):
        for i in range(begin.shape[1]):
            b = stop[s, i]
            held[s, i] = b - begin[s, i] > 1
            if b - begin[s, i] < 2:
                continue
            last = value[b - 1]
            before = value[b - 2]
            grown = last if is_rate and last < before else last - before
            if is_rate:
                grown /= (time[b - 1] - time[b - 2]) / 1e9
            out[s, i] = grown


@kernel
def _line(time, value, a, b, origin):
    """Slope and value at `origin` of the line through a window."""
    sum_x = sum_y = sum_xy = sum_xx = 0.0
    c_x = c_y = c_xy = c_xx = 0.0
    is_flat = True
    for i in range(a, b):
        if value[i] != value[a]:
            is_flat = False
        x = (time[i] - origin) / 1e9
        sum_x, c_x = _add(x, sum_x, c_x)
        sum_y, c_y = _add(value[i], sum_y, c_y)
        sum_xy, c_xy = _add(x * value[i], sum_xy, c_xy)
        sum_xx, c_xx = _add(x * x, sum_xx, c_xx)
    if is_flat:
        if np.isinf(value[a]):
            return np.nan, np.nan
        return 0.0, value[a]
    n = float(b - a)
    sum_x += c_x
    sum_y += c_y
    slope = ((sum_xy + c_xy) - sum_x * sum_y / n) / ((sum_xx + c_xx) - sum_x * sum_x / n)
    return slope, sum_y / n - slope * sum_x / n


@kernel
def lines(time, value, begin, stop, origin, slope, intercept, held):
    """The line through every window; `origin` per step, or the first sample where there is none."""
    for s in range(begin.shape[0]):
        for i in range(begin.shape[1]):
            a = begin[s, i]
            b = stop[s, i]
            held[s, i] = b - a > 1
            if b - a > 1:
                at = origin[i] if len(origin) else time[a]
                slope[s, i], intercept[s, i] = _line(time, value, a, b, at)


@kernel
def quantile_of(q, room, n):
    """Of room[:n], which it sorts; NaN is less than everything."""
    if n == 0 or np.isnan(q):
        return np.nan
    if q < 0:
        return -np.inf
    if q > 1:
        return np.inf
    n_nan = 0
    for i in range(n):
        if np.isnan(room[i]):
            room[i] = room[n_nan]
            room[n_nan] = np.nan
            n_nan += 1
    room[n_nan:n].sort()
    rank = q * (n - 1)
    lower = max(0.0, np.floor(rank))
    upper = min(n - 1.0, lower + 1)
    weight = rank - np.floor(rank)
    return room[int(lower)] * (1 - weight) + room[int(upper)] * weight


@kernel
def quantiles(q, value, begin, stop, room, out, held):
    """`room` holds the longest window."""
    for s in range(begin.shape[0]):
        for i in range(begin.shape[1]):
            a = begin[s, i]
            n = stop[s, i] - a
            held[s, i] = n > 0
            if n > 0:
                for j in range(n):
                    room[j] = value[a + j]
                out[s, i] = quantile_of(q[i], room, n)
