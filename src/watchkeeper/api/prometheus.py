"""Reading as from a Prometheus: what Grafana's data source of that kind asks for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from watchkeeper import __version__
from watchkeeper.api import prometheus_words as words
from watchkeeper.api.prometheus_words import Asked, asked, success
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.errors import BadInput
from watchkeeper.lake.base import SeriesQuery
from watchkeeper.lake.details import exemplars_of
from watchkeeper.lake.promql import ask
from watchkeeper.lake.promql.ask import LakeSource, TimedOut
from watchkeeper.lake.promql.parse import parse, parse_matchers
from watchkeeper.lake.promql.tree import selectors
from watchkeeper.model.family import Family
from watchkeeper.model.series import METRIC_NAME, Matcher, MatchOp

router = APIRouter(prefix="/prometheus", tags=["prometheus"], route_class=words.PrometheusRoute)

_SPEAKS: Final = "2.42.0"
"""The version of Prometheus whose answers we give; clients choose what they ask by it."""
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MOST_EXEMPLARS: Final = 10_000
"""Newest, of one selector."""
_ALWAYS_MS: Final = (-9_000_000_000_000, 9_000_000_000_000)
T = TypeVar("T")
Found = Sequence[Mapping[str, str]]


@router.get("/api/v1/query")
@router.post("/api/v1/query")
async def query(request: Request) -> Response:
    """An expression at one moment: `query`, `time`, `timeout`, `limit`."""
    services: Services = request.state.services
    given = await asked(request)
    now_ms = services.clock.now_ns() // words.NS_PER_MS
    wanted = ask.at(given.text("query"), given.time_ms("time", now_ms))
    limit, source = given.limit(), _source(request)
    return await _in_time(
        services,
        given,
        lambda go_on: words.instant(
            ask.answer(wanted, source, go_on), wanted.steps.start_ms, limit
        ),
    )


@router.get("/api/v1/query_range")
@router.post("/api/v1/query_range")
async def query_range(request: Request) -> Response:
    """An expression over a range: `query`, `start`, `end`, `step`, `timeout`, `limit`."""
    services: Services = request.state.services
    given = await asked(request)
    for name in ("start", "end", "step"):
        if not given.text(name):
            raise BadInput(f'invalid parameter "{name}": it is missing')
    wanted = ask.between(
        given.text("query"),
        given.time_ms("start", 0),
        given.time_ms("end", 0),
        given.duration_ms("step"),
    )
    limit, source = given.limit(), _source(request)
    return await _in_time(
        services,
        given,
        lambda go_on: words.ranged(ask.answer(wanted, source, go_on), wanted.steps, limit),
    )


@router.get("/api/v1/series")
@router.post("/api/v1/series")
async def series(request: Request) -> Response:
    """Label sets of the series that fit any `match[]`: `start`, `end`, `limit`."""
    given = await asked(request)
    if not given.texts("match[]"):
        raise BadInput("no match[] parameter provided")
    found, is_cut = words.cut(await _of_series(request, given, _distinct), given.limit())
    return success(found, is_cut=is_cut)


@router.get("/api/v1/labels")
@router.post("/api/v1/labels")
async def labels(request: Request) -> Response:
    """Names of labels: `match[]`, `start`, `end`, `limit`."""
    given = await asked(request)
    found, is_cut = words.cut(await _of_series(request, given, _names), given.limit())
    return success(found, is_cut=is_cut)


@router.get("/api/v1/label/{name}/values")
async def label_values(request: Request, name: str) -> Response:
    """Values of a label: `match[]`, `start`, `end`, `limit`."""
    if not _LABEL.fullmatch(name):
        raise BadInput(f'invalid label name: "{name}"')
    given = await asked(request)

    def values(found: Found) -> list[str]:
        return sorted({labels[name] for labels in found})

    has_it = Matcher(name, MatchOp.NOT_EQUAL, "")
    several = await _of_series(request, given, values, has_it)
    found, is_cut = words.cut(several, given.limit())
    return success(found, is_cut=is_cut)


@router.get("/api/v1/metadata")
async def metadata(request: Request) -> Response:
    """How metrics are described by who sends them: `metric`, `limit`."""
    services: Services = request.state.services
    given, tenant = await asked(request), tenant_of(request)
    known = {one.name: one for one in services.families.of(tenant)}
    series = await _of_series(request, given, _metrics)
    named = {services.families.family_of(tenant, name) for name in series} | set(known)
    if wanted := given.text("metric"):
        named &= {wanted}
    found, _ = words.cut(sorted(named - {""}), given.limit())
    described = [known.get(name) or Family(name) for name in found]
    return success(
        {one.name: [{"type": one.type, "help": one.help, "unit": one.unit}] for one in described}
    )


@router.get("/api/v1/query_exemplars")
@router.post("/api/v1/query_exemplars")
async def query_exemplars(request: Request) -> Response:
    """Exemplars of the series that an expression reads: `query`, `start`, `end`."""
    services: Services = request.state.services
    given, tenant = await asked(request), tenant_of(request)
    wanted = [one.matchers for one in selectors(parse(given.text("query")))]
    earliest_ms, latest_ms = _ALWAYS_MS
    span_ns = (
        given.time_ms("start", earliest_ms) * words.NS_PER_MS,
        given.time_ms("end", latest_ms) * words.NS_PER_MS + 1,
    )
    kept = services.exemplars
    if kept is None or not wanted:
        return success([])
    await kept.caught_up(await services.newest())

    def found(go_on: Callable[[], None]) -> Sequence[words.Exemplars]:
        several = []
        for matchers in wanted:
            go_on()
            several += exemplars_of(kept.table, tenant, matchers, span_ns, limit=_MOST_EXEMPLARS)
        return several

    return words.exemplars(await _in_time(services, given, found))


@router.get("/api/v1/rules")
async def rules() -> Response:
    """Rules: there are none of Prometheus' kind."""
    return success({"groups": []})


