"""Functions of instant vectors and scalars, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from watchkeeper.lake.promql import histogram
from watchkeeper.lake.promql.labels import label_join, label_replace
from watchkeeper.lake.promql.tree import refusal
from watchkeeper.lake.promql.values import (
    Scalar,
    Steps,
    String,
    Value,
    Vector,
    joined,
    nameless,
    nothing,
)
from watchkeeper.model.series import F64, I64, Mask

_ELEMENTWISE: Final[dict[str, Callable[[Any], Any]]] = {
    "abs": np.abs, "ceil": np.ceil, "floor": np.floor, "exp": np.exp, "sqrt": np.sqrt,
    "ln": np.log, "log2": np.log2, "log10": np.log10,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh,
    "deg": lambda x: x * 180 / np.pi, "rad": lambda x: x * np.pi / 180,
    "sgn": np.sign,
}  # fmt: skip
_OF_A_DATE: Final[dict[str, Callable[[Any], Any]]] = {
    "minute": lambda time: time.astype("M8[m]").astype(np.int64) % 60,
    "hour": lambda time: time.astype("M8[h]").astype(np.int64) % 24,
    "day_of_week": lambda time: (time.astype("M8[D]").astype(np.int64) + 4) % 7,
    "day_of_month": lambda time: _since(time, "M") + 1,
    "day_of_year": lambda time: _since(time, "Y") + 1,
    "days_in_month": lambda time: _days_in_month(time.astype("M8[M]")),
    "month": lambda time: time.astype("M8[M]").astype(np.int64) % 12 + 1,
    "year": lambda time: time.astype("M8[Y]").astype(np.int64) + 1970,
}
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999."""


def _since(time: Any, unit: str) -> Any:
    """Whole days since the month or year began."""
    return (time.astype("M8[D]") - time.astype(f"M8[{unit}]").astype("M8[D]")).astype(np.int64)


def _days_in_month(month: Any) -> Any:
    return ((month + 1).astype("M8[D]") - month.astype("M8[D]")).astype(np.int64)


def _elementwise(vector: Vector, computed: Callable[[Any], Any]) -> Vector:
    value = np.asarray(computed(vector.value), np.float64)
    return joined(Vector(tuple(map(nameless, vector.labels)), value, vector.held))


def _of_a_date(name: str, given: Sequence[Value], steps: Steps) -> Vector:
    vector = given[0] if given else _vector([Scalar(steps.time_ms / 1000)], steps)
    assert isinstance(vector, Vector)  # noqa: S101 - the parser checks types

    def computed(value: F64) -> F64:
        is_date = (value >= _FIRST_S) & (value <= _LAST_S)
        time: I64 = np.where(is_date, value, 0).astype(np.int64)
        return np.where(is_date, _OF_A_DATE[name](time.astype("M8[s]")), np.nan)

    return _elementwise(vector, computed)


def _clamp(given: Sequence[Value], steps: Steps) -> Vector:
    vector, least, most = given[0], _row(given[1]), _row(given[2])
    assert isinstance(vector, Vector)  # noqa: S101 - the parser checks types
    clamped = _elementwise(vector, lambda x: np.maximum(least, np.minimum(most, x)))
    return Vector(clamped.labels, clamped.value, clamped.held & ~(most < least))


def _round(given: Sequence[Value], steps: Steps) -> Vector:
    to_inverse = 1.0 / _row(given[1]) if len(given) > 1 else np.ones(steps.n)
    return _map(given, lambda x: np.floor(x * to_inverse + 0.5) / to_inverse)


def _scalar(given: Sequence[Value], steps: Steps) -> Scalar:
    vector = given[0]
    assert isinstance(vector, Vector)  # noqa: S101 - the parser checks types
    is_one = vector.held.sum(axis=0) == 1
    return Scalar(np.where(is_one, np.where(vector.held, vector.value, 0).sum(axis=0), np.nan))


def _vector(given: Sequence[Value], steps: Steps) -> Vector:
    return Vector(({},), _row(given[0])[None, :], np.ones((1, steps.n), np.bool_))


