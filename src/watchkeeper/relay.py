"""The relay of the outbox: what was saved is announced, in order, also after a crash."""

from __future__ import annotations

from typing import Final

from watchkeeper import telemetry
from watchkeeper.bus.base import ANOMALIES, Bus
from watchkeeper.clock import Clock
from watchkeeper.errors import Retryable
from watchkeeper.store.base import Store

_log: Final = telemetry.Log(__name__)
_EVENTS_AT_ONCE: Final = 1000


class Relay:
    """Publishes the store's outbox on the bus.

    Events of the past are published again at start, as far as the outbox goes back, so that
    followers can resume; a bus passes over those that it knows.
    """

    def __init__(self, store: Store, bus: Bus, clock: Clock, *, pause_s: float = 0.05) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._pause_s = pause_s
        self._after = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                events = await self._store.events(self._after, _EVENTS_AT_ONCE)
                if events:
                    await self._bus.publish(ANOMALIES, events)
                    self._after = events[-1].sequence
                    continue
            except Retryable as refusal:
                _log.warning("relay asks for time", why=str(refusal))
            await self._clock.sleep(self._pause_s)
