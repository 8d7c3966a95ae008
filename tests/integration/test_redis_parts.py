"""One installation whose parts are processes: they answer as one does, also when one is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bench import processes
from bench.peers import Server
from bench.postgres import Cluster
from bench.processes import Crew
from bench.servers import redis_server
from watchkeeper.clock import NS_PER_S

LIMIT_S = 60


PARTS = {
    "door": ("ingest",),
    "store": ("store",),
    "detect": ("detect",),
    "other-door": ("ingest", "api"),
}


@pytest.fixture(scope="module")
def crew(
    program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Crew]:
    folder = tmp_path_factory.mktemp("parts")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(program("redis-server"), folder / "redis"))
        database = stack.enter_context(Cluster())
        shared = processes.settings(redis, database.url)
        yield stack.enter_context(Crew.of(folder, PARTS, shared))


def send(server: Server, path: str, body: object) -> int:
    return httpx.post(f"http://127.0.0.1:{server.port}{path}", json=body).status_code


def read(server: Server, path: str, **query: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{server.port}{path}", params=query, timeout=LIMIT_S)


def point(name: str, time_ns: int, value: float) -> dict[str, object]:
    labels = {"service": "checkout"}
    return {"metrics": [{"name": name, "value": value, "timestamp": time_ns, "labels": labels}]}


def line(time_ns: int, text: str) -> dict[str, object]:
    one = {"timestamp": time_ns // 1_000_000, "service": "checkout", "message": text}
    return {"logs": [{**one, "level": "info"}]}


def values(server: Server, name: str) -> list[float]:
    found = read(server, "/api/v1/metrics/query", query=f'{name}{{service="checkout"}}').json()
    return [value for series in found["series"] for _, value in series["points"]]


def lines(server: Server) -> list[str]:
    return [one["body"] for one in read(server, "/api/v1/logs/search").json()["items"]]


def templates(server: Server) -> dict[str, int]:
    found = read(server, "/api/v1/logs/templates", service="checkout").json()["items"]
    return {one["text"]: one["lines"] for one in found}


def test_what_was_sent_to_any_door_is_read_at_once_through_a_process_that_keeps_nothing(
    crew: Crew,
) -> None:
    (api,) = crew.being("api")
    now_ns = time.time_ns() - 60 * NS_PER_S

    for number, door in enumerate(crew.being("ingest")):
        one_ns = now_ns + number * NS_PER_S
        assert send(door, "/api/v1/metrics/write", point("up", one_ns, float(number))) < 300
        assert send(door, "/api/v1/logs/write", line(one_ns, f"line {number}")) < 300

        assert values(api, "up") == [float(one) for one in range(number + 1)]
        assert lines(api) == [f"line {one}" for one in range(number, -1, -1)]
        assert templates(api) == {"line <*>": number + 1}

    promql = read(api, "/prometheus/api/v1/query", query="up", time=str(one_ns // NS_PER_S + 1))
    assert promql.json()["data"]["result"][0]["value"][1] == "1"


def test_without_the_process_that_keeps_telemetry_nothing_is_answered_and_nothing_is_lost(
    crew: Crew,
) -> None:
    """Kills of all parts under load, in turns, are in the soak."""
    (api,), (store,), (detect,) = crew.being("api"), crew.being("store"), crew.being("detect")
    now_ns = time.time_ns() - 60 * NS_PER_S
    store.kill()

    taken = send(crew.being("ingest")[0], "/api/v1/metrics/write", point("kept", now_ns, 1.0))
    refused = read(api, "/api/v1/metrics/query", query="kept")
    misplaced = read(detect, "/api/v1/metrics/query", query="kept")
    crew.kill("store")

    assert taken < 300
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "remote.url" in refused.json()["detail"]
    assert misplaced.status_code == 404
    assert "this one is detect" in misplaced.json()["detail"]
    assert values(api, "kept") == [1.0]
