"""A topology from spans to what people read of it: tenants, environments, releases, taking over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cases import Call
from tests.fronts import api
from tests.telling import spans_of, zipkin
from watchkeeper.analyze.discovery import Discovery
from watchkeeper.analyze.topology_stage import TopologyStage
from watchkeeper.api.times import iso
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.signal import SpanBatch, Tick

AT_S = 1_700_000_000
NOW = AT_S * NS_PER_S
ACME = TenantId("acme")
WEB = Call("gateway", calls=(Call("order"),))
LATER = Call("gateway", calls=(Call("user"),))


def batch(call: Call, first: int = 1, tenant: TenantId = DEFAULT_TENANT) -> SpanBatch:
    return replace(spans_of(zipkin(call, at_s=AT_S, n=3, first=first)), tenant=tenant)


def pairs(found: Discovery, tenant: TenantId) -> set[tuple[str, str]]:
    return {(one.source, one.target) for one in found.topology(tenant).edges}


def test_each_tenant_has_a_graph_of_its_own_also_of_traces_that_both_tell_of() -> None:
    found = Discovery(lambda _tenant, _service: 0)
    found.tick(NOW)

    found.of_spans(batch(WEB))
    found.of_spans(batch(LATER, tenant=ACME))

    assert found.tenants == sorted([DEFAULT_TENANT, ACME])
    assert pairs(found, DEFAULT_TENANT) == {("gateway", "order")}
    assert pairs(found, ACME) == {("gateway", "user")}


def test_a_partition_that_is_given_up_takes_its_tenants_along_and_leaves_the_others() -> None:
    found = Discovery(lambda tenant, _service: 1 if tenant == ACME else 0)
    found.tick(NOW)
    found.of_spans(batch(WEB))
    found.of_spans(batch(LATER, tenant=ACME))
    state = found.dump(1)

    found.load(1, b"")
    left = found.tenants
    found.load(1, state)

    assert left == [DEFAULT_TENANT]
    assert pairs(found, ACME) == {("gateway", "user")}


@pytest.mark.parametrize("state", [b"", b"\x96\x00\x80\x80\xc4\x00\x80\x80"])
def test_what_another_release_kept_is_begun_anew(state: bytes) -> None:
    found = Discovery(lambda _tenant, _service: 0)
    found.tick(NOW)

    found.load(0, state)

    assert found.tenants == []


async def test_from_spans_to_the_graph_over_http_as_it_is_and_as_it_was(tmp_path: Path) -> None:
    async with api(tmp_path) as one:
        with ThreadPoolExecutor(1) as executor:
            stage = TopologyStage(lambda _tenant, _service: 0, one.store, executor)
            told = [Tick(NOW), batch(WEB), Tick(NOW + 10 * NS_PER_S), batch(LATER, first=7)]
            told += [Tick(NOW + 80 * NS_PER_S)]
            await stage.handle([Delivery(MIXED, at + 1, record) for at, record in enumerate(told)])
        now = await one.get("/api/v1/topology")
        before = await one.get("/api/v1/topology", at=iso(NOW + 30 * NS_PER_S))
        never = await one.get("/api/v1/topology", at=iso(NOW))
        versions = await one.get("/api/v1/topology/versions")

    def targets(found: dict[str, list[dict[str, str]]]) -> list[str]:
        return [edge["target"] for edge in found["edges"]]

    assert (targets(now), targets(before), targets(never)) == (["order", "user"], ["order"], [])
    assert now["version"] > before["version"] > never["version"]
    assert [item.get("came") for item in versions["items"]] == [[["gateway", "user"]], None]


async def test_what_is_said_survives_what_is_discovered_and_is_read_with_it(tmp_path: Path) -> None:
    async with api(tmp_path) as one:
        said = {"nodes": [{"name": "order", "owner": "checkout"}],
                "edges": [{"source": "gateway", "target": "order", "kind": "sends"}]}  # fmt: skip
        answer = await one.http.put("/api/v1/config/topology", json=said)
        with ThreadPoolExecutor(1) as executor:
            stage = TopologyStage(lambda _tenant, _service: 0, one.store, executor)
            told = [Tick(NOW), batch(WEB), Tick(NOW + 10 * NS_PER_S)]
            await stage.handle([Delivery(MIXED, at + 1, record) for at, record in enumerate(told)])
        found = await one.get("/api/v1/topology", service="order")

    assert answer.status_code == 200
    (edge,) = found["edges"]
    assert (edge["origin"], edge["kind"], edge["calls"]) == ("traces", "calls", 3.0)
    assert [node.get("owner") for node in found["nodes"]] == [None, "checkout"]
