"""What was changed, decided or alerted is saved in the store, where people and causes find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from watchkeeper.bus.base import MIXED, SAMPLES, Delivery
from watchkeeper.bus.progress import Progress
from watchkeeper.model.alert import Alert
from watchkeeper.model.change import Change
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict
from watchkeeper.model.signal import Tick
from watchkeeper.model.silence import AlertSilence, AlertState
from watchkeeper.store.base import Store

_OF_ALL: Final = 0
"""What is told to every partition is saved by whoever has this one."""


class Decisions(Protocol):
    """Saves what people decided about detection. To be told the same again changes nothing."""

    async def settle(self, settings: DetectionSet) -> None: ...

    async def hold(self, window: Maintenance) -> None: ...

    async def mute(self, silence: AlertSilence) -> None: ...

    async def note(self, verdict: Verdict) -> None: ...


class ChangeStage:
    """Has no state but what is saved: to save the same again changes nothing."""

    name = "changes"
    topic = SAMPLES

    def __init__(self, store: Store, decisions: Decisions | None = None) -> None:
        self._store = store
        self._decisions = decisions
        self._now_ns = 0
        self._progress = Progress(0)
        self.caught_up = self._progress.caught_up

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        told = [one for delivery in deliveries if (one := self._told(delivery)) is not None]
        if told:
            await self._store.save(told)
        if self._decisions is not None:
            for delivery in deliveries:
                await self._decide(self._decisions, delivery)
        self._progress.reach(max(delivery.position for delivery in deliveries))

    def _told(self, delivery: Delivery) -> Change | AlertState | None:
        """What is saved of a record as it is."""
        match delivery.record:
            case Tick() as tick:
                self._now_ns = tick.now_ns
            case Change() as change:
                return replace(change, position=delivery.position)
            case Alert() as alert:
                heard_ns = max(self._now_ns, alert.started_ns)
                return AlertState(replace(alert, position=delivery.position), heard_ns)
        return None

    async def _decide(self, decisions: Decisions, delivery: Delivery) -> None:
        match delivery.record:
            case DetectionSet() as settings if delivery.partition in (MIXED, _OF_ALL):
                await decisions.settle(replace(settings, position=delivery.position))
            case Maintenance() as window if delivery.partition in (MIXED, _OF_ALL):
                await decisions.hold(replace(window, position=delivery.position))
            case AlertSilence() as silence if delivery.partition in (MIXED, _OF_ALL):
                await decisions.mute(replace(silence, position=delivery.position))
            case Verdict() as verdict:
                await decisions.note(replace(verdict, position=delivery.position))

    async def dump(self, partition: int) -> bytes:
        """Something, so that the runtime knows from where to go on."""
        return self.name.encode()

    async def load(self, partition: int, position: int, state: bytes) -> None:
        """There is nothing to be loaded."""
