"""Aggregations: series of a vector become one per group, or are chosen from it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Final

import numpy as np

from watchkeeper.lake.promql import groups_kernel as kernel
from watchkeeper.lake.promql.native_aggregate import NATIVE_FOLDS, with_native
from watchkeeper.lake.promql.tree import Aggregation, refusal
from watchkeeper.lake.promql.values import (
    Key,
    Labels,
    Vector,
    groups,
    joined,
    key,
    only,
    without,
)
from watchkeeper.lake.runs import offsets
from watchkeeper.model.series import F64, I64

_FOLDS: Final = {
    "sum": kernel.SUM,
    "avg": kernel.AVG,
    "min": kernel.MIN,
    "max": kernel.MAX,
    "count": kernel.COUNT,
    "group": kernel.GROUP,
    "stdvar": kernel.STDVAR,
    "stddev": kernel.STDDEV,
}
_OF_ANY_KIND: Final = frozenset({"count", "group"})
_CHOICES: Final = {"topk": 1.0, "bottomk": -1.0}
AGGREGATIONS: Final = frozenset({*_FOLDS, *_CHOICES, "quantile", "count_values"})
LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def aggregate(
    how: Aggregation, vector: Vector, parameter: F64 | str | None, *, most_values: int
) -> Vector:
    """`parameter` is a value per step, or the label that count_values makes.

    `most_values` bounds the answer: counting values may make more series than it was given.
    """
    if how.op == "count_values":
        return _count_values(how, vector, str(parameter), most_values)
    group, first = groups([key(_grouped(how, labels)) for labels in vector.labels])
    if how.op in _CHOICES:
        return _choose(how, vector, group, np.asarray(parameter, np.float64))
    labels = tuple(_grouped(how, vector.labels[place]) for place in first)
    shape = (len(first), vector.value.shape[1])
    out, mean, count = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int64)
    if how.op == "quantile":
        found = np.zeros(shape, np.bool_)
        kernel.quantile(
            np.asarray(parameter, np.float64), vector.value, vector.held,
            *members(group, len(first)), out, found,
        )  # fmt: skip
        return Vector(labels, out, found)
    if how.op not in _FOLDS:
        raise refusal(f"aggregation {how.op} is not supported")
    held = vector.present if how.op in _OF_ANY_KIND else vector.held
    kernel.aggregate(_FOLDS[how.op], vector.value, held, group, out, count, mean)
    folded = Vector(labels, out, count > 0)
    if vector.native is not None and how.op in NATIVE_FOLDS:
        return with_native(how.op, vector.native, group, folded, most_values)
    return folded


def members(group: I64, n_groups: int) -> tuple[I64, I64]:
    """Rows by group, in their own order, and where each group's begin."""
    return np.argsort(group, kind="stable"), offsets(np.bincount(group, minlength=n_groups))


def _grouped(how: Aggregation, labels: Labels) -> Labels:
    return without(labels, how.labels) if how.is_without else only(labels, how.labels)


def _choose(how: Aggregation, vector: Vector, group: I64, k: F64) -> Vector:
    outside = k[~((k > -(2.0**63)) & (k < 2.0**63))]
    if len(outside) and len(vector):
        raise refusal(f"{how.op}: {outside[0]} is no number of series")
    n_groups = int(group.max(initial=-1)) + 1
    by_group, offset = members(group, n_groups)
    kept = np.zeros_like(vector.held)
    sign = _CHOICES[how.op]
    whole = np.clip(np.trunc(k), 0, len(vector)).astype(np.int64)
    kernel.pick(whole, sign, vector.value, vector.held, by_group, offset, kept)
    chosen = Vector(vector.labels, vector.value, kept)
    if vector.value.shape[1] != 1:
        return chosen
    # At a single moment the order within a group is by value, and people read it so.
    order = np.lexsort((-sign * vector.value[:, 0], group))  # NaN last
    return chosen.rows(order[kept[order, 0]])


def _count_values(how: Aggregation, vector: Vector, label: str, most_values: int) -> Vector:
    if not LABEL_NAME.fullmatch(label):
        raise refusal(f'invalid label name "{label}"')
    n_steps = vector.value.shape[1]
    rows: dict[Key, list[tuple[int, float]]] = defaultdict(list)
    for row, labels in enumerate(vector.labels):
        base = dict(_grouped(how, labels))
        for value in np.unique(vector.value[row][vector.held[row]]).tolist():
            rows[key({**base, label: number_text(value)})].append((row, value))
        if len(rows) * n_steps > most_values:
            raise refusal(
                f"count_values: {len(rows)} values at {n_steps} steps are more than "
                f"server.query_samples ({most_values}); round them, or narrow the range"
            )
    count = np.zeros((len(rows), n_steps))
    for into, found in zip(count, rows.values(), strict=True):
        for row, value in found:
            into += vector.held[row] & _is_same(vector.value[row], value)
    return joined(Vector(tuple(dict(one) for one in rows), count, count > 0))


def _is_same(values: F64, value: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    same: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
        np.isnan(values) if math.isnan(value) else values == value
    )
    return same


def number_text(value: float) -> str:
    """As Go writes a float with as many digits as it needs and no exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(np.format_float_positional(value, trim="-"))
