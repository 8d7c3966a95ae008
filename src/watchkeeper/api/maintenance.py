"""Maintenance windows: told when they begin, ended early, listed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.analyze.maintenance import MaintenanceWindow, Subject, holding, matches
from watchkeeper.api.detection import by_of, services_of, settings_of
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso, parse_duration, parse_time
from watchkeeper.errors import BadInput
from watchkeeper.know.verdicts_stage import MaintenanceWindows
from watchkeeper.model.ruling import Maintenance
from watchkeeper.model.series import Entity, TenantId

router = APIRouter(prefix="/api/v1/maintenance", tags=["detection"])

_Text = Annotated[str, Field(max_length=200)]


class NewWindow(BaseModel):
    """A window that begins now, if nothing else is said."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "match": {"service": "payment"},
                "duration": "2h",
                "reason": "disks are exchanged",
            }
        },
    )

    match: Annotated[dict[_Text, _Text], Field(max_length=20)] = {}
    """Labels with what they must be; service, environment, node and owner among them."""
    duration: Annotated[str, Field(max_length=20)]
    """Such as 30m, 2h or 1d."""
    start: str | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500)] = "maintenance"


@router.get("")
async def list_windows(
    request: Request,
    over: Annotated[bool, Query(description="Those that are over, too.")] = False,
) -> JSONResponse:
    """What was told by a call, newest first, then what stands in the settings."""
    tenant, now_ns = tenant_of(request), services_of(request).clock.now_ns()
    told = [_told(one, now_ns) for one in await _windows(request).listed(tenant, over=over)]
    return JSONResponse({"items": told + await _of_settings(request, tenant, now_ns)})


@router.post("", status_code=201)
async def add_window(request: Request, wanted: NewWindow) -> JSONResponse:
    """What begins within it is recorded as muted, and claims no more than `info`."""
    clock = services_of(request).clock
    from_ns = clock.now_ns() if wanted.start is None else parse_time(wanted.start, "start")
    if "tenant" in wanted.match:
        raise BadInput("match: a window is of the request's own tenant; leave out tenant")
    added = await _windows(request).add(
        tenant_of(request),
        wanted.match,
        by_of(request),
        from_ns=from_ns,
        to_ns=from_ns + parse_duration(wanted.duration, "duration"),
        reason=wanted.reason,
    )
    return JSONResponse(_told(added, clock.now_ns()), 201)


@router.delete("/{window_id}")
async def end_window(request: Request, window_id: str) -> JSONResponse:
    """It is over now, if it is not yet."""
    ended = await _windows(request).end(tenant_of(request), window_id, by_of(request))
    return JSONResponse(_told(ended, services_of(request).clock.now_ns()))


def _windows(request: Request) -> MaintenanceWindows:
    services = services_of(request)
    return MaintenanceWindows(services.store, services.clock, services.deciding)


def _told(window: Maintenance, now_ns: int) -> dict[str, Any]:
    return {
        "id": window.id,
        "source": "call",
        "match": dict(window.match),
        "from": iso(window.from_ns),
        "to": iso(window.to_ns),
        "reason": window.reason,
        "holds": window.from_ns <= now_ns < window.to_ns,
        "by": window.principal,
        "position": window.position,
    }


async def _of_settings(request: Request, tenant: TenantId, now_ns: int) -> list[dict[str, Any]]:
    settings = settings_of(request)
    document = json.loads(settings.text(await settings.current()))
    listed = msgspec.convert(document.get("maintenance", []), list[MaintenanceWindow])
    us = Subject(tenant, Entity(), {})
    return [
        {
            "id": None,
            "source": "settings",
            **msgspec.to_builtins(window),
            "holds": holding(window)(now_ns),
        }
        for window in listed
        if matches({k: v for k, v in window.match.items() if k == "tenant"}, us)
    ]
