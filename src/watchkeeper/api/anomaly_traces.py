"""From an anomaly to traces: those of its time, service, operation or edge that failed, and the
slowest; and the exemplars of its series."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from watchkeeper.api import rows, traces
from watchkeeper.api.problems import problem
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso
from watchkeeper.clock import NS_PER_S
from watchkeeper.lake.derived import LABEL
from watchkeeper.lake.details import exemplars_of
from watchkeeper.lake.red import OTHER, is_red
from watchkeeper.lake.red_groups import operation_name
from watchkeeper.lake.red_peers import peer_of
from watchkeeper.lake.tables.base import Cursor, RowQuery
from watchkeeper.model.anomaly import Anomaly
from watchkeeper.model.series import METRIC_NAME, Matcher, MatchOp, TenantId
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import SpanBatch

router = APIRouter(prefix="/api/v1/anomalies", tags=["anomalies"])

_BEFORE_NS: Final = 120 * NS_PER_S
"""A cell of the grid, and the bin in which a span was counted, may have begun so long before."""
_LONGEST_NS: Final = 6 * 3600 * NS_PER_S
"""Of an anomaly that lasts longer, the time around its peak is looked through."""
_ROWS_PER_PAGE: Final = 10_000
_PAGES: Final = 6
_CANDIDATES: Final = 40
"""Spans of each sort that are looked at for whether they are of an edge."""
_EXEMPLARS: Final = 1000
_MOST_NS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Aim:
    """Which spans an anomaly speaks of."""

    service: str
    kinds: tuple[int, ...] = ()
    """Any, where there is none."""
    operation: str = ""
    peer: str = ""
    """Who is at the other end."""


@dataclass(frozen=True, slots=True)
class Span:
    """One that was found."""

    trace: tuple[int, int]
    span: int
    start_ns: int
    duration_ns: int
    failed: bool
    name: str
    kind: int
    peer: str


def aim_of(anomaly: Anomaly) -> Aim | None:
    """None for an anomaly that is of no service."""
    labels = anomaly.labels
    if is_red(labels) and "client" in labels and "server" in labels:
        client, server = labels["client"], labels["server"]
        if "/" in client:  # a queue tells no spans
            return Aim(server, (SpanKind.CONSUMER,), peer=client)
        return Aim(client, (SpanKind.CLIENT, SpanKind.PRODUCER), peer=server)
    if is_red(labels) and "operation" in labels:
        word = labels.get("span_kind", "").upper()
        kinds = (int(SpanKind[word]),) if word in SpanKind.__members__ else ()
        return Aim(labels.get("service", ""), kinds, operation=labels["operation"])
    service = anomaly.entity.service or labels.get("service", "")
    return Aim(service) if service else None


@router.get("/{anomaly_id}/traces")
async def traces_of(
    request: Request,
    anomaly_id: str,
    limit: Annotated[int, Query(ge=1, le=20, description="Of failed ones, and of slow ones.")] = 5,
) -> Response:
    """Traces of the anomaly's time: failed ones first, then the slowest.

    Of a series that was made of spans, those of its operation or edge; of any other series, those
    of its service. `complete` says whether all spans of that time were looked through.
    """
    services: Services = request.state.services
    anomaly = await services.store.get(Anomaly, tenant_of(request), anomaly_id)
    if anomaly is None:
        return problem(404, f"there is no anomaly '{anomaly_id}'; GET /api/v1/anomalies lists them")
    aim = aim_of(anomaly)
    found, complete = ([], True) if aim is None else await _found(services, anomaly, aim, limit)
    by_trace: dict[tuple[int, int], list[tuple[str, Span]]] = {}
    for why, one in found:
        by_trace.setdefault(one.trace, []).append((why, one))
    ids = {trace: some[0][1].start_ns for trace, some in by_trace.items()}
    told = await traces.summaries(services, anomaly.tenant, ids)
    by_id = {rows.hex_id(high << 64 | low, 32): some for (high, low), some in by_trace.items()}
    return rows.answer(
        {
            "items": [{**one, **_why(by_id[one["trace_id"]])} for one in told],
            "exemplars": await _exemplars(services, anomaly, limit),
            "complete": complete,
        }
    )


async def _found(
    services: Services, anomaly: Anomaly, aim: Aim, limit: int
) -> tuple[list[tuple[str, Span]], bool]:
    """(why, span): failed ones, the newest first; then the slowest."""
    start_ns, end_ns = _time(anomaly, services.clock.now_ns())
    asked = RowQuery(
        tenant=anomaly.tenant,
        start_ns=start_ns,
        end_ns=end_ns,
        matchers=(Matcher("service", MatchOp.EQUAL, aim.service),),
        among={"kind": aim.kinds} if aim.kinds else {},
        texts=("name", "attributes") if aim.peer else ("name",),
        limit=_ROWS_PER_PAGE,
    )
    n = _CANDIDATES if aim.peer else limit
    failing = replace(asked, between={"status": (SpanStatus.ERROR,) * 2})
    failed, all_failed = await _best(services, failing, aim, n, lambda one: one.start_ns)
    slow, all_slow = await _best(services, asked, aim, n, lambda one: one.duration_ns)
    if aim.peer:
        failed, slow = await _of_edge(services, anomaly.tenant, aim, (failed, slow))
    found = [("failed", one) for one in failed[:limit]] + [("slow", one) for one in slow[:limit]]
    return found, all_failed and all_slow


async def _best(
    services: Services, asked: RowQuery, aim: Aim, n: int, worth: Callable[[Span], int]
) -> tuple[list[Span], bool]:
    """The `n` spans of most worth, one of each trace; and whether there are no others."""
    by_trace: dict[tuple[int, int], Span] = {}
    before: Cursor | None = None
    slowest = "status" not in asked.between
    floor_ns = 0
    for _ in range(_PAGES):
        between = {**asked.between, "duration_ns": (floor_ns, _MOST_NS)}
        found = await rows.search(
            services, services.spans, replace(asked, between=between, before=before)
        )
        fitting = await asyncio.get_running_loop().run_in_executor(
            services.queries, _fitting, found.batch, aim
        )
        for one in fitting:
            known = by_trace.get(one.trace)
            if known is None or worth(one) > worth(known):
                by_trace[one.trace] = one
        best = sorted(by_trace.values(), key=lambda one: (-worth(one), one.trace))[:n]
        by_trace = {one.trace: one for one in best}
        before = found.cursor
        if before is None or (len(best) == n and not slowest):
            return best, True
        if len(best) == n:
            floor_ns = best[-1].duration_ns  # what is quicker is not read any more
    return best, False


def _fitting(batch: SpanBatch, aim: Aim) -> list[Span]:
    found = []
    named: dict[bytes, str] = {}
    trace, status = batch.trace.tolist(), batch.status.tolist()
    span, start, took = batch.span.tolist(), batch.start_ns.tolist(), batch.duration_ns.tolist()
    for row in range(len(batch)):
        raw = batch.name[row]
        if aim.operation:
            if raw not in named:
                named[raw] = operation_name(raw)
            if aim.operation not in (named[raw], OTHER):
                continue
        high, low = trace[row]
        peer = peer_of(batch.attributes[row]) if aim.peer else ""
        failed = status[row] == SpanStatus.ERROR
        name, kind = raw.decode(errors="replace"), int(batch.kind[row])
        found.append(Span((high, low), span[row], start[row], took[row], failed, name, kind, peer))
    return found


async def _of_edge(
    services: Services, tenant: TenantId, aim: Aim, candidates: tuple[list[Span], list[Span]]
) -> tuple[list[Span], list[Span]]:
    """Those whose other end is the one that is meant: named so, or answering so."""
    ids = {one.trace: one.start_ns for some in candidates for one in some}
    if not ids:
        return [], []
    batch = await traces.spans_of(services, tenant, ids)
    entities = [one.entity.service for one in batch.origins]
    answered = {
        (high, low, parent)
        for (high, low), parent, number in zip(
            batch.trace.tolist(), batch.parent.tolist(), batch.origin.tolist(), strict=True
        )
        if entities[number] == aim.peer
    }
    failed, slow = (
        [one for one in some if one.peer == aim.peer or (*one.trace, one.span) in answered]
        for some in candidates
    )
    return failed, slow


def _time(anomaly: Anomaly, now_ns: int) -> tuple[int, int]:
    start_ns = anomaly.started_ns - _BEFORE_NS
    end_ns = (now_ns if anomaly.ended_ns is None else anomaly.ended_ns) + 1
    if end_ns - start_ns > _LONGEST_NS:
        half_ns = _LONGEST_NS // 2
        start_ns = max(start_ns, anomaly.peak_ns - half_ns)
        end_ns = min(end_ns, start_ns + _LONGEST_NS)
    return start_ns, max(end_ns, start_ns + 1)


def _why(some: list[tuple[str, Span]]) -> dict[str, Any]:
    """What a trace was chosen for, and by which of its spans."""
    _, one = some[0]
    return {
        "why": [why for why, _ in some],
        "span": {
            "span_id": rows.hex_id(one.span),
            "name": one.name,
            "kind": SpanKind(one.kind).name.lower() if one.kind in set(SpanKind) else "unknown",
            "status": "error" if one.failed else "ok",
            "start": iso(one.start_ns),
            "duration_ms": one.duration_ns / 1e6,
        },
    }


async def _exemplars(services: Services, anomaly: Anomaly, limit: int) -> list[dict[str, Any]]:
    """Of the anomaly's series, or of the histogram that it was derived of: the greatest first."""
    labels = {
        name: value for name, value in anomaly.labels.items() if name not in (LABEL, METRIC_NAME)
    }
    name = anomaly.labels.get(METRIC_NAME, "").partition(":")[0]
    if services.exemplars is None or not name:
        return []
    stem = name.removesuffix("_count").removesuffix("_sum").removesuffix("_bucket")
    matchers = [Matcher(METRIC_NAME, MatchOp.REGEX, f"{_literal(stem)}(_bucket|_count|_total)?")]
    matchers += [Matcher(key, MatchOp.EQUAL, value) for key, value in labels.items()]
    table = services.exemplars
    await table.caught_up(await services.newest())
    found = await asyncio.get_running_loop().run_in_executor(
        services.queries,
        lambda: exemplars_of(
            table.table,
            anomaly.tenant,
            matchers,
            _time(anomaly, services.clock.now_ns()),
            limit=_EXEMPLARS,
        ),
    )
    each = [one for _, some in found for one in some]
    each.sort(key=lambda one: (-one.value, one.time_ns))
    return [
        {"time": iso(one.time_ns), "value": one.value, "trace_id": _trace(_labels(one.labels))}
        for one in each[:limit]
    ]


def _literal(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_:" else f"\\{c}" for c in name)


def _labels(text: bytes) -> Mapping[str, str]:
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}


def _trace(labels: Mapping[str, str]) -> str | None:
    return labels.get("trace_id") or labels.get("traceID")
