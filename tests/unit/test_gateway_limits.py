"""What a key may use, told in each protocol's own words; and buckets as such."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from tests import gateways
from tests.fronts import Api, api
from tests.gateways import AWAY
from tests.make import NS_PER_S
from watchkeeper.api.app import Front
from watchkeeper.api.gateway.limits import BURST_S, Bucket, Buckets
from watchkeeper.errors import Retryable
from watchkeeper.model.principal import Limits, Role
from watchkeeper.store.base import Store

READ = "/api/v1/anomalies"
WRITE = "/api/v1/write"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path, peer=AWAY) as found:
        yield found


async def limited(one: Api, number: int = 1, **limits: float) -> dict[str, str]:
    key = await gateways.key(one, number, role=Role.OPERATOR, limits=Limits(**limits))
    return key.header


async def test_a_burst_is_let_through_and_no_more(one: Api) -> None:
    mine = await limited(one, requests_per_s=0.5)

    statuses = [(await one.http.get(READ, headers=mine)).status_code for _ in range(7)]

    assert statuses == [200] * 5 + [429] * 2


async def test_whoever_waits_as_told_is_served(one: Api) -> None:
    mine = await limited(one, requests_per_s=0.1)
    await one.http.get(READ, headers=mine)
    refused = await one.http.get(READ, headers=mine)

    one.clock.advance(float(refused.headers["retry-after"]))

    assert refused.json()["title"] == "The limit is reached; wait"
    assert (await one.http.get(READ, headers=mine)).status_code == 200


async def test_one_keys_limit_is_no_other_ones(one: Api) -> None:
    mine, theirs = [await limited(one, number, requests_per_s=0.1) for number in (1, 2)]
    for _ in range(3):
        await one.http.get(READ, headers=mine)

    assert (await one.http.get(READ, headers=theirs)).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (WRITE, 503),  # Prometheus drops on 429
        ("/v1/metrics", 429),
        ("/v1/logs", 429),
        ("/loki/api/v1/push", 429),
        ("/api/v1/metrics/write", 429),
        ("/api/v2/spans", 429),
    ],
)
async def test_each_protocol_is_told_to_retry_in_its_own_code(
    one: Api, path: str, status: int
) -> None:
    mine = await limited(one, requests_per_s=0.1)
    await one.http.post(path, content=b"x", headers=mine)

    answer = await one.http.post(path, content=b"x", headers=mine)

    assert answer.status_code == status
    assert int(answer.headers["retry-after"]) >= 1
    assert len(one.door.came) == 1


async def test_otlp_says_that_a_resource_is_exhausted(one: Api) -> None:
    mine = await limited(one, requests_per_s=0.1)
    await one.http.post("/v1/traces", content=b"x", headers=mine)

    answer = await one.http.post("/v1/traces", content=b"x", headers=mine)

    assert Status.FromString(answer.content).code == 8


async def test_bytes_are_counted_as_they_were_sent(one: Api) -> None:
    mine = await limited(one, bytes_per_s=10.0)
    statuses = []

    for size in (60, 60, 1):
        answer = await one.http.post(WRITE, content=b"x" * size, headers=mine)
        statuses.append(answer.status_code)

    assert statuses == [204, 204, 503]


async def test_a_body_larger_than_the_bucket_comes_in_once_and_is_paid_off(one: Api) -> None:
    mine = await limited(one, bytes_per_s=10.0)
    large = await one.http.post(WRITE, content=b"x" * 1000, headers=mine)
    next_one = await one.http.post(WRITE, content=b"x", headers=mine)

    one.clock.advance(90.5)

    assert (large.status_code, next_one.status_code) == (204, 503)
    assert (await one.http.post(WRITE, content=b"x", headers=mine)).status_code == 204


async def test_bytes_of_a_body_without_a_length_are_counted_too(one: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 10

    mine = await limited(one, bytes_per_s=10.0)
    await one.http.post(WRITE, content=pieces(), headers=mine)

    assert (await one.http.post(WRITE, content=b"x", headers=mine)).status_code == 503


async def test_what_one_limit_refuses_costs_nothing_of_the_other(one: Api) -> None:
    mine = await limited(one, requests_per_s=0.2, bytes_per_s=10.0)
    await one.http.post(WRITE, content=b"x" * 150, headers=mine)
    for _ in range(5):
        assert (await one.http.post(WRITE, content=b"x", headers=mine)).status_code == 503

    one.clock.advance(6)

    assert (await one.http.post(WRITE, content=b"x", headers=mine)).status_code == 204


async def test_while_the_store_is_away_senders_are_told_to_come_again(one: Api) -> None:
    mine = await limited(one)
    await one.store.close()
    away = Front(replace(one.front.services, store=cast(Store, Away())))
    transport = httpx.ASGITransport(app=cast(Any, away), client=(AWAY, 1))

    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        write = await http.post(WRITE, content=b"x", headers=mine)
        read = await http.get(READ, headers=mine)
        health = await http.get("/health", headers=mine)

    assert [write.status_code, read.status_code, health.status_code] == [503, 503, 200]
    assert read.headers["retry-after"] == "3"


class Away:
    """A store that cannot be asked."""

    async def get(self, *_: object) -> None:
        raise Retryable("store: the server is away", after_s=3.0)


# Buckets


@given(
    per_s=st.floats(0.1, 1000),
    asks=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 500)), max_size=20),
)
def test_no_more_goes_through_than_the_limit_and_a_burst(
    per_s: float, asks: list[tuple[float, float]]
) -> None:
    """Whatever the order of waiting and asking; the last one may go into debt."""
    now_ns, taken, largest = 0, 0.0, 0.0
    bucket = Bucket(per_s, now_ns)

    for wait_s, amount in asks:
        now_ns += round(wait_s * NS_PER_S)
        if not bucket.wait_s(now_ns):
            bucket.take(amount)
            taken, largest = taken + amount, max(largest, amount)

    most = max(1.0, per_s * BURST_S) + per_s * now_ns / NS_PER_S
    assert taken <= most + largest + 1e-6 * most


@given(per_s=st.floats(0.01, 1e6), amount=st.floats(0, 1e6))
def test_after_the_wait_that_is_told_the_next_one_comes_in(per_s: float, amount: float) -> None:
    bucket = Bucket(per_s, 0)
    bucket.take(amount)

    wait_s = bucket.wait_s(0)

    assert bucket.wait_s(round(wait_s * NS_PER_S) + 1) == 0


def test_a_bucket_gains_nothing_while_the_clock_goes_back() -> None:
    bucket = Bucket(1.0, 100 * NS_PER_S)
    bucket.take(10)

    assert bucket.wait_s(0) > 0
    assert bucket.wait_s(5 * NS_PER_S) == 0


def test_buckets_are_bounded_and_the_oldest_goes() -> None:
    buckets = Buckets()
    first = buckets.of("0", 1.0, 0)
    for number in range(1, 10_001):
        buckets.of(str(number), 1.0, 0)

    assert buckets.of("0", 1.0, 0) is not first


def test_a_changed_limit_begins_a_new_bucket() -> None:
    buckets = Buckets()
    buckets.of("a", 1.0, 0).take(100)

    assert buckets.of("a", 2.0, 0).wait_s(0) == 0
