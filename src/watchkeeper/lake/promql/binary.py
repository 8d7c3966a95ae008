"""Operators between scalars and vectors, and how series of two vectors find each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from watchkeeper.lake.promql.native_binary import below, pairwise_native, with_numbers
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


def combine(
    how: Binary, left: Vector | Scalar, right: Vector | Scalar, *, most_values: int
) -> Vector | Scalar:
    """`most_values` bounds the buckets of native histograms in the answer."""
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
            return _matched(how, left, right, most_values)
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
    native = vector.native
    if native is not None:
        native = with_numbers(how.op, native, scalar, is_swapped=is_swapped)
    labels = vector.labels
    if how.is_bool or how.op not in _KEEP_NAMES:
        labels = tuple(map(nameless, labels))
    return joined(Vector(labels, value, held, native))


def _signature(how: Matching, labels: Labels) -> Key:
    return key(only(labels, how.labels) if how.is_on else without(labels, how.labels))


def _set(how: Binary, left: Vector, right: Vector) -> Vector:
    """and, or, unless: at each step by itself."""
    signatures = [_signature(how.matching, labels) for labels in (*left.labels, *right.labels)]
    group, first = groups(signatures)
    of_left, of_right = group[: len(left)], group[len(left) :]
    if how.op == "or":
        among = _any_held(left, of_left, len(first))
        return joined(below(left, right.where(~among[of_right])))
    among = _any_held(right, of_right, len(first))
    stays = among[of_left] if how.op == "and" else ~among[of_left]
    return joined(left.where(stays))


def _any_held(vector: Vector, group: I64, n_groups: int) -> Mask:
    among = np.zeros((n_groups, vector.value.shape[1]), np.bool_)
    np.logical_or.at(among, group, vector.present)
    return among


def _matched(how: Binary, left: Vector, right: Vector, most_values: int) -> Vector:
    """Arithmetic and comparison between series that match; at most one side has many."""
    many, one = (right, left) if how.matching.many is Many.RIGHT else (left, right)
    # Where nothing stands on one side, nothing can be ambiguous on the other.
    both: Mask = np.asarray(many.present.any(axis=0) & one.present.any(axis=0))
    many, one = many.where(both), one.where(both)
    of_one = _by_signature(how, one)
    _check_unique(how, one, of_one)
    pairs = [
        (row, other)
        for row, labels in enumerate(many.labels)
        for other in of_one.get(_signature(how.matching, labels), ())
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    sides = many.rows(rows[:, 0]), one.rows(rows[:, 1])
    if how.matching.many is Many.RIGHT:
        sides = sides[1], sides[0]
    found = _pairwise(how, *sides, most_values)
    labels = tuple(_result(how, many.labels[m], one.labels[o]) for m, o in pairs)
    if how.matching.many is Many.NEITHER:
        _check_single(how, [many.labels[m] for m, _ in pairs], found.present)
    return joined(found.named(labels))


def _pairwise(how: Binary, left: Vector, right: Vector, most_values: int) -> Vector:
    """Row by row. Where kinds do not go together there is nothing."""
    value, stays = _computed(how, left.value, right.value)
    held = left.held & right.held
    if stays is not None:
        held &= stays
    found = Vector(left.labels, value, held)
    if left.native is None and right.native is None:
        return found
    return pairwise_native(how, left, right, found, most_values)


def _by_signature(how: Binary, vector: Vector) -> dict[Key, list[int]]:
    rows: dict[Key, list[int]] = defaultdict(list)
    for row, labels in enumerate(vector.labels):
        rows[_signature(how.matching, labels)].append(row)
    return rows


def _check_unique(how: Binary, one: Vector, rows: dict[Key, list[int]]) -> None:
    for signature, same in rows.items():
        if len(same) > 1 and (one.present[same].sum(axis=0) > 1).any():
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
