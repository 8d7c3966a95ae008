"""Why something is the matter: the causes of a trouble, with evidence for and against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.api import rows
from watchkeeper.api.detection import services_of
from watchkeeper.api.services import Causes, Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso, parse_time
from watchkeeper.errors import BadInput
from watchkeeper.model.cause import Answer, Cause, Evidence
from watchkeeper.model.examination import Examination, NodeState, OperationTime, SeriesShift
from watchkeeper.model.series import TenantId

router = APIRouter(prefix="/api/v3/aiops/analyze", tags=["causes"])

_STRANGE: Final = 0.5
_Name = Annotated[str, Field(min_length=1, max_length=500)]


class Question(BaseModel):
    """Of which services, and since when. Nothing of it must be said."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"service": "checkout", "at": "2026-01-05T10:00:00Z"},
        },
    )

    service: _Name | None = None
    """Where it was felt."""
    services: Annotated[list[_Name], Field(max_length=100)] = []
    """Where it was felt, if that is in several places. Without any, all that is known counts."""
    at: str | None = None
    """When it began. Default: when the oldest anomaly began that is still open; else two minutes
    before `until`."""
    until: str | None = None
    """How far to look. Default: now."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, complete."""

    tenant: TenantId
    nodes: list[str]
    onset_ns: int
    until_ns: int


@router.post("/rca")
async def root_cause(request: Request, question: Question) -> Response:
    """Its causes by probability, with evidence, or that the evidence carries no name. The same
    telemetry gives the same answer."""
    causes = _causes_of(request)
    one = await _asked(request, causes, question)
    found = await causes.causes_of(one.tenant, one.nodes, one.onset_ns, one.until_ns)
    return rows.answer(to_json(found))


@router.post("/anomaly")
async def anomalous_nodes(request: Request, question: Question) -> Response:
    """Which nodes are strange, and in what: series that are far off, operations that are slower.
    Nobody is blamed."""
    causes = _causes_of(request)
    one = await _asked(request, causes, question)
    found = await causes.examine(one.tenant, one.nodes, one.onset_ns, one.until_ns)
    slower = [_plain(each) for each in found.operations if each.is_slower]
    return rows.answer(
        {
            **_times(found),
            "is_anomalous": any(each.strangeness > _STRANGE for each in found.nodes),
            "nodes": [_plain(each) for each in found.nodes],
            "series": [_plain(each) for each in found.series],
            "operations": slower,
        }
    )


@router.post("/performance")
async def performance(request: Request, question: Question) -> Response:
    """Where time is spent, and where more of it than usual: operations by themselves, without
    those they wait for, by the time that is lost in them."""
    causes = _causes_of(request)
    one = await _asked(request, causes, question)
    found = await causes.examine(one.tenant, one.nodes, one.onset_ns, one.until_ns)
    operations = [_plain(each) for each in found.operations]
    lost_ms = sum(each.lost_ms for each in found.operations)
    return rows.answer({**_times(found), "lost_ms": lost_ms, "operations": operations})


def _causes_of(request: Request) -> Causes:
    causes = services_of(request).causes
    if causes is None:
        raise BadInput("causes: this process knows no telemetry; ask one that keeps it", status=501)
    return causes


async def _asked(request: Request, causes: Causes, question: Question) -> _Asked:
    services, tenant = services_of(request), tenant_of(request)
    first = [question.service] if question.service else []
    nodes = list(dict.fromkeys((*first, *question.services)))
    now_ns = services.clock.now_ns()
    until_ns = now_ns if question.until is None else parse_time(question.until, "until")
    await _read_all(services)
    if question.at is None:
        onset_ns = await causes.onset_of(tenant, nodes, until_ns)
    else:
        onset_ns = parse_time(question.at, "at")
    if onset_ns > until_ns:
        raise BadInput(
            f"at: {iso(onset_ns)} is behind {iso(until_ns)}, to which it is looked; say when it "
            "began"
        )
    return _Asked(tenant, nodes, onset_ns, until_ns)


async def _read_all(services: Services) -> None:
    """Who asks finds what they were told is durable."""
    newest = await services.newest()
    for caught_up in (
        services.caught_up,
        services.logs.caught_up,
        services.spans.caught_up,
        services.changes_caught_up,
    ):
        await caught_up(newest)


def to_json(answer: Answer) -> dict[str, Any]:
    """An answer as the API tells it."""
    ranking = answer.ranking
    causes = [_cause(one, answer.kinds) for one in ranking.causes]
    return {
        "root_cause": None if ranking.abstains else causes[0],
        "confidence": 0.0 if ranking.abstains else ranking.causes[0].probability,
        "confidence_word": ranking.confidence,
        "causes": causes,
        "unknown": ranking.unknown,
        "affected": list(answer.affected),
        "entry": answer.entry,
        "onset": iso(answer.onset_ns),
        "window": [iso(one) for one in answer.window_ns],
        "baseline": [iso(one) for one in answer.baseline_ns],
        "healthy_s": answer.healthy_s,
        "quality": ranking.quality,
        "ruled_out": _told(ranking.ruled_out),
        "missing": list(ranking.missing),
        "read": dict(answer.counts),
    }


def _cause(cause: Cause, kinds: Mapping[str, str]) -> dict[str, Any]:
    return {
        "node": cause.node,
        "kind": kinds.get(cause.node, "service"),
        "probability": cause.probability,
        "score": cause.score,
        "by_explainer": dict(cause.by_explainer),
        "evidence": _told(cause.evidence),
        "against": _told(cause.against),
    }


def _told(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "explainer": one.explainer,
            "node": one.node,
            "text": one.text,
            "observed": one.observed,
            "expected": one.expected,
            "unit": one.unit,
            "n": one.n,
        }
        for one in evidence
    ]


def _times(found: Examination) -> dict[str, Any]:
    return {
        "onset": iso(found.onset_ns),
        "window": [iso(one) for one in found.window_ns],
        "baseline": [iso(one) for one in found.baseline_ns],
        "healthy_s": found.healthy_s,
    }


def _plain(one: NodeState | OperationTime | SeriesShift) -> dict[str, Any]:
    return asdict(one)
