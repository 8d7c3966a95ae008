"""Changes: what was deployed, or changed otherwise, and when."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso, parse_time
from watchkeeper.model.change import Change
from watchkeeper.store.base import Filter

router = APIRouter(prefix="/api/v1/changes", tags=["changes"])


def to_json(change: Change) -> dict[str, Any]:
    """A change as the API tells it."""
    return {
        "id": change.id,
        "tenant": change.tenant,
        "kind": change.kind,
        "time": iso(change.time_ns),
        "service": change.entity.service or change.service,
        "environment": change.entity.environment,
        "version": change.version,
        "status": change.status,
        "actor": change.actor,
        "summary": change.summary,
        "details": dict(change.details),
        "position": change.position,
    }


@router.get("")
async def list_changes(
    request: Request,
    service: str | None = None,
    kind: Annotated[str | None, Query(description="deployment, config, scaling ...")] = None,
    since: Annotated[str | None, Query(description="Not before this time.")] = None,
    until: Annotated[str | None, Query(description="Before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> JSONResponse:
    """Newest first, page by page."""
    services: Services = request.state.services
    await services.changes_caught_up(await services.newest())
    page = await services.store.list(
        Change,
        Filter(
            tenant=tenant_of(request),
            service=service,
            detector=kind,
            since_ns=None if since is None else parse_time(since, "since"),
            until_ns=None if until is None else parse_time(until, "until"),
            limit=limit,
            cursor=cursor,
        ),
    )
    return JSONResponse({"items": [to_json(item) for item in page.items], "cursor": page.cursor})
