"""Reading samples: selectors, ranges, steps, aggregations, groups."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import parse_duration, parse_time
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput
from watchkeeper.lake.base import Fold, Frame, SampleQuery
from watchkeeper.lake.selector import parse_selector

router = APIRouter(prefix="/api/v1/metrics", tags=["metrics"])

_DEFAULT_RANGE_NS = 3600 * NS_PER_S


@router.get("/query")
async def query(
    request: Request,
    query: Annotated[str, Query(description='A selector: http_requests_total{service="shop"}')],
    start: Annotated[str | None, Query(description="Default: an hour before `end`.")] = None,
    end: Annotated[str | None, Query(description="Not included; default: now.")] = None,
    step: Annotated[str | None, Query(description="15s, 5m, 1h ...; without it, raw.")] = None,
    over_time: Annotated[Fold, Query(description="How a step's samples become one.")] = Fold.AVG,
    across: Annotated[Fold | None, Query(description="How several series become one.")] = None,
    by: Annotated[str, Query(description="Labels that keep series apart, by commas.")] = "",
    limit: Annotated[int, Query(ge=1, le=5_000_000)] = 1_000_000,
) -> Response:
    """Samples of the selected series, sorted by series and time."""
    services: Services = request.state.services
    now_ns = services.clock.now_ns()
    end_ns = now_ns + 1 if end is None else parse_time(end, "end")
    start_ns = end_ns - _DEFAULT_RANGE_NS if start is None else parse_time(start, "start")
    if start_ns >= end_ns:
        raise BadInput(f"start: {start} is not before end: {end}")
    if across is not None and step is None:
        raise BadInput("across: needs a step, such as step=1m, to bring the series' times together")
    if across in (Fold.LAST, Fold.RATE):
        raise BadInput(f"across: '{across}' is over time only; use avg, min, max, sum or count")
    asked = SampleQuery(
        tenant=tenant_of(request),
        matchers=parse_selector(query),
        start_ns=start_ns,
        end_ns=end_ns,
        step_ns=None if step is None else parse_duration(step, "step"),
        over_time=over_time,
        across=across,
        by=tuple(name.strip() for name in by.split(",") if name.strip()),
        limit=limit,
    )
    await services.caught_up(await services.newest())
    frame = await asyncio.get_running_loop().run_in_executor(
        services.queries, services.lake.query, asked
    )
    return Response(msgspec.json.encode(_to_json(frame)), media_type="application/json")


def _to_json(frame: Frame) -> dict[str, Any]:
    """Series with their points, each [epoch seconds, value]; what JSON cannot say is a string."""
    times = (frame.time_ns // 1000 / 1e6).tolist()  # whole microseconds, so that each is exact
    values: list[Any] = frame.value.tolist()
    for index, value in enumerate(values):
        if not math.isfinite(value):
            values[index] = "NaN" if value != value else ("+Inf" if value > 0 else "-Inf")
    points: list[list[list[Any]]] = [[] for _ in frame.labels]
    for row, time_s, value in zip(frame.row.tolist(), times, values, strict=True):
        points[row].append([time_s, value])
    return {
        "series": [
            {"labels": dict(labels), "points": of_series}
            for labels, of_series in zip(frame.labels, points, strict=True)
        ]
    }
