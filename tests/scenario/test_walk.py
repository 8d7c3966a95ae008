"""One datum through all of it: bytes in, durable, judged, stored, listed, streamed, read back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.rhythm import BEGIN_S, STEP_S, latency, minutes
from tests.scenario.shop import Shop, clock_at, shop
from watchkeeper.api.times import parse_time

PAYMENT = {"__name__": "request_latency_ms", "service": "payment", "instance": "payment-1"}
CART = {"__name__": "request_latency_ms", "service": "cart", "instance": "cart-1"}
DAYS_2 = 2 * 1440


async def live(shop: Shop, first: int, last: int, *, factor: float = 1.0) -> None:
    """Both services report; payment is slower by a factor."""
    for some in minutes(first, last):
        shop.clock.advance(1.0)
        rows = [(PAYMENT, minute, factor * latency(minute)) for minute in some]
        rows += [(CART, minute, latency(minute, seed=9)) for minute in some]
        answer = await shop.write(rows)
        assert answer.status_code == 204, answer.text


def same_identities(folder: Path) -> None:
    folder.mkdir()
    (folder / "installation.key").write_bytes(b"0123456789abcdef")


def minute_of(iso: str) -> float:
    return (parse_time(iso, "t") / 1e9 - BEGIN_S) / STEP_S


async def test_a_slow_service_is_found_explained_and_closed(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=DAYS_2 + 90) as one:
        await live(one, 0, DAYS_2)
        await one.settled()
        before = await one.anomalies()

        await live(one, DAYS_2, DAYS_2 + 30, factor=4.0)
        await one.settled()
        found = [a for a in await one.anomalies() if a not in before]
        await live(one, DAYS_2 + 30, DAYS_2 + 80)
        await one.settled()

        grid = next(a for a in found if a["detector"] == "fk")
        assert {a["service"] for a in found} == {"payment"}
        assert grid["severity"] == "evidence"
        assert abs(minute_of(grid["started_at"]) - DAYS_2) <= 1
        assert grid["value"] > 300
        assert grid["expected"]["high"] < grid["value"]
        assert grid["p_value"] < 1e-4
        closed = await one.get(f"/api/v1/anomalies/{grid['id']}")
        assert closed["status"] == "closed"
        assert closed["ended_at"] > closed["started_at"]


async def test_what_was_written_is_read_at_once(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=60) as one:
        await live(one, 0, 60)

        answer = await one.get(
            "/api/v1/metrics/query",
            query='request_latency_ms{service="payment"}',
            start=str(BEGIN_S),
            end=str(BEGIN_S + 3600),
        )

        (series,) = answer["series"]
        assert series["labels"] == PAYMENT
        assert [value for _, value in series["points"]] == [latency(m) for m in range(60)]


async def test_steps_and_groups_fold_as_asked(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=60) as one:
        await live(one, 0, 60)

        answer = await one.get(
            "/api/v1/metrics/query",
            query="request_latency_ms",
            start=str(BEGIN_S),
            end=str(BEGIN_S + 3600),
            step="1h",
            over_time="max",
            across="max",
        )

        highest = max(latency(m, seed) for m in range(60) for seed in (7, 9))
        assert answer == {"series": [{"labels": {}, "points": [[float(BEGIN_S), highest]]}]}


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=60) as one:
        await live(one, 0, 60)
    async with shop(tmp_path / "data", minute=61) as one:
        answer = await one.get(
            "/api/v1/metrics/query",
            query='request_latency_ms{service="payment"}',
            start=str(BEGIN_S),
            end=str(BEGIN_S + 3600),
        )
        again = await one.write([(PAYMENT, 59, latency(59)), (PAYMENT, 60, 1.0)])

        assert len(answer["series"][0]["points"]) == 60
        assert again.status_code == 204


async def test_a_conflicting_sample_is_refused_by_name_also_after_a_restart(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path / "data", minute=60) as one:
        await live(one, 0, 60)
    async with shop(tmp_path / "data", minute=61) as one:
        answer = await one.write([(PAYMENT, 59, 12345.0)])

        assert answer.status_code == 400
        assert "conflict" in answer.text


async def test_scores_are_those_of_an_undisturbed_run(tmp_path: Path) -> None:
    """Restarts in the middle, graceful ones here; the anomalies are equal in every digit. So are
    the records: watchers decide on ticks, so the scenario moves the clock, and not the time that
    passes while it runs."""
    end = DAYS_2 + 40
    stretches = [(0, 600), (600, 1500), (1500, DAYS_2), (DAYS_2, DAYS_2 + 10), (DAYS_2 + 10, end)]

    async def run(folder: Path, lives: Sequence[Sequence[tuple[int, int]]]) -> list[dict[str, Any]]:
        same_identities(folder)
        clock = clock_at(end + 60)
        for life in lives:
            async with shop(folder, clock=clock) as one:
                for first, last in life:
                    await live(one, first, last, factor=3.0 if first >= DAYS_2 else 1.0)
                    await one.tick()
                    await one.settled()
                found = await one.anomalies(limit="1000")
        for anomaly in found:
            del anomaly["position"]  # whoever starts says the time once more
        return sorted(found, key=lambda anomaly: str(anomaly["id"]))

    undisturbed = await run(tmp_path / "a", [stretches])
    first, second, *third, last = stretches
    restarted = await run(tmp_path / "b", [[first], [second], third, [last]])

    assert "joint" in {anomaly["detector"] for anomaly in undisturbed}
    assert restarted == undisturbed


async def test_changes_are_streamed_and_a_reader_resumes_where_it_was(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=DAYS_2 + 90) as one:
        await live(one, 0, DAYS_2)
        await live(one, DAYS_2, DAYS_2 + 30, factor=4.0)
        await one.settled()

        first = await events(one, last_event_id="0", n=2)
        rest = await events(one, last_event_id=first[0]["id"], n=1)

        assert first[0]["event"] == "anomaly"
        assert json.loads(first[0]["data"])["service"] == "payment"
        assert rest[0] == first[1]


async def test_a_reader_of_another_tenant_sees_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=60) as one:
        await live(one, 0, 60)

        other = await one.http.get(
            "/api/v1/metrics/query",
            params={"query": "request_latency_ms", "start": str(BEGIN_S)},
            headers={"x-scope-orgid": "other"},
        )

        assert other.json() == {"series": []}


async def test_health_names_every_check(tmp_path: Path) -> None:
    async with shop(tmp_path / "data") as one:
        health = await one.get("/health")

        assert health["status"] == "ok"
        assert {"disk", "log", "store", "detect"} <= set(health["checks"])


WRONG = [
    ({"query": "rate(x[5m])"}, "selector"),
    ({"query": "x", "start": "5", "end": "5"}, "before"),
    ({"query": "x", "across": "sum"}, "step"),
    ({"query": "x", "step": "0s"}, "step"),
    ({"query": "x", "step": "1m", "across": "rate"}, "over time"),
    ({"query": "x", "over_time": "median"}, "avg"),
    ({}, "query"),
]


async def test_a_wrong_question_is_answered_with_the_remedy(tmp_path: Path) -> None:
    """All in one test, or each question would start an app of its own."""
    async with shop(tmp_path / "data") as one:
        answers = [await one.http.get("/api/v1/metrics/query", params=asked) for asked, _ in WRONG]

    for (asked, remedy), answer in zip(WRONG, answers, strict=True):
        assert answer.status_code in (400, 422), asked
        assert answer.headers["content-type"] == "application/problem+json", asked
        assert remedy in answer.json()["detail"], asked


async def events(one: Shop, *, last_event_id: str, n: int) -> list[dict[str, str]]:
    """The next `n` events of the stream, as a browser would see them."""
    text = ""
    enough = asyncio.Event()

    async def receive() -> Mapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal text
        text += message.get("body", b"").decode()
        if text.count("data: ") >= n:
            enough.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/anomalies/stream",
        "raw_path": b"/api/v1/anomalies/stream",
        "query_string": b"",
        "headers": [(b"last-event-id", last_event_id.encode())],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("shop", 80),
        "client": ("127.0.0.1", 1),
        "asgi": {"version": "3.0"},
    }
    streaming = asyncio.create_task(one.front(scope, receive, send))
    async with asyncio.timeout(10):
        await enough.wait()
    streaming.cancel()
    blocks = [block for block in text.split("\n\n") if "data: " in block]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks[:n]]
