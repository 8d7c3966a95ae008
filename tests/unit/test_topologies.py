"""What people say of the topology: checked, in versions, together with what is seen."""

from __future__ import annotations

import asyncio

import pytest

from tests import make
from watchkeeper.clock import FakeClock
from watchkeeper.errors import BadInput, ConfigError
from watchkeeper.know.settings_stage import By
from watchkeeper.know.topologies_stage import Topologies, differing
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.topology import Edge, EdgeKind, EdgeOrigin, Node, NodeKind
from watchkeeper.model.topology_set import (
    DeclaredEdge,
    DeclaredNode,
    Discovered,
    TopologyDocument,
    TopologySet,
    check,
    is_same_graph,
    merged,
)
from watchkeeper.store.base import Filter
from watchkeeper.store.memory import MemoryStore

S = make.NS_PER_S
ANN = By("user:ann", "r1")
SEEN = Discovered(
    DEFAULT_TENANT,
    make.START_NS,
    (Node("order"), Node("web")),
    (Edge("web", "order", weight=9.0, errors=1.0),),
    position=12,
)
SAID = TopologyDocument(
    nodes=(DeclaredNode(name="order", owner="checkout", tier=1),),
    edges=(DeclaredEdge(source="order", target="ledger"),),
)


def said(document: TopologyDocument, version: int = 1) -> TopologySet:
    return TopologySet(DEFAULT_TENANT, version, document, make.START_NS, "user:ann")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(MemoryStore.Config())


@pytest.fixture
def topologies(store: MemoryStore, clock: FakeClock) -> Topologies:
    return Topologies(store, clock)


def test_what_is_seen_and_what_is_said_are_one_graph() -> None:
    found = merged(SEEN, said(SAID))

    assert found.names == ("ledger", "order", "web")
    assert found.callees("order") == ("ledger",)
    assert found.version == 13
    assert {one.origin for one in found.edges} == {EdgeOrigin.TRACES, EdgeOrigin.DECLARED}


def test_of_an_edge_that_is_seen_what_was_seen_counts() -> None:
    edge = DeclaredEdge(source="web", target="order", kind=EdgeKind.SENDS)

    found = merged(SEEN, said(TopologyDocument(edges=(edge,))))

    assert found.edges == SEEN.edges


@pytest.mark.parametrize(
    ("told", "kind"), [(None, NodeKind.SERVICE), (NodeKind.QUEUE, NodeKind.QUEUE)]
)
def test_the_kind_that_people_say_counts_and_else_what_is_seen(
    told: NodeKind | None, kind: NodeKind
) -> None:
    found = merged(SEEN, said(TopologyDocument(nodes=(DeclaredNode(name="order", kind=told),))))

    assert found.kind("order") == kind


def test_of_nothing_comes_an_empty_graph() -> None:
    assert merged(None, None).names == ()


