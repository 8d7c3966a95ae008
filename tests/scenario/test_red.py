"""Spans become series that are listed, queried and judged as all others are."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.rhythm import BEGIN_S
from tests.scenario.shop import Shop, shop
from watchkeeper.model.series import DEFAULT_TENANT

BUCKETS = "span_duration_seconds_bucket"


def zipkin(n: int, *, failed: bool = False, took_us: int = 20_000) -> dict[str, Any]:
    return {
        "traceId": f"{n + 1:032x}",
        "id": f"{n + 1:016x}",
        "kind": "SERVER",
        "name": f"GET /users/{1000 + n}",
        "timestamp": BEGIN_S * 1_000_000,
        "duration": took_us,
        "localEndpoint": {"serviceName": "shop"},
        **({"tags": {"error": "true"}} if failed else {}),
    }


async def send(one: Shop, *spans: dict[str, Any]) -> None:
    answer = await one.http.post(
        "/api/v2/spans",
        content=json.dumps(spans).encode(),
        headers={"content-type": "application/json"},
    )
    assert answer.is_success, answer.text


async def pass_time(one: Shop, seconds: int) -> None:
    """Tick by tick."""
    for _ in range(seconds):
        before = one.app.services.ingest.position
        one.clock.advance(1.0)
        async with asyncio.timeout(60):
            while one.app.services.ingest.position == before:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
    await one.settled()


async def ask(one: Shop, query: str) -> list[tuple[dict[str, str], float]]:
    now_s = one.clock.now_ns() / 1e9
    answer = await one.get("/prometheus/api/v1/query", query=query, time=str(now_s))
    return [(item["metric"], float(item["value"][1])) for item in answer["data"]["result"]]


async def test_spans_are_read_as_histograms_and_counters(tmp_path: Path) -> None:
    async with shop(tmp_path / "data") as one:
        await pass_time(one, 11)
        await send(one, *(zipkin(n, failed=n < 3) for n in range(20)))
        await pass_time(one, 11)

        rate = f"sum by (le) (rate({BUCKETS}[1h]))"  # however long all this took
        quantile = await ask(one, f"histogram_quantile(0.95, {rate})")
        failures = await ask(one, "last_over_time(span_errors_total[1h])")
        median = await ask(one, 'last_over_time({__name__="span_duration_seconds:p50"}[1h])')
        names = await one.get("/prometheus/api/v1/label/operation/values")
        series = await one.get("/prometheus/api/v1/series", **{"match[]": BUCKETS})
        identity, _ = one.app.services.catalog.find(DEFAULT_TENANT, [failures[0][0]])
        band = await one.get("/api/v1/detection/band", series=identity.tobytes().hex())
        about = await one.get("/prometheus/api/v1/metadata", metric="span_duration_seconds")

    assert [round(value, 5) for _, value in quantile] == [0.02425]
    assert failures == [
        (
            {
                "__name__": "span_errors_total",
                "service": "shop",
                "operation": "GET /users/{id}",
                "span_kind": "server",
                "derived": "spans",
            },
            3.0,
        )
    ]
    assert [value for _, value in median] == [0.0175]
    assert [told["labels"] for told in band["series"]] == [failures[0][0]]
    assert names["data"] == ["GET /users/{id}"]
    assert len(series["data"]) == 14
    assert about["data"]["span_duration_seconds"][0]["type"] == "histogram"
