"""Log lines: searched by words, labels, severity, template and trace."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from watchkeeper.api import rows
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import iso
from watchkeeper.errors import BadInput
from watchkeeper.lake.tables.base import RowQuery
from watchkeeper.lake.tables.words import parse_text
from watchkeeper.model.severity import Severity, severity_of, word_of
from watchkeeper.model.signal import LogBatch
from watchkeeper.model.template import Template

router = APIRouter(prefix="/api/v1/logs", tags=["logs"])

_GRAVEST = 24


@router.get("/search")
async def search(
    request: Request,
    text: Annotated[
        str, Query(description='Words that must all occur, and "phrases" as they are.')
    ] = "",
    contains: Annotated[
        str, Query(description="A part that must occur as it is, wherever words begin and end.")
    ] = "",
    query: Annotated[str | None, Query(description='A selector: {service="shop"}')] = None,
    level: Annotated[str | None, Query(description="At least so grave: warn, error ...")] = None,
    template: Annotated[
        str | None, Query(description="Lines of one template, or of one pattern, by its id.")
    ] = None,
    trace_id: Annotated[str | None, Query(description="Lines of one trace.")] = None,
    start: Annotated[str | None, Query(description="Default: an hour before `end`.")] = None,
    end: Annotated[str | None, Query(description="Not included; default: now.")] = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 100,
    cursor: Annotated[str | None, Query(description="From an earlier page.")] = None,
) -> Response:
    """Lines, the newest first, page by page."""
    services: Services = request.state.services
    start_ns, end_ns = rows.parse_range(services, start, end)
    tenant = tenant_of(request)
    between: dict[str, tuple[int, int]] = {}
    if level is not None:
        between["severity"] = (_severity(level), _GRAVEST)
    among: dict[str, tuple[int, ...]] = {}
    if template is not None:
        one = _template(template)
        meant = await services.templates.fingerprints(tenant, one)
        among["template"] = tuple(meant) or (one,)
    found = await rows.search(
        services,
        services.logs,
        RowQuery(
            tenant=tenant,
            start_ns=start_ns,
            end_ns=end_ns,
            matchers=rows.parse_matchers(query),
            between=between,
            among=among,
            traces=() if trace_id is None else (rows.parse_trace(trace_id),),
            text=parse_text(text, contains),
            limit=limit,
            before=rows.parse_cursor(cursor),
        ),
    )
    lines = [to_json(found.batch, row) for row in range(len(found.batch))]
    return rows.answer({"items": lines, "cursor": rows.cursor_text(found.cursor)})


@router.get("/templates")
async def list_templates(
    request: Request,
    service: Annotated[str | None, Query(description="Default: all services.")] = None,
    text: Annotated[str, Query(description="A part that the template must have.")] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Response:
    """What lines have in common that differ in their values; the most frequent first."""
    services: Services = request.state.services
    await services.templates.caught_up(await services.newest())
    known = await services.templates.templates(tenant_of(request), service)
    fitting = [one for one in known if text in one.text]
    fitting.sort(key=lambda one: (-one.n_lines, one.service, one.text))
    return rows.answer(
        {"items": [_told(one) for one in fitting[:limit]], "more": len(fitting) > limit}
    )


def _told(one: Template) -> dict[str, Any]:
    return {
        "id": rows.hex_id(one.id),
        "service": one.service,
        "text": one.text,
        "lines": one.n_lines,
        "patterns": one.n_patterns,
        "first_seen": iso(one.first_ns),
        "last_seen": iso(one.last_ns),
        "succeeds": [rows.hex_id(former) for former in one.succeeds],
    }


def to_json(batch: LogBatch, row: int) -> dict[str, Any]:
    """A line as the API tells it."""
    origin = batch.origins[batch.origin[row]]
    return {
        "time": iso(int(batch.time_ns[row])),
        "severity": word_of(int(batch.severity[row])),
        **rows.entity_of(origin),
        "labels": dict(origin.labels),
        "attributes": rows.parsed(batch.attributes, row, {}),
        "body": batch.body.text(row),
        "trace_id": rows.trace_text(batch.trace[row]),
        "span_id": rows.hex_id(int(batch.span[row])),
        "template": rows.hex_id(int(batch.template[row])),
    }


def _severity(word: str) -> Severity:
    found = severity_of(word)
    if not found:
        raise BadInput(f"level: '{word}' is none; write trace, debug, info, warn, error or fatal")
    return found


def _template(text: str) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise BadInput(f"template: '{text[:80]}' is no id of one; take it from a line's `template`")
    return number
