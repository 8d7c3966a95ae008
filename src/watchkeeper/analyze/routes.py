"""The plan by slot: of every series that arrives, who judges it and what its dial says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np

from watchkeeper.analyze.detectors.dials import Dial, DialArray, Dials
from watchkeeper.analyze.plan import Plan, Route
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import I32, U8, U64, Entity, Kind, Mask

_CLASSES: Final = tuple(MetricClass)
_KINDS: Final = tuple(Kind)
_UNKNOWN: Final = Entity()
_UNSCORED: Final = 255


class Labelled(Protocol):
    """What this needs of the catalog."""

    kind: U8
    identity: U64

    def labels(self, slots: I32) -> Sequence[dict[str, str]]: ...

    def entity_of(self, slot: int) -> Entity: ...


class Routes:
    """By slot; what is not known yet is looked up when it is first asked for. For one thread."""

    def __init__(self, plan: Plan, catalog: Labelled) -> None:
        self._catalog = catalog
        n = len(catalog.kind)
        self._class = np.zeros(n, np.uint8)
        """One more than the place among MetricClass; 0 where the series was not looked at,
        and _UNSCORED where nobody judges it."""
        self._detectors = np.zeros(n, np.uint32)
        self._dials = Dials(n)
        self.plan = plan
        self.turned: Mapping[bytes, float] = {}
        """By identity: what verdicts add to the shift of a dial."""

    @property
    def dials(self) -> DialArray:
        """By slot; good for all that were met."""
        return self._dials.array

    def arrange(self, plan: Plan) -> None:
        """Go on by another plan, from here on."""
        self.plan = plan
        self.meet(np.flatnonzero(self._class).astype(np.int32), anew=True)

    def forget(self, slots: I32) -> None:
        """Others will have these slots."""
        self._class[slots] = 0

    def meet(self, slots: I32, *, anew: bool = False) -> None:
        """Look up the routes of those that are not known, or of all."""
        if not anew:
            strange = self._class[slots] == 0
            if not strange.any():
                return
            slots = np.unique(slots[strange])
        self._dials.hold(slots)
        unscored = self._catalog.kind[slots] == Kind.UNSCORED
        self._class[slots[unscored]] = _UNSCORED
        slots = slots[~unscored]
        labels = self._catalog.labels(slots)
        kinds = self._catalog.kind[slots].tolist()
        alike: dict[int, tuple[Route, list[int]]] = {}
        for slot, own, kind in zip(slots.tolist(), labels, kinds, strict=True):
            entity = self._catalog.entity_of(slot) if self.plan.asks_entity else _UNKNOWN
            route = self.plan.route(own, _KINDS[kind], entity)
            alike.setdefault(id(route), (route, []))[1].append(slot)
        for route, members in alike.values():
            self._class[members] = 1 + _CLASSES.index(route.metric_class)
            self._detectors[members] = route.detectors
            self._dials.turn(members, route.dial)
            for slot in members if self.turned else ():
                self._dials.turn(slot, self._turned(slot, route.dial))

    def again(self, slots: I32) -> None:
        """Turn the dials of those that were met anew."""
        self.meet(slots[(slots >= 0) & (self._class[slots] != 0)], anew=True)

    def _turned(self, slot: int, dial: Dial) -> Dial:
        more = self.turned.get(self._catalog.identity[slot].tobytes(), 0.0)
        return dial._replace(shift=dial.shift + more) if more else dial

    def judged_by(self, slots: I32, detector: int) -> Mask:
        """Which of these, met ones, are judged by a detector of the plan's grid."""
        found: Mask = (self._detectors[slots] & np.uint32(1 << detector)) != 0
        return found

    def spared(self, detector: int) -> I32:
        """The met ones that a detector of the plan's grid does not judge."""
        met = np.flatnonzero(self._class).astype(np.int32)
        spared: I32 = met[~self.judged_by(met, detector)]
        return spared

    def class_of(self, slot: int) -> MetricClass:
        """Of one series, whether it was met or not."""
        if not self._class[slot]:
            self.meet(np.array([slot], np.int32))
        place = int(self._class[slot])
        if place != _UNSCORED:
            return _CLASSES[place - 1]
        labels = self._catalog.labels(np.array([slot], np.int32))[0]
        return self.plan.route(labels, Kind.UNSCORED, self._catalog.entity_of(slot)).metric_class
