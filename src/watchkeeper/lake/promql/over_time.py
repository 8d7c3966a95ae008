"""Functions of range vectors: what each makes of the samples of a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
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

_AT_ONCE: Final = 200_000_000
"""Samples of windows, each as often as a window has it, between two looks at the time."""

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


@dataclass(frozen=True, slots=True)
class Block:
    """Windows of some series, and where their values go."""

    begin: I64
    stop: I64
    out: F64
    held: Mask


def over_time(
    name: str, given: Windows, scalar: Scalar | None, go_on: Callable[[], None] = lambda: None
) -> Vector:
    """The function's value of every window that has one; labels as they are.

    `go_on` is asked now and then: windows of a month at eleven thousand steps are hours of work.
    """
    points = given.points
    shape = (len(points), len(given.ref_ns))
    begin, stop = np.empty(shape, np.int64), np.empty(shape, np.int64)
    kernel.windows(points.offset, points.time_ns, given.ref_ns, given.length_ns, begin, stop)
    out, held = np.zeros(shape), np.zeros(shape, np.bool_)
    work = np.cumsum((stop - begin).sum(axis=1)) // _AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(work)) + 1).tolist(), len(points)]
    for first, last in pairwise(edges):
        go_on()
        some = slice(first, last)
        block = Block(begin[some], stop[some], out[some], held[some])
        _fill(name, given, scalar, block)
    return Vector(points.labels, out, held)


def _fill(name: str, given: Windows, scalar: Scalar | None, block: Block) -> None:
    points = given.points
    bounds, into = (block.begin, block.stop), (block.out, block.held)
    if name in _FOLDS:
        kernel.fold(_FOLDS[name], points.value, *bounds, *into)
    elif name in _GROWTHS:
        kernel.growth(
            points.time_ns, points.value, *bounds, given.ref_ns, given.length_ns,
            *_GROWTHS[name], *into,
        )  # fmt: skip
    elif name in _INSTANT_GROWTHS:
        is_rate = _INSTANT_GROWTHS[name]
        kernel.instant_growth(points.time_ns, points.value, *bounds, is_rate, *into)
    elif name == "quantile_over_time" and scalar is not None:
        room = np.empty(int((block.stop - block.begin).max(initial=0)))
        kernel.quantiles(scalar.value, points.value, *bounds, room, *into)
    else:
        _draw(name, given, scalar, block)


def _draw(name: str, given: Windows, scalar: Scalar | None, block: Block) -> None:
    """Lines through the windows."""
    points = given.points
    intercept = np.zeros(block.out.shape)
    if name == "deriv":
        origin = np.empty(0, np.int64)
    elif name == "predict_linear" and scalar is not None:
        origin = given.step_ns
    else:
        raise refusal(f"function {name} is not supported")
    kernel.lines(
        points.time_ns, points.value, block.begin, block.stop, origin,
        block.out, intercept, block.held,
    )  # fmt: skip
    if scalar is not None:
        block.out[:] = block.out * scalar.value + intercept
