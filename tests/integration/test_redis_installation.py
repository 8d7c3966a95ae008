"""One installation of two whole servers: one Redis between them, one database, one key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from bench.peers import Server
from bench.postgres import Cluster
from bench.servers import redis_server
from tests.integration.conftest import Start
from watchkeeper.act.shared_form import iso
from watchkeeper.clock import NS_PER_S

LIMIT_S = 60
LEASE_S = 3.0


@pytest.fixture(scope="module")
def settings(
    program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, object]]:
    folder = tmp_path_factory.mktemp("redis")
    with redis_server(program("redis-server"), folder) as redis, Cluster(durable=False) as database:
        yield {
            "bus": {"use": "redis", "url": redis},
            "store": {"use": "postgres", "url": database.url, "durable": False},
            "runtime": {"lease_s": LEASE_S},
        }


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def send(server: Server, path: str, body: object) -> None:
    assert httpx.post(url(server, path), json=body, timeout=LIMIT_S).is_success


def read(server: Server, path: str, **query: str) -> Any:
    answer = httpx.get(url(server, path), params=query, timeout=LIMIT_S)
    assert answer.is_success, answer.text
    return answer.json()


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.1)


def point(now_ns: int, value: float) -> dict[str, object]:
    labels = {"service": "checkout"}
    return {"timestamp": iso(now_ns), "metric_name": "up", "value": value, "labels": labels}


def lines(server: Server) -> list[str]:
    found = read(server, "/api/v1/logs/search", query='{service="checkout"}')
    return [one["body"] for one in found["items"]]


def values(server: Server) -> list[float]:
    found = read(server, "/api/v1/metrics/query", query='up{service="checkout"}')
    return [value for series in found["series"] for _, value in series["points"]]


def shares(settings: Any) -> list[int]:
    """How many partitions of detection each of them owns."""
    with Redis.from_url(settings["bus"]["url"]) as client:
        owners = list(client.hvals("{watchkeeper}:samples:leases:detect"))
    return sorted(owners.count(owner) for owner in set(owners))


def test_two_servers_are_one_installation_and_one_goes_on_when_the_other_is_killed(
    start: Start, settings: Mapping[str, object]
) -> None:
    one, two = start(settings, name="one"), start(settings, name="two")
    until(lambda: shares(settings) == [32, 32])
    now_ns = time.time_ns() - 60 * NS_PER_S
    line = {"timestamp": iso(now_ns), "level": "ERROR", "message": "full", "service": "checkout"}
    send(one, "/ingest/metrics", point(now_ns, 1.0))
    send(one, "/ingest/logs", line)
    until(lambda: values(two) == [1.0] and lines(two) == ["full"])

    one.kill()
    send(two, "/ingest/metrics", point(now_ns, 1.0))
    send(two, "/ingest/logs", line)
    send(two, "/ingest/metrics", point(now_ns + NS_PER_S, 2.0))

    until(lambda: values(two) == [1.0, 2.0])
    assert lines(two) == ["full"]
    until(lambda: shares(settings) == [64])
