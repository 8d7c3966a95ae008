"""Whom an alert speaks of, and how far trouble has to go from one to another."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests import make
from tests.alerting import SHOP
from watchkeeper.analyze.reach import Reach, node_of
from watchkeeper.model.series import Entity
from watchkeeper.model.topology import Topology

REACH = Reach(SHOP)


@pytest.mark.parametrize(
    ("root", "node", "hops"),
    [
        ("bank", "bank", 0),
        ("bank", "payment", 1),
        ("bank", "web", 3),
        ("host1", "checkout", 2),
        ("web", "bank", None),
        ("payment", "stock", None),
        ("nobody", "web", None),
    ],
)
def test_trouble_goes_from_whom_is_needed_to_who_needs_it(
    root: str, node: str, hops: int | None
) -> None:
    assert REACH.hops(root, node) == hops


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("web", "web", 0),
        ("web", "checkout", 1),
        ("payment", "stock", 2),
        ("bank", "web", 3),
        ("bank", "search", None),
    ],
)
def test_steps_between_two_count_in_any_direction_up_to_three(
    one: str, other: str, steps: int | None
) -> None:
    assert REACH.apart(one, other) == steps
    assert REACH.apart(other, one) == steps


@pytest.mark.parametrize("node", [*SHOP.names, "nobody"])
def test_sources_are_those_from_which_trouble_gets_here(node: str) -> None:
    reached = {root for root in SHOP.names if REACH.hops(root, node) is not None}

    assert REACH.sources(node) == reached | {node}


def test_callers_are_told_as_numbers_too() -> None:
    numbers, (starts, callers) = REACH.callers
    names = list(numbers)

    told = {
        name: tuple(names[k] for k in callers[starts[n] : starts[n + 1]])
        for name, n in numbers.items()
    }

    assert told == {name: SHOP.callers(name) for name in SHOP.names}


def test_a_loop_of_calls_has_an_end() -> None:
    loop = Reach(make.calls("a>b", "b>c", "c>a", "a>a"))

    assert loop.hops("a", "b") == 2
    assert loop.is_related("a", "c")


@pytest.mark.parametrize(
    ("labels", "summary", "node"),
    [
        ({"host": "host1"}, "", "host1"),
        ({"instance": "host2:9100"}, "", "host2"),
        ({"job": "payment"}, "", "payment"),
        ({"job": "nobody"}, "", ""),
        ({}, "p95 of payment is 1.5 s", "payment"),
        ({}, "slow: payment, bank", ""),
        ({}, "", ""),
    ],
)
def test_a_node_is_known_by_a_label_or_because_one_alone_is_named(
    labels: Mapping[str, str], summary: str, node: str
) -> None:
    alert = make.alert(service="", labels=labels, summary=summary)

    assert node_of(alert, SHOP) == node


def test_the_entity_goes_first_and_need_not_be_in_the_topology() -> None:
    assert node_of(make.alert(service="newcomer"), SHOP) == "newcomer"
    assert node_of(make.alert(service="", entity=Entity(node="host9")), Topology()) == "host9"


def test_a_text_of_any_length_is_read_for_a_while_only() -> None:
    alert = make.alert(service="", summary="word " * 100_000 + "payment")

    assert node_of(alert, SHOP) == ""
