"""Anomalies: listed, one by one, and as a stream that can be resumed."""

from __future__ import annotations

import math
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from watchkeeper.analyze.explain import explanation, loudest
from watchkeeper.analyze.explain_lines import lines_of
from watchkeeper.api.problems import problem
from watchkeeper.api.services import Services
from watchkeeper.api.streams import streamed
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso, parse_time
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus
from watchkeeper.model.series import METRIC_NAME
from watchkeeper.store.base import Filter

router = APIRouter(prefix="/api/v1/anomalies", tags=["anomalies"])


def to_json(anomaly: Anomaly) -> dict[str, Any]:
    """An anomaly as the API tells it."""
    return {
        "id": anomaly.id,
        "tenant": anomaly.tenant,
        "series": anomaly.series,
        "metric": anomaly.labels.get(METRIC_NAME, ""),
        "labels": dict(anomaly.labels),
        "service": anomaly.entity.service,
        "environment": anomaly.entity.environment,
        "node": anomaly.entity.node,
        "owner": anomaly.entity.owner,
        "detector": anomaly.detector,
        "detector_version": anomaly.version,
        "tier": anomaly.tier,
        "class": anomaly.metric_class,
        "severity": anomaly.severity,
        "info_reason": anomaly.info_reason,
        "confidence": anomaly.confidence,
        "status": anomaly.status,
        "started_at": iso(anomaly.started_ns),
        "peak_at": iso(anomaly.peak_ns),
        "ended_at": None if anomaly.ended_ns is None else iso(anomaly.ended_ns),
        "gone": anomaly.gone,
        "value": _finite(anomaly.value),
        "expected": {"low": _finite(anomaly.expected_low), "high": _finite(anomaly.expected_high)},
        "residual": _finite(anomaly.residual),
        "p_value": anomaly.p_value,
        "points_learned": anomaly.n_learned,
        "learning_s": anomaly.learning_s,
        "evidence": {name: _finite(said) for name, said in anomaly.evidence.items()},
        "loudest": loudest(anomaly),
        "explanation": explanation(anomaly),
        "muted": anomaly.muted,
        "lines": _lines(anomaly),
        "position": anomaly.position,
    }


def _lines(anomaly: Anomaly) -> str | None:
    """Where the log lines are that it speaks of; None where it speaks of none."""
    asked = {
        name: iso(value) if isinstance(value, int) else value
        for name, value in lines_of(anomaly).items()
    }
    return f"/api/v1/logs/search?{urlencode(asked)}" if asked else None


def _finite(number: float) -> float | None:
    """JSON has no infinity: an open end of a band is null."""
    return number if math.isfinite(number) else None


@router.get("")
async def list_anomalies(
    request: Request,
    status: AnomalyStatus | None = None,
    service: str | None = None,
    detector: str | None = None,
    since: Annotated[str | None, Query(description="Not ended before this time.")] = None,
    until: Annotated[str | None, Query(description="Started before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> JSONResponse:
    """Newest first, page by page."""
    services: Services = request.state.services
    page = await services.store.list(
        Anomaly,
        Filter(
            tenant=tenant_of(request),
            status=status,
            service=service,
            detector=detector,
            since_ns=None if since is None else parse_time(since, "since"),
            until_ns=None if until is None else parse_time(until, "until"),
            limit=limit,
            cursor=cursor,
        ),
    )
    return JSONResponse({"items": [to_json(item) for item in page.items], "cursor": page.cursor})


@router.get("/stream")
async def stream(
    request: Request, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Server-sent events: every change of an anomaly from now on, or behind `Last-Event-ID`.

    An event `reset` says that changes were missed: list the anomalies again.
    """
    return streamed(request, last_event_id, of=Anomaly, name="anomaly", to_json=to_json)


@router.get("/{anomaly_id}")
async def one_anomaly(request: Request, anomaly_id: str) -> Any:
    """One anomaly with its evidence."""
    services: Services = request.state.services
    found = await services.store.get(Anomaly, tenant_of(request), anomaly_id)
    if found is None:
        return problem(404, f"there is no anomaly '{anomaly_id}'; GET /api/v1/anomalies lists them")
    return JSONResponse(to_json(found))
