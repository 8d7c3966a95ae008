"""The columns that the kernels of remote write write."""

from __future__ import annotations

import numpy as np

from watchkeeper.ingest.receivers import remote_write_kernel as kernel
from watchkeeper.model.series import F64, I64, U8, U64, LabelBlock
from watchkeeper.model.signal import Reject, WireSamples


class Columns:
    """Used again from body to body."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: tuple[U64, I64, I64] = (
            np.empty((capacity, 2), np.uint64),
            np.empty(capacity, np.int64),
            np.empty(capacity, np.int64),
        )
        self.samples: tuple[I64, I64, F64] = (
            np.empty(capacity, np.int64),
            np.empty(capacity, np.int64),
            np.empty(capacity, np.float64),
        )
        self.aside: I64 = np.empty((capacity, kernel.ASIDE_COLUMNS), np.int64)

    def take(self, buffer: U8, counts: list[int], rejects: tuple[Reject, ...]) -> WireSamples:
        """The columns as the caller's own."""
        n_rows, n_samples = counts[kernel.N_ROWS], counts[kernel.N_SAMPLES]
        key, start, end = self.rows
        start, end = start[:n_rows].copy(), end[:n_rows].copy()
        row, time_ns, value = self.samples
        return WireSamples(
            key=key[:n_rows].copy(),
            kind=np.zeros(n_rows, np.uint8),  # Kind.BY_NAME, four times as fast as np.full
            row=row[:n_samples].astype(np.int32),
            time_ns=time_ns[:n_samples].copy(),
            value=value[:n_samples].copy(),
            describe=lambda rows: LabelBlock(buffer, start[rows], end[rows]),
            rejects=rejects,
        )
