"""Histograms for tests: registered in a real catalog, observed by chance, judged slowly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.analyze.quantiles import Quantiles
from watchkeeper.compiled.wire_kernel import hash_runs
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.receivers import schema
from watchkeeper.lake.derived import BUCKETS, NATIVE
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.model.histogram import Histogram, histogram
from watchkeeper.model.row import texts
from watchkeeper.model.series import DEFAULT_TENANT, I32, Kind
from watchkeeper.model.signal import HistogramBatch, SampleBatch, WireSamples

KEY = bytes(range(16))
Derived = tuple[str, float, float]
"""(the metric's name, seconds after the start, value)."""


@dataclass
class Shelf:
    """A catalog and what derives from it."""

    catalog: Catalog
    quantiles: Quantiles

    def register(self, *series: Mapping[str, str], origin: str = BUCKETS) -> I32:
        """Slots of series, with all that is derived of them."""
        block = make.label_block(*series)
        key = np.empty((len(block), 2), np.uint64)
        hash_runs(block.buffer, block.start, block.end, np.uint64(1), key)
        wire = WireSamples(
            key=key,
            kind=np.full(len(block), Kind.BY_NAME, np.uint8),
            row=np.arange(len(block), dtype=np.int32),
            time_ns=np.zeros(len(block), np.int64),
            value=np.zeros(len(block)),
            describe=lambda rows: make.label_block(*(series[row] for row in rows.tolist())),
        )
        slots = self.catalog.resolve(DEFAULT_TENANT, wire, START_NS).slots
        self.catalog.derive(DEFAULT_TENANT, slots, START_NS, origin=origin)
        return slots

    def register_native(self, *series: Mapping[str, str]) -> I32:
        return self.register(*series, origin=NATIVE)

    def told(self, batch: SampleBatch | None) -> list[Derived]:
        """Derived samples in words."""
        if batch is None:
            return []
        names = [labels["__name__"] for labels in self.catalog.labels(batch.slot)]
        after_s = ((batch.time_ns - START_NS) / NS_PER_S).tolist()
        return list(zip(names, after_s, batch.value.tolist(), strict=True))


def shelf() -> Shelf:
    config = CatalogConfig(max_series=200, max_donors=10)
    catalog = Catalog(KEY, config, Enrich())
    return Shelf(catalog, Quantiles(catalog, capacity=config.n_slots))


def buckets(name: str, bounds: Sequence[float], **labels: str) -> list[dict[str, str]]:
    return [
        {
            "__name__": f"{name}_bucket",
            "le": "+Inf" if bound == math.inf else f"{bound:g}",
            **labels,
        }
        for bound in bounds
    ]


def samples(rows: Sequence[tuple[int, float, float]]) -> SampleBatch:
    """Of (slot, seconds after the start, value)."""
    return SampleBatch(
        DEFAULT_TENANT,
        np.array([slot for slot, _, _ in rows], np.int32),
        np.array([START_NS + round(after_s * NS_PER_S) for _, after_s, _ in rows], np.int64),
        np.array([value for _, _, value in rows], np.float64),
    )


def natives(rows: Sequence[tuple[int, float, bytes]]) -> HistogramBatch:
    """Of (slot, seconds after the start, payload)."""
    return HistogramBatch(
        np.array([slot for slot, _, _ in rows], np.int32),
        np.array([START_NS + round(after_s * NS_PER_S) for _, after_s, _ in rows], np.int64),
        texts([payload for _, _, payload in rows]),
    )


def payload(
    positive: Mapping[int, int],
    *,
    negative: Mapping[int, int] | None = None,
    zero: int = 0,
    scale: int = 0,
    is_float: bool = False,
) -> bytes:
    """A native histogram of these counts by bucket."""
    one = schema.histogram()(schema=scale, zero_threshold=0.001, sum=1.0)
    total = zero + sum(positive.values()) + sum((negative or {}).values())
    setattr(one, "count_float" if is_float else "count_int", total)
    setattr(one, "zero_count_float" if is_float else "zero_count_int", zero)
    for sign, counts in (("positive", positive), ("negative", negative or {})):
        indices = sorted(counts)
        # An offset is the distance to the end of the span before, the first that to 0.
        for end, index in pairwise([0, *(index + 1 for index in indices)]):
            offset = index - 1 - end
            getattr(one, f"{sign}_spans").add(offset=offset, length=1)
        values = [counts[index] for index in indices]
        deltas = [after - before for before, after in pairwise([0, *values])]
        getattr(one, f"{sign}_counts" if is_float else f"{sign}_deltas").extend(
            values if is_float else deltas
        )
    raw: bytes = one.SerializeToString()
    return raw


def classic_quantile(q: float, bounds: Sequence[float], grown: Sequence[float]) -> float | None:
    """`histogram_quantile` of PromQL over cumulative growth, as its documentation has it."""
    counts = list(accumulate(grown, max))
    total = counts[-1]
    if len(bounds) < 2 or bounds[-1] != math.inf or total <= 0:
        return None
    rank = q * total
    at = next(n for n, count in enumerate([*counts[:-1], math.inf]) if count >= rank)
    if at == len(bounds) - 1:
        return bounds[-2]
    if at == 0 and bounds[0] <= 0:
        return bounds[0]
    low = bounds[at - 1] if at else 0.0
    below = counts[at - 1] if at else 0.0
    return low + (bounds[at] - low) * ((rank - below) / (counts[at] - below))


def native_quantile(q: float, raw: bytes) -> float:
    """The same of one native histogram, on the scale of its bounds."""
    told: Histogram = histogram(raw)
    rank = q * sum(one.count for one in told.buckets)
    below = 0.0
    has_negative = any(one.high < 0 for one in told.buckets)
    has_positive = any(one.low > 0 for one in told.buckets)
    for one in told.buckets:
        if one.count and below + one.count >= rank:
            share = (rank - below) / one.count
            if one.low > 0:
                return one.low * math.pow(one.high / one.low, share)
            if one.high < 0:
                return one.low * math.pow(one.high / one.low, share)
            low = 0.0 if has_positive and not has_negative else one.low
            high = 0.0 if has_negative and not has_positive else one.high
            return low + (high - low) * share
        below += one.count
    raise AssertionError("no bucket has it")
