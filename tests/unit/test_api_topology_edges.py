"""What people say of the topology, where it makes no sense, comes late or is another tenant's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import gateways, make
from tests.fronts import Api, api
from tests.gateways import AWAY
from watchkeeper.api.times import iso
from watchkeeper.model.principal import Role
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.topology import Edge
from watchkeeper.model.topology_set import Discovered

PATH = "/api/v1/topology"
SETTING = "/api/v1/config/topology"
S = make.NS_PER_S
JSON, YAML = "application/json", "application/yaml"


def seen(at_s: int, *pairs: tuple[str, str], tenant: TenantId = DEFAULT_TENANT) -> Discovered:
    edges = tuple(Edge(*pair) for pair in pairs)
    return Discovered(tenant, make.START_NS + at_s * S, (), edges, at_s + 1)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        yield found


async def put(one: Api, body: str | bytes, media: str = JSON, **more: Any) -> httpx.Response:
    content = body.encode() if isinstance(body, str) else body
    return await one.http.put(
        SETTING,
        content=content,
        headers={"content-type": media, **more.pop("headers", {})},
        params=more,
    )


def node(**fields: Any) -> str:
    return json.dumps({"nodes": [{"name": "order", **fields}]})


def edge(**fields: Any) -> str:
    return json.dumps({"edges": [{"source": "order", "target": "stock", **fields}]})


@pytest.mark.parametrize(
    ("body", "media", "says"),
    [
        ("[]", JSON, "body"),
        ("", JSON, "is no JSON"),
        (b"\xff", JSON, "is no JSON"),
        (b"\xff", YAML, "is not UTF-8"),
        ("nodes: [", YAML, "body"),
        ("nodes: &a\n- name: x\nedges: *a\n", YAML, "write out what it stands for"),
        ("[" * 40 + "]" * 40, YAML, "body"),
        (" " * (256 << 10) + "{}", JSON, "at most 262144 are taken"),
        (json.dumps({"hosts": []}), JSON, "hosts"),
        (json.dumps({"nodes": {"order": {}}}), JSON, "nodes"),
        (json.dumps({"nodes": [{}]}), JSON, "name"),
        (node(name=""), JSON, "name"),
        (node(name="x" * 501), JSON, "name"),
        (node(name=7), JSON, "name"),
        (node(tier=0), JSON, "tier"),
        (node(tier=5), JSON, "tier"),
        (node(tier="first"), JSON, "tier"),
        (node(owner="x" * 201), JSON, "is not text of length <= 200"),
        (node(about="x" * 1001), JSON, "about"),
        (node(runbooks=["wiki/order"]), JSON, "'wiki/order' is no link; write https://..."),
        (node(runbooks=["javascript:alert(1)"]), JSON, "is no link"),
        (node(runbooks=["https://w"] * 21), JSON, "runbooks: holds 21; it must be of length <= 20"),
        (json.dumps({"nodes": [{"name": "a"}, {"name": "a"}]}), JSON, "say all of it in one"),
        (edge(kind="likes"), JSON, "kind"),
        (edge(source=""), JSON, "source"),
        (edge(weight=3), JSON, "weight"),
        (json.dumps({"edges": [{"source": "a", "target": "b"}] * 2}), JSON, "is there twice"),
    ],
)  # fmt: skip
async def test_each_kind_of_bad_document_is_refused_with_what_is_wrong_with_it(
    one: Api, body: str | bytes, media: str, says: str
) -> None:
    answer = await put(one, body, media)

    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert says in told["detail"]
    assert told["errors"]
    assert (await one.get(SETTING))["version"] == 0


async def test_all_faults_are_told_at_once_each_with_its_place(one: Api) -> None:
    bad = {
        "nodes": [{"name": "a", "runbooks": ["x"]}, {"name": "a"}],
        "edges": [{"source": "a", "target": "a"}],
    }

    errors = (await put(one, json.dumps(bad))).json()["errors"]

    assert [error.split(":")[0] for error in errors] == [
        "nodes[0].runbooks",
        "nodes[1].name",
        "edges[0]",
    ]


async def test_a_bad_document_is_refused_in_a_dry_run_as_well(one: Api) -> None:
    assert (await put(one, node(tier=9), dry_run="true")).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"1"'}, 200),
        ({"if-match": '"0"'}, 412),
        ({"if-match": '"2"'}, 412),
        ({"if-match": "yesterday's"}, 400),
    ],
)
async def test_only_who_read_what_is_in_force_may_change_it(
    one: Api, headers: dict[str, str], status: int
) -> None:
    await put(one, node(tier=1))

    answer = await put(one, node(tier=2), headers=headers)

    assert answer.status_code == status, answer.text
    assert (await one.get(SETTING))["version"] == (2 if status == 200 else 1)


async def test_who_is_too_late_is_told_what_is_in_force_and_by_whom(one: Api) -> None:
    await put(one, node(tier=1))

    answer = await put(one, node(tier=2), expected="0")

    assert answer.status_code == 412
    detail = answer.json()["detail"]
    assert "version 0 is not in force, 1 is, set by local" in detail
    assert "set yours again if it is still wanted" in detail


async def test_a_dry_run_of_what_is_stale_is_refused_too(one: Api) -> None:
    await put(one, node(tier=1))

    assert (await put(one, node(tier=2), expected="0", dry_run="true")).status_code == 412


@pytest.mark.parametrize("expected", ["-1", "x", str(10**9)])
async def test_what_is_no_number_of_a_version_is_not_expected(one: Api, expected: str) -> None:
    assert (await put(one, "{}", expected=expected)).status_code == 422


async def test_to_say_the_same_again_makes_no_version_and_no_entry_in_the_trail(
    one: Api,
) -> None:
    await put(one, node(tier=1))

    again = await put(one, "nodes:\n- name: order\n  tier: 1\n", YAML)

    assert (again.json()["version"], again.json()["changed"]) == (1, [])
    assert len((await one.get("/api/v1/audit"))["items"]) == 1


async def test_each_version_is_in_the_trail_with_what_became_of_what(one: Api) -> None:
    await put(one, node(tier=1))
    await put(one, edge())

    newest, first = (await one.get("/api/v1/audit"))["items"]

    assert (newest["action"], newest["target"]) == ("topology.set", "topology")
    assert (newest["before"]["version"], newest["after"]["version"]) == ("1", "2")
    assert "edges.order > stock" in newest["after"]["changed"]
    assert "nodes.order" in newest["after"]["changed"]
    assert first["after"]["version"] == "1"


async def test_a_dry_run_leaves_no_trace_in_the_trail(one: Api) -> None:
    await put(one, node(tier=1), dry_run="true")

    assert (await one.get("/api/v1/audit"))["items"] == []


async def test_what_changed_is_told_with_its_old_and_its_new_value(one: Api) -> None:
    await put(one, edge(kind="calls"))

    changed = (await put(one, edge(kind="sends"))).json()["changed"]

    assert changed == [{"path": "edges.order > stock", "before": "calls", "after": "sends"}]


@pytest.mark.parametrize("limit", ["0", "1001", "all"])
@pytest.mark.parametrize("path", [f"{PATH}/versions", f"{SETTING}/versions"])
async def test_no_more_versions_are_asked_for_than_are_bearable(
    one: Api, path: str, limit: str
) -> None:
    assert (await one.http.get(path, params={"limit": limit})).status_code == 422


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"at": "soon"}, 400),
        ({"at": "nan"}, 400),
        ({"at": "99999999999"}, 400),
        ({"hops": "0"}, 422),
        ({"hops": "9"}, 422),
        ({"service": ""}, 404),
        ({"service": "x" * 5_000}, 404),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_shortly(
    one: Api, asked: dict[str, str], status: int
) -> None:
    answer = await one.http.get(PATH, params=asked)

    assert answer.status_code == status, answer.text
    assert len(answer.text) < 1_000


@pytest.mark.parametrize(
    ("at_s", "pairs"),
    [
        (-1, []),
        (0, [["a", "b"]]),
        (59, [["a", "b"]]),
        (60, [["a", "b"], ["a", "c"]]),
        (3_600, [["a", "b"], ["a", "c"]]),
    ],
)
async def test_the_graph_of_a_time_is_the_newest_that_was_seen_until_then(
    one: Api, at_s: int, pairs: list[list[str]]
) -> None:
    await one.store.save([seen(0, ("a", "b")), seen(60, ("a", "b"), ("a", "c"))])

    found = await one.get(PATH, at=iso(make.START_NS + at_s * S))

    assert [[each["source"], each["target"]] for each in found["edges"]] == pairs


async def test_what_was_said_later_is_not_in_the_graph_of_before(one: Api) -> None:
    before_ns = one.clock.now_ns()
    one.clock.advance(60)
    await put(one, edge())

    then = await one.get(PATH, at=iso(before_ns))
    now = await one.get(PATH)

    assert (then["edges"], [each["origin"] for each in now["edges"]]) == ([], ["declared"])


async def test_a_circle_and_a_call_of_many_are_told_each_node_once(one: Api) -> None:
    wide = [("hub", f"leaf{n:03}") for n in range(300)]
    await one.store.save([seen(0, ("a", "b"), ("b", "c"), ("c", "a"), ("c", "hub"), *wide)])

    circle = await one.get(PATH, service="a", hops="8")
    near = await one.get(PATH, service="leaf000", hops="1")

    names = [each["name"] for each in circle["nodes"]]
    assert len(names) == len(set(names)) == 304
    assert [each["name"] for each in near["nodes"]] == ["hub", "leaf000"]


@pytest.mark.parametrize("name", ["<script>", "a\nb", "шлюз", "'; drop table x; --", "../../etc"])
async def test_whatever_a_node_is_called_is_its_name(one: Api, name: str) -> None:
    await put(one, json.dumps({"edges": [{"source": name, "target": "stock"}]}))

    found = await one.get(PATH, service=name)

    assert {each["name"] for each in found["nodes"]} == {name, "stock"}
    assert found["edges"][0]["source"] == name


async def test_a_tenant_neither_sees_nor_changes_what_another_says(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        ours = (await gateways.admin(one, 1, tenants=["default"])).header
        theirs = (await gateways.admin(one, 2, tenants=["acme"])).header
        await one.store.save([seen(0, ("hidden-a", "hidden-b"), tenant=TenantId("acme"))])
        await one.http.put(
            SETTING, json={"nodes": [{"name": "hidden-c"}]}, headers=theirs
        )  # fmt: skip

        told = [
            (await one.http.get(path, headers=ours)).text
            for path in (PATH, SETTING, f"{PATH}/versions", f"{SETTING}/versions")
        ]
        stranger = await one.http.get(PATH, params={"service": "hidden-a"}, headers=ours)
        version = await one.http.get(f"{SETTING}/versions/1", headers=ours)
        entered = await one.http.get(PATH, headers={**ours, "x-scope-orgid": "acme"})

    assert not any("hidden" in text for text in told)
    assert [stranger.status_code, version.status_code, entered.status_code] == [404, 404, 403]


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.ADMIN, 200)])
async def test_who_may_only_look_may_not_say_what_is_so(
    tmp_path: Path, role: Role, status: int
) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        header = (await gateways.key(one, role=role)).header

        answer = await put(one, node(tier=1), headers=header)
        read = await one.http.get(SETTING, headers=header)

    assert (answer.status_code, read.status_code) == (status, 200)
