"""Incidents: listed and counted, one as a whole, its timeline, and as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from watchkeeper.api.services import Services
from watchkeeper.api.streams import streamed
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso, parse_time
from watchkeeper.errors import BadInput
from watchkeeper.model.handling import IncidentEntry, IncidentHead, IncidentMembers, Origin
from watchkeeper.model.incident import Join, Member
from watchkeeper.model.series import TenantId
from watchkeeper.store.base import Facets, Filter, Store

router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])

COUNTED: Final = 10_000
"""Incidents, the newest that match, of which facets are counted."""
_HIDDEN: Final = frozenset({"shown"})
_Word = Annotated[str | None, Query(max_length=300)]


class StatusWord(StrEnum):
    """A status, or all of those that somebody has to look at."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATING = "mitigating"
    RESOLVED = "resolved"
    CLOSED = "closed"
    MERGED = "merged"
    ACTIVE = "active"


class UrgencyWord(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


def to_json(head: IncidentHead) -> dict[str, Any]:
    """An incident as lists show it."""
    return {
        "id": head.id,
        "tenant": head.tenant,
        "status": head.status,
        "urgency": head.urgency.name.lower(),
        "title": head.title,
        "service": head.service,
        "services": list(head.services),
        "rules": list(head.rules),
        "alerts": head.n_members,
        "firing": head.n_firing,
        "started_at": iso(head.opened_ns),
        "updated_at": iso(head.updated_ns),
        "ended_at": _iso(head.ended_ns),
        "resolved_at": _iso(head.resolved_ns),
        "assignee": head.assignee,
        "snoozed_until": _iso(head.snoozed_until_ns),
        "comments": head.n_comments,
        "held": head.is_held,
        "merged_into": head.merged_into,
        "merged_from": list(head.merged_from),
        "split_from": head.split_from,
        "version": head.version,
        "position": head.position,
    }


def whole(head: IncidentHead, members: IncidentMembers | None) -> dict[str, Any]:
    """An incident with its alerts, each with why it joined."""
    listed = () if members is None else members.members
    origins: Mapping[Any, Origin] = {} if members is None else members.origins
    return {
        **to_json(head),
        "representative": head.representative or None,
        "members": [
            _member(one, origins.get(one.complaint), head.representative) for one in listed
        ],
    }


def _member(member: Member, origin: Origin | None, representative: str) -> dict[str, Any]:
    return {
        "id": member.complaint,
        "rule": member.rule,
        "service": member.node,
        "urgency": member.urgency.name.lower(),
        "summary": member.summary,
        "labels": dict(member.labels),
        "started_at": iso(member.started_ns),
        "fired_at": iso(member.last_ns),
        "ended_at": _iso(member.ended_ns),
        "firings": member.n_firings,
        "is_representative": member.complaint == representative,
        "silence": member.silence,
        "joined": _join(member.join),
        "source": "" if origin is None else origin.source,
        "links": {} if origin is None else dict(origin.links),
        "anomalies": [] if origin is None else list(origin.anomalies),
    }


def _join(join: Join | None) -> dict[str, Any] | None:
    if join is None:
        return None
    return {
        "because_of": join.cause,
        "odds": join.odds,
        "time": join.time,
        "topology": join.topology,
        "text": join.text,
        "labels": join.labels,
        "hops": join.hops,
    }


def _entry(entry: IncidentEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "time": iso(entry.time_ns),
        "what": entry.what,
        "by": entry.by,
        "text": entry.text,
        "alert": entry.complaint,
        "joined": _join(entry.join),
        "position": entry.position,
    }


def _iso(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)


@router.get("")
async def list_incidents(
    request: Request,
    status: StatusWord | None = None,
    service: _Word = None,
    urgency: UrgencyWord | None = None,
    rule: _Word = None,
    assignee: _Word = None,
    text: Annotated[
        str | None, Query(max_length=300, description="In the title, a service or a rule.")
    ] = None,
    since: Annotated[str | None, Query(description="Not resolved before this time.")] = None,
    until: Annotated[str | None, Query(description="Began before this time.")] = None,
    facets: Annotated[bool, Query(description="How many there are of each.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> JSONResponse:
    """Newest first, page by page. What became another incident is shown where it is asked for."""
    words = {"service": service, "urgency": urgency, "rule": rule, "assignee": assignee}
    where = {name: str(word) for name, word in words.items() if word is not None}
    if status is None or status is StatusWord.ACTIVE:
        where["shown"] = "listed" if status is None else "active"
    query = Filter(
        tenant=tenant_of(request),
        status=None if "shown" in where else status,
        since_ns=None if since is None else parse_time(since, "since"),
        until_ns=None if until is None else parse_time(until, "until"),
        limit=limit,
        cursor=cursor,
        where=where,
        text=text,
    )
    store = _services(request).store
    page = await store.list(IncidentHead, query)
    answer = {"items": [to_json(one) for one in page.items], "cursor": page.cursor}
    return JSONResponse(answer | (await _counted(store, query) if facets else {}))


@router.get("/stream")
async def stream(
    request: Request, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Server-sent events: every change of an incident from now on, or behind `Last-Event-ID`.

    An event `reset` says that changes were missed: list the incidents again.
    """
    return streamed(request, last_event_id, of=IncidentHead, name="incident", to_json=to_json)


@router.get("/{incident_id}")
async def one_incident(request: Request, incident_id: str) -> JSONResponse:
    """With its alerts, each with why it joined. The answer's ETag is its version."""
    store, tenant = _services(request).store, tenant_of(request)
    head = await head_of(store, tenant, incident_id)
    members = await store.get(IncidentMembers, tenant, incident_id)
    return answered(whole(head, members), head)


@router.get("/{incident_id}/timeline")
async def timeline(
    request: Request,
    incident_id: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> JSONResponse:
    """All that happened to it, newest first: alerts that joined and why, and what people did."""
    store, tenant = _services(request).store, tenant_of(request)
    await head_of(store, tenant, incident_id)
    page = await store.list(
        IncidentEntry, Filter(tenant, service=incident_id, limit=limit, cursor=cursor)
    )
    return JSONResponse({"items": [_entry(one) for one in page.items], "cursor": page.cursor})


def answered(told: Mapping[str, Any], head: IncidentHead, status: int = 200) -> JSONResponse:
    return JSONResponse(told, status, headers={"etag": f'"{head.version}"'})


async def head_of(store: Store, tenant: TenantId, incident_id: str) -> IncidentHead:
    """Raises BadInput (404) where there is none."""
    found = await store.get(IncidentHead, tenant, incident_id)
    if found is None:
        raise BadInput(
            f"there is no incident '{incident_id[:80]}'; GET /api/v1/incidents lists them",
            status=404,
        )
    return found


async def _counted(store: Store, query: Filter) -> dict[str, Any]:
    counting = Filter(
        query.tenant,
        status=query.status,
        since_ns=query.since_ns,
        until_ns=query.until_ns,
        limit=COUNTED,
        where=query.where,
        text=query.text,
    )
    found: Facets = await store.facets(IncidentHead, counting)
    return {
        "facets": {name: counts for name, counts in found.counts.items() if name not in _HIDDEN},
        "counted": {"incidents": found.n, "all": found.is_whole},
    }


def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services
