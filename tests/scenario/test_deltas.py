"""Deltas from the wire to the anomaly: whoever sends them is judged as if it had sent totals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests.rhythm import BEGIN_S, STEP_S, latency, minutes
from tests.scenario.shop import Shop, clock_at, shop

DELTA, CUMULATIVE = 1, 2
HOURS_30 = 30 * 60
STORM = range(HOURS_30, HOURS_30 + 20)
END = HOURS_30 + 60


def requests(minute: int) -> int:
    """How many came in a minute: a day's rhythm, and once a storm."""
    return round(latency(minute)) * (10 if minute in STORM else 1)


TOTALS = [0]
for _minute in range(END):
    TOTALS.append(TOTALS[-1] + requests(_minute))


def export(service: str, temporality: int, some: range) -> bytes:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    data = group.scope_metrics.add().metrics.add(name="http.requests").sum
    data.is_monotonic = True
    data.aggregation_temporality = temporality
    for minute in some:
        value = requests(minute) if temporality == DELTA else TOTALS[minute + 1]
        data.data_points.add(time_unix_nano=(BEGIN_S + minute * STEP_S) * 10**9, as_int=value)
    raw: bytes = request.SerializeToString()
    return raw


async def live(one: Shop, first: int, last: int) -> None:
    for some in minutes(first, last):
        for service, temporality in (("deltas", DELTA), ("totals", CUMULATIVE)):
            answer = await one.http.post(
                "/v1/metrics",
                content=export(service, temporality, some),
                headers={"content-type": "application/x-protobuf"},
            )
            assert (answer.status_code, answer.content) == (200, b""), answer.content


async def points(one: Shop, service: str) -> list[list[float]]:
    answer = await one.get(
        "/api/v1/metrics/query",
        query=f'http_requests_total{{service="{service}"}}',
        start=str(BEGIN_S),
        end=str(BEGIN_S + END * STEP_S),
        limit="100000",
    )
    (series,) = answer["series"]
    found: list[list[float]] = series["points"]
    return found


def judged(anomalies: list[dict[str, Any]], service: str) -> list[dict[str, Any]]:
    """What was found of a service, without what names it."""
    own = ("id", "series", "labels", "service", "position", "entity", "explanation")
    found = [
        {name: value for name, value in one.items() if name not in own}
        for one in anomalies
        if one["service"] == service
    ]
    return sorted(found, key=lambda one: (one["detector"], one["started_at"]))


async def test_deltas_are_stored_and_judged_as_the_totals_they_add_up_to(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", clock=clock_at(END + 30)) as one:
        await live(one, 0, END)
        await one.tick()  # behind all that both services sent, and none before
        await one.settled()
        found = await one.anomalies(limit="1000")

        assert await points(one, "deltas") == await points(one, "totals")
        assert [value for _, value in await points(one, "deltas")] == TOTALS[1:]
        assert judged(found, "deltas") == judged(found, "totals")
        assert judged(found, "deltas"), "the storm was found"


async def test_sums_go_on_from_a_crash_in_the_middle_of_a_day(tmp_path: Path) -> None:
    """What a power cut would leave: the files as they lie while the server runs."""
    async with shop(tmp_path / "data", minute=END + 30) as one:
        await live(one, 0, 1000)
        shutil.copytree(tmp_path / "data", tmp_path / "image")
    async with shop(tmp_path / "image", minute=END + 30) as one:
        await live(one, 960, 1000)  # the last bodies again: their answers may have been lost
        await live(one, 1000, END)

        assert [value for _, value in await points(one, "deltas")] == TOTALS[1:]
