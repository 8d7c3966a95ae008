"""Other programs find in a real Redis what happened, under the keys that they know."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from bench.peers import Server, free_port
from bench.servers import redis_server
from tests import make
from tests.integration.conftest import Start
from watchkeeper.act.shared_form import deployment, iso, recent_anomaly
from watchkeeper.bus.redis_share import RedisShare
from watchkeeper.bus.share import Recent, ShareConfig, Told
from watchkeeper.errors import ConfigError, Retryable
from watchkeeper.telemetry import Secret

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "read-from-redis.md"
POINT = {"timestamp": "2023-11-14T22:13:20Z", "metric_name": "up", "value": "1.0", "labels": "{}"}
LIMIT_S = 30


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """One of those other programs; it finds an empty server."""
    async with Redis.from_url(redis_url, decode_responses=True) as one:
        await one.flushall()
        yield one


@pytest.fixture
async def share(redis_url: str, client: Any) -> AsyncIterator[RedisShare]:
    one = sharing(redis_url)
    yield one
    await one.close()


def sharing(redis_url: str, installation: str = "one", **settings: Any) -> RedisShare:
    return RedisShare(ShareConfig(url=Secret(redis_url), **settings), installation)


def deployed(*times_s: float) -> Told:
    entries = []
    for time_s in times_s:
        change = make.change(time_ns=round(time_s * make.NS_PER_S), details={"commit": "abc"})
        entries.append(("shop", time_s, deployment(change)))
    return Told(deployments=entries)


def anomaly(identity: str, **fields: Any) -> Recent:
    return recent_anomaly(make.anomaly(id=identity, **fields))


async def test_entries_have_the_fields_of_their_form(share: RedisShare, client: Any) -> None:
    await share.tell(5, Told(metrics=[POINT], logs=[{"message": "größer"}]))

    ((_, point),) = await client.xrange("events:metrics")
    ((_, line),) = await client.xrange("events:logs")
    assert (point, line) == (POINT, {"message": "größer"})


async def test_deployments_lie_in_the_order_of_their_times(share: RedisShare, client: Any) -> None:
    await share.tell(5, deployed(200.0, 100.5, 300.0))

    found = await client.zrange("deployments:shop", 0, -1, withscores=True)
    assert [score for _, score in found] == [100.5, 200.0, 300.0]
    assert json.loads(found[0][0])["metadata"] == {"id": "1766444d00", "commit": "abc"}
    assert await client.xlen("events:deployments") == 3


async def test_a_position_counts_once_whoever_brings_it(
    redis_url: str, share: RedisShare, client: Any
) -> None:
    other = sharing(redis_url)
    await share.tell(5, Told(metrics=[POINT]))
    for position in (4, 5, 6):
        await other.tell(position, Told(metrics=[POINT]))
    await share.tell(6, Told(metrics=[POINT]))

    assert await client.xlen("events:metrics") == 2
    assert await other.reached() == (6, 0)
    await other.close()


async def test_installations_have_positions_of_their_own(
    redis_url: str, share: RedisShare, client: Any
) -> None:
    other = sharing(redis_url, "two")
    await share.tell(5, Told(metrics=[POINT]))

    await other.tell(1, Told(metrics=[POINT]))

    assert await client.xlen("events:metrics") == 2
    await other.close()


async def test_streams_and_timelines_are_bounded(redis_url: str, client: Any) -> None:
    share = sharing(redis_url, stream_limit=50, deployments=5)

    for position in range(1, 41):
        told = deployed(*(10.0 * position + n for n in range(3)))
        await share.tell(position, replace(told, metrics=[POINT] * 20))

    assert await client.xlen("events:metrics") <= 200
    kept = await client.zrange("deployments:shop", 0, -1, withscores=True)
    assert [score for _, score in kept] == [391.0, 392.0, 400.0, 401.0, 402.0]
    assert 0 < await client.ttl("deployments:shop") <= 30 * 86400
    await share.close()


async def test_the_newest_anomaly_is_first_and_the_oldest_go(redis_url: str, client: Any) -> None:
    share = sharing(redis_url, anomalies=3)

    for n in range(1, 6):
        await share.tell_anomalies(n, [anomaly(f"id{n}", started_ns=n)])

    found = [
        json.loads(one)["id"] for one in await client.lrange("recent_anomalies:checkout", 0, -1)
    ]
    assert found == ["id5", "id4", "id3"]
    await share.close()


async def test_an_anomaly_that_changed_keeps_its_place(share: RedisShare, client: Any) -> None:
    await client.lpush("recent_anomalies:checkout", "not of ours, and no JSON")
    await share.tell_anomalies(2, [anomaly("id1"), anomaly("id2")])

    await share.tell_anomalies(3, [anomaly("id1", value=9.0)])

    found = await client.lrange("recent_anomalies:checkout", 0, -1)
    read = [json.loads(one) for one in found[:2]]
    assert [(one["id"], one["current_value"]) for one in read] == [("id2", 2.5), ("id1", 9.0)]
    assert len(found) == 3


async def test_an_anomaly_that_was_told_before_is_not_told_again(
    share: RedisShare, client: Any
) -> None:
    await share.tell_anomalies(3, [anomaly("id1", value=9.0)])

    await share.tell_anomalies(2, [anomaly("id0")])

    assert await client.llen("recent_anomalies:checkout") == 1


async def test_a_prefix_stands_before_every_key(redis_url: str, client: Any) -> None:
    share = sharing(redis_url, prefix="prod:")
    await share.tell(1, replace(deployed(1.0), metrics=[POINT]))
    await share.tell_anomalies(1, [anomaly("id1")])
    await share.tell_baselines({("shop", "up"): {"mean": "1.0"}})

    keys = await client.keys("*")

    assert "prod:baseline:shop:up" in keys
    assert [key for key in keys if not key.startswith("prod:")] == []
    await share.close()


async def test_a_server_that_is_away_is_told_with_the_setting_that_names_it() -> None:
    share = sharing(f"redis://:hunter2@127.0.0.1:{free_port()}/0", timeout_s=1.5)

    with pytest.raises(Retryable, match=r"share redis: cannot .* share\.url") as refusal:
        await share.tell(1, Told(metrics=[POINT]))

    assert "hunter2" not in str(refusal.value)
    with pytest.raises(ConfigError, match=r"share\.url is no address"):
        sharing("http://nowhere")
    await share.close()


async def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    """A stop waits for what is being told."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        share = sharing(f"redis://127.0.0.1:{port}/0", timeout_s=1.1)
        begin_s = time.monotonic()

        with pytest.raises(Retryable, match=r"share redis: no answer .* share\.url"):
            await share.tell(1, Told(metrics=[POINT]))

        assert time.monotonic() - begin_s < 3.0
        await share.close()


