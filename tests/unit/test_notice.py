"""Of whom a person hears: children are silent in notices, and three rules bring them back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import make
from tests.alerting import SHOP, complaint
from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.analyze.notice import certain, is_held, silence_of
from watchkeeper.analyze.reach import Reach
from watchkeeper.analyze.suppress import Habits, SuppressConfig
from watchkeeper.model.incident import Silence
from watchkeeper.model.topology import EdgeOrigin, Topology

WINDOW_NS = 300 * make.NS_PER_S
CHILD = complaint("payment", at_s=20)


def silence(
    child: Complaint, root: Complaint, *, at_s: float = 60, topology: Topology = SHOP
) -> Silence | None:
    now_ns = make.START_NS + round(at_s * make.NS_PER_S)
    reach = Reach(certain(topology))
    return silence_of(child, root, reach, now_ns=now_ns, window_ns=WINDOW_NS)


def test_the_representative_speaks_and_who_depends_on_it_does_not() -> None:
    root = complaint("bank")

    assert silence(root, root) is None
    assert silence(CHILD, root) is Silence.EXPLAINED


def test_a_child_that_became_as_grave_as_its_representative_is_heard() -> None:
    assert (
        silence(complaint("payment", urgency=4, joined_urgency=2), complaint("bank", urgency=4))
        is None
    )


def test_a_child_that_began_as_grave_as_its_representative_is_not() -> None:
    child = complaint("payment", urgency=4, joined_urgency=4)

    assert silence(child, complaint("bank", urgency=4)) is Silence.EXPLAINED


def test_a_child_that_is_graver_than_its_representative_is_heard() -> None:
    assert silence(complaint("payment", urgency=4, joined_urgency=4), complaint("bank")) is None


@pytest.mark.parametrize("node", ["search", "", "stranger"])
def test_nobody_is_silent_from_whom_no_way_leads_to_the_representative(node: str) -> None:
    assert silence(complaint(node), complaint("bank")) is None


def test_a_child_is_silent_whichever_way_leads() -> None:
    assert silence(complaint("bank"), complaint("web")) is Silence.EXPLAINED


def test_an_edge_that_was_only_reckoned_keeps_nobody_quiet() -> None:
    inferred = tuple(replace(edge, origin=EdgeOrigin.INFERRED) for edge in SHOP.edges)

    assert silence(CHILD, complaint("bank"), topology=Topology(SHOP.nodes, inferred)) is None


@pytest.mark.parametrize(("at_s", "is_heard"), [(100, False), (699, False), (700, True)])
def test_a_child_that_outlives_its_representative_by_two_windows_is_heard(
    at_s: float, is_heard: bool
) -> None:
    root = complaint("bank", ended_ns=make.START_NS + 100 * make.NS_PER_S)

    assert (silence(CHILD, root, at_s=at_s) is None) == is_heard


def test_a_child_that_ended_too_is_not_heard() -> None:
    root = complaint("bank", ended_ns=make.START_NS)
    child = complaint("payment", ended_ns=make.START_NS)

    assert silence(child, root, at_s=9000) is Silence.EXPLAINED


def habits() -> Habits:
    found = Habits(SuppressConfig(learn_from=1))
    found.learn(complaint("payment", n_minutes=3))
    return found


def test_what_mostly_ends_by_itself_is_held_alone_and_told_in_company() -> None:
    one, other = complaint("payment", n_minutes=1), complaint("bank", n_minutes=1)

    assert is_held([one], habits())
    assert not is_held([one, other], habits())


def test_of_one_place_one_that_holds_is_enough_to_tell_of_all() -> None:
    short, long = complaint("payment", n_minutes=1), complaint("payment", at_s=1, n_minutes=9)

    assert is_held([short, short], habits())
    assert not is_held([short, long], habits())
