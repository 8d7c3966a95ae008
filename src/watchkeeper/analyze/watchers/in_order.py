"""History in order of time: a request of an import brings hours of a series, and then the next."""

from __future__ import annotations

from typing import Final

import numpy as np

from watchkeeper.analyze.detectors.base import Points
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I32, I64

AT_ONCE_NS: Final = 150 * NS_PER_S
"""Half of the bins that may be open: what spans no more is taken as it comes."""


def in_order(points: Points) -> tuple[I32, I64, F64]:
    """Slots, times and values. As they come, a service would be judged by its first series alone,
    and find its bins closed when the others follow."""
    times = points.time_ns
    if int(times.max()) - int(times.min()) <= AT_ONCE_NS:
        return points.slot, times, points.value
    order = np.argsort(times, kind="stable")
    return points.slot[order], times[order], points.value[order]
