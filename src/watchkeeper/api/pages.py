"""Pages: who speaks too often and what was held back, and how objectives stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from watchkeeper.analyze import page_digest
from watchkeeper.analyze.detect_stage import DetectStage
from watchkeeper.analyze.page_digest import BurnRate, NoisyService, Standing
from watchkeeper.analyze.watchers.objectives import Slo, SloKind
from watchkeeper.api.detection import services_of
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput
from watchkeeper.model.anomaly import Anomaly, Severity
from watchkeeper.model.series import METRIC_NAME, TenantId
from watchkeeper.store.base import Filter, Store

router = APIRouter(prefix="/api/v1", tags=["detection"])

WEEK_NS: Final = 7 * 86_400 * NS_PER_S
PAGE: Final = 1000
MOST_PAGES: Final = 10
"""Of anomalies that are looked through; what is older than those is not counted."""


@dataclass(slots=True)
class _Speaker:
    """A series, by its anomalies of a week."""

    newest: Anomaly
    n: int = 0
    n_evidence: int = 0


@router.get("/detection/noisy")
async def noisy(
    request: Request,
    at_least: Annotated[
        int, Query(ge=1, le=10_000, description="Anomalies of a week that make a series noisy.")
    ] = 3,
    limit: Annotated[int, Query(ge=1, le=1000, description="Series at most.")] = 100,
) -> JSONResponse:
    """Who spoke too often in the last week: services of which pages were held back, or that paged
    as often as a day allows, and series with many anomalies. The worst first."""
    services, tenant = services_of(request), tenant_of(request)
    since_ns = services.clock.now_ns() - WEEK_NS
    told = await _judge(request).ask(lambda tiers: page_digest.noisy(tiers, tenant))
    speakers, is_whole = await _speakers(services.store, tenant, since_ns)
    loud = [one for one in speakers if one.n >= at_least]
    loud.sort(key=lambda one: (-one.n, one.newest.series))
    return JSONResponse({
        "since": iso(since_ns),
        "services": [_service(one) for one in told],
        "series": [_series(one) for one in loud[:limit]],
        "more": len(loud) > limit,
        "complete": is_whole,
    })  # fmt: skip


@router.get("/slos")
async def list_slos(request: Request) -> JSONResponse:
    """Objectives of services: what is left of thirty days' budget, and how fast it is spent; least
    left first. `waiting` are those of services of which no request was counted yet."""
    tenant = tenant_of(request)
    found = await _judge(request).ask(lambda tiers: page_digest.objectives(tiers, tenant))
    return JSONResponse({
        "items": [_standing(one) for one in found.standing],
        "waiting": [_promise(one) for one in found.waiting],
    })  # fmt: skip


def _judge(request: Request) -> DetectStage:
    detect = services_of(request).detect
    if detect is None:
        raise BadInput(
            "this process does not judge: ask one that has `detect` among its `parts`", status=404
        )
    return detect


async def _speakers(
    store: Store, tenant: TenantId, since_ns: int
) -> tuple[Sequence[_Speaker], bool]:
    """Series with anomalies that began since then, and whether all were looked at."""
    found: dict[str, _Speaker] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        asked = Filter(tenant=tenant, since_ns=since_ns, limit=PAGE, cursor=cursor)
        page = await store.list(Anomaly, asked)
        for one in page.items:
            if one.series and one.started_ns >= since_ns:
                speaker = found.setdefault(one.series, _Speaker(one))
                speaker.n += 1
                speaker.n_evidence += one.severity is not Severity.INFO
        cursor = page.cursor
        if cursor is None:
            return list(found.values()), True
    return list(found.values()), False


def _service(one: NoisyService) -> dict[str, Any]:
    return {
        "service": one.subject.service,
        "environment": one.subject.environment,
        "paged": one.n_paged,
        "held_back": one.n_held,
        "last_at": iso(one.last_ns),
    }


def _series(one: _Speaker) -> dict[str, Any]:
    newest = one.newest
    return {
        "series": newest.series,
        "metric": newest.labels.get(METRIC_NAME, ""),
        "labels": dict(newest.labels),
        "service": newest.entity.service,
        "environment": newest.entity.environment,
        "anomalies": one.n,
        "evidence": one.n_evidence,
        "last_at": iso(newest.started_ns),
    }


def _promise(slo: Slo) -> dict[str, Any]:
    return {
        "service": slo.service,
        "objective": slo.name,
        "kind": slo.kind,
        "percent": slo.objective,
        "threshold_s": slo.threshold_s if slo.kind is SloKind.LATENCY else None,
    }


def _standing(one: Standing) -> dict[str, Any]:
    return {
        **_promise(one.slo),
        "environment": one.subject.environment,
        "requests": one.requests,
        "bad": one.bad,
        "budget_left": one.left,
        "counted_from": iso(one.counted_from_ns),
        "counted_to": iso(one.counted_to_ns),
        "burning": any(rate.since_ns for rate in one.rates),
        "burn_rates": [_rate(rate) for rate in one.rates],
    }


def _rate(one: BurnRate) -> dict[str, Any]:
    return {
        "limit": one.rule.times,
        "pages": one.rule.is_page,
        "long_minutes": one.rule.long_minutes,
        "short_minutes": one.rule.short_minutes,
        "long": one.long,
        "short": one.short,
        "since": iso(one.since_ns) if one.since_ns else None,
    }
