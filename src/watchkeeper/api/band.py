"""The band that was expected, over any time range: computed when it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from watchkeeper.analyze.band import Band, Judged, bands, thinned
from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.analyze.detectors.base import Points
from watchkeeper.analyze.plan import read
from watchkeeper.api import rows
from watchkeeper.api.detection import settings_of
from watchkeeper.api.services import Services
from watchkeeper.api.tenants import tenant_of
from watchkeeper.api.times import parse_duration
from watchkeeper.clock import NS_PER_S
from watchkeeper.errors import BadInput
from watchkeeper.lake.base import SampleQuery, SeriesQuery
from watchkeeper.lake.derived import LABEL
from watchkeeper.lake.selector import parse_selector
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.model.series import METRIC_NAME, Entity, Kind, Matcher, MatchOp, TenantId

router = APIRouter(prefix="/api/v1/detection", tags=["detection"])

MAX_SERIES: Final = 20
MAX_RANGE_NS: Final = 30 * 86_400 * NS_PER_S
_MAX_WARM_UP_NS: Final = 30 * 86_400 * NS_PER_S
_GRID_NS: Final = 60 * NS_PER_S
_POINTS: Final = 1000
"""Of a series, where no step is asked for."""
_MAX_POINTS: Final = 11_000
_SAMPLES: Final = 10_000_000
_SUFFIXES: Final = CatalogConfig()


@router.get("/band")
async def band(
    request: Request,
    match: Annotated[
        str | None, Query(description='A selector of up to 20 series: cpu{host="a"}')
    ] = None,
    series: Annotated[
        str | None, Query(description="Or the id of one, as anomalies have it")
    ] = None,
    start: Annotated[str | None, Query(description="Default: an hour before `end`.")] = None,
    end: Annotated[str | None, Query(description="Not included; default: now.")] = None,
    step: Annotated[
        str | None, Query(description="1m, 1h ...; by default so that a series has 1,000 points.")
    ] = None,
    warm_up: Annotated[
        str, Query(description="How much before `start` is learned from; as much as is stored.")
    ] = "7d",
) -> Response:
    """Values of series as they are judged, and between what they were expected.

    Judged anew, by the settings in force, from the samples that are stored. Of each step the
    strangest point is told. `low` and `high` are null where the series had no history yet.
    """
    services: Services = request.state.services
    tenant = tenant_of(request)
    start_ns, end_ns = rows.parse_range(services, start, end)
    step_ns = _step(step, end_ns - start_ns)
    warm_up_ns = parse_duration(warm_up, "warm_up")
    if warm_up_ns > _MAX_WARM_UP_NS:
        raise BadInput(f"warm_up: {warm_up} is more than 30d, which is the most")
    matchers = _matchers(services, tenant, match, series)
    settings = settings_of(request)
    document = read(settings.text(await settings.current()).encode())
    await services.caught_up(await services.newest())

    def compute() -> Sequence[tuple[Mapping[str, str], Band]]:
        asked = SampleQuery(tenant, matchers, start_ns - warm_up_ns, end_ns, limit=_SAMPLES)
        return _computed(services, asked, document, start_ns)

    found = await asyncio.get_running_loop().run_in_executor(services.queries, compute)
    return rows.answer({"series": [_told(labels, thinned(one, step_ns)) for labels, one in found]})


def _computed(
    services: Services, asked: SampleQuery, document: DetectionConfig, start_ns: int
) -> Sequence[tuple[Mapping[str, str], Band]]:
    listed = services.lake.series(
        SeriesQuery(asked.tenant, asked.matchers, asked.start_ns, asked.end_ns)
    )
    if len(listed) > MAX_SERIES:
        raise BadInput(
            f"match: fits {len(listed)} series, {MAX_SERIES} are allowed at a time; say more labels"
        )
    frame = services.lake.query(asked)
    known = [_judged(services, asked.tenant, labels) for labels in frame.labels]
    samples = Points(frame.row, frame.time_ns, frame.value)
    return list(zip(frame.labels, bands(document, known, samples, start_ns), strict=True))


def _judged(services: Services, tenant: TenantId, labels: Mapping[str, str]) -> Judged:
    """As the catalog knows it; where this process has none of it, by its name."""
    catalog = services.catalog
    if catalog is not None:
        slot = int(catalog.find(tenant, [labels])[1][0])
        if slot >= 0:
            return Judged(labels, Kind(int(catalog.kind[slot])), catalog.entity_of(slot))
    name = labels.get(METRIC_NAME, "")
    if LABEL not in labels and name.endswith(tuple(_SUFFIXES.unscored_suffixes)):
        return Judged(labels, Kind.UNSCORED)
    counts = name.endswith(tuple(_SUFFIXES.counter_suffixes))
    return Judged(labels, Kind.COUNTER if counts else Kind.GAUGE, Entity(labels.get("service", "")))


def _matchers(
    services: Services, tenant: TenantId, match: str | None, series: str | None
) -> tuple[Matcher, ...]:
    if (match is None) == (series is None):
        raise BadInput("band: say either match, a selector, or series, the id of one")
    if match is not None:
        return parse_selector(match)
    identity = _identity(series or "")
    slot = -1
    if services.catalog is not None:
        slot = int(services.catalog.lookup(np.frombuffer(identity, np.uint64).reshape(1, 2))[0])
    if slot < 0 or services.catalog is None or services.catalog.tenant_of(slot) != tenant:
        raise BadInput(
            f"series: '{series}' is none that is in memory here; say match, with its labels",
            status=404,
        )
    labels = services.catalog.labels(np.array([slot], np.int32))[0]
    return tuple(Matcher(name, MatchOp.EQUAL, value) for name, value in labels.items())


def _identity(text: str) -> bytes:
    try:
        identity = bytes.fromhex(text)
    except ValueError:
        identity = b""
    if len(identity) != 16:
        raise BadInput(f"series: '{text[:80]}' is no id; it has 32 hex digits")
    return identity


def _step(text: str | None, length_ns: int) -> int:
    if length_ns > MAX_RANGE_NS:
        raise BadInput("start: more than 30 days before end; ask for them in parts")
    if text is None:
        return max(_GRID_NS, -(-length_ns // _POINTS) // _GRID_NS * _GRID_NS)
    step_ns = parse_duration(text, "step")
    if step_ns <= 0 or length_ns // step_ns > _MAX_POINTS:
        raise BadInput(f"step: {text} makes more than {_MAX_POINTS} points; take a longer one")
    return step_ns


def _told(labels: Mapping[str, str], one: Band) -> dict[str, Any]:
    return {
        "labels": dict(labels),
        "detector": one.detector,
        "times": (one.time_ns // 1000 / 1e6).tolist(),
        "values": _numbers(one.value),
        "low": _numbers(one.low),
        "high": _numbers(one.high),
        "p_values": one.p_value.tolist(),
    }


def _numbers(column: Any) -> list[float | None]:
    """JSON has no infinity, and no NaN."""
    return [one if np.isfinite(one) else None for one in column.tolist()]
