"""The dead man's switch: a heartbeat that is missed becomes an alert, and ends when it comes again.

When each was last heard of is read from the store, so it holds over restarts, and every door comes
to the same alert by itself: it begins when the heartbeat was due.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchkeeper.clock import NS_PER_S, Clock
from watchkeeper.ingest.prepare import Request
from watchkeeper.ingest.receivers.heartbeat import SOURCE, Beat, alert_about
from watchkeeper.ingest.stage import Ingest
from watchkeeper.model.alert import Alert, AlertStatus
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import WireRows
from watchkeeper.model.silence import AlertState
from watchkeeper.patience import Failure, Patience
from watchkeeper.store.base import Store

_EVERY_S: Final = 1.0
_AGAIN_NS: Final = 3600 * NS_PER_S
"""What is still missed is said again, or it would be taken for over."""


class Heartbeats:
    """Waits for all that the configuration names. Runs until cancelled."""

    def __init__(
        self,
        beats: Mapping[str, Beat],
        *,
        store: Store,
        ingest: Ingest,
        clock: Clock,
        tenant: TenantId,
    ) -> None:
        self._beats = beats
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._tenant = tenant
        self._begun_ns = clock.now_ns()
        self._patience = Patience(SOURCE, clock, _EVERY_S, 10 * _EVERY_S)

    async def run(self) -> None:
        while self._beats:
            await self._clock.sleep(_EVERY_S)
            looked = await self._patience.attempt("look", self.look())
            if isinstance(looked, Failure):
                await self._patience.pause(looked)

    async def look(self) -> int:
        """Say which are missed; how many it said so of."""
        now_ns = self._clock.now_ns()
        missed = [
            alert
            for name, beat in self._beats.items()
            if (alert := await self._missed(name, beat, now_ns)) is not None
        ]
        if missed:
            rows = WireRows(tuple(missed), is_of_now=True)
            await self._ingest.accept(Request(SOURCE, b"", {}, self._tenant, decoded=rows))
        return len(missed)

    async def _missed(self, name: str, beat: Beat, now_ns: int) -> Alert | None:
        ours = alert_about(name, beat, None, now_ns)
        known = await self._store.get(AlertState, self._tenant, ours.fingerprint)
        if known is not None and known.alert.status is AlertStatus.FIRING:
            if now_ns - known.heard_ns < _AGAIN_NS:
                return None
            return alert_about(name, beat, known.alert.started_ns, now_ns)
        heard_ns = self._begun_ns if known is None else known.alert.ended_ns or known.heard_ns
        due_ns = heard_ns + beat.limit_ns
        return alert_about(name, beat, due_ns, now_ns) if due_ns <= now_ns else None
