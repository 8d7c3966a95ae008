"""Troubles as people describe them: an endpoint that hangs, one that gets worse by and by, a bad
release. What is told of each, from the body that comes in to the anomaly that is read."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.rhythm import BEGIN_S
from tests.scenario.shop import Shop, clock_at, shop
from watchkeeper.api.times import iso

NS_PER_MINUTE = 60_000_000_000
KNOWN = 1_500
"""Minutes in which nothing happens: a little more than a day."""
Value = Callable[[int], float]


def at(minute: float) -> str:
    return iso(BEGIN_S * 1_000_000_000 + round(minute * NS_PER_MINUTE))


def usual(minute: int, of: str, mean: float = 108.0, deviation: float = 5.74) -> float:
    """Milliseconds, the same at every call."""
    return random.Random(f"{of} {minute}").gauss(mean, deviation)


async def post(one: Shop, path: str, items: Mapping[str, Any] | Sequence[Any]) -> None:
    body = json.dumps(items).encode()
    answer = await one.http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.is_success, answer.text


async def told(one: Shop, first: int, last: int, series: Mapping[str, Value]) -> None:
    """What each endpoint says of itself minute by minute, an hour in a body."""
    for begin in range(first, last, 60):
        end = min(last, begin + 60)
        one.clock.advance(60 * (end - begin) - 1)
        rows = [
            (labels(endpoint), minute, value(minute))
            for endpoint, value in series.items()
            for minute in range(begin, end)
        ]
        answer = await one.write(rows)
        assert answer.status_code == 204, answer.text
        await one.tick()
    await one.settled()


def labels(endpoint: str) -> dict[str, str]:
    service = endpoint.strip("/")
    return {"__name__": "api_latency_ms", "service": service, "endpoint": endpoint}


def by_grid(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What the series' own history supports, from the earliest on."""
    mine = [one for one in found if (one["detector"], one["severity"]) == ("fk", "evidence")]
    return sorted(mine, key=lambda one: str(one["started_at"]))


async def test_an_endpoint_that_hangs_is_told_by_name_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    """Ten requests, each three seconds late."""
    calm: dict[str, Value] = {
        endpoint: lambda minute, endpoint=endpoint: usual(minute, endpoint)
        for endpoint in ("/payment", "/checkout")
    }
    async with shop(tmp_path / "data", clock=clock_at(0)) as one:
        await told(one, 0, KNOWN, calm)
        before = await one.anomalies()
        late = calm | {"/payment": lambda minute: 3000.0 + usual(minute, "/payment")}
        await told(one, KNOWN, KNOWN + 10, late)
        found = await one.anomalies()

    (slow,) = by_grid(found)
    assert before == []
    assert {anomaly["service"] for anomaly in found} == {"payment"}
    assert slow["labels"]["endpoint"] == "/payment"
    assert slow["class"] == "latency"
    assert slow["started_at"] == at(KNOWN)
    assert slow["value"] > 3000 > 10 * slow["expected"]["high"]


async def test_what_gets_worse_by_and_by_is_told_becomes_usual_and_is_told_again(
    tmp_path: Path,
) -> None:
    """Half a second more for three hours, then a second more than that."""
    grown = KNOWN + 180

    def inventory(minute: int) -> float:
        more = 1500.0 if minute >= grown else 500.0 if minute >= KNOWN else 0.0
        return usual(minute, "/inventory") + more

    async with shop(tmp_path / "data", clock=clock_at(0)) as one:
        await told(one, 0, grown + 20, {"/inventory": inventory})
        found = await one.anomalies()

    first, second = by_grid(found)
    assert (first["started_at"], second["started_at"]) == (at(KNOWN), at(grown))
    assert first["ended_at"] < at(KNOWN + 60), "half a second more is usual within the hour"
    assert first["expected"]["high"] < 300 < 500 < second["expected"]["high"]
    assert second["value"] > 1500


async def test_a_release_that_is_slow_and_fails_is_told_with_the_release(tmp_path: Path) -> None:
    """Deployed, and eight minutes later 1500 ms instead of 108, and lines that say why."""
    async with shop(tmp_path / "data", clock=clock_at(0)) as one:
        await told(one, 0, KNOWN, {"/auth-api": lambda m: usual(m, "auth")})
        await post(one, "/ingest/deployment", deployment(KNOWN))
        await told(one, KNOWN, KNOWN + 8, {"/auth-api": lambda m: usual(m, "auth")})
        await told(one, KNOWN + 8, KNOWN + 14, {"/auth-api": lambda m: 1392 + usual(m, "auth")})
        await post(one, "/ingest/logs", [
            line(KNOWN + 8 + n / 2, "ERROR", "Database timeout") for n in range(10)
        ])  # fmt: skip
        await one.settled()
        (slow,) = by_grid(await one.anomalies())
        changes = await one.get("/api/v1/changes", service="auth-api")
        said = await one.get("/api/v1/logs/search", level="error", service="auth-api", limit="500")

    assert (slow["service"], slow["started_at"]) == ("auth-api", at(KNOWN + 8))
    assert slow["value"] > 1400 > 8 * slow["expected"]["high"]
    assert slow["muted"] == "after_deploy: v2.1.0 of auth-api"
    assert [(one["version"], one["actor"]) for one in changes["items"]] == [("v2.1.0", "ci-cd")]
    assert {one["body"] for one in said["items"]} == {"Database timeout"}
    assert len(said["items"]) == 10


def line(minute: float, level: str, message: str) -> dict[str, Any]:
    own = {"component": "database"}
    return {
        "timestamp": at(minute),
        "level": level,
        "message": message,
        "service": "auth-api",
        "labels": own,
    }


def deployment(minute: int) -> dict[str, Any]:
    return {
        "timestamp": at(minute),
        "service": "auth-api",
        "version": "v2.1.0",
        "status": "success",
        "metadata": {"commit": "abc123", "deployed_by": "ci-cd"},
    }
