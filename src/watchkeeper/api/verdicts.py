"""What people say of an anomaly, and what that changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.analyze.feedback import effect
from watchkeeper.api.detection import by_of, services_of
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso
from watchkeeper.know.verdicts_stage import Verdicts
from watchkeeper.model.ruling import Verdict, Word, subject_of

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
    anomaly = await verdicts.anomaly(tenant, anomaly_id)
    given = await verdicts.of(tenant, anomaly_id)
    on_subject = await verdicts.on(tenant, subject_of(tenant, anomaly.series, anomaly.labels))
    return JSONResponse({"items": [_told(one, on_subject) for one in given]})


@router.post("")
async def give_verdict(request: Request, anomaly_id: str, said: NewVerdict) -> JSONResponse:
    """Say what it was. Who has said something of it before, takes that back."""
    verdicts, tenant = _verdicts(request), tenant_of(request)
    given = await verdicts.give(
        tenant, anomaly_id, Word(said.verdict), by_of(request), comment=said.comment
    )
    return JSONResponse(_told(given, await verdicts.on(tenant, given.subject)))


@router.delete("")
async def withdraw_verdict(request: Request, anomaly_id: str) -> JSONResponse:
    """Take back what one has said: everything is as it was without it."""
    verdicts, tenant = _verdicts(request), tenant_of(request)
    withdrawn = await verdicts.withdraw(tenant, anomaly_id, by_of(request))
    return JSONResponse(_told(withdrawn, await verdicts.on(tenant, withdrawn.subject)))


def _verdicts(request: Request) -> Verdicts:
    services = services_of(request)
    return Verdicts(services.store, services.clock, services.deciding)


def _told(verdict: Verdict, on_subject: Sequence[Verdict]) -> dict[str, Any]:
    changed = effect(verdict, on_subject)
    said = [f"the limit of this series, times {10**changed.before:.3g} without it, is times "
            f"{10**changed.after:.3g}"] if changed.before != changed.after else []  # fmt: skip
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