def test_graphs_are_the_same_whatever_their_edges_weigh() -> None:
    other = Discovered(
        DEFAULT_TENANT, make.START_NS + S, SEEN.nodes, (Edge("web", "order", weight=1.0),)
    )

    assert is_same_graph(SEEN, other)
    assert not is_same_graph(SEEN, Discovered(DEFAULT_TENANT, 0, SEEN.nodes, ()))
    assert not is_same_graph(None, other)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (
            TopologyDocument(nodes=(DeclaredNode(name="a"), DeclaredNode(name="a"))),
            "nodes[1].name: 'a' is there twice",
        ),
        (
            TopologyDocument(nodes=(DeclaredNode(name="a", runbooks=("javascript:x",)),)),
            "nodes[0].runbooks: 'javascript:x' is no link",
        ),
        (
            TopologyDocument(edges=(DeclaredEdge(source="a", target="a"),)),
            "edges[0]: 'a' cannot depend on itself",
        ),
        (
            TopologyDocument(edges=(DeclaredEdge(source="a", target="b"),) * 2),
            "edges[1]: from 'a' to 'b' is there twice",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(
    document: TopologyDocument, says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        check(document)

    assert any(says in fault for fault in refused.value.faults)


def test_every_fault_is_told_at_once() -> None:
    edge = DeclaredEdge(source="a", target="a")

    with pytest.raises(ConfigError) as refused:
        check(TopologyDocument(edges=(edge, edge)))

    assert len(refused.value.faults) == 3


async def test_a_version_follows_the_one_before_and_the_audit_trail_tells_of_it(
    topologies: Topologies, store: MemoryStore, clock: FakeClock
) -> None:
    first = await topologies.set(DEFAULT_TENANT, SAID, ANN, expected=None)
    clock.advance(1.0)
    second = await topologies.set(DEFAULT_TENANT, TopologyDocument(), ANN, expected=1)

    assert (first.version, second.version) == (1, 2)
    assert await topologies.current(DEFAULT_TENANT) == second
    assert [one.version for one in await topologies.versions(DEFAULT_TENANT, 10)] == [2, 1]
    entries = (await store.list(AuditEntry, Filter(INSTALLATION))).items
    assert [(one.act.action, one.act.principal) for one in entries] == [
        ("topology.set", "user:ann")
    ] * 2
    assert "nodes.order" in entries[1].act.after["changed"]


async def test_what_is_said_already_is_no_new_version(topologies: Topologies) -> None:
    await topologies.set(DEFAULT_TENANT, SAID, ANN, expected=None)

    again = await topologies.set(DEFAULT_TENANT, SAID, ANN, expected=None)

    assert again.version == 1


async def test_who_expects_another_version_is_refused_and_nothing_changes(
    topologies: Topologies,
) -> None:
    await topologies.set(DEFAULT_TENANT, SAID, ANN, expected=0)

    with pytest.raises(BadInput, match="version 0 is not in force, 1 is, set by user:ann"):
        await topologies.set(DEFAULT_TENANT, TopologyDocument(), ANN, expected=0)

    assert (await topologies.current(DEFAULT_TENANT)).document == SAID


async def test_of_two_who_say_something_at_once_neither_is_lost(topologies: Topologies) -> None:
    other = TopologyDocument(nodes=(DeclaredNode(name="web"),))

    found = await asyncio.gather(
        topologies.set(DEFAULT_TENANT, SAID, ANN, expected=None),
        topologies.set(DEFAULT_TENANT, other, ANN, expected=None),
    )

    assert sorted(one.version for one in found) == [1, 2]


async def test_a_version_is_there_by_its_number_and_a_stranger_is_not(
    topologies: Topologies,
) -> None:
    await topologies.set(DEFAULT_TENANT, SAID, ANN, expected=None)

    assert (await topologies.version(DEFAULT_TENANT, 1)).document == SAID
    assert (await topologies.version(DEFAULT_TENANT, 0)).document == TopologyDocument()
    with pytest.raises(BadInput, match="there is no version 7"):
        await topologies.version(DEFAULT_TENANT, 7)


async def test_a_tenant_knows_nothing_of_what_another_says(topologies: Topologies) -> None:
    await topologies.set(TenantId("acme"), SAID, ANN, expected=None)

    assert (await topologies.current(DEFAULT_TENANT)).version == 0
    assert (await topologies.whole(DEFAULT_TENANT)).names == ()


async def test_the_graph_is_told_as_it_was_at_a_time(
    topologies: Topologies, store: MemoryStore, clock: FakeClock
) -> None:
    later = Discovered(DEFAULT_TENANT, make.START_NS + 60 * S, (), (Edge("web", "user"),), 40)
    await store.save([SEEN, later])
    clock.advance(30.0)
    await topologies.set(DEFAULT_TENANT, SAID, ANN, expected=None)

    names = [
        (await topologies.whole(DEFAULT_TENANT, make.START_NS + at * S)).names
        for at in (-1, 0, 30, 60)
    ]

    assert names == [
        (),
        ("order", "web"),
        ("ledger", "order", "web"),
        ("ledger", "order", "user", "web"),
    ]


def test_differences_are_told_node_by_node_and_edge_by_edge() -> None:
    found = differing(SAID, TopologyDocument(nodes=(DeclaredNode(name="order", owner="pay"),)))

    assert [one.path for one in found] == ["edges.order > ledger", "nodes.order"]
    assert (found[0].before, found[0].after) == ("calls", None)
