"""What repeats in a series, and by whose clock; profiles of the week for those that ask for one."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.detectors.dials import DialArray
from watchkeeper.analyze.detectors.rows import Bytes, Rows
from watchkeeper.analyze.detectors.seasons_kernel import BY_DAY, SILENT, WEEK_WIDTH, any_asks
from watchkeeper.analyze.detectors.zones import local_ns
from watchkeeper.model.series import I32, I64, Mask


class Mode(IntEnum):
    """As it stands in a dial; what nobody set is daily."""

    DAILY = 0
    NONE = 1
    WEEKLY = 2


_MODES: Final = 4


class Season(NamedTuple):
    """By point; empty where all is daily and universal."""

    local_ns: I64
    """What clocks show where the series lives."""
    place: I32
    """Of its profile of the week; BY_DAY, or SILENT where nothing repeats."""


_PLAIN: Final = Season(np.empty(0, np.int64), np.empty(0, np.int32))


def packed(mode: int, zone: int) -> int:
    """For a dial."""
    return zone * _MODES + mode


def parts(season: int) -> tuple[int, int]:
    """Of what was packed: the mode, and the zone's number."""
    zone, mode = divmod(season, _MODES)
    return mode, zone


class Weeks:
    """Rows for those that ask, in places that are given out as they are needed."""

    def __init__(self) -> None:
        self._rows = Rows(np.float32, 1, WEEK_WIDTH)
        self._place = np.empty(0, np.int32)
        """By slot; -1 for those that never asked."""
        self._free: list[int] = []
        self._n_given = 0

    @property
    def array(self) -> np.ndarray[Any, Any]:
        return self._rows.array

    @property
    def bytes_per_row(self) -> int:
        return self._rows.bytes_per_row

    @property
    def n_given(self) -> int:
        """How many series have a profile of the week."""
        return self._n_given - len(self._free)

    def of(self, points: Points, dials: DialArray) -> Season:
        """What the dials of these points ask for."""
        if not any_asks(points.slot, dials):
            return _PLAIN
        asked = dials["season"][points.slot]
        zone, mode = np.divmod(asked.astype(np.int64), _MODES)
        local = points.time_ns.copy()
        abroad = zone != 0
        local[abroad] = local_ns(local[abroad], zone[abroad])
        place = np.full(len(points), BY_DAY, np.int32)
        place[mode == Mode.NONE] = SILENT
        weekly = mode == Mode.WEEKLY
        place[weekly] = self._places(points.slot[weekly])
        return Season(local, place)

    def admit(self, slot: I32, donor: I32) -> None:
        """Start afresh, or with the donor's week."""
        if not self.n_given:
            return
        for to, given in zip(slot.tolist(), donor.tolist(), strict=True):
            if given == to:
                continue
            source = int(self._known(np.array([given], np.int32))[0]) if given >= 0 else -1
            if source < 0:
                self._release(np.array([to], np.int32))
            else:
                mine = self._places(np.array([to], np.int32))
                self._rows.admit(mine, np.array([source], np.int32))

    def take(self, slot: I32) -> Bytes:
        """Zeros for those that have none."""
        place = self._known(slot)
        known: Mask = place >= 0
        whole = np.zeros((len(slot), self.bytes_per_row), np.uint8)
        whole[known] = self._rows.take(place[known])
        return whole

    def put(self, slot: I32, rows: Bytes) -> None:
        used = rows.any(axis=1)
        self._release(slot[~used])
        if used.any():
            self._rows.put(self._places(slot[used]), rows[used])

    def _known(self, slot: I32) -> I32:
        place = np.full(len(slot), -1, np.int32)
        there = slot < len(self._place)
        place[there] = self._place[slot[there]]
        return place

    def _places(self, slot: I32) -> I32:
        """Those of these slots; given out to whoever has none."""
        top = int(slot.max(initial=-1)) + 1
        if top > len(self._place):
            larger = np.full(max(top, 2 * len(self._place)), -1, np.int32)
            larger[: len(self._place)] = self._place
            self._place = larger
        for one in np.unique(slot[self._place[slot] < 0]).tolist():
            place = self._free.pop() if self._free else self._n_given
            self._n_given = max(self._n_given, place + 1)
            self._place[one] = place
        given: I32 = self._place[slot]
        self._rows.hold(given)
        return given

    def _release(self, slot: I32) -> None:
        place = self._known(slot)
        slot, place = slot[place >= 0], place[place >= 0]
        self._rows.admit(place, np.full(len(place), -1, np.int32))
        self._place[slot] = -1
        self._free += place.tolist()
