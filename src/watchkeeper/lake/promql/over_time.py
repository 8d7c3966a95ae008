"""Functions of range vectors: what each makes of the samples of a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.lake.promql import windows_kernel as kernel
from watchkeeper.lake.promql.tree import refusal
from watchkeeper.lake.promql.values import Points, Scalar, Vector
from watchkeeper.model.series import F64, I64, Mask

_FOLDS: Final = {
    "sum_over_time": kernel.SUM,
    "avg_over_time": kernel.AVG,
    "min_over_time": kernel.MIN,
    "max_over_time": kernel.MAX,
    "count_over_time": kernel.COUNT,
    "last_over_time": kernel.LAST,
    "present_over_time": kernel.PRESENT,
    "absent_over_time": kernel.PRESENT,
    "stdvar_over_time": kernel.STDVAR,
    "stddev_over_time": kernel.STDDEV,
    "changes": kernel.CHANGES,
    "resets": kernel.RESETS,
}
_GROWTHS: Final = {"rate": (True, True), "increase": (True, False), "delta": (False, False)}
_INSTANT_GROWTHS: Final = {"irate": True, "idelta": False}
_WITH_A_SCALAR: Final = ("quantile_over_time", "predict_linear")

RANGE_FUNCTIONS: Final = frozenset(
    {*_FOLDS, *_GROWTHS, *_INSTANT_GROWTHS, *_WITH_A_SCALAR, "deriv"}
)
KEEP_NAMES: Final = frozenset({"last_over_time"})


@dataclass(frozen=True, slots=True)
class Windows:
    """A range vector: the samples with ref - length <= time <= ref, at every step."""

    points: Points
    ref_ns: I64
    length_ns: int
    step_ns: I64
    """The steps' own times, which `@` and offsets leave alone."""


def over_time(name: str, given: Windows, scalar: Scalar | None) -> Vector:
    """The function's value of every window that has one; labels as they are."""
    points = given.points
    shape = (len(points), len(given.ref_ns))
    begin, stop = np.empty(shape, np.int64), np.empty(shape, np.int64)
    kernel.windows(points.offset, points.time_ns, given.ref_ns, given.length_ns, begin, stop)
    out, held = np.zeros(shape), np.zeros(shape, np.bool_)
    if name in _FOLDS:
        kernel.fold(_FOLDS[name], points.value, begin, stop, out, held)
    elif name in _GROWTHS:
        kernel.growth(
            points.time_ns, points.value, begin, stop, given.ref_ns, given.length_ns,
            *_GROWTHS[name], out, held,
        )  # fmt: skip
    elif name in _INSTANT_GROWTHS:
        is_rate = _INSTANT_GROWTHS[name]
        kernel.instant_growth(points.time_ns, points.value, begin, stop, is_rate, out, held)
    elif name == "quantile_over_time" and scalar is not None:
        room = np.empty(int((stop - begin).max(initial=0)))
        kernel.quantiles(scalar.value, points.value, begin, stop, room, out, held)
    else:
        out = _line(name, given, scalar, (begin, stop), held)
    return Vector(points.labels, out, held)


def _line(
    name: str, given: Windows, scalar: Scalar | None, bounds: tuple[I64, I64], held: Mask
) -> F64:
    points = given.points
    slope, intercept = np.zeros(held.shape), np.zeros(held.shape)
    if name == "deriv":
        origin = np.empty(0, np.int64)
        kernel.lines(points.time_ns, points.value, *bounds, origin, slope, intercept, held)
        return slope
    if name != "predict_linear" or scalar is None:
        raise refusal(f"function {name} is not supported")
    kernel.lines(points.time_ns, points.value, *bounds, given.step_ns, slope, intercept, held)
    return slope * scalar.value + intercept
