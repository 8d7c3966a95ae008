"""Is it well, and what does it count: /health and /metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from watchkeeper import telemetry
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import admitted
from watchkeeper.model.principal import Scope

router = APIRouter(tags=["operation"])


@router.get("/api/v3/aiops/health")
@router.get("/health")
async def health(request: Request) -> JSONResponse:
    """200 while every check holds, else 503. Each check is named to who may read."""
    services: Services = request.state.services
    checks = await services.checks()
    well = all(check.ok for check in checks)
    body: dict[str, Any] = {
        "status": "ok" if well else "unhealthy",
        "time_ns": services.clock.now_ns(),
    }
    if Scope.READ in admitted(request).principal.scopes:
        body["checks"] = {check.name: {"ok": check.ok, "detail": check.detail} for check in checks}
    return JSONResponse(body, 200 if well else 503)


@router.get("/api/v3/aiops/metrics", response_class=PlainTextResponse)
@router.get("/metrics", response_class=PlainTextResponse)
async def metrics() -> PlainTextResponse:
    """Our own metrics in Prometheus' text format."""
    telemetry.measure_usage()
    return PlainTextResponse(telemetry.render(), media_type="text/plain; version=0.0.4")
