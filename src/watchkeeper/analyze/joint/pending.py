"""Cells on their way to rows: they wait until no other of their row may come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from watchkeeper.analyze.joint.space import MAX_MEMBERS
from watchkeeper.model.series import F64, I64, Mask

Row = tuple[int, int, int, float]
"""A cell: its service's number, its member, its time, its value."""
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Ready:
    """Rows of one service that wait no longer, in order of time; nan where a cell is missing."""

    number: int
    time_ns: I64
    rows: F64


class Pending:
    """Cells by place (the service's number times MAX_MEMBERS, and the member's) and time."""

    def __init__(self) -> None:
        self._parts: list[tuple[I64, I64, F64]] = []
        self.oldest_ns: int = _NEVER

    def add(self, place: I64, time_ns: I64, value: F64) -> None:
        if len(place):
            self._parts.append((place, time_ns, value))
            self.oldest_ns = min(self.oldest_ns, int(time_ns.min()))

    def take(self, before_ns: int, is_judged: Mask, n_members: Sequence[int]) -> list[Ready]:
        """Let go of the rows that began before that time, of services that are judged now."""
        place, time_ns, value = self._joined()
        due = (time_ns < before_ns) & is_judged[place // MAX_MEMBERS]
        self._keep(~due)
        order = np.lexsort((np.arange(len(place)), time_ns, place // MAX_MEMBERS))
        order = order[due[order]]
        if not len(order):
            return []
        return _rows(place[order], time_ns[order], value[order], n_members)

    def of(self, numbers: Sequence[int]) -> list[Row]:
        """What waits for these services, in order of arrival; numbered as they are given."""
        order = {number: i for i, number in enumerate(numbers)}
        columns = self._joined()
        mine = np.isin(columns[0] // MAX_MEMBERS, numbers)
        return [
            (order[place // MAX_MEMBERS], place % MAX_MEMBERS, time_ns, value)
            for place, time_ns, value in zip(*(c[mine].tolist() for c in columns), strict=True)
        ]

    def drop(self, number: int) -> None:
        self._keep(self._joined()[0] // MAX_MEMBERS != number)

    def drop_place(self, place: int) -> None:
        self._keep(self._joined()[0] != place)

    def _keep(self, kept: Mask) -> None:
        columns = self._joined()
        self._parts = [(columns[0][kept], columns[1][kept], columns[2][kept])] if kept.any() else []
        self.oldest_ns = int(columns[1][kept].min()) if kept.any() else _NEVER

    def _joined(self) -> tuple[I64, I64, F64]:
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
        if len(self._parts) > 1:
            place, time_ns, value = (np.concatenate(c) for c in zip(*self._parts, strict=True))
            self._parts = [(place, time_ns, value)]
        return self._parts[0]


def _rows(place: I64, time_ns: I64, value: F64, n_members: Sequence[int]) -> list[Ready]:
    """Cells in order of service and time, as a row for each time."""
    number = place // MAX_MEMBERS
    new_service = np.diff(number, prepend=-1) != 0
    new_row = new_service | (np.diff(time_ns, prepend=-1) != 0)
    row = np.cumsum(new_row) - 1
    ready = []
    for own in np.split(np.arange(len(place)), np.flatnonzero(new_service)[1:]):
        which, first = int(number[own[0]]), row[own[0]]
        rows = np.full((int(row[own[-1]] - first) + 1, n_members[which]), np.nan)
        rows[row[own] - first, place[own] % MAX_MEMBERS] = value[own]
        ready.append(Ready(which, time_ns[own][new_row[own]], rows))
    return ready