@router.get("/api/v1/alerts")
async def alerts() -> Response:
    """Alerts of rules: there are none of Prometheus' kind."""
    return success({"alerts": []})


@router.get("/api/v1/status/buildinfo")
async def buildinfo() -> Response:
    """Which Prometheus' answers these are, and who gives them."""
    empty = dict.fromkeys(("branch", "buildUser", "buildDate", "goVersion"), "")
    return success({"version": _SPEAKS, "revision": f"watchkeeper-{__version__}", **empty})


@router.get("/-/healthy", response_class=PlainTextResponse)
async def healthy() -> Response:
    """That it answers."""
    return PlainTextResponse("Watchkeeper is healthy.\n")


@router.get("/-/ready", response_class=PlainTextResponse)
async def ready() -> Response:
    """That it can be asked."""
    return PlainTextResponse("Watchkeeper is ready.\n")


def _source(request: Request) -> LakeSource:
    services: Services = request.state.services
    kept = services.histograms
    return LakeSource(
        services.lake,
        tenant_of(request),
        services.config.query_samples,
        None if kept is None else kept.table,
    )


async def _of_series(
    request: Request, given: Asked, made: Callable[[Found], T], *also: Matcher
) -> T:
    """What is made, off the loop, of the series that fit any of `match[]`, or of all.

    One that fits several of them comes several times.
    """
    services: Services = request.state.services
    earliest_ms, latest_ms = _ALWAYS_MS
    queries = [
        SeriesQuery(
            tenant_of(request),
            (*matchers, *also),
            given.time_ms("start", earliest_ms) * words.NS_PER_MS,
            given.time_ms("end", latest_ms) * words.NS_PER_MS + 1,
        )
        for matchers in [parse_matchers(text) for text in given.texts("match[]")] or [()]
    ]

    def found(go_on: Callable[[], None]) -> T:
        several: list[Mapping[str, str]] = []
        for one in queries:
            go_on()
            several += services.lake.series(one)
        return made(several)

    return await _in_time(services, given, found)


def _distinct(found: Found) -> list[Mapping[str, str]]:
    distinct = {frozenset(labels.items()): labels for labels in found}
    return sorted(distinct.values(), key=lambda labels: sorted(labels.items()))


def _names(found: Found) -> list[str]:
    return sorted({name for labels in found for name in labels})


def _metrics(found: Found) -> list[str]:
    return sorted({labels.get(METRIC_NAME, "") for labels in found})


async def _in_time(services: Services, given: Asked, work: Callable[[Callable[[], None]], T]) -> T:
    """Off the loop, and answered when the request's time is over even if the work goes on."""
    timeout_s = services.config.query_timeout_s
    if given.text("timeout"):
        timeout_s = min(timeout_s, given.duration_ms("timeout") / 1000)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    late = TimedOut(
        f"query timed out: it took longer than {timeout_s} s; narrow the range or the selector, or "
        "raise server.query_timeout_s"
    )

    def go_on() -> None:
        if loop.time() > deadline:
            raise late

    newest = await services.newest()
    await services.caught_up(newest)
    if services.histograms is not None:
        await services.histograms.caught_up(newest)
    try:
        async with asyncio.timeout_at(deadline):
            return await loop.run_in_executor(services.queries, work, go_on)
    except TimeoutError as error:
        raise late from error
