"""How nodes fare beside what is usual, without blame; and the routes that tell it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.asking import FINE, NOW, ONSET, S, World, kept
from tests.cases import Call
from tests.fronts import Api, api
from watchkeeper.api.times import iso
from watchkeeper.lake.base import Frame
from watchkeeper.model.examination import Examination
from watchkeeper.model.series import DEFAULT_TENANT

SLOW = Call("gateway", calls=(Call("order", calls=(Call("stock"), Call("payment", 90.0))),))
PATH = "/api/v3/aiops/analyze"
ASKED = {"service": "gateway", "at": iso(ONSET), "until": iso(NOW)}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with kept(tmp_path / "kept") as found:
        yield found


@pytest.fixture
async def one(tmp_path: Path, world: World) -> AsyncIterator[Api]:
    async with api(tmp_path / "api") as found:
        services = replace(found.front.services, causes=world.gatherer)
        found.front.state["services"] = services
        yield found


async def examined(world: World) -> Examination:
    return await world.gatherer.examine(DEFAULT_TENANT, ["gateway"], ONSET, NOW)


async def posted(one: Api, what: str, **more: str) -> dict[str, Any]:
    answer = await one.http.post(f"{PATH}/{what}", json={**ASKED, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_operation_that_lost_most_time_by_itself_comes_first(world: World) -> None:
    world.healthy()
    world.requests(SLOW)

    found = (await examined(world)).operations

    assert (found[0].node, found[0].operation, found[0].is_slower) == ("payment", "serve", True)
    assert found[0].n == 40
    assert found[0].mean_ms == pytest.approx(90.0, rel=0.05)
    assert found[0].usual_mean_ms == pytest.approx(4.0, rel=0.05)
    assert found[0].lost_ms == pytest.approx(40 * 86.0, rel=0.05)
    assert not any(one.is_slower for one in found[1:])


async def test_who_waits_for_a_slow_one_is_strange_too_and_who_does_not_is_not(
    world: World,
) -> None:
    world.healthy()
    world.requests(SLOW)

    strange = {one.node: one.strangeness for one in (await examined(world)).nodes}

    assert min(strange["payment"], strange["order"], strange["gateway"]) > 0.5
    assert strange["stock"] < 0.5


async def test_a_series_that_is_far_off_is_told_with_what_it_usually_is(world: World) -> None:
    times = ONSET - 600 * S + 15 * S * np.arange(48)
    labels = {"__name__": "cpu_usage", "service": "payment"}
    values = np.where(times < ONSET, 0.2, 0.9) + 0.001 * (np.arange(48) % 3)
    world.healthy()
    world.lake.frame = Frame((labels,), np.zeros(48, np.int32), times.astype(np.int64), values)

    (found,) = (await examined(world)).series

    assert (found.node, found.name) == ("payment", "cpu_usage")
    assert found.usual == pytest.approx(0.2, abs=0.01)
    assert found.value == pytest.approx(0.9, abs=0.01)
    assert found.spreads > 6.0


async def test_of_a_calm_system_nothing_is_strange(world: World) -> None:
    world.healthy()
    world.requests(FINE)

    found = await examined(world)

    assert all(one.strangeness < 0.5 for one in found.nodes)
    assert not any(one.is_slower for one in found.operations)
    assert found.series == ()


async def test_of_nothing_nothing_is_said(world: World) -> None:
    found = await examined(world)

    assert (found.nodes, found.operations, found.series, found.healthy_s) == ((), (), (), 0.0)


async def test_the_same_question_gives_the_same_bytes(world: World) -> None:
    world.healthy()
    world.requests(SLOW)

    assert len({msgspec.json.encode(await examined(world)) for _ in range(3)}) == 1


async def test_anomalous_nodes_are_told_over_http_with_what_is_slower(
    one: Api, world: World
) -> None:
    world.healthy()
    world.requests(SLOW)

    found = await posted(one, "anomaly")

    assert found["is_anomalous"] is True
    assert {node["node"] for node in found["nodes"] if node["strangeness"] > 0.5} == {
        "gateway",
        "order",
        "payment",
    }
    assert [operation["node"] for operation in found["operations"]] == ["payment"]
    assert found["onset"] == iso(ONSET)


async def test_performance_is_told_over_http_with_all_that_was_lost(one: Api, world: World) -> None:
    world.healthy()
    world.requests(SLOW)

    found = await posted(one, "performance")

    assert found["operations"][0]["node"] == "payment"
    assert len(found["operations"]) > 3
    assert found["lost_ms"] >= found["operations"][0]["lost_ms"] > 3000.0


@pytest.mark.parametrize("what", ["anomaly", "performance", "rca"])
async def test_all_three_take_the_same_question_and_refuse_the_same(one: Api, what: str) -> None:
    late = await one.http.post(f"{PATH}/{what}", json={**ASKED, "at": iso(NOW + S)})
    strange = await one.http.post(f"{PATH}/{what}", json={"what": "gateway"})
    calm = await posted(one, what)

    assert (late.status_code, strange.status_code) == (400, 422)
    assert calm["baseline"] == [iso(ONSET - 630 * S), iso(ONSET - 30 * S)]


@pytest.mark.parametrize("what", ["anomaly", "performance", "rca"])
async def test_a_process_without_telemetry_says_so(tmp_path: Path, what: str) -> None:
    async with api(tmp_path) as found:
        answer = await found.http.post(f"{PATH}/{what}", json={})

    assert answer.status_code == 501
    assert "ask one that keeps it" in answer.json()["detail"]
