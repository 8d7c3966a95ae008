"""Who sends to us: GET /api/v1/sources."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso
from watchkeeper.model.source import Source

router = APIRouter(prefix="/api/v1/sources", tags=["operation"])


def to_json(source: Source) -> dict[str, Any]:
    """A source as the API tells it."""
    return {
        "tenant": source.tenant,
        "protocol": source.protocol,
        "sender": source.sender,
        "first_seen_at": iso(source.first_seen_ns),
        "last_seen_at": iso(source.last_seen_ns),
        "last_accepted_at": _time(source.last_accepted_ns),
        "bodies": source.n_bodies,
        "bytes": source.n_bytes,
        "accepted": source.n_accepted,
        "repeated": source.n_repeated,
        "refused": source.n_refused,
        "put_off": source.n_put_off,
        "rejected": dict(source.rejected),
        "last_problem": source.last_problem,
        "last_problem_at": _time(source.last_problem_ns),
    }


@router.get("")
async def list_sources(request: Request) -> JSONResponse:
    """Every sender by every protocol since the start, who was heard of last first."""
    services: Services = request.state.services
    found = services.door.sources.of(tenant_of(request))
    return JSONResponse({"items": [to_json(source) for source in found]})


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)
