"""Keys over HTTP: made, listed, revoked; never more than whoever makes them has, never unseen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import gateways
from tests.fronts import Api, api
from tests.gateways import AWAY, bearer
from watchkeeper.model.principal import Role

PATH = "/api/v1/keys"
Headers = dict[str, str]


@pytest.fixture(params=["memory", "sqlite"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path, store=request.param, peer=AWAY) as found:
        yield found


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path, peer=AWAY) as found:
        yield found


async def made(one: Api, by: Headers, **wanted: Any) -> Any:
    body = {"name": "collector", **wanted}
    if "role" not in wanted and "scopes" not in wanted:
        body["scopes"] = ["write:metrics"]
    return await one.http.post(PATH, json=body, headers=by)


async def trail(one: Api, by: Headers, **asked: str) -> list[dict[str, Any]]:
    answer = await one.http.get("/api/v1/audit", headers=by, params=asked)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_key_that_was_made_opens_what_it_was_made_for(server: Api) -> None:
    boss = (await gateways.admin(server)).header

    new = (await made(server, boss, scopes=["write:metrics"])).json()

    mine = bearer(new["key"])
    assert (await server.http.post("/api/v1/write", content=b"x", headers=mine)).is_success
    assert (await server.http.get("/api/v1/anomalies", headers=mine)).status_code == 403


async def test_a_keys_text_is_told_once_and_its_hash_never(server: Api) -> None:
    boss = (await gateways.admin(server)).header
    answer = await made(server, boss, role="viewer")
    secret = answer.json()["key"].rpartition("_")[2]

    listed = (await server.http.get(PATH, headers=boss)).text
    audit = (await server.http.get("/api/v1/audit", headers=boss)).text

    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["id"] in listed
    assert secret not in listed + audit
    assert "digest" not in listed + audit + answer.text


async def test_every_change_is_in_the_trail_with_who_and_in_which_request(server: Api) -> None:
    boss = await gateways.admin(server)
    with_id = {**boss.header, "x-request-id": "req-1"}
    identity = (await made(server, with_id, role="viewer")).json()["id"]
    await server.http.delete(f"{PATH}/{identity}", headers=with_id)

    revoked, created = await trail(server, boss.header)

    assert [created["action"], revoked["action"]] == ["key.create", "key.revoke"]
    assert {created["principal"], revoked["principal"]} == {f"key:{boss.id}"}
    assert {created["target"], revoked["target"]} == {f"key:{identity}"}
    assert {created["request_id"], revoked["request_id"]} == {"req-1"}
    assert (revoked["before"], revoked["after"]) == ({"state": "active"}, {"state": "revoked"})
    assert revoked["previous"] == created["hash"]


async def test_the_trail_is_listed_by_who_and_what_page_by_page(one: Api) -> None:
    boss = await gateways.admin(one)
    for number in range(3):
        await made(one, boss.header, name=f"n{number}")

    some = await trail(one, boss.header, action="key.create", limit="2")
    none = await trail(one, boss.header, principal="user:nobody")

    assert [item["after"]["name"] for item in some] == ["n2", "n1"]
    assert none == []


async def test_revoking_again_changes_nothing_and_tells_nothing(one: Api) -> None:
    boss = (await gateways.admin(one)).header
    identity = (await made(one, boss)).json()["id"]

    first = await one.http.delete(f"{PATH}/{identity}", headers=boss)
    again = await one.http.delete(f"{PATH}/{identity}", headers=boss)

    assert first.json() == again.json()
    assert len(await trail(one, boss)) == 2


@pytest.mark.parametrize(
    ("wanted", "status", "word"),
    [
        ({"scopes": [], "role": None}, 400, "role"),
        ({"scopes": ["read"], "role": "viewer"}, 400, "role"),
        ({"scopes": ["administer"]}, 400, "administer"),
        ({"scopes": ["everything"]}, 422, "scopes"),
        ({"role": "king"}, 422, "role"),
        ({"role": "viewer", "name": ""}, 422, "name"),
        ({"role": "viewer", "name": "a\nb"}, 400, "name"),
        ({"role": "viewer", "tenants": []}, 400, "tenants"),
        ({"role": "viewer", "tenants": ["a", "a"]}, 400, "tenants"),
        ({"role": "viewer", "tenants": ["*", "a"]}, 400, "tenants"),
        ({"role": "viewer", "tenants": ["a/b"]}, 400, "tenant"),
        ({"role": "viewer", "tenants": [""]}, 400, "tenant"),
        ({"role": "viewer", "requests_per_s": 0}, 422, "requests_per_s"),
        ({"role": "viewer", "bytes_per_s": -1}, 422, "bytes_per_s"),
        ({"role": "viewer", "expires_at": "2001-01-01"}, 400, "past"),
        ({"role": "viewer", "expires_at": "soon"}, 400, "expires_at"),
        ({"role": "viewer", "colour": "red"}, 422, "colour"),
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(
    one: Api, wanted: dict[str, Any], status: int, word: str
) -> None:
    boss = (await gateways.admin(one)).header

    answer = await made(one, boss, **wanted)

    assert answer.status_code == status
    assert word in answer.json()["detail"]
    assert await trail(one, boss) == []


# Admins of some tenants


async def test_nobody_hands_out_tenants_that_they_do_not_have(one: Api) -> None:
    ours = (await gateways.admin(one, tenants=["ours"])).header

    answers = [await made(one, ours, role="viewer", tenants=[name]) for name in ("theirs", "*")]

    assert [answer.status_code for answer in answers] == [403, 403]


async def test_a_key_has_the_tenants_of_its_maker_where_none_are_named(one: Api) -> None:
    ours = (await gateways.admin(one, tenants=["ours", "too"])).header

    assert (await made(one, ours)).json()["tenants"] == ["ours", "too"]


async def test_an_admin_of_one_tenant_sees_and_revokes_only_its_own(one: Api) -> None:
    ours = await gateways.admin(one, 1, tenants=["ours"])
    theirs = await gateways.key(one, 2, tenants=["theirs"])
    both = await gateways.key(one, 3, tenants=["ours", "theirs"])
    everywhere = await gateways.admin(one, 4)

    listed = (await one.http.get(PATH, headers=ours.header)).json()["items"]
    refused = [
        (await one.http.delete(f"{PATH}/{key.id}", headers=ours.header)).status_code
        for key in (theirs, both, everywhere)
    ]

    assert [key["id"] for key in listed] == [ours.id]
    assert refused == [404] * 3


async def test_an_admin_of_one_tenant_reads_its_part_of_the_trail(one: Api) -> None:
    everywhere = (await gateways.admin(one, 1)).header
    ours = (await gateways.admin(one, 2, tenants=["ours"])).header
    for tenants in (["ours"], ["theirs"], ["*"]):
        await made(one, everywhere, tenants=tenants, name=tenants[0].replace("*", "all"))

    mine, whole = await trail(one, ours), await trail(one, everywhere)

    assert [item["after"]["name"] for item in mine] == ["ours"]
    assert len(whole) == 3


async def test_an_operator_may_neither_make_keys_nor_read_the_trail(one: Api) -> None:
    mine = (await gateways.key(one, role=Role.APPROVER)).header

    assert (await made(one, mine)).status_code == 403
    assert (await one.http.get("/api/v1/audit", headers=mine)).status_code == 403
