"""Accepted samples with what follows from them: as the lake keeps them, to be read.

The lake computes what the detector computes, from the same records by the same step, so neither
waits for the other. What it knows of histograms is not kept: after a restart it takes one time of
all buckets to begin again, so that one value of each derived series is missing there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from watchkeeper.analyze.quantiles import Quantiles
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import HistogramBatch, SampleBatch, Tick

_NOTHING = SampleBatch(
    DEFAULT_TENANT, np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64)
)


class Derivation:
    """Takes records in the order of the log, each once."""

    def __init__(self, quantiles: Quantiles) -> None:
        self._quantiles = quantiles
        self._now_ns = 0

    def __call__(self, record: Any) -> SampleBatch:
        """The samples that a record stands for; an empty batch for one that has none."""
        match record:
            case SampleBatch():
                return _joined(record, self._quantiles.of_samples(record, self._now_ns))
            case HistogramBatch():
                return self._quantiles.of_histograms(record, self._now_ns) or _NOTHING
            case Tick():
                self._now_ns = record.now_ns
        return _NOTHING


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
