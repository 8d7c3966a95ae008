"""Lines, spans and changes from the door to the answer, over restarts and crashes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.rhythm import BEGIN_S, STEP_S
from tests.scenario.shop import Shop, shop

MINUTE = 60
NOW_S = BEGIN_S + MINUTE * STEP_S
SMALL: dict[str, Any] = {
    "logs": {"head_rows": 20, "compact_fan_in": 2},
    "spans": {"head_rows": 20, "compact_fan_in": 2},
    "upkeep": {"every_s": 0.5},
}
"""So that a few lines are in memory, in files, and merged."""


def lines(first: int, last: int) -> bytes:
    return json.dumps(
        [
            {
                "timestamp": NOW_S - 600 + n,
                "message": f"order-{n} accepted" if n % 3 else f"order-{n} refused",
                "level": "info" if n % 3 else "error",
                "service": "shop",
            }
            for n in range(first, last)
        ]
    ).encode()


def span(n: int, trace: int, parent: int = 0) -> dict[str, Any]:
    start_us = (NOW_S - 600 + n) * 1_000_000
    return {
        "traceId": f"{trace:032x}",
        "id": f"{n:016x}",
        "name": f"call {n}",
        "timestamp": start_us,
        "duration": 2000,
        "localEndpoint": {"serviceName": "web" if n % 2 else "db"},
        **({"parentId": f"{parent:016x}"} if parent else {}),
    }


async def send(one: Shop, path: str, body: bytes, **headers: str) -> None:
    answer = await one.http.post(
        path, content=body, headers={"content-type": "application/json", **headers}
    )
    assert answer.is_success, answer.text


async def numbers(one: Shop, **asked: str) -> list[int]:
    """Which orders a search finds, page by page."""
    found: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = await one.get("/api/v1/logs/search", limit="7", **cursor, **asked)
        found += [int(item["body"].split("-")[1].split()[0]) for item in page["items"]]
        if page["cursor"] is None:
            return found
        cursor = {"cursor": page["cursor"]}


async def templates(one: Shop) -> dict[str, int]:
    """Texts, with how many lines each has."""
    found = await one.get("/api/v1/logs/templates", service="shop")
    return {item["text"]: item["lines"] for item in found["items"]}


async def feed(one: Shop, first: int, last: int) -> None:
    for n in range(first, last, 5):
        await send(one, "/api/v1/logs/write", lines(n, n + 5))


async def test_what_was_accepted_is_found_at_once(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=MINUTE) as one:
        await send(one, "/api/v1/logs/write", lines(0, 10))

        assert await numbers(one) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
        assert await numbers(one, text="REFUSED") == [9, 6, 3, 0]
        assert await numbers(one, level="error", text="order 6") == [6]


async def test_a_body_that_comes_again_doubles_no_line(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=MINUTE) as one:
        await send(one, "/api/v1/logs/write", lines(0, 3))
        await send(one, "/api/v1/logs/write", lines(0, 3))

        assert await numbers(one) == [2, 1, 0]


async def test_lines_outlive_a_restart_and_none_is_doubled(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=MINUTE, **SMALL) as one:
        await feed(one, 0, 60)
    async with shop(tmp_path / "data", minute=MINUTE, **SMALL) as one:
        await feed(one, 60, 90)

        assert await numbers(one) == list(range(89, -1, -1))
        assert await templates(one) == {"<*> accepted": 60, "<*> refused": 30}


@pytest.mark.parametrize("n_written_out", [0, 50])
async def test_a_crash_costs_no_line_and_doubles_none(tmp_path: Path, n_written_out: int) -> None:
    """What lies on the disk at one moment is opened by another process."""
    by_hand = {**SMALL, "upkeep": {"every_s": 1e6}}
    async with shop(tmp_path / "data", minute=MINUTE, **by_hand) as one:
        for n in range(0, 60, 10):
            await feed(one, n, n + 10)
            await one.settled()
            if n < n_written_out:
                one.app.services.logs.table.maintain(NOW_S * 10**9)
        shutil.copytree(tmp_path / "data", tmp_path / "crashed")

    async with shop(tmp_path / "crashed", minute=MINUTE, **SMALL) as one:
        assert await numbers(one) == list(range(59, -1, -1))
        assert await templates(one) == {"<*> accepted": 40, "<*> refused": 20}


async def test_a_trace_is_one_though_its_spans_came_in_many_bodies(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=MINUTE, **SMALL) as one:
        for n in range(1, 40):
            spans = [span(n, trace=1 + n % 2, parent=max(0, n - 2))]
            await send(one, "/api/v2/spans", json.dumps(spans).encode())
        first = await one.get(f"/api/v1/traces/{1:032x}")
        listed = await one.get("/api/v1/traces", service="web")

        assert [s["name"] for s in first["spans"]] == [f"call {n}" for n in range(2, 40, 2)]
        assert {s["service"] for s in first["spans"]} == {"db"}
        assert first["root"] == {"service": "db", "name": "call 2"}
        assert [t["trace_id"] for t in listed["items"]] == [f"{2:032x}"]


async def test_a_change_is_listed_and_outlives_a_restart(tmp_path: Path) -> None:
    change = {
        "id": "d1",
        "service": "shop",
        "version": "2",
        "timestamp": NOW_S,
        "status": "started",
    }
    async with shop(tmp_path / "data", minute=MINUTE) as one:
        await send(one, "/api/v1/changes", json.dumps([change]).encode())
        first = await one.get("/api/v1/changes", service="shop")
        told_again = {**change, "status": "success"}
        await send(one, "/api/v1/changes", json.dumps([told_again]).encode())
    async with shop(tmp_path / "data", minute=MINUTE) as one:
        second = await one.get("/api/v1/changes", kind="deployment")

    assert [(c["id"], c["status"]) for c in first["items"]] == [("d1", "started")]
    assert [(c["id"], c["status"]) for c in second["items"]] == [("d1", "success")]


async def test_tenants_search_their_own_lines_alone(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=MINUTE) as one:
        await send(one, "/api/v1/logs/write", lines(0, 3))
        await send(one, "/api/v1/logs/write", lines(5, 8), **{"x-scope-orgid": "acme"})
        theirs = await one.http.get("/api/v1/logs/search", headers={"x-scope-orgid": "acme"})

        assert await numbers(one) == [2, 1, 0]
        assert len(theirs.json()["items"]) == 3