def telemetry(server: Server) -> None:
    """Ten minutes of a metric, some lines, and a deployment, as their senders send them."""
    now_ns = time.time_ns()
    now = iso(now_ns)
    points = [
        {
            "timestamp": iso(now_ns - (600 - 15 * n) * make.NS_PER_S),
            "metric_name": "latency_ms",
            "value": 100.0 + n % 3,
            "labels": {"service": "checkout"},
        }
        for n in range(40)
    ]
    line = {"timestamp": now, "level": "ERROR", "message": "out of memory", "service": "checkout"}
    change = {"timestamp": now, "service": "checkout", "version": "v2.1.0", "status": "success"}
    for path, body in (("metrics", points), ("logs", line), ("deployment", change)):
        url = f"http://127.0.0.1:{server.port}/ingest/{path}"
        assert httpx.post(url, json=body).is_success


def said_by(command: Sequence[str]) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, check=True
    ).stdout


@pytest.fixture
def shared(start: Start, redis_url: str, client: Any) -> Server:
    """A whole server that shares."""
    return start({"share": {"url": redis_url, "baseline_s": 0.2}, "runtime": {"retry_s": 0.05}})


async def until_there(client: Any, *keys: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while await client.exists(*keys) < len(keys):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_every_command_that_the_page_shows_finds_what_was_sent(
    shared: Server, client: Any, redis_url: str, program: Callable[[str], Path]
) -> None:
    shown = re.findall(r"^redis-cli (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    await asyncio.to_thread(telemetry, shared)
    share = sharing(redis_url, "another")
    await share.tell_anomalies(1, [anomaly("id1")])
    await share.close()
    await until_there(
        client,
        "events:metrics",
        "events:logs",
        "deployments:checkout",
        "baseline:checkout:latency_ms",
    )

    for words in shown:
        command = [str(program("redis-cli")), "-u", redis_url, *words.split()]
        said = await asyncio.to_thread(said_by, command)
        assert "checkout" in said or "mean" in said, words

    assert len(shown) == 6
    baseline = await client.hgetall("baseline:checkout:latency_ms")
    assert 100.0 < float(baseline["mean"]) < 102.0
    assert 0.0 < float(baseline["std_dev"]) < 2.0
    assert (baseline["count"], baseline["series"]) == ("40", "1")


async def test_a_server_that_is_away_disturbs_nothing_and_is_told_the_rest_when_it_is_back(
    start: Start, program: Callable[[str], Path], tmp_path: Path
) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    sharing_ = start({"share": {"url": url}, "runtime": {"retry_limit_s": 0.2}})

    await asyncio.to_thread(telemetry, sharing_)

    health = await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{sharing_.port}/health")
    assert health.json()["status"] == "ok"
    with redis_server(program("redis-server"), tmp_path / "late", "--port", str(port)):
        async with Redis.from_url(url, decode_responses=True) as client:
            await until_there(client, "events:metrics", "events:logs", "deployments:checkout")
            assert await client.xlen("events:metrics") == 40
            assert await client.zcard("deployments:checkout") == 1
