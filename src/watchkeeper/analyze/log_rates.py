"""How many lines of a template come in a minute: too many, too few, none.

Each template that is watched has a row here, and so has all that a service says. The square root of
its count, whose deviation does not grow with it, is judged by the calibrated detector on its own
history. Silence is judged by what should have come meanwhile: the usual count of this hour of day,
or that of the last three hours if it is less, summed up over the minutes without a line. Beside it
stands the longest such gap that was seen twice.

Blind to: silence of what has less than ten lines an hour; a rate that dies away over hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from watchkeeper.analyze.detectors.base import Findings, Points
from watchkeeper.analyze.detectors.dials import plain
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import F64, I32, I64, Mask

HOUR_NS: Final = 3600 * NS_PER_S
DAY_MINUTES: Final = 1440
WEEK_MINUTES: Final = 7 * DAY_MINUTES
LEAST_PER_MINUTE: Final = 10 / 60
"""Expected lines below which silence says nothing."""
LEAST_GAP: Final = 3.0
"""Expected periods without a line before silence is told."""
_KNOWN: Final = 30
"""Minutes of an hour of day after which its usual count is known."""
_MEMORY: Final = 180
"""Minutes within one hour of day that its usual count remembers: three days."""
_RECENT, _LATELY = 1 / 180, 1 / 10
"""What a minute weighs in the rate of the last hours, and of the last minutes."""
_FADE: Final = 1.0 - 1.0 / (4 * WEEK_MINUTES)
_ROW: Final = np.dtype(
    [
        ("usual", "f4", 24),
        ("visits", "u2", 24),
        ("n_minutes", "i8"),
        ("n_lines", "f8"),
        ("recent", "f8"),
        ("lately", "f8"),
        ("gap", "f8"),
        ("longest", "f8"),
        ("second", "f8"),
    ]
)
Dump = dict[str, tuple[tuple[int, ...], bytes]]


class LogRates:
    """Rows for all services of a process. For one thread."""

    def __init__(self, capacity: int) -> None:
        self._fk = FK(FK.Config(budget_per_week=0.004), capacity=capacity)
        self._rows: Any = np.zeros(0, _ROW)
        self._free: list[int] = []
        self._capacity = capacity
        self._kind, self._dials = np.ones(0, np.uint8), plain(0)
        self.streams: Sequence[str] = FK.streams

    def begin(self) -> int | None:
        """A row for who is new; None where there is no room."""
        if not self._free:
            n = len(self._rows)
            room = min(self._capacity, max(64, 2 * n))
            if room == n:
                return None
            self._rows = np.concatenate((self._rows, np.zeros(room - n, _ROW)))
            self._kind, self._dials = np.ones(room, np.uint8), plain(room)
            self._free = list(range(room - 1, n - 1, -1))
        slot = self._free.pop()
        self._rows[slot] = np.zeros((), _ROW)
        self._fk.admit(np.array([slot], np.int32), np.array([-1], np.int32))
        return slot

    def end(self, slot: int) -> None:
        """This row is free again."""
        self._free.append(slot)

    def judge(self, slots: I32, minute_ns: int, counts: F64) -> Findings:
        """What is strange of the counts of a minute; in square roots, as `FK` saw them."""
        times: I64 = np.full(len(slots), minute_ns, np.int64)
        return self._fk.step(Points(slots, times, np.sqrt(counts)), self._kind, self._dials)

    def listen(self, slots: I32, minute_ns: int, counts: F64, *, total: int) -> tuple[F64, Mask]:
        """How many lines are missing of each by now, and whether that was ever so; then learn.

        `total` is the place of the row of all lines: where all come less often, each is expected
        less. A day has to be known before anything is missing.
        """
        rows = self._rows[slots]
        hour = minute_ns // HOUR_NS % 24
        expected = np.minimum(_usual(rows, hour), rows["recent"])
        whole = min(float(rows["lately"][total]), float(counts[total]))
        share = min(1.0, whole / max(float(expected[total]), 1e-9))
        expected *= np.where(np.arange(len(slots)) == total, 1.0, share)
        is_silent = counts == 0
        ended = np.where(is_silent, 0.0, rows["gap"])
        grown = np.where(expected >= LEAST_PER_MINUTE, expected, 0.0)
        rows["gap"] = np.where(is_silent, rows["gap"] + grown, 0.0)
        least = np.maximum(LEAST_GAP, 2.0 * rows["second"])
        is_missed: Mask = (rows["gap"] >= least) & (rows["n_minutes"] >= DAY_MINUTES)
        _remember_gap(rows, ended)
        _learn(rows, hour, counts)
        self._rows[slots] = rows
        return rows["gap"], is_missed

    def dump(self, slots: I32) -> Dump:
        arrays = {"rows": np.ascontiguousarray(self._rows[slots]).view(np.uint8)}
        arrays |= dict(self._fk.dump(slots))
        return {
            name: (np.shape(one), np.ascontiguousarray(one).tobytes())
            for name, one in arrays.items()
        }

    def load(self, slots: I32, state: Dump) -> None:
        arrays = {
            name: np.frombuffer(data, np.uint8).reshape(shape)
            for name, (shape, data) in state.items()
        }
        self._rows[slots] = arrays.pop("rows").view(_ROW)
        self._fk.load(slots, arrays)


def _usual(rows: Any, hour: int) -> F64:
    """Of this hour of day, and of those beside it, the least; a mean while they are not known."""
    usual = rows["usual"][:, [hour - 1, hour, (hour + 1) % 24]]
    known = rows["visits"][:, [hour - 1, hour, (hour + 1) % 24]] >= _KNOWN
    least = np.where(known, usual, np.inf).min(axis=1)
    mean = rows["n_lines"] / np.maximum(rows["n_minutes"], 1)
    expected: F64 = np.where(known[:, 1], least, mean).astype(np.float64)
    return expected


def _remember_gap(rows: Any, ended: F64) -> None:
    """What was seen twice is known: a single outage does not make the next one usual."""
    longest, second = rows["longest"] * _FADE, rows["second"] * _FADE
    rows["second"] = np.maximum(second, np.minimum(longest, ended))
    rows["longest"] = np.maximum(longest, ended)


def _learn(rows: Any, hour: int, counts: F64) -> None:
    visits = rows["visits"][:, hour]
    weight = 1.0 / np.minimum(visits + 1.0, _MEMORY)
    rows["usual"][:, hour] += weight * (counts - rows["usual"][:, hour])
    rows["visits"][:, hour] = np.minimum(visits + 1, _MEMORY)
    rows["n_minutes"] += 1
    for name, least_weight in (("recent", _RECENT), ("lately", _LATELY)):
        rows[name] += np.maximum(least_weight, 1.0 / rows["n_minutes"]) * (counts - rows[name])
    rows["n_lines"] += counts
