"""What a process that keeps telemetry answers to those of its installation that keep none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from watchkeeper.api.problems import problem
from watchkeeper.api.services import Readable, Services, Templates
from watchkeeper.api.tenants import tenant_of
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.lake.base import SampleQuery, SeriesQuery, TooManyRows
from watchkeeper.lake.remote_form import MANY_ROWS, REFUSAL, write_found, write_frame
from watchkeeper.lake.tables.base import RowQuery

router = APIRouter(prefix="/internal/v1", tags=["internal"])

T = TypeVar("T")
Q = TypeVar("Q", SampleQuery, SeriesQuery, RowQuery)
_samples = msgspec.msgpack.Decoder(SampleQuery)
_series = msgspec.msgpack.Decoder(SeriesQuery)
_rows = msgspec.msgpack.Decoder(RowQuery)
_service = msgspec.msgpack.Decoder(str | None)
_number = msgspec.msgpack.Decoder(int)
_ARROW = "application/vnd.apache.arrow.stream"
_PACKED = "application/vnd.msgpack"


@router.post("/samples")
async def samples(request: Request) -> Response:
    """A query for samples, answered as an Arrow stream."""
    services: Services = request.state.services
    query = await _asked(request, _samples)
    try:
        found = await _beside(services, lambda: write_frame(services.lake.query(query)))
    except TooManyRows as error:
        return problem(error.status, str(error), {REFUSAL: MANY_ROWS})
    return Response(found, media_type=_ARROW)


@router.post("/series")
async def series(request: Request) -> Response:
    """A query for series: their labels."""
    services: Services = request.state.services
    query = await _asked(request, _series)
    found = await _beside(services, lambda: msgspec.msgpack.encode(services.lake.series(query)))
    return Response(found, media_type=_PACKED)


@router.post("/rows/{table}")
async def rows(request: Request, table: str) -> Response:
    """A search of a table."""
    services: Services = request.state.services
    readable = _readable(services, table)
    query = await _asked(request, _rows)
    found = await _beside(services, lambda: write_found(readable.table.search(query)))
    return Response(found, media_type=_PACKED)


@router.post("/templates")
async def templates(request: Request) -> Response:
    """Templates of a service, or of all."""
    services: Services = request.state.services
    service = await _decoded(request, _service)
    found = await services.templates.templates(tenant_of(request), service)
    return Response(msgspec.msgpack.encode(found), media_type=_PACKED)


@router.post("/fingerprints")
async def fingerprints(request: Request) -> Response:
    """What a template means."""
    services: Services = request.state.services
    template = await _decoded(request, _number)
    found = await services.templates.fingerprints(tenant_of(request), template)
    return Response(msgspec.msgpack.encode(found), media_type=_PACKED)


@router.post("/caught-up/{table}")
async def caught_up(request: Request, table: str) -> Response:
    """Answers when a table, or `samples`, `changes`, `incidents` or `templates`, can be read up
    to a position. What another process would read of telemetry is all up to there, or nothing."""
    services: Services = request.state.services
    position = await _decoded(request, _number)
    elsewhere = {
        "changes": services.changes_caught_up,
        "incidents": services.incidents_caught_up,
    }
    if table in elsewhere:  # which are read elsewhere
        await elsewhere[table](position)
        return Response(b"", media_type=_PACKED)
    if not await _kept(services, table).caught_up(position):
        raise Retryable(
            f"{table}: not stored up to position {position} yet; this process is behind, as after "
            "a start, and its /health says how far"
        )
    return Response(b"", media_type=_PACKED)


def _kept(services: Services, table: str) -> Services | Templates | Readable[Any]:
    if table == "samples":
        return services
    return services.templates if table == "templates" else _readable(services, table)


def _readable(services: Services, table: str) -> Readable[Any]:
    named: dict[str, Readable[Any] | None] = {
        "logs": services.logs,
        "spans": services.spans,
        "exemplars": services.exemplars,
        "histograms": services.histograms,
    }
    found = named.get(table)
    if found is None:
        raise BadInput(f"internal: there is no table '{table[:40]}'; both must be of one version")
    return found


async def _asked(request: Request, decoder: msgspec.msgpack.Decoder[Q]) -> Q:
    """In the tenant that the gateway decided, whatever the question says."""
    query = await _decoded(request, decoder)
    return replace(query, tenant=tenant_of(request))


async def _decoded(request: Request, decoder: msgspec.msgpack.Decoder[T]) -> T:
    try:
        return decoder.decode(await request.body())
    except msgspec.DecodeError as error:
        raise BadInput(
            f"internal: not understood: {error}; both processes must be of one version"
        ) from error


async def _beside(services: Services, work: Callable[[], bytes]) -> bytes:
    return await asyncio.get_running_loop().run_in_executor(services.queries, work)
