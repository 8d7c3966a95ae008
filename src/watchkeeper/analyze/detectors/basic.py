"""T1: every sample of every series, as sent, in one pass over one 128-byte row per series.

Two streams: how far a sample is from the series' slow-moving level, and how far from the sample
before it, each in units of its own usual deviation. Their joint strangeness is judged by the tail
of the series' own past: of each cell of the grid (a minute) the strangest sample enters a running
99 % quantile and the mean excess above it, so that the budget is one of minutes, and the promise is
the same whether the sender speaks every second or every minute.

Blind to: anything that grows more slowly than the level follows (about an hour), a wrong shape at a
usual height, a season that is missing, and a recurring event after its third time in a week. It
claims no more than INFO; the grid tier knows the day and claims more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from watchkeeper.analyze.detectors import episodes
from watchkeeper.analyze.detectors.base import INFO, Dump, Findings, Points
from watchkeeper.analyze.detectors.basic_kernel import sweep
from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.analyze.detectors.rows import Rows, become_newcomers
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.baseline import Baselines
from watchkeeper.model.series import F64, I32, I64, U8, U64, Mask

ROW = np.dtype(
    [
        # What nearly every sample touches: the first cache line.
        ("last_ns", "i8"),
        ("last_raw", "f8"),  # as sent
        ("cell_sum", "f8"),  # of what was judged in the open cell, the cell of last_ns
        ("cell_max", "f4"),
        ("cell_strangest", "f4"),  # 0 until a sample of the cell was scored
        ("level", "f4"),
        ("level_dev", "f4"),  # mean distance from the level
        ("step_dev", "f4"),  # mean distance from the sample before
        ("size", "f4"),  # mean of |x|
        ("last", "f4"),  # as judged: of a counter its rate
        ("interval_s", "f4"),  # mean time between samples
        ("age_s", "f4"),  # time that was learned from
        ("cell_n", "u2"),
        ("n", "u1"),  # points learned, no longer counted from 255
        ("marks", "u1"),  # bits: 1 has a last sample; 2 and 4 count points without a step
        # The tail and the episode: the second.
        ("slow", "f4"),  # a level that takes a night to move
        ("spread", "f4"),  # mean distance from it, over a week
        ("bulk", "f4"),  # running quantile of the cells' strangest
        ("excess", "f4"),  # mean of log(strangest / bulk) above it
        ("alarm_at", "f4"),  # strangeness from which a sample is beyond the budget
        ("n_cells", "u2"),
        ("n_excess", "u2"),
        ("run_s", "f4"),  # how long the samples have been off the level on one side
        ("run", "i2"),  # how many they are, signed
        *episodes.fields(6),
        ("above", "u1"),  # whether the last cell was above `bulk`
    ]
)
FINDING = episodes.finding_dtype(2)
CELL_KINDS = (np.int32, np.int64, np.float64, np.float64, np.int32)
"""Of the columns of `Cells`, in their order."""
_COUNTED = 255
"""Points that `n` can tell; from there on they follow from the time learned."""
PERSONAL = (
    *("last_ns", "last_raw", "marks", "run", "run_s", "above"),
    *("cell_sum", "cell_max", "cell_n", "cell_strangest"),
    *episodes.PERSONAL,
)
"""What a newcomer does not take over from a donor: its last sample, open cell and episode."""


class Settings(NamedTuple):
    """What the kernel reads of the configuration, in the kernel's units."""

    grid_ns: int
    budget_per_week: float
    rearm_ns: int


@dataclass(frozen=True, slots=True)
class Cells:
    """Closed cells of the grid: what arrived of one series in one stretch of time, as judged."""

    slot: I32
    time_ns: I64
    """Where the cell begins."""
    mean: F64
    maximum: F64
    n: I32

    def __len__(self) -> int:
        return len(self.slot)

    @property
    def points(self) -> Points:
        """What a detector of the grid tier judges."""
        return Points(self.slot, self.time_ns, self.mean)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one pass over a batch brought to light."""

    findings: Findings
    cells: Cells


class Basic:
    """The sample tier, and the maker of the grid for the tier above."""

    name = "basic"
    version = 1
    claims = INFO
    streams = ("level", "difference")

    class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Settings of the detector `basic`."""

        grid_s: float = 60.0
        """Width of a cell: of the grid tier's points, and of the blocks that calibrate this."""
        budget_per_week: float = 1.0
        """Episodes per series and week that an ordinary series may cost."""
        rearm_s: float = 3600.0
        """Quiet time after an episode before an equally strange one counts as another."""

    def __init__(self, config: Config | None = None, *, capacity: int = 1 << 20) -> None:
        config = config or self.Config()
        self._settings = Settings(
            round(config.grid_s * NS_PER_S),
            config.budget_per_week,
            round(config.rearm_s * NS_PER_S),
        )
        self._rows = Rows(ROW, capacity)

    @property
    def bytes_per_series(self) -> int:
        return ROW.itemsize

    def sweep(self, points: Points, kind: U8, dials: DialArray) -> Swept:
        """One pass: findings, and the cells that these samples closed.

        A cell closes when the first finite sample of a later cell of its series arrives, so cells
        depend on samples alone.
        """
        self._rows.hold(points.slot)
        found = np.empty(len(points), FINDING)
        closed: tuple[Any, ...] = tuple(np.empty(len(points), column) for column in CELL_KINDS)
        n_found, n_closed = sweep(
            (points.slot, points.time_ns, points.value),
            (kind, dials),
            self._rows.array,
            self._settings,
            found,
            closed,
        )
        cells = Cells(*(column[:n_closed] for column in closed))
        return Swept(episodes.findings(found[:n_found]), cells)

    def step(self, points: Points, kind: U8, dials: DialArray) -> Findings:
        return self.sweep(points, kind, dials).findings

    def baselines(self, slot: I32, identity: U64) -> Baselines:
        """What is usual of these slots, of which something was learned. The mean distance from the
        level is known; a bell curve's standard deviation is larger by the root of half pi."""
        self._rows.hold(slot)
        rows = self._rows.array
        known = np.flatnonzero(rows["n"][slot])
        slot = slot[known]
        counted = rows["n"][slot].astype(np.int64)
        by_age = rows["age_s"][slot] / np.maximum(rows["interval_s"][slot], 1e-3)
        return Baselines(
            slot,
            identity[known],
            rows["level"][slot].astype(np.float64),
            rows["level_dev"][slot] * np.sqrt(np.pi / 2),
            np.where(counted < _COUNTED, counted, np.maximum(counted, by_age.astype(np.int64))),
            rows["last_ns"][slot],
        )

    def heard(self, slot: I32) -> tuple[I64, F64]:
        """The newest sample of these slots, and how long it is from one to the next."""
        self._rows.hold(slot)
        rows = self._rows.array[slot]
        return rows["last_ns"], rows["interval_s"].astype(np.float64)

    def admit(self, slot: I32, donor: I32) -> None:
        """Start afresh, or with what a donor of the same role has learned but its levels."""
        self._rows.admit(slot, donor)
        become_newcomers(self._rows.array, slot, PERSONAL)

    def holds(self, slot: I32, started_ns: I64) -> Mask:
        return episodes.holds(self._rows, slot, started_ns)

    def let_go(self, slot: I32) -> None:
        episodes.let_go(self._rows, slot)

    def dump(self, slot: I32) -> Dump:
        return {"row": self._rows.take(slot)}

    def load(self, slot: I32, state: Dump) -> None:
        self._rows.put(slot, state["row"])
