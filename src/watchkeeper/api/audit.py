"""Who changed what: GET /api/v1/audit, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from watchkeeper.api.gateway.told import entry_to_json
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import admitted
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.store.base import Filter

router = APIRouter(prefix="/api/v1/audit", tags=["access"])


@router.get("")
async def list_audit(
    request: Request,
    principal: Annotated[str | None, Query(description="Done by: key:..., user:...")] = None,
    action: Annotated[str | None, Query(description="What was done: key.create ...")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> JSONResponse:
    """Newest first, page by page: the whole trail for who may enter every tenant, else what was
    done in the request's tenant."""
    services: Services = request.state.services
    asks = admitted(request)
    page = await services.store.list(
        AuditEntry,
        Filter(
            INSTALLATION,
            status=action,
            service=None if asks.principal.has_all_tenants else asks.tenant,
            detector=principal,
            limit=limit,
            cursor=cursor,
        ),
    )
    return JSONResponse(
        {"items": [entry_to_json(item) for item in page.items], "cursor": page.cursor}
    )
