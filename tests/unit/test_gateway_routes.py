"""Every route there is, asked by everybody: what the table says is what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from google.rpc.status_pb2 import Status

from tests.fronts import Api, api
from tests.gateways import AWAY, WRONG, bearer, key
from watchkeeper.api.app import described, served
from watchkeeper.api.auth import AuthConfig
from watchkeeper.api.door_table import DOORS
from watchkeeper.api.gateway.table import ROUTES, all_routes, check
from watchkeeper.errors import Permanent
from watchkeeper.model.principal import SCOPES_OF, Role, Scope

TABLE = [
    (method, path, needs)
    for path, by_method in sorted(dict(all_routes()).items())
    for method, needs in by_method.items()
]
Route = tuple[str, str]
STREAMS = ("/api/v1/anomalies/stream", "/api/v1/incidents/stream")


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path, peer=AWAY) as found:
        yield found


async def ask(one: Api, method: str, path: str, **headers: str) -> httpx.Response:
    """A stream that is let in has no end, so it is asked from a place behind all."""
    filled = path.replace("{name}", "service").replace("{", "").replace("}", "")
    return await one.http.request(method, filled, headers=headers)


async def status(one: Api, method: str, path: str, **headers: str) -> int:
    if path in STREAMS:
        return await stream_status(one, path, **headers)
    return (await ask(one, method, path, **headers)).status_code


async def stream_status(one: Api, path: str = STREAMS[0], **headers: str) -> int:
    async with one.streaming(peer=AWAY, path=path, **headers) as stream:
        await stream.until(bool)
    return int(stream.head["status"])


def test_every_route_that_is_served_is_in_the_table() -> None:
    check(served())
    known = set(ROUTES)

    assert {path for _, path in served()} | {"/openapi.json"} == known


def test_a_route_that_the_table_does_not_name_ends_the_start() -> None:
    with pytest.raises(Permanent, match="GET /api/v1/new"):
        check([*served(), ("GET", "/api/v1/new")])


def test_the_description_names_every_route_and_what_it_needs() -> None:
    paths = described().openapi()["paths"]

    told = {
        (method.upper(), path, operation["x-needs"])
        for path, operations in paths.items()
        for method, operation in operations.items()
    }

    assert told == {
        (method, path, "nothing" if needs is None else needs)
        for method, path, needs in TABLE
        if path != "/openapi.json"
    }


async def every(one: Api, **headers: str) -> dict[Route, int]:
    """What each route answers."""
    return {(method, path): await status(one, method, path, **headers) for method, path, _ in TABLE}


def opened(answers: dict[Route, int]) -> set[Route]:
    return {route for route, status in answers.items() if status not in (401, 403)}


def needing(scopes: frozenset[Scope]) -> set[Route]:
    """The routes that these open, and those that need none."""
    return {(method, path) for method, path, needs in TABLE if needs is None or needs in scopes}


async def test_without_a_key_only_health_is_answered(one: Api) -> None:
    answers = await every(one)

    assert opened(answers) == needing(frozenset())
    assert set(answers.values()) == {200, 401}


async def test_a_wrong_key_opens_nothing(one: Api) -> None:
    answers = await every(one, **bearer(WRONG))

    assert opened(answers) == needing(frozenset())
    assert one.door.came == []


@pytest.mark.parametrize("role", Role)
async def test_a_role_opens_what_its_scopes_say(one: Api, role: Role) -> None:
    mine = await key(one, role=role)

    answers = await every(one, **mine.header)

    assert opened(answers) == needing(SCOPES_OF[role])
    assert 401 not in answers.values()


@pytest.mark.parametrize("scope", sorted(set(Scope) - {Scope.ADMINISTER}))
async def test_a_scope_opens_its_own_routes_alone(one: Api, scope: Scope) -> None:
    mine = await key(one, scopes=frozenset({scope}))

    answers = await every(one, **mine.header)

    assert opened(answers) == needing(frozenset({scope}))
    assert 401 not in answers.values()


async def test_a_foreign_tenant_is_closed_to_everybody(one: Api) -> None:
    mine = await key(one, role=Role.ADMIN, tenants=["ours"])

    answers = await every(one, **mine.header, **{"x-scope-orgid": "theirs"})

    assert opened(answers) == needing(frozenset())
    assert one.door.came == []


async def test_nobody_local_is_let_in_where_nobody_shall_be(tmp_path: Path) -> None:
    async with api(tmp_path, auth=AuthConfig(anonymous="never")) as strict:
        assert opened(await every(strict)) == needing(frozenset())


@pytest.mark.parametrize("path", ["/", "/docs", "/api/v1/keys/a/b", "/api/v1/anomalies/"])
async def test_what_is_not_in_the_table_is_not_there_even_for_admins(one: Api, path: str) -> None:
    mine = await key(one, role=Role.ADMIN)

    answer = await one.http.get(path, headers=mine.header)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_strangers_are_not_told_what_is_there(one: Api) -> None:
    answers = [await one.http.get(path) for path in ("/api/v1/anomalies", "/none/such")]

    assert [answer.status_code for answer in answers] == [401, 401]


@pytest.mark.parametrize("path", sorted(DOORS))
async def test_a_door_refuses_in_its_own_words(one: Api, path: str) -> None:
    nobody = await one.http.post(path, content=b"x")
    viewer = await one.http.post(path, content=b"x", headers=(await key(one)).header)

    assert (nobody.status_code, viewer.status_code) == (401, 403)
    assert nobody.headers["content-type"] == viewer.headers["content-type"] != "text/html"
    assert b"wk_" in nobody.content
    assert b"write:" in viewer.content


@pytest.mark.parametrize(("headers", "code"), [({}, 16), ({"authorization": ""}, 7)])
async def test_otlp_refuses_in_status_codes_of_rpc(
    one: Api, headers: dict[str, str], code: int
) -> None:
    shown = (await key(one)).header if headers else {}

    binary = await one.http.post("/v1/logs", content=b"x", headers=shown)
    text = await one.http.post(
        "/v1/logs", content=b"x", headers={**shown, "content-type": "application/json"}
    )

    assert Status.FromString(binary.content).code == code
    assert text.json()["code"] == code


async def test_prometheus_refuses_as_prometheus_says_it(one: Api) -> None:
    writer = (await key(one, scopes=frozenset({Scope.WRITE_LOGS}))).header

    answers = [
        await one.http.get("/prometheus/api/v1/query", headers=headers) for headers in ({}, writer)
    ]

    assert [answer.status_code for answer in answers] == [401, 403]
    assert [answer.json()["errorType"] for answer in answers] == ["unauthorized", "forbidden"]
    assert {answer.json()["status"] for answer in answers} == {"error"}


async def test_health_tells_strangers_whether_and_readers_why(one: Api) -> None:
    strange = (await one.http.get("/health")).json()
    reader = (await one.http.get("/health", headers=(await key(one)).header)).json()

    assert strange["status"] == "ok"
    assert "checks" not in strange
    assert reader["checks"] == {}
