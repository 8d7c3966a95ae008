"""Samples of both kinds in time: which is the newest, and what is no mark of an end."""

from __future__ import annotations

import numpy as np

from watchkeeper.lake.promql import native_kernel
from watchkeeper.lake.promql import windows_kernel as kernel
from watchkeeper.lake.promql.native import Native, NativePoints
from watchkeeper.lake.promql.values import Points, Vector
from watchkeeper.lake.runs import offsets
from watchkeeper.model.series import F64, I64, Mask


def newest_of_both(
    points: Points, native: NativePoints, ref_ns: I64, lookback_ns: int
) -> tuple[Vector, I64]:
    """Each series' newest sample at every step, whatever its kind, and the samples' times."""
    value_at = _last(points.offset, points.time_ns, ref_ns, lookback_ns)
    native_at = _last(native.offset, native.time_ns, ref_ns, lookback_ns)
    value_ns = _times(points.time_ns, value_at)
    native_ns = _times(native.time_ns, native_at)
    is_value = (value_at >= 0) & (value_ns >= native_ns)
    is_native = (native_at >= 0) & ~is_value
    values = np.append(points.value, 0.0)
    held = is_value & (values[value_at].view(np.int64) != kernel.MARK)
    is_native &= ~np.append(_marked(native), False)[native_at]
    place = np.where(is_native, np.append(native.row, -1)[native_at], -1)
    vector = Vector(points.labels, values[value_at], held, Native(place, native.pool))
    chosen = np.flatnonzero(vector.present.any(axis=1))
    time_ns: I64 = np.where(is_native, native_ns, value_ns)
    return vector.rows(chosen), time_ns[chosen]


def _last(offset: I64, time_ns: I64, ref_ns: I64, lookback_ns: int) -> I64:
    """The newest row at or before each moment, marks included; -1 where none is young enough."""
    shape = (len(offset) - 1, len(ref_ns))
    begin, stop = np.empty(shape, np.int64), np.empty(shape, np.int64)
    kernel.windows(offset, time_ns, ref_ns, lookback_ns, begin, stop)
    return np.where(stop > begin, stop - 1, -1)


def _times(time_ns: I64, row: I64) -> I64:
    times: I64 = np.append(time_ns, np.iinfo(np.int64).min)[row]
    return times


def _marked(native: NativePoints) -> Mask:
    """Which samples say that their series has ended: by their sum."""
    sums: F64 = np.ascontiguousarray(native.pool.head[native.row, native_kernel.SUM])
    marked: Mask = sums.view(np.int64) == kernel.MARK
    return marked


def unmarked(native: NativePoints) -> NativePoints:
    """Without the marks that say where a series ended."""
    kept = ~_marked(native)
    if kept.all():
        return native
    offset = offsets(kept.astype(np.int64))[native.offset]
    return NativePoints(offset, native.time_ns[kept], native.row[kept], native.pool)


def points_of(native: Native, step_ns: I64) -> NativePoints:
    """The histograms of a vector as samples of its steps."""
    held = native.held
    time_ns = np.broadcast_to(step_ns, held.shape)[held]
    return NativePoints(offsets(held.sum(axis=1)), time_ns, native.place[held], native.pool)
