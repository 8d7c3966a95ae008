"""Changes as server-sent events, which can be resumed behind any of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from fastapi import Request
from fastapi.responses import StreamingResponse

from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.bus.base import ANOMALIES, Delivery
from watchkeeper.model.series import TenantId
from watchkeeper.store.base import Event

_KEEPALIVE_S: Final = 15.0
_POSITION: Final = re.compile(r"[0-9]{1,18}")
"""What a position looks like. `isdigit` would also let a superscript pass, and any length."""


def streamed(
    request: Request,
    last_event_id: str | None,
    *,
    of: type[Any],
    name: str,
    to_json: Callable[[Any], Any],
) -> StreamingResponse:
    """Every change of records of a type from now on, or behind `last_event_id`."""
    services: Services = request.state.services
    told = last_event_id or ""
    after = int(told) if _POSITION.fullmatch(told) else None
    tenant = tenant_of(request)

    def shown(event: Event) -> str | None:
        record = event.record
        if not isinstance(record, of) or _tenant(record) != tenant:
            return None
        return f"event: {name}\ndata: {json.dumps(to_json(record))}\n\n"

    changes = services.bus.follow(ANOMALIES, after)
    return StreamingResponse(
        _events(changes, shown, services.stopping),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def _tenant(record: Any) -> TenantId:
    tenant: TenantId = record.tenant
    return tenant


async def _events(
    changes: AsyncIterator[Delivery | None],
    shown: Callable[[Event], str | None],
    stopping: asyncio.Event,
) -> AsyncIterator[str]:
    """Changes as SSE text, with a comment now and then so that proxies keep the line open."""
    stop = asyncio.ensure_future(stopping.wait())
    # We follow before we say so: who lists the records after that has missed no change.
    pending: asyncio.Task[Delivery | None] | None = asyncio.ensure_future(anext(changes))
    try:
        await asyncio.sleep(0)
        yield ": connected\n\n"
        while True:
            pending = pending or asyncio.ensure_future(anext(changes))
            both = {pending, stop}
            done, _ = await asyncio.wait(
                both, timeout=_KEEPALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if stop in done:  # readers come again, and resume
                return
            if not done:
                yield ": still here\n\n"
                continue
            try:
                change, pending = pending.result(), None
            except StopAsyncIteration:  # the bus is closed, for we are stopping
                return
            if change is None:
                yield "event: reset\ndata: {}\n\n"
                continue
            said = shown(change.record)
            if said is not None:
                yield f"id: {change.position}\n{said}"
    finally:
        stop.cancel()
        if pending is not None:
            pending.cancel()
