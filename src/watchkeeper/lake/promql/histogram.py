"""Quantiles of classic histograms: series of buckets, told apart by `le`.

A native histogram is one sample and no row of buckets here; where vectors come to carry them, they
are taken out before `_bounds` looks for `le`, and answered beside the classic ones.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from watchkeeper.lake.promql import groups_kernel as kernel
from watchkeeper.lake.promql.aggregate import members
from watchkeeper.lake.promql.values import Scalar, Vector, groups, joined, key, without
from watchkeeper.model.series import F64

BUCKET: Final = "le"
_NUMBER: Final = re.compile(
    r"[+-]?(?:inf(?:inity)?|nan|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)",
    re.IGNORECASE | re.ASCII,
)


def histogram_quantile(q: Scalar, vector: Vector) -> Vector:
    """One value per histogram and step. Series without a readable `le` are no buckets."""
    bound = _bounds(vector)
    buckets = np.flatnonzero(~np.isnan(bound))
    vector, bound = vector.rows(buckets), bound[buckets]
    in_order = np.argsort(bound, kind="stable")
    vector, bound = vector.rows(in_order), bound[in_order]
    # Two metrics' buckets are never mixed, though the answer has no name.
    group, first = groups(
        [
            key({name: value for name, value in labels.items() if name != BUCKET})
            for labels in vector.labels
        ]
    )
    shape = (len(first), vector.value.shape[1])
    out, found = np.zeros(shape), np.zeros(shape, np.bool_)
    by_group, offset = members(group, len(first))
    kernel.bucket_quantiles(q.value, bound, vector.value, vector.held, by_group, offset, out, found)
    labels = tuple(without(vector.labels[place], (BUCKET,)) for place in first)
    return joined(Vector(labels, out, found))


def _bounds(vector: Vector) -> F64:
    texts = [labels.get(BUCKET, "") for labels in vector.labels]
    return np.array(
        [float(text) if _NUMBER.fullmatch(text) else np.nan for text in texts], np.float64
    )
