"""`flatline`: tells of a busy metric that stands still, to the last digit.

A sensor that is stuck, an exporter that repeats what it had, a queue that nobody serves any more:
its value is a usual one, so no detector of values minds it. What always moved, and has now been the
same for five times as many points as ever before, and at least a quarter of an hour, is told once.

Blind to: what stands still half of the time, or moves by rounding; the first 500 points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from watchkeeper.analyze.detectors.base import CLOSED, OPENED
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.watchers.base import Open, Seen, Sighting
from watchkeeper.analyze.watchers.by_slot import BySlot
from watchkeeper.analyze.watchers.flatline_kernel import CALM, MOVED, STUCK, TOLD, gather
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import I32, Mask

ROW = np.dtype(
    [
        ("last_ns", "i8"),
        ("began_ns", "i8"),  # of the present run
        ("since_ns", "i8"),  # of the run that is told
        ("value", "f8"),
        ("longest", "f8"),  # run so far, fading
        ("n", "i8"),  # points
        ("moves", "i8"),  # points that were another than the one before
        ("run", "i4"),  # equal points up to now
        ("phase", "u4"),
    ]
)
STILL: Final = frozenset({MetricClass.STATE})
"""Whose nature it is to stand still."""


class Flatline:
    """Rows by slot, for one thread."""

    name = "flatline"
    version = 1

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the watcher `flatline`: there are none."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        catalog: KnownSeries,
        class_of: Callable[[int], MetricClass],
    ) -> None:
        self._catalog = catalog
        self._class_of = class_of
        self._slots = BySlot(ROW, catalog, self._wants)

    def see(self, seen: Seen) -> None:
        cells = seen.cells
        if not len(cells):
            return
        self._slots.meet(cells.slot)
        columns = (cells.slot, cells.time_ns, cells.value)
        gather(columns, self._slots.rows, self._slots.watched, self._slots.fresh)

    def tick(self, now_ns: int, partitions: Mask) -> Sequence[Sighting]:
        found = []
        for slot in self._slots.take_fresh(now_ns, partitions):
            row = self._slots.rows[slot]
            if row["phase"] == MOVED:
                found.append(self._sighting(slot, row, CLOSED, now_ns))
                row["phase"] = CALM
            elif row["phase"] == STUCK:
                row["since_ns"] = row["began_ns"]
                row["phase"] = TOLD
                found.append(self._sighting(slot, row, OPENED, now_ns))
        return found

    def holds(self, one: Open) -> bool:
        row = self._slots.row_of(one.series)
        if row is None or row["phase"] not in (TOLD, MOVED):
            return False
        return int(row["since_ns"]) == one.started_ns

    def let_go(self, series: str) -> None:
        self._slots.clear(series, "phase")

    def dump(self, partition: int) -> bytes:
        return self._slots.dump(partition)

    def load(self, partition: int, state: bytes) -> None:
        self._slots.load(partition, state)

    def _wants(self, slots: I32) -> Sequence[bool]:
        return [self._class_of(slot) not in STILL for slot in slots.tolist()]

    def _sighting(self, slot: int, row: Any, change: int, now_ns: int) -> Sighting:
        series = self._catalog.series(slot)
        value = float(row["value"])
        run = float(row["run"])
        return Sighting(
            tenant=series.tenant,
            entity=series.entity,
            labels={**series.labels, "finding": "flatline"},
            started_ns=int(row["since_ns"]),
            time_ns=now_ns,
            change=change,
            severity=Severity.EVIDENCE,
            value=value,
            expected_low=value,
            expected_high=value,
            p_value=1.0 / (int(row["n"]) + 1.0),
            series=series.identity.hex(),
            evidence={"equal_points": run, "longest_before": float(row["longest"])},
        )
