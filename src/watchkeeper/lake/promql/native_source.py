"""Native histograms out of their table, beside the values of the same series."""

from __future__ import annotations

import numpy as np

from watchkeeper.lake.promql.native import NativePoints, Pool, unpacked
from watchkeeper.lake.promql.tree import refusal
from watchkeeper.lake.promql.values import Key, Labels, Points, Stretch, key, sort_key
from watchkeeper.lake.runs import offsets
from watchkeeper.lake.tables.base import RowQuery, Searchable
from watchkeeper.lake.tables.sources import FACES, fitting
from watchkeeper.model.detail import HistogramRows
from watchkeeper.model.series import I64, TenantId


def with_histograms(
    values: Points,
    table: Searchable[HistogramRows],
    tenant: TenantId,
    stretch: Stretch,
    most: int,
) -> Points:
    """Series of both, sorted by labels. Raises BadInput beyond `most` histograms, or buckets."""
    # A table takes these names for an entity's; to PromQL they are labels as all others.
    matchers = tuple(one for one in stretch.matchers if one.name not in FACES)
    asked = RowQuery(tenant, stretch.start_ns, stretch.end_ns, matchers, limit=most)
    found = table.search(asked)
    if found.cursor is not None:
        raise refusal(
            f"the expression needs more than server.query_samples ({most}) native histograms; "
            "narrow the range or the selector, or raise the setting"
        )
    number, labels = _series(found.batch, stretch)
    row = _rows(found.batch, found.number, number, stretch)
    if not len(row):
        return values
    pool = unpacked(found.batch.payload, row, most)
    return _beside(values, labels, number[found.batch.origin[row]], found.batch.time_ns[row], pool)


def _series(batch: HistogramRows, stretch: Stretch) -> tuple[I64, list[Labels]]:
    """Of each origin the number of its series, -1 for one that does not fit; and all labels."""
    named = [dict(one.labels) for one in batch.origins]
    fits = np.ones(len(named), np.bool_)
    for matcher in stretch.matchers:
        fits &= fitting(matcher, [labels.get(matcher.name, "") for labels in named])
    known: dict[Key, int] = {}
    labels: list[Labels] = []
    number = np.full(len(named), -1, np.int64)
    for place in np.flatnonzero(fits).tolist():
        number[place] = known.setdefault(key(named[place]), len(known))
        if len(known) > len(labels):
            labels.append(named[place])
    return number, labels


def _rows(batch: HistogramRows, came: I64, number: I64, stretch: Stretch) -> I64:
    """By series and time; of one time the first that came."""
    series, sieve = number[batch.origin], stretch.sieve
    kept = series >= 0
    if sieve is not None:
        kept &= (batch.time_ns - stretch.start_ns) % sieve.every_ns < sieve.length_ns
    row = np.flatnonzero(kept)
    row = row[np.lexsort((came[row], batch.time_ns[row], series[row]))]
    same = (np.diff(series[row]) == 0) & (np.diff(batch.time_ns[row]) == 0)
    firsts: I64 = row[np.append(np.ones(len(row[:1]), np.bool_), ~same)]
    return firsts


def _beside(values: Points, labels: list[Labels], series: I64, time_ns: I64, pool: Pool) -> Points:
    """With histograms, of which series[i] in `labels` has the i-th."""
    place = {key(one): at for at, one in enumerate(values.labels)}
    new = [one for one in labels if key(one) not in place]
    whole = sorted([*values.labels, *new], key=sort_key)
    at = {key(one): number for number, one in enumerate(whole)}
    n_values = np.zeros(len(whole), np.int64)
    n_values[[at[one] for one in place]] = np.diff(values.offset)
    to = np.array([at[key(one)] for one in labels], np.int64)[series]
    order = np.argsort(to, kind="stable")
    native = NativePoints(
        offsets(np.bincount(to, minlength=len(whole))), time_ns[order], order, pool
    )
    return Points(tuple(whole), offsets(n_values), values.time_ns, values.value, native)
