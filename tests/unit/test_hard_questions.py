"""The hard cases of finding a cause, each from telemetry as senders tell it to the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.asking import FINE, NOW, ONSET, ONSET_S, S, World, first, kept
from tests.cases import Call
from tests.telling import DATABASE, zipkin
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.severity import Severity

SLOW = Call("gateway", calls=(Call("order", calls=(Call("stock"), Call("payment", 90.0))),))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with kept(tmp_path) as found:
        yield found


def told(call: Call = SLOW, n: int = 40, first: int = 50) -> list[dict[str, Any]]:
    return zipkin(call, at_s=ONSET_S, n=n, every_s=2.0, first=first)


async def test_the_entry_itself_may_be_the_cause(world: World) -> None:
    world.healthy()
    world.requests(replace(FINE, own_ms=90.0))

    found = await world.asked("gateway")

    assert (first(found), found.entry) == ("gateway", "gateway")


@pytest.mark.parametrize("n", [0, 1])
async def test_of_no_requests_or_one_nobody_is_blamed(world: World, n: int) -> None:
    world.healthy()
    if n:
        world.requests(SLOW, n=n)

    assert first(await world.asked("gateway")) == ""


async def test_spans_that_are_told_twice_count_once(world: World) -> None:
    world.healthy()
    world.spans(told() * 2)

    found = await world.asked("gateway")
    once = [one for one in found.ranking.causes[0].evidence if one.explainer == "excess_time"]

    assert first(found) == "payment"
    assert once[0].n == 40


async def test_a_storm_of_wrong_requests_is_nobodys_fault(world: World) -> None:
    world.healthy()
    wrong = {"error": "bad", "http.response.status_code": "404"}
    world.spans([{**one, "tags": {**one["tags"], **wrong}} for one in told(FINE)])

    assert first(await world.asked("gateway")) == ""


async def test_what_callers_gave_up_is_nobodys_fault_either(world: World) -> None:
    world.healthy()
    gone = {"error": "gone", "http.status_code": "499"}
    world.spans([{**one, "tags": {**one["tags"], **gone}} for one in told(FINE)])

    assert first(await world.asked("gateway")) == ""


async def test_three_tries_of_one_caller_blame_whom_it_tried(world: World) -> None:
    tries = tuple(Call("payment", failed=True) for _ in range(3))
    order = Call("order", calls=tries, failed=True)
    world.healthy()
    world.requests(Call("gateway", calls=(order,), failed=True))

    assert first(await world.asked("gateway")) == "payment"


async def test_an_error_that_its_caller_handled_does_not_blame_the_caller(world: World) -> None:
    order = Call("order", calls=(Call("payment", failed=True), Call("stock")))
    world.healthy()
    world.requests(Call("gateway", calls=(order,)))

    found = await world.asked("gateway")

    assert found.ranking.causes[0].node == "payment"


async def test_clocks_that_differ_by_seconds_change_nothing(world: World) -> None:
    def skewed(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        late = {"order": 3_000_000, "payment": -2_000_000}
        return [
            {
                **one,
                "timestamp": one["timestamp"] + late.get(one["localEndpoint"]["serviceName"], 0),
            }
            for one in spans
        ]

    world.spans(skewed(zipkin(FINE, at_s=ONSET_S - 700, n=130, every_s=5.0)))
    world.spans(skewed(told()))

    assert first(await world.asked("gateway")) == "payment"


async def test_traces_without_their_roots_still_tell_whose_time_it_was(world: World) -> None:
    def headless(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for one in spans if "parentId" in one]

    world.spans(headless(zipkin(FINE, at_s=ONSET_S - 700, n=130, every_s=5.0)))
    world.spans(headless(told()))

    found = await world.asked("gateway")

    assert found.ranking.causes[0].node == "payment"
    assert found.ranking.quality < 1.0


async def test_one_trace_of_a_hundred_is_enough_if_there_are_some(world: World) -> None:
    world.healthy()
    world.requests(SLOW, n=8, every_s=14.0)

    assert first(await world.asked("gateway")) == "payment"


async def test_a_trace_of_very_many_children_is_read_like_any(world: World) -> None:
    def wide(ms: float) -> Call:
        return Call("gateway", calls=tuple(Call("stock", ms, gap_ms=0.0) for _ in range(100)))

    world.requests(wide(1.0), at_s=ONSET_S - 300, n=5, every_s=20.0)
    world.requests(wide(30.0), n=5, every_s=10.0)

    found = await world.asked("gateway")

    assert found.counts["spans"] == 5 * 201
    assert found.ranking.causes[0].node == "stock"


async def test_two_roots_at_once_are_both_among_the_first(world: World) -> None:
    world.healthy()
    order = Call("order", calls=(Call("stock", 90.0), Call("payment", 90.0)))
    world.requests(Call("gateway", calls=(order,)))

    found = await world.asked("gateway")

    assert {one.node for one in found.ranking.causes[:2]} == {"stock", "payment"}


async def test_a_silent_database_behind_two_slow_callers_is_named(world: World) -> None:
    def request(ms: float) -> Call:
        database = Call("database", ms, silent=True)
        return Call(
            "gateway", calls=(Call("stock", calls=(database,)), Call("user", calls=(database,)))
        )

    world.healthy(request(2.0))
    world.requests(request(250.0))

    assert first(await world.asked("gateway")) == DATABASE


async def test_names_of_any_script_are_told_as_they_are(world: World) -> None:
    def renamed(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = {"payment": "платёж 💳 (v2)", "order": "注文|.*"}
        return [
            {
                **one,
                "localEndpoint": {
                    "serviceName": names.get(
                        one["localEndpoint"]["serviceName"], one["localEndpoint"]["serviceName"]
                    )
                },
            }
            for one in spans
        ]

    world.spans(renamed(zipkin(FINE, at_s=ONSET_S - 700, n=130, every_s=5.0)))
    world.spans(renamed(told()))

    found = await world.asked("注文|.*")

    assert first(found) == "платёж 💳 (v2)"


async def test_what_another_tenant_tells_is_not_looked_at(world: World) -> None:
    world.healthy()
    world.requests(SLOW)

    found = await world.gatherer.causes_of(TenantId("acme"), ["gateway"], ONSET, NOW)

    assert first(found) == ""
    assert sum(found.counts.values()) == 0


async def test_spans_of_the_future_are_not_of_this_question(world: World) -> None:
    world.healthy()
    world.requests(SLOW)
    before = await world.asked("gateway")
    world.requests(Call("gateway", 900.0), at_s=ONSET_S + 3600, n=20)

    after = await world.asked("gateway")

    assert msgspec.json.encode(after) == msgspec.json.encode(before)


async def test_a_service_that_fell_silent_is_no_reason_to_fail(world: World) -> None:
    world.healthy()
    world.requests(Call("gateway"), n=30)

    found = await world.asked("gateway")

    assert found.counts["spans"] > 0
    assert sum(one.probability for one in found.ranking.causes) + found.ranking.unknown == (
        pytest.approx(1.0)
    )


async def test_error_lines_of_whom_nobody_traces_are_evidence(world: World) -> None:
    world.lines(("bank", "request done", 60), at_s=ONSET_S - 500)
    world.lines(("bank", "out of memory", 30), at_s=ONSET_S, level=Severity.ERROR)

    found = await world.asked()

    assert found.ranking.causes[0].node == "bank"
    assert any("out of memory" in one.text for one in found.ranking.causes[0].evidence)
    assert found.counts["lines"] == 30


async def test_the_order_in_which_telemetry_came_changes_no_byte(tmp_path: Path) -> None:
    answers = set()
    for number, order in enumerate([(0, 1, 2), (2, 1, 0), (1, 0, 2)]):
        async with kept(tmp_path / str(number)) as one:
            tells = [
                lambda one=one: one.spans(zipkin(FINE, at_s=ONSET_S - 700, n=130, every_s=5.0)),
                lambda one=one: one.spans(told()),
                lambda one=one: one.lines(("payment", "late", 5), at_s=ONSET_S),
            ]
            for at in order:
                tells[at]()
            found = await one.gatherer.causes_of(DEFAULT_TENANT, ["gateway"], ONSET, NOW)
            answers.add(msgspec.json.encode(found))

    assert len(answers) == 1
    assert ONSET + 120 * S == NOW
