"""A detector that judges some of all series, and has rows for those alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from watchkeeper.analyze.detectors.base import Detector, Dump, Findings, Points
from watchkeeper.analyze.detectors.dials import DIAL, DialArray
from watchkeeper.compiled.memory import reserve
from watchkeeper.model.series import I32, I64, U8, Mask


class Some:
    """As the detector behind it, whose slots are places that are given out as they are needed.

    A place that is given back is as if it had never been used. Which series has which place is
    nobody's business: it shows in no finding and no dump.
    """

    def __init__(self, detector: Detector, n_slots: int) -> None:
        """`detector` is this one's own; `n_slots` is the number of all slots."""
        self.detector = detector
        self.name = detector.name
        self.streams = detector.streams
        self.version = detector.version
        self.claims = detector.claims
        self._place = np.full(n_slots, -1, np.int32)
        self._slot = np.zeros(n_slots, np.int32)
        """By place."""
        self._kind: U8 = np.zeros(n_slots, np.uint8)
        self._dials: DialArray = reserve(n_slots, DIAL)
        self._n_given = 0
        self._free: list[int] = []

    @property
    def n_judged(self) -> int:
        """How many series have a place."""
        return self._n_given - len(self._free)

    def step(self, points: Points, kind: U8, dials: DialArray) -> Findings:
        places = self._places(points.slot)
        self._kind[places] = kind[points.slot]
        self._dials[places] = dials[points.slot]
        found = self.detector.step(
            Points(places, points.time_ns, points.value), self._kind, self._dials
        )
        return replace(found, slot=self._slot[found.slot])

    def admit(self, slot: I32, donor: I32) -> None:
        if not self.n_judged:
            return
        heirs: list[tuple[int, int]] = []
        for to, given in zip(slot.tolist(), donor.tolist(), strict=True):
            if given == to:
                continue
            place = -1 if given < 0 else int(self._place[given])
            if place >= 0:
                heirs.append((self._given(to), place))
            elif self._place[to] >= 0:
                self._adopt(heirs)  # before the place is another's
                self.release(np.array([to], np.int32))
        self._adopt(heirs)

    def release(self, slots: I32) -> None:
        """These are judged no more."""
        slots = slots[self._place[slots] >= 0]
        places = self._place[slots]
        self.detector.admit(places, np.full(len(places), -1, np.int32))
        self._place[slots] = -1
        self._free += places.tolist()

    def holds(self, slot: I32, started_ns: I64) -> Mask:
        places = self._place[slot]
        known = places >= 0
        found: Mask = np.zeros(len(slot), np.bool_)
        found[known] = self.detector.holds(places[known], started_ns[known])
        return found

    def let_go(self, slot: I32) -> None:
        places = self._place[slot]
        self.detector.let_go(places[places >= 0])

    def dump(self, slot: I32) -> Dump:
        """Zeros, as of a series that was never seen, for those that have no place."""
        places = self._place[slot]
        known = places >= 0
        return {
            name: _spread(array, known) for name, array in self.detector.dump(places[known]).items()
        }

    def load(self, slot: I32, state: Dump) -> None:
        used = np.zeros(len(slot), np.bool_)
        for array in state.values():
            used |= array.reshape(len(slot), -1).any(axis=1) if array.size else False
        self.release(slot[~used])
        some = {name: array[used] for name, array in state.items()}
        self.detector.load(self._places(slot[used]), some)

    def _places(self, slots: I32) -> I32:
        """Those of these slots; given out to whoever has none."""
        places: I32 = self._place[slots]
        if (places >= 0).all():
            return places
        for slot in np.unique(slots[places < 0]).tolist():
            self._given(slot)
        given: I32 = self._place[slots]
        return given

    def _given(self, slot: int) -> int:
        """The place of a slot, which has one from here on."""
        place = int(self._place[slot])
        if place < 0:
            place = self._free.pop() if self._free else self._n_given
            self._n_given = max(self._n_given, place + 1)
            self._place[slot] = place
            self._slot[place] = slot
        return place

    def _adopt(self, heirs: list[tuple[int, int]]) -> None:
        """Each place takes over from another, in this order; none is left to be done."""
        if heirs:
            pairs = np.array(heirs, np.int32).T
            self.detector.admit(pairs[0].copy(), pairs[1].copy())
        heirs.clear()


def _spread(array: np.ndarray[Any, Any], known: Mask) -> np.ndarray[Any, Any]:
    whole = np.zeros((len(known), *array.shape[1:]), array.dtype)
    whole[known] = array
    return whole
