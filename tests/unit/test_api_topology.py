"""The topology over HTTP: read, said, read as it was."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.api.times import iso
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.topology import Edge, EdgeKind, Node, NodeKind
from watchkeeper.model.topology_set import Discovered

PATH = "/api/v1/topology"
SETTING = "/api/v1/config/topology"
S = make.NS_PER_S
SAID = {
    "nodes": [{"name": "order", "owner": "checkout", "tier": 1, "runbooks": ["https://wiki/o"]}],
    "edges": [{"source": "order", "target": "ledger"}],
}


def seen(at_s: int, *pairs: tuple[str, str]) -> Discovered:
    edges = tuple(Edge(*pair, EdgeKind.CALLS, weight=5.0, errors=1.0) for pair in pairs)
    nodes = (Node("ledger-db", NodeKind.DATABASE),)
    return Discovered(DEFAULT_TENANT, make.START_NS + at_s * S, nodes, edges, at_s + 1)


@pytest.fixture(params=["memory", "sqlite"])
async def one(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    async with api(tmp_path, store=request.param) as found:
        await found.store.save(
            [
                seen(0, ("web", "order"), ("order", "ledger-db")),
                seen(60, ("web", "order"), ("order", "ledger-db"), ("web", "user")),
            ]
        )
        yield found


async def put(one: Api, document: Any, **headers: str) -> httpx.Response:
    body = document if isinstance(document, str) else json.dumps(document)
    usual = {"content-type": "application/json"}
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return await one.http.put(SETTING, content=body.encode(), headers=usual | named)


def pairs(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(edge["source"], edge["target"]) for edge in told["edges"]]


async def test_the_graph_is_told_with_the_weights_of_its_edges(one: Api) -> None:
    told = await one.get(PATH)

    assert pairs(told) == [("order", "ledger-db"), ("web", "order"), ("web", "user")]
    assert told["edges"][0] == {
        "source": "order",
        "target": "ledger-db",
        "kind": "calls",
        "origin": "traces",
        "calls": 5.0,
        "errors": 1.0,
        "confidence": 1.0,
    }
    assert {"name": "ledger-db", "kind": "database"} in told["nodes"]


async def test_the_surroundings_of_a_node_are_told_as_far_as_is_asked(one: Api) -> None:
    near = await one.get(PATH, service="order")
    far = await one.get(PATH, service="ledger-db", hops="2")

    assert pairs(near) == [("order", "ledger-db"), ("web", "order")]
    assert pairs(far) == [("order", "ledger-db"), ("web", "order")]


async def test_a_stranger_is_not_found(one: Api) -> None:
    answer = await one.http.get(PATH, params={"service": "nobody"})

    assert answer.status_code == 404
    assert "'nobody'" in answer.json()["detail"]


async def test_the_graph_is_told_as_it_was(one: Api) -> None:
    told = await one.get(PATH, at=iso(make.START_NS + 30 * S))

    assert ("web", "user") not in pairs(told)


async def test_versions_tell_what_came_and_went(one: Api) -> None:
    items = (await one.get(f"{PATH}/versions"))["items"]

    assert [(item["edges"], item.get("came"), item.get("went")) for item in items] == [
        (3, [["web", "user"]], []),
        (2, None, None),
    ]


async def test_what_people_say_is_in_force_at_once_with_who_said_it(one: Api) -> None:
    answer = await put(one, SAID)

    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"1"'
    assert [one["path"] for one in answer.json()["changed"]] == [
        "edges.order > ledger",
        "nodes.order",
    ]
    told = await one.get(PATH)
    order = next(node for node in told["nodes"] if node["name"] == "order")
    assert (order["owner"], order["tier"], order["runbooks"]) == ("checkout", 1, ["https://wiki/o"])
    assert ("order", "ledger") in pairs(told)
    setting = await one.get(SETTING)
    assert (setting["version"], setting["document"]["nodes"][0]["name"]) == (1, "order")


async def test_it_may_be_said_in_yaml(one: Api) -> None:
    answer = await put(one, "nodes:\n- name: order\n  tier: 2\n", content_type="application/yaml")

    assert answer.json()["document"]["nodes"][0]["tier"] == 2


async def test_before_anybody_said_anything_version_0_is_in_force(one: Api) -> None:
    setting = await one.get(SETTING)

    assert (setting["version"], setting["since"]) == (0, None)
    assert setting["document"] == {"nodes": [], "edges": []}


@pytest.mark.parametrize(
    ("document", "status", "says"),
    [
        ("{", 422, "is no JSON"),
        ({"nodes": [{"name": "a", "tier": 9}]}, 422, "tier"),
        ({"nodes": [{"name": "a", "ownr": "b"}]}, 422, "ownr"),
        ({"nodes": [{"name": "a", "kind": "planet"}]}, 422, "kind"),
        ({"edges": [{"source": "a", "target": "a"}]}, 422, "cannot depend on itself"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    one: Api, document: Any, status: int, says: str
) -> None:
    answer = await put(one, document)

    assert answer.status_code == status
    assert says in answer.text
    assert (await one.get(SETTING))["version"] == 0


async def test_another_media_type_is_refused(one: Api) -> None:
    assert (await put(one, "a,b", content_type="text/csv")).status_code == 415


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(one: Api) -> None:
    answer = await one.http.put(SETTING, json=SAID, params={"dry_run": "true"})

    assert [change["path"] for change in answer.json()["changed"]] == [
        "edges.order > ledger",
        "nodes.order",
    ]
    assert (await one.get(SETTING))["version"] == 0


async def test_who_read_another_version_is_refused(one: Api) -> None:
    await put(one, SAID)

    stale = await put(one, {}, if_match='"0"')
    fresh = await put(one, {}, if_match='"1"')

    assert (stale.status_code, fresh.status_code) == (412, 200)


async def test_versions_that_people_set_are_listed_and_can_be_read(one: Api) -> None:
    await put(one, SAID)
    await put(one, {})

    items = (await one.get(f"{SETTING}/versions"))["items"]
    first = await one.get(f"{SETTING}/versions/1")

    assert [item["version"] for item in items] == [2, 1]
    assert first["document"]["edges"][0]["target"] == "ledger"


@pytest.mark.parametrize("version", ["7", "newest"])
async def test_a_version_that_is_not_there_is_not_found(one: Api, version: str) -> None:
    assert (await one.http.get(f"{SETTING}/versions/{version}")).status_code == 404
