"""From an anomaly to the traces of its time that failed, and to the slowest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.fronts import Api, api
from tests.red import Call, spans
from watchkeeper.model.series import Entity

S = make.NS_PER_S
NOW = make.START_NS
OPERATION = {
    "__name__": "span_duration_seconds:p95",
    "service": "shop",
    "operation": "GET /users/{id}",
    "span_kind": "server",
    "derived": "buckets",
}
EDGE = {"__name__": "edge_errors_total", "client": "web", "server": "shop", "derived": "spans"}


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        yield found


async def linked(one: Api, *calls: Call, labels: dict[str, str], limit: int = 5) -> list[Any]:
    """(trace, why) of an anomaly of a series with these labels, in the last ten minutes."""
    one.tables.spans.append(spans(*calls), 1)
    anomaly = make.anomaly(
        labels=labels,
        entity=Entity(labels.get("service", "")),
        started_ns=NOW - 600 * S,
        peak_ns=NOW - 300 * S,
        ended_ns=None,
    )
    await one.save(anomaly)
    answer = await one.get(f"/api/v1/anomalies/{anomaly.id}/traces", limit=str(limit))
    assert answer["complete"]
    return [(int(item["trace_id"][-16:], 16), "+".join(item["why"])) for item in answer["items"]]


def user(trace: int, took_s: float, **more: Any) -> Call:
    given = {"start_s": -300.0, **more}
    return Call(name=f"GET /users/{trace}00", trace=trace, span=trace, duration_s=took_s, **given)


async def test_failed_traces_come_first_and_then_the_slowest(one: Api) -> None:
    calls = [user(n, n / 10, failed=n in (3, 4), start_s=-300 - n) for n in range(1, 9)]

    assert await linked(one, *calls, labels=OPERATION, limit=3) == [
        (3, "failed"),
        (4, "failed"),
        (8, "slow"),
        (7, "slow"),
        (6, "slow"),
    ]


async def test_a_trace_that_failed_and_was_slow_is_told_once(one: Api) -> None:
    found = await linked(one, user(1, 9.0, failed=True), user(2, 1.0), labels=OPERATION)

    assert found == [(1, "failed+slow"), (2, "slow")]


async def test_a_trace_is_told_with_the_span_that_it_was_chosen_for(one: Api) -> None:
    await linked(one, user(1, 0.5), labels=OPERATION)

    [anomaly] = (await one.get("/api/v1/anomalies"))["items"]
    answer = await one.get(f"/api/v1/anomalies/{anomaly['id']}/traces")

    assert answer["items"][0]["span"] == {
        "span_id": f"{1:016x}",
        "name": "GET /users/100",
        "kind": "server",
        "status": "ok",
        "start": "2023-11-14T22:08:20Z",
        "duration_ms": 500.0,
    }
    assert answer["exemplars"] == []


async def test_only_spans_of_the_operation_and_the_time_are_meant(one: Api) -> None:
    others = [
        Call(name="GET /cart", trace=2, start_s=-300),
        user(3, 1.0, kind=3),
        user(4, 1.0, service="web"),
        user(5, 1.0, start_s=-4000),
        user(6, 1.0, start_s=5),
    ]

    assert await linked(one, user(1, 0.1), *others, labels=OPERATION) == [(1, "slow")]


async def test_the_operation_that_stands_for_others_is_any(one: Api) -> None:
    labels = {**OPERATION, "operation": "other"}

    assert await linked(one, user(1, 0.1), labels=labels) == [(1, "slow")]


async def test_a_series_of_a_service_has_the_traces_of_the_service(one: Api) -> None:
    calls = [user(1, 0.1), user(2, 0.2, service="web"), Call(name="x", trace=3, start_s=-300)]

    found = await linked(one, *calls, labels={"__name__": "cpu", "service": "shop"})

    assert found == [(1, "slow"), (3, "slow")]


async def test_an_edge_has_the_calls_that_its_server_answered(one: Api) -> None:
    client = {"service": "web", "kind": 3, "start_s": -300.0}
    calls = [
        Call(trace=1, span=11, **client),
        Call("shop", trace=1, span=12, parent=11, start_s=-300),
        Call(trace=2, span=21, **client),
        Call("bank", trace=2, span=22, parent=21, start_s=-300),
    ]

    assert await linked(one, *calls, labels=EDGE) == [(1, "slow")]


@pytest.mark.parametrize(
    ("client", "server", "kind", "attributes"),
    [
        ("shop", "redis/0", 3, {"db.system": "redis", "db.name": "0"}),
        ("shop", "kafka/paid", 4, {"messaging.system": "kafka", "messaging.destination": "paid"}),
        ("kafka/paid", "shop", 5, {"messaging.system": "kafka", "messaging.destination": "paid"}),
        ("shop", "bank.example", 3, {"peer.service": "bank.example"}),
    ],
)
async def test_an_edge_to_what_tells_no_spans_has_those_that_name_it(
    one: Api, client: str, server: str, kind: int, attributes: dict[str, str]
) -> None:
    calls = [
        Call(trace=1, kind=kind, attributes=attributes, start_s=-300),
        Call(trace=2, kind=kind, attributes={"db.system": "mysql"}, start_s=-300),
    ]

    found = await linked(one, *calls, labels={**EDGE, "client": client, "server": server})

    assert found == [(1, "slow")]


async def test_an_anomaly_of_no_service_has_no_traces(one: Api) -> None:
    assert await linked(one, user(1, 0.1), labels={"__name__": "cpu"}) == []


async def test_an_anomaly_that_is_not_there_is_a_problem(one: Api) -> None:
    answer = await one.http.get("/api/v1/anomalies/none/traces")

    assert answer.status_code == 404
