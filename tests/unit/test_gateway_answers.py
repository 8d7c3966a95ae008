"""What every answer has: an id, safe headers, permission for pages of chosen origins; and what no
request may have: a body that is too large or too slow."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import gateways
from tests.fronts import Api, api
from tests.gateways import AWAY
from watchkeeper import telemetry
from watchkeeper.api.door_table import DOORS
from watchkeeper.model.principal import Role
from watchkeeper.telemetry import Log, LogConfig, set_up_log

READ = "/api/v1/anomalies"
ORIGIN = "https://grafana.example.com"
PATHS = pytest.mark.parametrize(
    ("method", "path"), [("GET", READ), ("GET", "/health"), ("GET", "/none"), ("POST", "/v1/logs")]
)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        yield found


@PATHS
async def test_a_request_keeps_the_id_that_it_came_with(one: Api, method: str, path: str) -> None:
    answer = await one.http.request(method, path, headers={"x-request-id": "trace-7/a"})

    assert answer.headers["x-request-id"] == "trace-7/a"


@PATHS
async def test_a_request_without_an_id_gets_one_of_its_own(
    one: Api, method: str, path: str
) -> None:
    ids = {(await one.http.request(method, path)).headers["x-request-id"] for _ in range(3)}

    assert len(ids) == 3


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, 'x"; drop', "\x1b[31m", "é"])
async def test_an_id_that_could_harm_a_log_is_replaced(one: Api, given: str) -> None:
    answer = await one.http.get(READ, headers=[(b"x-request-id", given.encode())])

    assert answer.headers["x-request-id"] != given
    assert answer.headers["x-request-id"].isascii()


@pytest.mark.parametrize("path", [f"{READ}/none", f"{READ}?limit=0", "/none"])
async def test_a_problem_names_its_request(one: Api, path: str) -> None:
    answer = await one.http.get(path, headers={"x-request-id": "me"})

    assert answer.json()["request_id"] == "me"


async def test_a_log_line_names_the_request_in_which_it_was_written() -> None:
    written = io.StringIO()
    set_up_log(LogConfig(), written)

    token = telemetry.request_id.set("r-1")
    Log("watchkeeper.test").info("inside")
    telemetry.request_id.reset(token)
    Log("watchkeeper.test").info("outside")

    inside, outside = written.getvalue().splitlines()
    assert inside.endswith("inside request_id=r-1")
    assert "request_id" not in outside


@PATHS
async def test_every_answer_is_safe_to_show_in_a_browser(one: Api, method: str, path: str) -> None:
    headers = (await one.http.request(method, path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


# Pages of other origins


async def test_no_origin_is_let_in_unless_it_is_named(one: Api) -> None:
    answer = await one.http.get("/health", headers={"origin": ORIGIN})

    assert not [name for name in answer.headers if name.startswith("access-control")]


async def preflight(one: Api, origin: str) -> Any:
    asked = {"origin": origin, "access-control-request-method": "GET"}
    return await one.http.request("OPTIONS", READ, headers=asked)


async def test_a_named_origin_may_ask_with_a_key(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY, cors_origins=(ORIGIN,)) as one:
        first = await preflight(one, ORIGIN)
        mine = (await gateways.key(one)).header
        answer = await one.http.get(READ, headers={**mine, "origin": ORIGIN})

        assert first.is_success
        assert "authorization" in first.headers["access-control-allow-headers"]
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["vary"] == "origin"


async def test_a_refusal_can_be_read_by_a_named_origin(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY, cors_origins=(ORIGIN,)) as one:
        answer = await one.http.get(READ, headers={"origin": ORIGIN})

        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin",
    ["null", "https://grafana.example.com.evil", "http://grafana.example.com", ORIGIN + ":1"],
)
async def test_an_origin_is_named_exactly(tmp_path: Path, origin: str) -> None:
    async with api(tmp_path, peer=AWAY, cors_origins=(ORIGIN,)) as one:
        first = await preflight(one, origin)

        assert first.status_code == 401
        assert "access-control-allow-origin" not in first.headers


# Bodies


async def test_a_body_for_a_route_that_is_no_door_is_bounded_too(tmp_path: Path) -> None:
    async with api(tmp_path, body_bytes=100) as one:
        answer = await one.http.post("/api/v1/keys", content=b" " * 101)

        assert answer.status_code == 413
        assert "server.body_bytes" in answer.json()["detail"]


@pytest.mark.parametrize("path", [*sorted(DOORS)[:3], "/api/v1/keys"])
async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, path: str) -> None:
    seen: list[Mapping[str, Any]] = []

    async def never() -> Mapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Mapping[str, Any]) -> None:
        seen.append(message)

    async with api(tmp_path, body_s=0.01) as one:
        scope = {
            "type": "http", "method": "POST", "path": path, "headers": [], "http_version": "1.1",
            "client": ("127.0.0.1", 1), "query_string": b"",
        }  # fmt: skip
        await asyncio.wait_for(one.front(scope, never, send), 5)

    assert seen[0]["status"] == 408
    assert one.door.came == []


async def test_a_web_socket_is_closed_at_once(one: Api) -> None:
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await one.front({"type": "websocket", "path": READ, "headers": []}, receive, send)

    assert [message["type"] for message in sent] == ["websocket.close"]


# Tenants


@pytest.mark.parametrize("tenant", ["a/b", "..", ".", "a b", "*", "a" * 151, "é", "a|b"])
async def test_what_is_no_name_of_a_tenant_is_refused(one: Api, tenant: str) -> None:
    answer = await one.http.get(READ, headers=[(b"x-scope-orgid", tenant.encode())])

    assert answer.status_code == 400
    assert "no name of a tenant" in answer.json()["detail"]


async def test_a_request_that_names_no_tenant_means_the_keys_first(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        mine = await gateways.key(one, role=Role.OPERATOR, tenants=["b", "a"])
        for named in ({}, {"x-scope-orgid": "a"}):
            await one.http.post("/api/v1/write", content=b"x", headers={**mine.header, **named})

        assert [request.tenant for request in one.door.came] == ["b", "a"]
