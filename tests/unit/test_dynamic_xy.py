"""How alike two alerts are to Dynamic-X-Y: time, steps, labels, and how grave they are."""

from __future__ import annotations

import pytest

from tests.alerting import complaint, grouper, scene
from watchkeeper.analyze.groupers.base import Grouper


def likeness(node: str, at_s: float = 0.0, *, urgency: int = 3) -> float:
    """To an alert of payment; 0 where they are in different stretches."""
    one: Grouper = grouper("dynamic_xy", least=0.0)
    other = complaint(node, at_s, urgency=urgency)
    found = one.join(other, [complaint("payment")], scene())
    return 0.0 if found is None else found.odds


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ("payment", 0.3 + 0.4 + 0.1),
        ("checkout", 0.3 + 0.32 + 0.1),
        ("web", 0.3 + 0.2 + 0.1),
        ("catalog", 0.3 + 0.1),
        ("", 0.3 + 0.1),
    ],
)
def test_the_farther_apart_the_less_alike(node: str, told: float) -> None:
    assert likeness(node) == pytest.approx(told)


def test_the_later_the_less_alike() -> None:
    assert likeness("payment", 60.0) == pytest.approx(likeness("payment") - 0.3 * 60 / 300)


def test_another_gravity_is_a_little_less_alike() -> None:
    assert likeness("payment", urgency=4) == pytest.approx(likeness("payment") - 0.05)


def test_equal_labels_count_by_their_share() -> None:
    one = grouper("dynamic_xy")
    first = complaint("payment", labels={"team": "a", "zone": "x"})
    second = complaint("payment", 1.0, labels={"team": "a", "zone": "y"})

    found = one.join(second, [first], scene())

    assert found is not None
    assert found.labels == pytest.approx(0.2 / 3 + 0.1)
