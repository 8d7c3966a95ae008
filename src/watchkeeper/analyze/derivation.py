"""Accepted samples with what follows from them: as the lake keeps them, to be read.

The lake computes what the detector computes, from the same records by the same step, so neither
waits for the other. What it knows of histograms and spans is not kept: after a restart it takes
one time of all buckets to begin again, so that one value of each derived series is missing there,
and what is counted of spans begins again from zero, as a counter does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from watchkeeper.analyze.quantiles import Quantiles
from watchkeeper.analyze.red import Red
from watchkeeper.lake.series import Catalog
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import HistogramBatch, SampleBatch, SpanBatch, Tick

_NOTHING = SampleBatch(
    DEFAULT_TENANT, np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64)
)


@dataclass(frozen=True, slots=True)
class Deriving:
    """The steps that make samples of records; each reader of the log has its own."""

    quantiles: Quantiles
    red: Red


def deriving(catalog: Catalog, capacity: int) -> Deriving:
    return Deriving(Quantiles(catalog, capacity=capacity), Red(catalog))


class Derivation:
    """Takes records in the order of the log, each once."""

    def __init__(self, steps: Deriving) -> None:
        self._quantiles = steps.quantiles
        self._red = steps.red
        self._now_ns = 0

    def __call__(self, record: Any) -> SampleBatch:
        """The samples that a record stands for; an empty batch for one that has none."""
        match record:
            case SampleBatch():
                return _joined(record, self._quantiles.of_samples(record, self._now_ns))
            case HistogramBatch():
                return self._quantiles.of_histograms(record, self._now_ns) or _NOTHING
            case SpanBatch():
                self._red.of_spans(record)
            case Tick():
                self._now_ns = record.now_ns
                return self._of_spans(record.now_ns)
        return _NOTHING

    def _of_spans(self, now_ns: int) -> SampleBatch:
        """What is told of them now. The batch may be of several tenants: a slot knows its own."""
        whole = _NOTHING
        for told in self._red.tick(now_ns):
            whole = _joined(whole, _joined(told, self._quantiles.of_samples(told, now_ns)))
        return whole


def _joined(batch: SampleBatch, derived: SampleBatch | None) -> SampleBatch:
    if derived is None:
        return batch
    return SampleBatch(
        batch.tenant,
        np.concatenate([batch.slot, derived.slot]),
        np.concatenate([batch.time_ns, derived.time_ns]),
        np.concatenate([batch.value, derived.value]),
        batch.body_hash,
    )
