"""What people say of an anomaly, and what that changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from watchkeeper import plugins
from watchkeeper.analyze.feedback import effect
from watchkeeper.api.detection import by_of, services_of, settings_of
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso
from watchkeeper.know.verdicts_stage import Verdicts
from watchkeeper.model.ruling import Verdict, Word

_MINUTES_A_WEEK: Final = 7 * 24 * 60

router = APIRouter(prefix="/api/v1/anomalies/{anomaly_id}/verdict", tags=["anomalies"])


class NewVerdict(BaseModel):
    """`real`, `not_useful` or `expected`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"verdict": "not_useful", "comment": "nightly backup"}},
    )

    verdict: Annotated[str, Field(pattern="^(real|not_useful|expected)$")]
    comment: Annotated[str, Field(max_length=1000)] = ""


@router.get("")
async def list_verdicts(request: Request, anomaly_id: str) -> JSONResponse:
    """Those in force on an anomaly, newest first, each with what it changes."""
    verdicts, tenant = _verdicts(request), tenant_of(request)
    given = await verdicts.of(tenant, anomaly_id)
    if not given:  # which is no news of one that is there
        await verdicts.anomaly(tenant, anomaly_id)
        return JSONResponse({"items": []})
    on_subject = await verdicts.on(tenant, given[0].subject)
    limit = await _limit(request, given[0].detector)
    return JSONResponse({"items": [_told(one, on_subject, limit) for one in given]})


@router.post("")
async def give_verdict(request: Request, anomaly_id: str, said: NewVerdict) -> JSONResponse:
    """Say what it was. Who has said something of it before, takes that back."""
    verdicts, tenant = _verdicts(request), tenant_of(request)
    given = await verdicts.give(
        tenant, anomaly_id, Word(said.verdict), by_of(request), comment=said.comment
    )
    on_subject = await verdicts.on(tenant, given.subject)
    return JSONResponse(_told(given, on_subject, await _limit(request, given.detector)))


@router.delete("")
async def withdraw_verdict(request: Request, anomaly_id: str) -> JSONResponse:
    """Take back what one has said: everything is as it was without it."""
    verdicts, tenant = _verdicts(request), tenant_of(request)
    withdrawn = await verdicts.withdraw(tenant, anomaly_id, by_of(request))
    on_subject = await verdicts.on(tenant, withdrawn.subject)
    return JSONResponse(_told(withdrawn, on_subject, await _limit(request, withdrawn.detector)))


def _verdicts(request: Request) -> Verdicts:
    services = services_of(request)
    return Verdicts(services.store, services.clock, services.deciding)


async def _limit(request: Request, detector: str) -> float | None:
    """The p-value of a point a minute that the settings ask of a detector, if they do."""
    settings = settings_of(request)
    document = json.loads(settings.text(await settings.current()))
    specs = [spec for spec in document.get("detectors", ()) if spec.get("use") == detector]
    if not specs:
        return None
    usual = getattr(plugins.load("detector", detector).Config(), "budget_per_week", None)
    budget = specs[0].get("budget_per_week", usual)
    return None if budget is None else float(budget) / _MINUTES_A_WEEK


def _told(verdict: Verdict, on_subject: Sequence[Verdict], limit: float | None) -> dict[str, Any]:
    changed = effect(verdict, on_subject)
    said = []
    if changed.before != changed.after:
        before, after = 10**changed.before, 10**changed.after
        said.append(
            f"the limit of this series, from times {before:.3g} to times {after:.3g}"
            if limit is None
            else f"the limit of this series, from p < {limit * before:.2g} to p < "
            f"{limit * after:.2g}"
        )
    if changed.expects:
        said.append(f"what {verdict.detector} finds in it {changed.expects} is muted")
    return {
        "anomaly": verdict.anomaly,
        "verdict": verdict.word,
        "by": verdict.principal,
        "at": iso(verdict.time_ns),
        "comment": verdict.comment,
        "changes": {
            "limit_before": 10**changed.before,
            "limit_after": 10**changed.after,
            "says": "; ".join(said) or "nothing",
        },
        "position": verdict.position,
    }
