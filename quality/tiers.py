"""Both tiers as the product runs them: samples through T1, its closed cells through FK."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from watchkeeper.analyze.detectors.base import EVIDENCE, OPENED, Findings, Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I64, Kind

START_NS: Final = 1_700_006_400 * NS_PER_S
"""A midnight; when every made-up series begins."""
BATCH: Final = 100_000
_GAUGE: Final = np.full(1, Kind.GAUGE, np.uint8)


def opened(values: F64, step_s: float) -> tuple[I64, I64, I64]:
    """Event times at which a regular gauge opened episodes: of T1, of FK, and of FK as evidence."""
    basic, grid = Basic(capacity=1), FK(capacity=1)
    told: list[tuple[Findings, Findings]] = []
    for i in range(0, len(values), BATCH):
        value = values[i : i + BATCH]
        time_ns = START_NS + np.arange(i, i + len(value)) * round(step_s * NS_PER_S)
        swept = basic.sweep(Points(np.zeros(len(value), np.int32), time_ns, value), _GAUGE)
        told.append((swept.findings, grid.step(swept.cells.points, _GAUGE)))
    samples = [one for one, _ in told]
    cells = [one for _, one in told]
    return (_times(samples, 0), _times(cells, 0), _times(cells, EVIDENCE))


def _times(parts: list[Findings], severity: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate(
        [
            part.time_ns[(part.change == OPENED) & (part.severity >= severity)] - START_NS
            for part in parts
        ]
    )
