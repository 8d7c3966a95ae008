"""What is let in of native histograms and exemplars.

A histogram is judged as a sample is: against the newest of its series, with a hash of its bytes in
the place of the value. Exemplars have no order to keep; only their time is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import xxhash

from watchkeeper.ingest import admit_kernel as kernel
from watchkeeper.model.row import Texts
from watchkeeper.model.series import F64, I32, I64, TenantId
from watchkeeper.model.signal import (
    ExemplarBatch,
    HistogramBatch,
    Reject,
    WireExemplars,
    WireHistograms,
)

Undo = tuple[I32, I64, I64]
_SEED: Final = 0x5A1E


@dataclass(frozen=True, slots=True)
class AdmittedHistograms:
    """What became of one body's histograms, and how to take it back."""

    batch: HistogramBatch | None
    n_duplicates: int
    rejects: tuple[Reject, ...]
    undo: Undo


def fingerprints(payload: Texts) -> F64:
    """What stands for a histogram where the value of a sample would."""
    found = [xxhash.xxh3_64_intdigest(payload[row], _SEED) for row in range(len(payload))]
    return np.array(found, np.uint64).view(np.float64)


def histogram_batch(
    tenant: TenantId, wire: WireHistograms, slot: I32, verdict: np.ndarray, body_hash: bytes
) -> HistogramBatch | None:
    """The accepted ones."""
    kept = np.flatnonzero(verdict == kernel.ACCEPTED)
    if not len(kept):
        return None
    return HistogramBatch(
        slot[kept], wire.time_ns[kept], wire.payload.take(kept), tenant, body_hash
    )


def exemplar_batch(
    tenant: TenantId, wire: WireExemplars, slots: I32, span_ns: tuple[int, int], body_hash: bytes
) -> tuple[ExemplarBatch | None, tuple[Reject, ...]]:
    """Those of known series and of a time that is let in; `slots` is by row of the wire."""
    earliest_ns, latest_ns = span_ns
    slot = slots[wire.row]
    future = (slot >= 0) & (wire.time_ns > latest_ns)
    too_old = (slot >= 0) & (wire.time_ns < earliest_ns)
    kept = np.flatnonzero((slot >= 0) & ~future & ~too_old)
    counts = {"future": int(future.sum()), "too_old": int(too_old.sum())}
    rejects = tuple(
        Reject(f"exemplar_{reason}", count, "the exemplar's time is out of range; see ingest.admit")
        for reason, count in counts.items()
        if count
    )
    if not len(kept):
        return None, rejects
    batch = ExemplarBatch(
        slot[kept],
        wire.time_ns[kept],
        wire.value[kept],
        wire.trace[kept],
        wire.labels.take(kept),
        tenant,
        body_hash,
    )
    return batch, rejects
