"""Operators between scalars and vectors, and how series of two vectors find each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from watchkeeper.lake.promql.tree import Binary, Many, Matching, refusal
from watchkeeper.lake.promql.values import (
    Key,
    Labels,
    Scalar,
    Vector,
    groups,
    joined,
    key,
    nameless,
    only,
    without,
)
from watchkeeper.model.series import F64, I64, METRIC_NAME, Mask

_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
_COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
OPERATORS: Final = frozenset({*_ARITHMETIC, *_COMPARISONS, "and", "or", "unless"})
_KEEP_NAMES: Final = frozenset({*_COMPARISONS, "atan2"})


def combine(how: Binary, left: Vector | Scalar, right: Vector | Scalar) -> Vector | Scalar:
    match left, right:
        case Scalar(), Scalar():
            return Scalar(_computed(how, left.value, right.value)[0])
        case Vector(), Scalar():
            return _with_scalar(how, left, _wide(right, left), is_swapped=False)
        case Scalar(), Vector():
            return _with_scalar(how, right, _wide(left, right), is_swapped=True)
        case Vector(), Vector() if how.matching.many is Many.BOTH:
            return _set(how, left, right)
        case Vector(), Vector():
            return _matched(how, left, right)
    raise refusal(f"{how.op} takes scalars and instant vectors")


def _computed(how: Binary, left: F64, right: F64) -> tuple[F64, Mask | None]:
    """Values, and which of them stay; None: all."""
    if how.op in _ARITHMETIC:
        return _ARITHMETIC[how.op](left, right), None
    is_so = _COMPARISONS[how.op](left, right)
    if how.is_bool:
        return is_so.astype(np.float64), None
    return left, is_so


def _wide(scalar: Scalar, beside: Vector) -> F64:
    return np.broadcast_to(scalar.value, beside.value.shape)


def _with_scalar(how: Binary, vector: Vector, scalar: F64, *, is_swapped: bool) -> Vector:
    sides = (scalar, vector.value) if is_swapped else (vector.value, scalar)
    value, stays = _computed(how, *sides)
    held = vector.held
    if stays is not None:
        value, held = vector.value, held & stays
    labels = vector.labels
    if how.is_bool or how.op not in _KEEP_NAMES:
        labels = tuple(map(nameless, labels))
    return joined(Vector(labels, value, held))


def _signature(how: Matching, labels: Labels) -> Key:
    return key(only(labels, how.labels) if how.is_on else without(labels, how.labels))


def _set(how: Binary, left: Vector, right: Vector) -> Vector:
    """and, or, unless: at each step by itself."""
    signatures = [_signature(how.matching, labels) for labels in (*left.labels, *right.labels)]
    group, first = groups(signatures)
    of_left, of_right = group[: len(left)], group[len(left) :]
    if how.op == "or":
        among = _any_held(left, of_left, len(first))
        rest = Vector(right.labels, right.value, right.held & ~among[of_right])
        return joined(
            Vector(
                (*left.labels, *rest.labels),
                np.concatenate([left.value, rest.value]),
                np.concatenate([left.held, rest.held]),
            )
        )
    among = _any_held(right, of_right, len(first))
    stays = among[of_left] if how.op == "and" else ~among[of_left]
    return joined(Vector(left.labels, left.value, left.held & stays))


def _any_held(vector: Vector, group: I64, n_groups: int) -> Mask:
    among = np.zeros((n_groups, vector.value.shape[1]), np.bool_)
    np.logical_or.at(among, group, vector.held)
    return among


def _matched(how: Binary, left: Vector, right: Vector) -> Vector:
    """Arithmetic and comparison between series that match; at most one side has many."""
    many, one = (right, left) if how.matching.many is Many.RIGHT else (left, right)
    # Where nothing stands on one side, nothing can be ambiguous on the other.
    both: Mask = np.asarray(many.held.any(axis=0) & one.held.any(axis=0))
    many, one = _during(many, both), _during(one, both)
    of_one = _by_signature(how, one)
    _check_unique(how, one, of_one)
    pairs = [
        (row, other)
        for row, labels in enumerate(many.labels)
        for other in of_one.get(_signature(how.matching, labels), ())
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    value = many.value[rows[:, 0]], one.value[rows[:, 1]]
    if how.matching.many is Many.RIGHT:
        value = value[1], value[0]
    out, stays = _computed(how, *value)
    held = many.held[rows[:, 0]] & one.held[rows[:, 1]]
    if stays is not None:
        held &= stays
    labels = tuple(_result(how, many.labels[m], one.labels[o]) for m, o in pairs)
    if how.matching.many is Many.NEITHER:
        _check_single(how, [many.labels[m] for m, _ in pairs], held)
    return joined(Vector(labels, out, held))


def _during(vector: Vector, steps: Mask) -> Vector:
    return Vector(vector.labels, vector.value, vector.held & steps)


def _by_signature(how: Binary, vector: Vector) -> dict[Key, list[int]]:
    rows: dict[Key, list[int]] = defaultdict(list)
    for row, labels in enumerate(vector.labels):
        rows[_signature(how.matching, labels)].append(row)
    return rows


def _check_unique(how: Binary, one: Vector, rows: dict[Key, list[int]]) -> None:
    for signature, same in rows.items():
        if len(same) > 1 and (one.held[same].sum(axis=0) > 1).any():
            side = "left" if how.matching.many is Many.RIGHT else "right"
            raise refusal(
                f"found duplicate series for the match group {dict(sorted(signature))} on the "
                f"{side} hand-side of the operation: {dict(one.labels[same[0]])}, "
                f"{dict(one.labels[same[1]])};many-to-many matching not allowed: matching labels "
                "must be unique on one side"
            )


def _check_single(how: Binary, labels: list[Labels], held: Mask) -> None:
    """One-to-one: no two series of the left find the same one."""
    rows: dict[Key, list[int]] = defaultdict(list)
    for row, one in enumerate(labels):
        rows[_signature(how.matching, one)].append(row)
    for same in rows.values():
        if len(same) > 1 and (held[same].sum(axis=0) > 1).any():
            raise refusal(
                "multiple matches for labels: many-to-one matching must be explicit "
                "(group_left/group_right)"
            )


def _result(how: Binary, many: Labels, one: Labels) -> Labels:
    matching = how.matching
    labels = dict(many)
    if how.is_bool or how.op not in _KEEP_NAMES:
        labels.pop(METRIC_NAME, None)
    if matching.many is Many.NEITHER:
        names = set(matching.labels)
        labels = {
            name: value for name, value in labels.items() if (name in names) == matching.is_on
        }
    for name in matching.include:
        labels.pop(name, None)
        if one.get(name):
            labels[name] = one[name]
    return labels
