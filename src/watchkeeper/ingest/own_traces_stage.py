"""Our own traces on their way into our own lake, by the door that everybody uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchkeeper import __version__
from watchkeeper.clock import Clock
from watchkeeper.errors import Retryable
from watchkeeper.ingest.prepare import Request
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.ingest.receivers.spans import Span, Spans, json_text
from watchkeeper.ingest.stage import Ingest
from watchkeeper.model.series import TenantId
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import WireRows
from watchkeeper.patience import Failure, Patience
from watchkeeper.telemetry import OwnSpan, Tracer

PROTOCOL: Final = "own_traces"
SERVICE: Final = "watchkeeper"
_HEADERS: Final = {"user-agent": f"{SERVICE}/{__version__}"}
_EVERY_S: Final = 2.0


class OwnTraces:
    """Takes what is over and has it stored. Runs until cancelled."""

    def __init__(self, tracer: Tracer, ingest: Ingest, clock: Clock, tenant: TenantId) -> None:
        self._tracer = tracer
        self._ingest = ingest
        self._clock = clock
        self._tenant = tenant
        self._patience = Patience(PROTOCOL, clock, _EVERY_S, 10 * _EVERY_S)

    async def run(self) -> None:
        while True:
            await self._clock.sleep(_EVERY_S)
            stored = await self._patience.attempt("store", self.store())
            if isinstance(stored, Failure):
                await self._patience.pause(stored)

    async def store(self) -> int:
        """All that is over; how many spans. They wait on where they cannot be taken now."""
        taken = self._tracer.take()
        if not taken:
            return 0
        request = Request(PROTOCOL, b"", _HEADERS, self._tenant, decoded=rows(taken))
        try:
            await self._ingest.accept(request)
        except Retryable:
            self._tracer.keep(taken)
            raise
        return len(taken)


def rows(taken: Sequence[OwnSpan]) -> WireRows:
    """As a receiver would have found them."""
    spans = Spans(RowLimits())
    ours = spans.origin({"service.name": SERVICE, "service.version": __version__})
    for one in taken:
        spans.add(
            Span(
                origin=ours,
                trace=one.trace,
                span=one.span,
                parent=one.parent,
                start_ns=one.start_ns,
                duration_ns=one.duration_ns,
                name=one.name,
                kind=SpanKind.SERVER if one.is_root else SpanKind.INTERNAL,
                status=SpanStatus.ERROR if one.error else SpanStatus.UNSET,
                message=one.error,
                attributes=json_text(one.attributes),
            )
        )
    spans.is_of_now = True  # there is no body, and so none that could be sent again
    return spans.take()
