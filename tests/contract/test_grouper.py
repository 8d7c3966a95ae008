"""Every grouper keeps the promises of `analyze/groupers/base.py`."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest

from tests import make
from tests.alerting import CASCADE, OTHER_CASCADE, SHOP, complaint, grouper, scene
from watchkeeper import plugins
from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.groupers.base import Grouper
from watchkeeper.model.topology import Topology

EVERY = pytest.mark.parametrize("name", sorted(plugins.BUILTIN["grouper"]))


def storm(seed: int = 1, n: int = 40) -> list[Complaint]:
    chance = random.Random(seed)
    nodes = [*SHOP.names, "stranger", ""]
    return [
        complaint(
            chance.choice(nodes),
            at_s=round(chance.uniform(0.0, 900.0), 3),
            urgency=chance.randint(1, 4),
            labels={"environment": chance.choice(["production", "staging"])},
        )
        for _ in range(n)
    ]


@EVERY
def test_it_fulfils_its_port(name: str) -> None:
    assert isinstance(grouper(name), Grouper)


@EVERY
@pytest.mark.parametrize("topology", [SHOP, Topology()], ids=["known", "nothing known"])
def test_each_complaint_is_in_one_group_and_its_root_in_its_own(
    name: str, topology: Topology
) -> None:
    complaints = storm()

    groups = grouper(name).group(complaints, scene(topology))

    told = [key for group in groups for key in group.joins]
    assert sorted(told) == sorted(one.key for one in complaints)
    assert all(group.root in group.joins for group in groups)


@EVERY
def test_what_a_group_is_does_not_hang_on_the_order_of_its_complaints(name: str) -> None:
    complaints = storm()
    mixed = random.Random(2).sample(complaints, len(complaints))

    one, other = (grouper(name).group(told, scene()) for told in (complaints, mixed))

    assert {group.root: group.joins for group in one} == {
        group.root: group.joins for group in other
    }


@EVERY
def test_complaints_are_not_touched(name: str) -> None:
    complaints = storm()
    before = copy.deepcopy(complaints)

    grouper(name).group(complaints, scene())

    assert complaints == before


@EVERY
def test_nothing_is_grouped_to_nothing_and_one_to_itself(name: str) -> None:
    one = complaint("payment")

    assert grouper(name).group([], scene()) == []
    (alone,) = grouper(name).group([one], scene())
    assert (alone.root, list(alone.joins)) == (one.key, [one.key])


@EVERY
def test_a_cascade_is_one_group_and_a_far_one_another(name: str) -> None:
    near = [complaint(node, at_s) for node, at_s in CASCADE[1:]]
    far = [complaint(node, at_s + 3000) for node, at_s in OTHER_CASCADE]

    groups = grouper(name).group([*near, *far], scene())

    assert {frozenset(group.joins) for group in groups} == {
        frozenset(one.key for one in near),
        frozenset(one.key for one in far),
    }


@EVERY
def test_why_a_complaint_would_be_in_a_group_adds_up(name: str) -> None:
    root, later = complaint("payment"), complaint("checkout", at_s=30)

    join = grouper(name).join(later, [root], scene())

    assert join is not None
    assert join.cause == root.key
    assert join.odds == pytest.approx(join.time + join.topology + join.text + join.labels)
    assert join.hops == 1


@EVERY
def test_a_complaint_of_another_time_and_place_is_in_no_group(name: str) -> None:
    root = complaint("payment")

    assert grouper(name).join(complaint("search", at_s=2000), [root], scene()) is None


@EVERY
def test_odd_times_and_texts_are_told_like_others(name: str) -> None:
    odd = [
        complaint("payment", summary="ü" * 5000, labels={"a" * 3000: "\udcff"}),
        complaint("payment", at_s=1e6),
        complaint("checkout", started_ns=0),
        complaint("checkout", started_ns=-(2**62)),
        complaint("web", started_ns=2**62),
    ]

    groups = grouper(name).group(odd, scene())

    assert sum(len(group.joins) for group in groups) == len(odd)


@pytest.mark.parametrize(
    ("first", "second", "speaks"),
    [
        ({"urgency": 2}, {"urgency": 4}, "second"),
        ({"urgency": 4}, {"urgency": 4}, "first"),
    ],
)
def test_of_what_is_alike_the_gravest_speaks_and_then_the_earliest(
    first: dict[str, int], second: dict[str, int], speaks: str
) -> None:
    one, other = complaint("payment", **first), complaint("checkout", at_s=5, **second)

    (group,) = grouper("dynamic_xy", least=0.5).group([one, other], scene())

    assert group.root == {"first": one.key, "second": other.key}[speaks]


def test_stretches_of_five_minutes_part_what_is_alike() -> None:
    cut_s = 300 - make.START_NS // make.NS_PER_S % 300
    before, after = complaint("payment", at_s=cut_s - 1), complaint("payment", at_s=cut_s + 1)

    groups = grouper("dynamic_xy").group([before, after], scene())

    assert len(groups) == 2


def test_the_root_is_who_explains_the_others_though_it_spoke_later_and_softer() -> None:
    complaints = [
        complaint("bank", at_s=12, urgency=2),
        *(
            complaint(node, at_s=n, urgency=4)
            for n, node in enumerate(["payment", "checkout", "web"])
        ),
    ]

    (group,) = grouper().group(complaints, scene())

    assert group.root == complaints[0].key


def test_two_roots_below_one_service_are_two_groups() -> None:
    both = [("payment", 0.0), ("checkout", 30.0), ("web", 50.0), ("search", 400.0)]
    complaints = [
        complaint(node, at_s) for node, at_s in [*both, ("catalog", 430.0), ("web", 440.0)]
    ]

    groups = grouper().group(complaints, scene())

    assert {frozenset(group.joins) for group in groups} == {
        frozenset(one.key for one in complaints[:3]),
        frozenset(one.key for one in complaints[3:]),
    }


def test_a_host_explains_its_guests() -> None:
    complaints = [
        complaint("host1"),
        complaint("payment", 15.0),
        complaint("stock", 20.0),
        complaint("checkout", 40.0),
    ]

    (group,) = grouper().group([*complaints, complaint("web", 60.0)], scene())

    assert group.root == complaints[0].key
    assert {join.hops for join in group.joins.values()} == {0, 1, 2, 3}


@pytest.mark.parametrize(("bridge", "n_groups"), [(0.0, 1), (-9.0, 2)])
def test_a_silent_service_in_between_is_bridged_as_far_as_is_believed(
    bridge: float, n_groups: int
) -> None:
    complaints = [
        complaint("bank"),
        complaint("checkout", 40.0),
        complaint("web", 60.0),
        complaint("web", 61.0),
    ]

    groups = grouper(silent=0.5, bridge=bridge, crowd=0.0).group(complaints, scene())

    assert len(groups) == n_groups


def test_a_root_that_speaks_up_late_is_the_root_all_the_same() -> None:
    later = [("payment", 0.0), ("checkout", 10.0), ("web", 30.0), ("bank", 80.0)]

    (group,) = grouper().group([complaint(*one) for one in later], scene())

    assert group.root == "bank-80"


def test_more_than_two_strangers_that_meet_are_no_group_of_more_than_two() -> None:
    three = [complaint("payment"), complaint("checkout", 30.0), complaint("web", 60.0)]

    calm, busy = (grouper().group(three, scene(strangers_per_hour=rate)) for rate in (0.5, 1.5))

    assert [len(group.joins) for group in calm] == [3]
    assert sorted(len(group.joins) for group in busy) == [1, 2]


@pytest.mark.parametrize(("n_minutes", "sizes"), [(1, [1, 2]), (3, [3])])
def test_three_that_go_on_for_longer_than_strangers_do_are_a_group(
    n_minutes: int, sizes: list[int]
) -> None:
    cascade = [("payment", 0.0), ("checkout", 30.0), ("web", 60.0)]
    ended = {"ended_ns": make.START_NS + 10**12, "n_minutes": n_minutes}
    three = [complaint(node, at_s, **ended) for node, at_s in cascade]
    seen = replace(scene(strangers_per_hour=1.5), goes_on=(-1.0, -1.0, 0.0, 2.0))

    groups = grouper().group(three, seen)

    assert sorted(len(group.joins) for group in groups) == sizes


@pytest.mark.parametrize("name", ["root_cover", "dynamic_xy"])
def test_who_may_be_the_root_of_an_alert_that_joins_is_told_before(name: str) -> None:
    one, at = grouper(name), scene()
    roots = one.roots("checkout", at)

    joined = {
        node
        for node in SHOP.names
        if one.join(complaint("checkout", 20.0), [complaint(node)], at) is not None
    }

    assert joined
    assert roots is None or all(node in roots for node in joined)


def test_other_environments_have_nothing_to_do_with_each_other() -> None:
    complaints = [
        complaint(node, at_s, labels={"environment": "staging" if node == "bank" else "production"})
        for node, at_s in CASCADE
    ]

    groups = grouper().group(complaints, scene())

    assert complaints[0].key not in next(g for g in groups if len(g.joins) > 1).joins


def test_a_text_that_names_the_root_speaks_for_it() -> None:
    root, later = complaint("bank"), complaint("payment", at_s=20, summary="timeout calling bank")

    join = grouper().join(later, [root], scene())

    assert join is not None
    assert join.text > 0.0


def test_where_strangers_are_many_less_is_joined() -> None:
    root, later = complaint("bank"), complaint("payment", at_s=20)

    calm, busy = (
        grouper().join(later, [root], scene(strangers_per_hour=rate)) for rate in (0.5, 50.0)
    )

    assert calm is not None
    assert busy is None or busy.odds < calm.odds
