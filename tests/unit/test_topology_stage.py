"""The topology as a stage: what it saves, what it tells others, how it goes on after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cases import Call
from tests.telling import spans_of, zipkin
from watchkeeper.analyze.topology_stage import AFRESH_NS, PAUSE_NS, TopologyStage
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.errors import Retryable
from watchkeeper.know.settings_stage import By
from watchkeeper.know.topologies_stage import Topologies
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import SpanBatch, Tick
from watchkeeper.model.topology import EdgeOrigin, NodeKind
from watchkeeper.model.topology_set import (
    DeclaredEdge,
    DeclaredNode,
    Discovered,
    TopologyDocument,
)
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

AT_S = 1_700_000_000
NOW = AT_S * NS_PER_S
FIRST = Call("gateway", calls=(Call("order"),))
SECOND = Call("order", calls=(Call("payment"),))


class Flaky(MemoryStore):
    """Cannot save as often as it is told to."""

    n_failures = 0

    async def save(self, batch: Sequence[object]) -> int:
        if self.n_failures:
            self.n_failures -= 1
            raise Retryable("not now", after_s=0.1)
        return await super().save(batch)


class Rig:
    """A stage, and the log that it reads."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.executor = executor
        self.store = Flaky(Flaky.Config())
        self.stage = self.begin()
        self.position = 0

    def begin(self) -> TopologyStage:
        return TopologyStage(lambda _tenant, _service: 7, self.store, self.executor)

    def delivery(self, record: Any) -> Delivery:
        self.position += 1
        return Delivery(MIXED, self.position, record)

    async def told(self, *records: Any) -> None:
        await self.stage.handle([self.delivery(one) for one in records])

    async def saved(self) -> Sequence[Discovered]:
        return (await self.store.list(Discovered, Filter(DEFAULT_TENANT))).items


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    with ThreadPoolExecutor(1) as executor:
        yield Rig(executor)


def batch(call: Call, n: int = 3, first: int = 1) -> SpanBatch:
    return spans_of(zipkin(call, at_s=AT_S, n=n, first=first))


def tick(after_s: float) -> Tick:
    return Tick(NOW + round(after_s * NS_PER_S))


async def test_the_first_graph_is_saved_at_the_next_boundary_and_told_to_others(rig: Rig) -> None:
    await rig.told(tick(0), batch(FIRST), tick(1))
    assert await rig.saved() == []

    await rig.told(tick(10))

    (saved,) = await rig.saved()
    assert [(one.source, one.target) for one in saved.edges] == [("gateway", "order")]
    assert saved.position == rig.position
    assert rig.stage.topology(DEFAULT_TENANT).callees("gateway") == ("order",)


async def test_a_change_is_saved_once_there_was_a_pause_and_others_know_it_before(
    rig: Rig,
) -> None:
    await rig.told(tick(0), batch(FIRST), tick(10), batch(SECOND, first=2), tick(20))
    early = len(await rig.saved())

    await rig.told(tick(10 + PAUSE_NS / NS_PER_S))

    assert (early, len(await rig.saved())) == (1, 2)
    assert rig.stage.topology(DEFAULT_TENANT).callees("order") == ("payment",)


async def test_what_stays_as_it_is_is_saved_afresh_no_more_than_once_an_hour(rig: Rig) -> None:
    await rig.told(tick(0), batch(FIRST), tick(10))
    for minute in range(1, 30):
        await rig.told(batch(FIRST, first=minute + 1), tick(10 + 60 * minute))
    early = len(await rig.saved())

    await rig.told(tick(10 + AFRESH_NS / NS_PER_S))

    assert (early, len(await rig.saved())) == (1, 2)


async def test_what_people_say_is_in_the_graph_that_others_are_told(rig: Rig) -> None:
    document = TopologyDocument(
        nodes=(DeclaredNode(name="order", kind=NodeKind.EXTERNAL),),
        edges=(DeclaredEdge(source="order", target="ledger"),),
    )
    topologies = Topologies(rig.store, FakeClock())
    await topologies.set(DEFAULT_TENANT, document, By("user:ann"), expected=None)

    await rig.told(tick(0), batch(FIRST), tick(10))

    found = rig.stage.topology(DEFAULT_TENANT)
    assert found.kind("order") == NodeKind.EXTERNAL
    assert found.callees("order") == ("ledger",)
    assert {one.origin for one in found.edges} == {EdgeOrigin.TRACES, EdgeOrigin.DECLARED}


async def test_where_saving_fails_only_that_is_tried_again_and_nothing_counts_twice(
    rig: Rig,
) -> None:
    deliveries = [rig.delivery(one) for one in (tick(0), batch(FIRST), tick(10))]
    rig.store.n_failures = 1
    with pytest.raises(Retryable):
        await rig.stage.handle(deliveries)

    await rig.stage.handle(deliveries)

    (saved,) = await rig.saved()
    assert saved.edges[0].weight == pytest.approx(3.0, rel=0.001)


async def test_after_a_restart_it_goes_on_from_its_checkpoint_and_counts_nothing_twice(
    rig: Rig,
) -> None:
    first, second = rig.delivery(tick(0)), rig.delivery(batch(FIRST))
    await rig.stage.handle([first, second])
    state = await rig.stage.dump(7)

    rig.stage = rig.begin()
    await rig.stage.load(7, second.position, state)
    await rig.stage.handle([first, second, rig.delivery(tick(10))])

    (saved,) = await rig.saved()
    assert saved.edges[0].weight == pytest.approx(3.0, rel=0.001)


async def test_after_a_restart_what_is_saved_already_is_no_news(rig: Rig) -> None:
    await rig.told(tick(0), batch(FIRST), tick(10))
    state = await rig.stage.dump(7)
    rig.stage = rig.begin()
    await rig.stage.load(7, rig.position, state)

    await rig.told(tick(20))

    assert len(await rig.saved()) == 1
    assert rig.stage.topology(DEFAULT_TENANT).callees("gateway") == ("order",)


async def test_records_that_another_process_has_are_not_counted(rig: Rig) -> None:
    await rig.stage.handle([Delivery(3, 1, batch(FIRST)), Delivery(3, 2, tick(10))])

    assert await rig.saved() == []


async def test_of_a_tenant_without_spans_nothing_is_known(rig: Rig) -> None:
    await rig.told(tick(10))

    assert rig.stage.topology(DEFAULT_TENANT).names == ()
    assert await rig.stage.caught_up(rig.position)
