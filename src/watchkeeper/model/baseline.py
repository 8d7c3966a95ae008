"""What is usual of series, as a detector has learned it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from watchkeeper.model.series import F64, I32, I64, U64


@dataclass(frozen=True, slots=True)
class Baselines:
    """Columns, one row per series of which something was learned."""

    slot: I32
    identity: U64
    """(n, 2)"""
    mean: F64
    """The level that is followed; of a counter, that of its rate per second."""
    std_dev: F64
    n: I64
    """Samples learned from, about."""
    newest_ns: I64
    """Event time of the last of them."""

    def __len__(self) -> int:
        return len(self.slot)


NOTHING_LEARNED: Final = Baselines(
    np.empty(0, np.int32),
    np.empty((0, 2), np.uint64),
    np.empty(0, np.float64),
    np.empty(0, np.float64),
    np.empty(0, np.int64),
    np.empty(0, np.int64),
)
