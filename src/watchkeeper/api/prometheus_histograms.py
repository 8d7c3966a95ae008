"""Native histograms as Prometheus writes them: bounds and counts of buckets that are not empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from watchkeeper.api.prometheus_numbers import number, numbers
from watchkeeper.lake.promql.native import Native, Pool
from watchkeeper.lake.promql.native_kernel import COUNT, SUM
from watchkeeper.model.series import I64

_WITH_BOTH: Final = 3
Told = dict[str, Any]


def told_histograms(native: Native) -> Mapping[tuple[int, int], Told]:
    """By series and step."""
    held = native.held
    cells = zip(*(at.tolist() for at in np.nonzero(held)), strict=True)
    return dict(zip(cells, told_rows(native.pool, native.place[held]), strict=True))


def told_rows(pool: Pool, row: I64) -> list[Told]:
    """These rows of a pool."""
    ends, low, high, count = pool.ladders(row)
    lows, highs, counts = numbers(low), numbers(high), numbers(count)
    # Which bounds belong to a bucket: 0 the upper one, 1 the lower one, 2 none, 3 both.
    kinds = np.select([(low <= 0) & (high >= 0), low < 0, high > 0], [_WITH_BOTH, 1, 0], 2).tolist()
    buckets = list(zip(kinds, lows, highs, counts, strict=True))
    edges, told = ends.tolist(), []
    for at, one in enumerate(row.tolist()):
        shape = {
            "count": number(pool.head[one, COUNT]),
            "sum": number(pool.head[one, SUM]),
        }
        some = buckets[edges[at] : edges[at + 1]]
        told.append({**shape, "buckets": some} if some else shape)
    return told