def _timestamp(vector: Vector, steps: Steps) -> Vector:
    """Of what is no selector: the step's own."""
    value = np.broadcast_to(steps.time_ms / 1000, vector.held.shape)
    return joined(Vector(tuple(map(nameless, vector.labels)), value, vector.present))


def _sorted(given: Sequence[Value], *, sign: float) -> Vector:
    """By the value of the first step; NaN last. For people: a range's answer is sorted anew."""
    vector = given[0]
    assert isinstance(vector, Vector)  # noqa: S101 - the parser checks types
    first = vector.value[:, 0]
    values = Vector(vector.labels, vector.value, vector.held)
    return values.rows(np.lexsort((sign * first, np.isnan(first))))


def _map(given: Sequence[Value], computed: Callable[[Any], Any]) -> Vector:
    vector = given[0]
    assert isinstance(vector, Vector)  # noqa: S101 - the parser checks types
    return _elementwise(vector, computed)


def _row(value: Value) -> F64:
    assert isinstance(value, Scalar)  # noqa: S101 - the parser checks types
    return value.value


def _texts(given: Sequence[Value]) -> list[str]:
    return [one.text for one in given if isinstance(one, String)]


def _of_vector(given: Sequence[Value]) -> Vector:
    return next(one for one in given if isinstance(one, Vector))


_NAMED: Final[dict[str, Callable[[Sequence[Value], Steps], Value]]] = {
    "clamp": _clamp,
    "clamp_min": lambda given, _: _map(given, lambda x: np.maximum(x, _row(given[1]))),
    "clamp_max": lambda given, _: _map(given, lambda x: np.minimum(x, _row(given[1]))),
    "histogram_avg": lambda given, _: histogram.histogram_avg(_of_vector(given)),
    "histogram_count": lambda given, _: histogram.histogram_count(_of_vector(given)),
    "histogram_fraction": lambda given, _: histogram.histogram_fraction(
        Scalar(_row(given[0])), Scalar(_row(given[1])), _of_vector(given)
    ),
    "histogram_quantile": lambda given, _: histogram.histogram_quantile(
        Scalar(_row(given[0])), _of_vector(given)
    ),
    "histogram_stddev": lambda given, _: histogram.histogram_stddev(_of_vector(given)),
    "histogram_stdvar": lambda given, _: histogram.histogram_stdvar(_of_vector(given)),
    "histogram_sum": lambda given, _: histogram.histogram_sum(_of_vector(given)),
    "label_join": lambda given, _: label_join(_of_vector(given), _texts(given)),
    "label_replace": lambda given, _: label_replace(_of_vector(given), _texts(given)),
    "pi": lambda _, steps: Scalar(np.full(steps.n, np.pi)),
    "round": _round,
    "scalar": _scalar,
    "sort": lambda given, _: _sorted(given, sign=1.0),
    "sort_desc": lambda given, _: _sorted(given, sign=-1.0),
    "time": lambda _, steps: Scalar(steps.time_ms / 1000),
    "timestamp": lambda given, steps: _timestamp(_of_vector(given), steps),
    "vector": _vector,
}

FUNCTIONS: Final = frozenset({*_ELEMENTWISE, *_OF_A_DATE, *_NAMED})


def call(name: str, given: Sequence[Value], steps: Steps) -> Value:
    """The function's value; refused by name where there is none."""
    if name in _ELEMENTWISE:
        return _map(given, _ELEMENTWISE[name])
    if name in _OF_A_DATE:
        return _of_a_date(name, given, steps)
    if name in _NAMED:
        return _NAMED[name](given, steps)
    raise refusal(f"function {name} is not supported")


def absent(labels: dict[str, str], held: Mask, steps: Steps) -> Vector:
    """One where there is nothing at all."""
    is_absent: Mask = np.asarray(~held.any(axis=0, keepdims=True))
    if not is_absent.any():
        return nothing(steps)
    return Vector((labels,), np.ones((1, steps.n)), is_absent)
