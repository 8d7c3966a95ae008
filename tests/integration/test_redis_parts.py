"""One installation whose parts are processes: they answer as one does, also when one is killed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench import processes
from bench.aftermath import Found
from bench.durability import Load
from bench.peers import Server
from bench.postgres import Cluster
from bench.processes import SIX, THREE, Crew
from bench.servers import redis_server
from watchkeeper.clock import NS_PER_S

LIMIT_S = 60


@pytest.fixture
def shared(program: Callable[[str], Path], tmp_path: Path) -> Iterator[Mapping[str, Any]]:
    """Settings that all processes have."""
    with redis_server(program("redis-server"), tmp_path / "redis") as redis, Cluster() as database:
        yield processes.settings(redis, database.url)


def send(server: Server, path: str, body: object) -> int:
    return httpx.post(f"http://127.0.0.1:{server.port}{path}", json=body).status_code


def read(server: Server, path: str, **query: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{server.port}{path}", params=query, timeout=LIMIT_S)


def point(time_ns: int, value: float) -> dict[str, object]:
    labels = {"service": "checkout"}
    return {"metrics": [{"name": "up", "value": value, "timestamp": time_ns, "labels": labels}]}


def line(time_ns: int, text: str) -> dict[str, object]:
    one = {"timestamp": time_ns // 1_000_000, "service": "checkout", "message": text}
    return {"logs": [{**one, "level": "info"}]}


def values(server: Server) -> list[float]:
    found = read(server, "/api/v1/metrics/query", query='up{service="checkout"}').json()
    return [value for series in found["series"] for _, value in series["points"]]


def lines(server: Server) -> list[str]:
    return [one["body"] for one in read(server, "/api/v1/logs/search").json()["items"]]


def templates(server: Server) -> dict[str, int]:
    found = read(server, "/api/v1/logs/templates", service="checkout").json()["items"]
    return {one["text"]: one["lines"] for one in found}


def test_what_was_sent_to_any_door_is_read_at_once_through_a_process_that_keeps_nothing(
    shared: Mapping[str, Any], tmp_path: Path
) -> None:
    now_ns = time.time_ns() - 60 * NS_PER_S
    with Crew.of(tmp_path, SIX, shared) as crew:
        (api,) = crew.being("api")
        for number, door in enumerate(crew.being("ingest")):
            one_ns = now_ns + number * NS_PER_S
            assert send(door, "/api/v1/metrics/write", point(one_ns, float(number))) < 300
            assert send(door, "/api/v1/logs/write", line(one_ns, f"line {number}")) < 300

            assert values(api) == [float(one) for one in range(number + 1)]
            assert lines(api) == [f"line {one}" for one in range(number, -1, -1)]
            assert templates(api) == {"line <*>": number + 1}

        promql = read(api, "/prometheus/api/v1/query", query="up", time=str(one_ns // NS_PER_S + 1))
        assert promql.json()["data"]["result"][0]["value"][1] == "1"


def test_without_the_process_that_keeps_telemetry_nothing_is_answered_and_nothing_is_lost(
    shared: Mapping[str, Any], tmp_path: Path
) -> None:
    now_ns = time.time_ns() - 60 * NS_PER_S
    with Crew.of(tmp_path, THREE, shared) as crew:
        (door,), (store,) = crew.being("ingest"), crew.being("store")
        store.kill()

        taken = send(door, "/api/v1/metrics/write", point(now_ns, 1.0))
        refused = read(door, "/api/v1/metrics/query", query="up")
        misplaced = read(crew.being("detect")[0], "/api/v1/metrics/query", query="up")
        crew.kill("store")

        assert taken < 300
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "remote.url" in refused.json()["detail"]
        assert misplaced.status_code == 404
        assert "this one is detect" in misplaced.json()["detail"]
        assert values(door) == [1.0]


def test_doors_and_storage_that_are_killed_under_load_lose_nothing_and_double_nothing(
    shared: Mapping[str, Any], tmp_path: Path
) -> None:
    """All parts in turns, and their anomalies, are in the soak."""
    load = Load.of(3, (int(time.time()) - 8 * 86_400) * 1000, n_shards=2)
    with Crew.of(tmp_path, {"door": ("ingest", "api"), "store": ("store",)}, shared) as crew:
        asyncio.run(processes.fight(crew, load, ["store", "door"], random.Random(3)))

        found = processes.read_back(crew.being("api")[0], load)

    assert found == Found(0, 0)
    assert sum(one.retries for one in load.delivered) > 0
    assert min(one.acknowledged for one in load.delivered) > 0
