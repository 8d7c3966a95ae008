"""The product's detectors as the product runs them: samples through T1, its closed cells through
the detectors of the grid.

What a detector says is dated by the sample with whose arrival it was known: a cell is judged when
the first sample after it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from watchkeeper import plugins
from watchkeeper.analyze.detectors.base import EVIDENCE, OPENED, Detector, Findings, Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.analyze.detectors.dials import plain
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I64, U8, Kind

START_NS: Final = 1_700_006_400 * NS_PER_S
"""A midnight; when every made-up series begins."""
BATCH: Final = 100_000
T1: Final = "basic"
_GAUGE: Final = np.full(1, Kind.GAUGE, np.uint8)
_DIALS: Final = plain(1)


@dataclass(frozen=True, slots=True)
class Told:
    """What a detector said of one series: a row for each change of an episode, in order."""

    row: I64
    """Of the series: the sample with whose arrival it was known."""
    time_ns: I64
    """What it was said of; the beginning of a cell for a detector of the grid."""
    started_ns: I64
    """With what its episode began."""
    change: U8
    severity: U8
    p_value: F64

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Swept:
    """A series after T1: what it said, and the cells for whoever judges those."""

    time_ns: I64
    row: I64
    """Rows of the series that were judged: those newer than all before them."""
    said: Findings
    cells: Points
    grid_ns: int


def sweep(time_ns: I64, value: F64, **settings: Any) -> Swept:
    """Samples in order of arrival, as gauges, through T1."""
    newest = np.maximum.accumulate(time_ns)
    row = np.flatnonzero(np.concatenate([[True], time_ns[1:] > newest[:-1]]))
    time_ns, value = time_ns[row], value[row]
    config = Basic.Config(**settings)
    basic = Basic(config, capacity=1)
    parts = []
    for i in range(0, len(row), BATCH):
        batch = slice(i, i + BATCH)
        slot = np.zeros(len(value[batch]), np.int32)
        parts.append(basic.sweep(Points(slot, time_ns[batch], value[batch]), _GAUGE, _DIALS))
    cells = [part.cells.points for part in parts]
    return Swept(
        time_ns,
        row,
        _joined([part.findings for part in parts]),
        Points(*(np.concatenate([getattr(c, k) for c in cells]) for k in _COLUMNS)),
        round(config.grid_s * NS_PER_S),
    )


def told_by(name: str, swept: Swept, **settings: Any) -> Told:
    """What a detector of the table says: T1 has spoken already, others judge the cells."""
    if name == T1:
        return _told(swept.said, swept, 0)
    detector: Detector = plugins.build("detector", {"use": name, **settings}, capacity=1)
    return _told(detector.step(swept.cells, _GAUGE, _DIALS), swept, swept.grid_ns)


def strangeness(swept: Swept, n: int) -> F64:
    """By row of a series of `n` rows: -log10 of the p-value that FK gives to the cell of which the
    row made it known; 0 of rows that made none known."""
    p_values = FK(capacity=1).p_values(swept.cells, _DIALS)
    place = np.searchsorted(swept.time_ns, swept.cells.time_ns + swept.grid_ns)
    known = np.flatnonzero(place < len(swept.time_ns))
    found: F64 = np.zeros(n)
    np.maximum.at(found, swept.row[place[known]], -np.log10(p_values[known]))
    return found


def opened(values: F64, step_s: float) -> tuple[I64, I64, I64]:
    """Event times at which a regular gauge opened episodes: of T1, of FK, and of FK as evidence."""
    time_ns = START_NS + np.arange(len(values)) * round(step_s * NS_PER_S)
    swept = sweep(time_ns, values)
    samples, grid = told_by(T1, swept), told_by("fk", swept)
    return _opened(samples, 0), _opened(grid, 0), _opened(grid, EVIDENCE)


_COLUMNS: Final = ("slot", "time_ns", "value")


def _joined(parts: list[Findings]) -> Findings:
    columns: Mapping[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in Findings.__slots__
    }
    return Findings(**columns)


def _told(found: Findings, swept: Swept, after_ns: int) -> Told:
    """Dated by the first sample that is `after_ns` later; what none made known is left out."""
    place = np.searchsorted(swept.time_ns, found.time_ns + after_ns)
    known = np.flatnonzero(place < len(swept.time_ns))
    columns = (found.time_ns, found.started_ns, found.change, found.severity, found.p_value)
    return Told(swept.row[place[known]], *(column[known] for column in columns))


def _opened(told: Told, severity: int) -> I64:
    return told.time_ns[(told.change == OPENED) & (told.severity >= severity)] - START_NS
