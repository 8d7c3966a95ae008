"""What the grid's detector would have expected at any time: judged anew from stored samples.

The detectors of the settings in force begin with nothing and judge what is given to them, in event
time, as they judge what arrives. Where that is all that the series ever had, the band at the peak
of an anomaly is the anomaly's, bit for bit; where it is less, they know less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np

from watchkeeper import plugins
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.detectors.basic import Basic
from watchkeeper.analyze.detectors.dials import Dials
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.analyze.plan import Plan
from watchkeeper.model.series import F64, I64, Entity, Kind

_GRID: Final = FK.name


@dataclass(frozen=True, slots=True)
class Judged:
    """A series, as far as its judges ask."""

    labels: Mapping[str, str]
    kind: Kind
    entity: Entity = field(default_factory=Entity)


@dataclass(frozen=True, slots=True)
class Band:
    """Of one series, a row for each point of the grid; NaN and 1 where nothing can be told."""

    detector: str
    """Empty where no detector of the grid that knows bands judges the series."""
    time_ns: I64
    """Where the cell begins."""
    value: F64
    """As judged: of a counter its rate."""
    low: F64
    high: F64
    p_value: F64


def bands(
    document: DetectionConfig, series: Sequence[Judged], samples: Points, since_ns: int
) -> list[Band]:
    """Of each series; the slot of a sample is its series' number. What was before `since_ns` is
    learned from and not told."""
    plan = Plan(document)
    specs = {str(spec.get("use")): spec for spec in document.detectors}
    dials = Dials(len(series))
    every = np.arange(len(series), dtype=np.int32)
    dials.hold(every)
    routes = [plan.route(one.labels, one.kind, one.entity) for one in series]
    for slot, route in enumerate(routes):
        dials.turn(slot, route.dial)
    if not document.detectors:
        return [_none() for _ in series]
    basic = cast(Basic, _built(specs, Basic.name, len(series)))
    kinds = np.array([one.kind for one in series], np.uint8)
    cells = basic.sweep(samples, kinds, dials.array).cells.points
    told = cells.time_ns >= since_ns
    before, points = _some(cells, ~told), _some(cells, told)
    p_value, band = np.ones(len(points)), np.full((len(points), 2), np.nan)
    if _GRID in specs:
        detector = cast(FK, _built(specs, _GRID, len(series)))
        detector.step(before, kinds, dials.array)
        p_value, band = detector.bands(points, dials.array)
    bit = 1 << plan.grid.index(_GRID) if _GRID in plan.grid else 0
    found = []
    for slot, route in enumerate(routes):
        rows = np.flatnonzero(points.slot == slot)
        judged = bool(route.detectors & bit)
        low, high = (band[rows].T) if judged else np.full((2, len(rows)), np.nan)
        likely = p_value[rows] if judged else np.ones(len(rows))
        name = _GRID if judged else ""
        found.append(Band(name, points.time_ns[rows], points.value[rows], low, high, likely))
    return found


def thinned(band: Band, step_ns: int) -> Band:
    """One row for each step: the strangest of it, the last of several."""
    if not len(band.time_ns):
        return band
    order = np.lexsort((-np.arange(len(band.time_ns)), band.p_value, band.time_ns // step_ns))
    step = band.time_ns[order] // step_ns
    rows = order[np.flatnonzero(np.append(True, step[1:] != step[:-1]))]
    return Band(
        band.detector,
        band.time_ns[rows],
        band.value[rows],
        band.low[rows],
        band.high[rows],
        band.p_value[rows],
    )


def _built(specs: Mapping[str, Mapping[str, Any]], name: str, capacity: int) -> Any:
    return plugins.build("detector", specs[name], capacity=capacity)


def _some(points: Points, rows: Any) -> Points:
    return Points(points.slot[rows], points.time_ns[rows], points.value[rows])


def _none() -> Band:
    nothing = np.empty(0)
    return Band("", np.empty(0, np.int64), nothing, nothing, nothing, nothing)
