"""Traces: looked up by their id, and listed by what one of their spans is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from watchkeeper.api import rows
from watchkeeper.api.problems import problem
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso, parse_duration
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.tables.base import RowQuery
from watchkeeper.model.series import Matcher, MatchOp, TenantId
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import SpanBatch

router = APIRouter(prefix="/api/v1/traces", tags=["traces"])

_ALWAYS: Final = (-(2**62), 2**62)
_SPANS_OF_TRACE: Final = 20_000
"""Of one trace: more are not told."""
_SPANS_PER_PAGE: Final = 1000
_PAGES: Final = 20
"""Of spans that are looked through for different traces."""
_SPANS_OF_LIST: Final = 100_000
_AROUND_NS: Final = 3600 * NS_PER_S
"""How long before and after a span its trace may have others."""
_LONGEST_NS: Final = 2**63 - 1


@router.get("/{trace_id}")
async def one_trace(request: Request, trace_id: str) -> Response:
    """The spans of a trace, in order of their start; `parent_id` makes a tree of them."""
    services: Services = request.state.services
    start_ns, end_ns = _ALWAYS
    asked = RowQuery(
        tenant=tenant_of(request),
        start_ns=start_ns,
        end_ns=end_ns,
        traces=(rows.parse_trace(trace_id),),
        limit=_SPANS_OF_TRACE,
    )
    found = await rows.search(services, services.spans, asked)
    batch = found.batch
    if not len(batch):
        return problem(404, f"there is no span of trace '{trace_id}', or none is kept any more")
    spans = [to_json(batch, row) for row in range(len(batch) - 1, -1, -1)]
    return rows.answer(
        {**_summary(batch, range(len(batch))), "complete": found.cursor is None, "spans": spans}
    )


@router.get("")
async def list_traces(
    request: Request,
    service: str | None = None,
    name: Annotated[str | None, Query(description="Of a span, exactly.")] = None,
    min_duration: Annotated[str | None, Query(description="Of the span: 50ms, 1.5s ...")] = None,
    max_duration: str | None = None,
    status: Literal["unset", "ok", "error"] | None = None,
    query: Annotated[str | None, Query(description='A selector: {host="a"}')] = None,
    start: Annotated[str | None, Query(description="Default: an hour before `end`.")] = None,
    end: Annotated[str | None, Query(description="Not included; default: now.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Response:
    """Traces that have a span which is all that is asked for; by that span, the newest first."""
    services: Services = request.state.services
    start_ns, end_ns = rows.parse_range(services, start, end)
    matchers = rows.parse_matchers(query)
    if service is not None:
        matchers = (*matchers, Matcher("service", MatchOp.EQUAL, service))
    between: dict[str, tuple[int, int]] = {}
    if min_duration is not None or max_duration is not None:
        least = 0 if min_duration is None else parse_duration(min_duration, "min_duration")
        most = _LONGEST_NS if max_duration is None else parse_duration(max_duration, "max_duration")
        between["duration_ns"] = (least, most)
    if status is not None:
        between["status"] = (SpanStatus[status.upper()],) * 2
    asked = RowQuery(
        tenant=tenant_of(request),
        start_ns=start_ns,
        end_ns=end_ns,
        matchers=matchers,
        between=between,
        equal={} if name is None else {"name": name.encode()},
        texts=("name",),
    )
    return rows.answer({"items": await _summaries(services, asked, limit)})


def to_json(batch: SpanBatch, row: int) -> dict[str, Any]:
    """A span as the API tells it."""
    origin = batch.origins[batch.origin[row]]
    return {
        "span_id": rows.hex_id(int(batch.span[row])),
        "parent_id": rows.hex_id(int(batch.parent[row])),
        **rows.entity_of(origin),
        "name": batch.name.text(row),
        "kind": _word(SpanKind, int(batch.kind[row])),
        "status": _word(SpanStatus, int(batch.status[row])),
        "message": batch.message.text(row),
        "start": iso(int(batch.start_ns[row])),
        "duration_ms": int(batch.duration_ns[row]) / 1e6,
        "labels": dict(origin.labels),
        "attributes": rows.parsed(batch.attributes, row, {}),
        "events": [_event(event) for event in rows.parsed(batch.events, row, [])],
        "links": rows.parsed(batch.links, row, []),
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    """With its time as everywhere else in the API."""
    time_ns = event.pop("time_ns", 0)
    return {"time": iso(time_ns), **event}


def _word(words: type[SpanKind | SpanStatus], number: int) -> str:
    """Senders may know numbers that we do not."""
    return words(number).name.lower() if number in set(words) else "unknown"


async def _summaries(services: Services, asked: RowQuery, limit: int) -> list[dict[str, Any]]:
    """Of the traces of the newest spans that fit, each by all of its spans."""
    ids: dict[tuple[int, int], int] = {}
    asked = replace(asked, limit=_SPANS_PER_PAGE)
    for _ in range(_PAGES):
        found = await rows.search(services, services.spans, asked)
        starts = found.batch.start_ns.tolist()
        for (high, low), start_ns in zip(found.batch.trace.tolist(), starts, strict=True):
            if len(ids) < limit:
                ids.setdefault((high, low), start_ns)
        if len(ids) == limit or found.cursor is None:
            break
        asked = replace(asked, before=found.cursor)
    return await summaries(services, asked.tenant, ids)


async def summaries(
    services: Services, tenant: TenantId, ids: Mapping[tuple[int, int], int]
) -> list[dict[str, Any]]:
    """Of these traces in this order, given about when each was; without those that are gone."""
    if not ids:
        return []
    spans = await spans_of(services, tenant, ids)
    of_trace: dict[tuple[int, int], list[int]] = {trace: [] for trace in ids}
    for row, (high, low) in enumerate(spans.trace.tolist()):
        of_trace[high, low].append(row)
    return [_summary(spans, found_rows) for found_rows in of_trace.values() if found_rows]


async def spans_of(
    services: Services, tenant: TenantId, ids: Mapping[tuple[int, int], int]
) -> SpanBatch:
    """All spans of these traces, but for their texts."""
    whole = RowQuery(
        tenant=tenant,
        start_ns=min(ids.values()) - _AROUND_NS,
        end_ns=max(ids.values()) + _AROUND_NS,
        traces=tuple(ids),
        limit=_SPANS_OF_LIST,
        texts=("name",),
    )
    return (await rows.search(services, services.spans, whole)).batch


def _summary(batch: SpanBatch, of_trace: Sequence[int]) -> dict[str, Any]:
    """A trace in a few words; its rows are the newest first."""
    start_ns = min(int(batch.start_ns[row]) for row in of_trace)
    end_ns = max(int(batch.start_ns[row] + batch.duration_ns[row]) for row in of_trace)
    roots = [row for row in of_trace if not batch.parent[row]]
    root = (roots or of_trace)[-1]
    services = {batch.origins[batch.origin[row]].entity.service for row in of_trace}
    return {
        "trace_id": rows.trace_text(batch.trace[root]),
        "root": {
            "service": batch.origins[batch.origin[root]].entity.service,
            "name": batch.name.text(root),
        },
        "start": iso(start_ns),
        "duration_ms": (end_ns - start_ns) / 1e6,
        "n_spans": len(of_trace),
        "n_errors": sum(int(batch.status[row]) == SpanStatus.ERROR for row in of_trace),
        "services": sorted(services - {""}),
    }
