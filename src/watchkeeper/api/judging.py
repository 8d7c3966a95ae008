"""How one series is judged, and why: its class, its detectors, its dial."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from watchkeeper.analyze.detectors.seasons import Mode, parts
from watchkeeper.analyze.detectors.zones import name_of
from watchkeeper.analyze.feedback import shift
from watchkeeper.analyze.plan import SAMPLE_TIER, Plan, read
from watchkeeper.api.detection import services_of, settings_of
from watchkeeper.api.tenants import tenant_of
from watchkeeper.errors import BadInput
from watchkeeper.know.verdicts_stage import Verdicts
from watchkeeper.model.series import SeriesId

router = APIRouter(prefix="/api/v1/detection/series", tags=["detection"])

_IDENTITY: Final = re.compile(r"[0-9a-f]{32}")
_SIDES: Final = {1: "up", -1: "down", 0: "both"}


@router.get("/{series}")
async def one_series(request: Request, series: str) -> JSONResponse:
    """By the settings that are in force, and the verdicts on its anomalies. `series` is what
    anomalies name it."""
    services, settings, tenant = services_of(request), settings_of(request), tenant_of(request)
    known = None
    if _IDENTITY.fullmatch(series):
        known = services.deciding.series(SeriesId(bytes.fromhex(series)))
    if known is None or known.tenant != tenant:
        raise BadInput(
            f"there is no series '{series[:80]}' that has sent lately; anomalies name theirs",
            status=404,
        )
    now = await settings.current()
    plan = Plan(read(settings.text(now).encode()))
    route = plan.route(known.labels, known.kind, known.entity)
    verdicts = Verdicts(services.store, services.clock, services.deciding)
    said = await verdicts.on(tenant, series)
    grid = [name for number, name in enumerate(plan.grid) if route.detectors >> number & 1]
    mode, zone = parts(route.dial.season)
    told: dict[str, Any] = {
        "series": series,
        "labels": dict(known.labels),
        "class": route.metric_class,
        "detectors": [SAMPLE_TIER, *grid] if plan.document.detectors else [],
        "settings_version": now.version,
        "limit": {
            "by_settings": 10**route.dial.shift,
            "by_verdicts": 10 ** shift(said),
            "together": 10 ** (route.dial.shift + shift(said)),
        },
        "direction": _SIDES[route.dial.direction],
        "least_ratio": route.dial.least_ratio,
        "least_change": route.dial.least_change,
        "muted": route.dial.muted,
        "seasonality": Mode(mode).name.lower(),
        "time_zone": name_of(zone),
        "rules": plan.fitting(known.labels, known.kind, known.entity),
        "verdicts": [
            {"anomaly": one.anomaly, "verdict": one.word, "by": one.principal} for one in said
        ],
    }
    return JSONResponse(told)
