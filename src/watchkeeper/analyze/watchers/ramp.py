"""`ramp`: tells of what climbs slowly and steadily, and how long until it is full.

Means of half-hours over the last six hours. A leak is a climb (or, of what is free, a fall) whose
steps agree far more than those of a random walk would, to where no day of the week before was. The
morning's climb is none: yesterday was there too. Where the limit is known (a share, a percentage,
what is free, or a metric beside it that names the limit), the line is drawn on to it; only there
is a ramp told of before a day is known.

Blind to: climbs over in less than six hours (detectors of single points see them), or slower than
a tenth in six hours; what climbs in stairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED
from watchkeeper.analyze.known_series import KnownSeries
from watchkeeper.analyze.watchers.base import Open, Seen, Sighting
from watchkeeper.analyze.watchers.by_slot import BySlot
from watchkeeper.analyze.watchers.ramp_kernel import (
    BLOCK_NS,
    N_BLOCKS,
    N_DAYS,
    climb,
    gather,
    is_news,
    remarkable,
    stalled,
)
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import I32, Kind, Mask, Series

ROW = np.dtype(
    [
        ("block", "i8"),  # the open one
        ("day", "i8"),
        ("since_ns", "i8"),  # start of the ramp that is told; 0 is none
        ("total", "f8"),  # of the open block
        ("last", "f8"),
        ("means", "f4", (N_BLOCKS,)),  # of the closed ones, the newest last
        ("top", "f4", (N_DAYS,)),  # highest mean of each day, today first
        ("bottom", "f4", (N_DAYS,)),
        ("told_hours", "f4"),  # until full, as it was last told
        ("n", "u4"),  # points in the open block
        ("filled", "u4"),  # blocks in a row
        ("spare", "u4"),  # rows are whole words
    ]
)
WATCHED: Final = frozenset({MetricClass.RESOURCE, MetricClass.QUEUE})
SURE: Final = 6.0
"""t value of a ramp: one in ten thousand, were the steps independent; it must be news, too."""
LEAST_GROWTH: Final = 0.1
"""Of the level, in six hours."""
FIRST_DAY_H: Final = 4.0
"""Until a day is known, a climb may be that of any morning, unless it is as near its limit."""
HOURS_A_BLOCK: Final = BLOCK_NS / 3.6e12
SHARES: Final = ("_ratio", "_utilization", ".utilization", "_fraction")
PERCENTAGES: Final = ("_percent", "_pct", "_percentage")
FREE: Final = ("_avail_bytes", "_free_bytes", "_available_bytes", "MemAvailable_bytes", "_free")
LIMITS: Final[Mapping[str, str]] = {
    "process_open_fds": "process_max_fds",
    "container_memory_working_set_bytes": "container_spec_memory_limit_bytes",
    "container_memory_usage_bytes": "container_spec_memory_limit_bytes",
    "jvm_memory_used_bytes": "jvm_memory_max_bytes",
    "redis_memory_used_bytes": "redis_memory_max_bytes",
    "hikaricp_connections_active": "hikaricp_connections_max",
    "db_client_connections_usage": "db_client_connections_max",
}
"""What has its limit in a metric of the same labels."""

Key = tuple[str, str, frozenset[tuple[str, str]]]


class Ramp:
    """Rows by slot, for one thread."""

    name = "ramp"
    version = 1

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the watcher `ramp`."""

        horizon_h: Annotated[float, Meta(gt=0)] = 24.0
        """What will be full within so many hours is evidence; what takes longer is shown."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        catalog: KnownSeries,
        class_of: Callable[[int], MetricClass],
    ) -> None:
        self._config = config or self.Config()
        self._catalog = catalog
        self._class_of = class_of
        self._slots = BySlot(ROW, catalog, self._wants)
        self._limits: dict[Key, int] = {}
        """The slot of what is the limit of others."""
        self._limit_slots: dict[int, Key] = {}

    def see(self, seen: Seen) -> None:
        cells = seen.cells
        if not len(cells):
            return
        self._note_names(self._slots.meet(cells.slot))
        columns = (cells.slot, cells.time_ns, cells.value)
        gather(columns, self._slots.rows, self._slots.watched, self._slots.fresh)

    def tick(self, now_ns: int, partitions: Mask) -> Sequence[Sighting]:
        fresh = self._slots.take_fresh(now_ns, partitions, self._remarkable)
        found = [self._look(slot, now_ns) for slot in fresh]
        return [one for one in found if one is not None]

    def holds(self, one: Open) -> bool:
        row = self._slots.row_of(one.series)
        return row is not None and int(row["since_ns"]) == one.started_ns

    def let_go(self, series: str) -> None:
        self._slots.clear(series, "since_ns")

    def dump(self, partition: int) -> bytes:
        return self._slots.dump(partition)

    def load(self, partition: int, state: bytes) -> None:
        self._note_names(self._slots.load(partition, state))

    def _wants(self, slots: I32) -> Sequence[bool]:
        return [
            self._catalog.kind[slot] != Kind.COUNTER
            and (self._class_of(slot) in WATCHED or labels.get("__name__") in _BOTH_NAMES)
            for slot, labels in zip(slots.tolist(), self._catalog.labels(slots), strict=True)
        ]

    def _note_names(self, slots: I32) -> None:
        """Among series that are new here, remember those that are the limit of others."""
        known = self._catalog.labels(slots) if len(slots) else ()
        for slot, labels in zip(slots.tolist(), known, strict=True):
            self._forget_limit(slot)
            name = labels.get("__name__", "")
            if name in _LIMIT_NAMES:
                key = _key(self._catalog.series(slot), name)
                self._limits[key] = slot
                self._limit_slots[slot] = key

    def _forget_limit(self, slot: int) -> None:
        key = self._limit_slots.pop(slot, None)
        if key is not None and self._limits.get(key) == slot:
            del self._limits[key]

    def _remarkable(self, slots: I32) -> I32:
        found: I32 = remarkable(slots, self._slots.rows, SURE, LEAST_GROWTH)
        return found

    # Below: one series, a block of which was closed, that climbs.

    def _look(self, slot: int, now_ns: int) -> Sighting | None:
        row = self._slots.rows[slot]
        step, sure, now = climb(row)
        if row["since_ns"]:
            return self._go_on(slot, row, (step, sure, now), now_ns)
        series = self._catalog.series(slot)
        hours = self._hours_left(series, now, step)
        known, beyond = is_news(row, step, now)
        near = hours is not None and hours <= FIRST_DAY_H
        if not (beyond if known else near):
            return None
        row["since_ns"] = (int(row["block"]) - N_BLOCKS) * BLOCK_NS
        row["told_hours"] = math.inf if hours is None else hours
        return self._sighting(series, row, (step, sure, now), (OPENED, now_ns))

    def _go_on(
        self, slot: int, row: Any, found: tuple[float, float, float], now_ns: int
    ) -> Sighting | None:
        """One that is told: it is over, or nearer by half, or nothing new."""
        series = self._catalog.series(slot)
        step, _, now = found
        hours = self._hours_left(series, now, step)
        change = CLOSED if stalled(row) else WORSENED
        if change == WORSENED and not self._is_nearer(hours, float(row["told_hours"])):
            return None
        if hours is not None and change == WORSENED:
            row["told_hours"] = hours
        told = self._sighting(series, row, found, (change, now_ns))
        if change == CLOSED:
            row["since_ns"] = 0
        return told

    def _is_nearer(self, hours: float | None, told: float) -> bool:
        """By half, or within the horizon now."""
        return hours is not None and (hours <= 0.5 * told or hours <= self._config.horizon_h < told)

    def _hours_left(self, series: Series, now: float, step: float) -> float | None:
        """Until the limit is reached at this pace; None where none is known in this direction."""
        limit = self._limit(series)
        rises = step > 0.0
        if limit is None or (limit - now) * step <= 0.0 or rises != (limit > 0.0):
            return None
        return (limit - now) / step * HOURS_A_BLOCK

    def _limit(self, series: Series) -> float | None:
        name = series.labels.get("__name__", "")
        if name in LIMITS:
            slot = self._limits.get(_key(series, LIMITS[name]))
            value = 0.0 if slot is None else float(self._slots.rows[slot]["last"])
            return value if value > 0.0 else None
        if name.endswith(FREE):
            return 0.0
        if name.endswith(SHARES):
            return 1.0
        return 100.0 if name.endswith(PERCENTAGES) else None

    def _sighting(
        self, series: Series, row: Any, found: tuple[float, float, float], told: tuple[int, int]
    ) -> Sighting:
        step, sure, now = found
        hours = float(row["told_hours"])
        soon = hours <= self._config.horizon_h
        before = float(row["means"][0])
        evidence = {"per_hour": step / HOURS_A_BLOCK, "sureness": sure}
        if math.isfinite(hours):
            evidence["hours_left"] = hours
        return Sighting(
            tenant=series.tenant,
            entity=series.entity,
            labels={**series.labels, "finding": "ramp"},
            started_ns=int(row["since_ns"]),
            time_ns=told[1],
            change=told[0],
            severity=Severity.EVIDENCE if soon else Severity.INFO,
            value=now,
            expected_low=before,
            expected_high=before,
            p_value=chance(sure),
            series=series.identity.hex(),
            evidence=evidence,
        )


_LIMIT_NAMES: Final = frozenset(LIMITS.values())
_BOTH_NAMES: Final = _LIMIT_NAMES | LIMITS.keys()


def _key(series: Series, name: str) -> Key:
    rest = {label: text for label, text in series.labels.items() if label != "__name__"}
    return series.tenant, name, frozenset(rest.items())


def chance(t: float) -> float:
    """Both tails of Student's distribution with ten degrees of freedom, which is even: a sum."""
    share = 1.0 / (1.0 + t * t / 10.0)
    term, total = 1.0, 1.0
    for k in range(1, 5):
        term *= (2 * k - 1) / (2 * k) * share
        total += term
    return min(max(1.0 - math.sqrt(1.0 - share) * total, 1e-30), 1.0)
