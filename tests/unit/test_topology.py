"""Who depends on whom, however the graph is shaped and in whatever order it was told."""

from __future__ import annotations

import itertools

import pytest

from watchkeeper.model.topology import Edge, EdgeKind, EdgeOrigin, Node, NodeKind, Topology


def graph(*pairs: str) -> Topology:
    """`ab` is an edge from a to b."""
    return Topology(edges=tuple(Edge(pair[0], pair[1]) for pair in pairs))


def test_neighbours_are_told_by_direction_and_sorted() -> None:
    found = graph("ac", "ab", "da")

    assert found.callees("a") == ("b", "c")
    assert found.callers("a") == ("d",)


def test_a_chain_is_walked_with_its_distances() -> None:
    found = graph("ab", "bc", "cd")

    assert found.descendants("a") == {"b": 1, "c": 2, "d": 3}
    assert found.ancestors("d") == {"c": 1, "b": 2, "a": 3}


def test_the_shortest_way_counts() -> None:
    found = graph("ab", "bc", "ac", "cd")

    assert found.descendants("a") == {"b": 1, "c": 1, "d": 2}


@pytest.mark.parametrize(("max_hops", "seen"), [(0, ""), (1, "b"), (2, "bc"), (9, "bcd")])
def test_a_walk_goes_no_farther_than_is_asked(max_hops: int, seen: str) -> None:
    found = graph("ab", "bc", "cd").descendants("a", max_hops)

    assert "".join(found) == seen


def test_loops_and_calls_to_oneself_end() -> None:
    found = graph("ab", "bc", "ca", "aa")

    assert found.descendants("a") == {"b": 1, "c": 2}
    assert found.ancestors("a") == {"c": 1, "b": 2}
    assert found.callees("a") == ("b",)


def test_two_edges_between_the_same_are_one_neighbour() -> None:
    found = Topology(edges=(Edge("a", "b"), Edge("a", "b", EdgeKind.SENDS, EdgeOrigin.DECLARED)))

    assert found.callees("a") == ("b",)


def test_a_node_that_only_an_edge_names_is_a_service() -> None:
    found = Topology(nodes=(Node("b", NodeKind.DATABASE), Node("lone")), edges=(Edge("a", "b"),))

    assert found.names == ("a", "b", "lone")
    assert (found.kind("a"), found.kind("b")) == (NodeKind.SERVICE, NodeKind.DATABASE)


def test_strangers_have_neither_kind_nor_neighbours() -> None:
    found = graph("ab")

    assert "z" not in found
    assert found.kind("z") is None
    assert found.callees("z") == found.callers("z") == ()
    assert found.descendants("z") == {}


def test_the_order_in_which_edges_are_told_changes_no_answer() -> None:
    pairs = ["ab", "ac", "bd", "cd"]

    answers = {
        tuple(graph(*some).descendants("a").items()) for some in itertools.permutations(pairs)
    }

    assert answers == {(("b", 1), ("c", 1), ("d", 2))}


def test_equal_graphs_are_equal_records() -> None:
    assert graph("ab") == graph("ab")
    assert graph("ab") != graph("ba")
