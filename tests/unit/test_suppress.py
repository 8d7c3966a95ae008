"""X of Y: what a rule's alerts mostly do decides after how many minutes one of them is told."""

from __future__ import annotations

import pytest

from tests.alerting import complaint
from watchkeeper.analyze.suppress import Habits, SuppressConfig

CONFIG = SuppressConfig(minutes=5, learn_from=4, max_rules=3)


def taught(*minutes: int, rule: str = "ErrorRate") -> Habits:
    habits = Habits(CONFIG)
    for n in minutes:
        habits.learn(complaint("payment", rule=rule, n_minutes=n))
    return habits


def test_until_something_is_learned_everything_is_told_at_once() -> None:
    habits = taught(3, 3, 3)

    assert habits.least("ErrorRate") == 1
    assert not habits.is_held(complaint("payment", n_minutes=1))


def test_a_rule_whose_alerts_end_by_themselves_has_to_hold_for_longer() -> None:
    habits = taught(2, 2, 2, 2)

    assert habits.least("ErrorRate") == 3
    assert habits.is_held(complaint("payment", n_minutes=2))
    assert not habits.is_held(complaint("payment", n_minutes=3))


def test_no_rule_has_to_hold_for_longer_than_is_looked_at() -> None:
    assert taught(5, 5, 5, 5, 5).least("ErrorRate") == CONFIG.minutes


def test_what_varies_has_to_hold_for_longer_than_what_does_not() -> None:
    assert taught(1, 3, 1, 3, 1, 3).least("ErrorRate") > taught(1, 1, 1, 1, 1, 1).least("ErrorRate")


def test_what_is_critical_is_never_held() -> None:
    assert not taught(4, 4, 4, 4).is_held(complaint("payment", urgency=4, n_minutes=1))


def test_rules_learn_each_for_itself_and_not_more_than_there_is_room_for() -> None:
    habits = taught(2, 2, 2, 2)

    for n in range(CONFIG.max_rules):
        habits.learn(complaint("payment", rule=f"rule{n}", n_minutes=1))

    assert habits.least("ErrorRate") == 1, "forgotten: it was not heard of for longest"


@pytest.mark.parametrize(
    ("held", "most"),
    [("1", 1), ("11", 2), ("101", 2), ("1111111", 5), ("10000001", 1), ("0", 0)],
)
def test_minutes_in_which_it_held_are_counted_within_the_last_y(held: str, most: int) -> None:
    habits, one = Habits(CONFIG), complaint("payment")

    for bit in held:
        one.ended_ns = None if bit == "1" else 1
        habits.minute(one)

    assert one.n_minutes == most


def test_a_firing_that_is_shorter_than_a_minute_counts_as_one() -> None:
    habits, one = Habits(CONFIG), complaint("payment")

    habits.fired(one)
    one.ended_ns = 1
    habits.minute(one)
    habits.fired(one)

    assert one.n_minutes == 2


def test_what_was_learned_survives_a_restart() -> None:
    habits, again = taught(2, 3, 2, 2), Habits(CONFIG)

    again.load(habits.dump())

    assert again.least("ErrorRate") == habits.least("ErrorRate")
    assert again.dump() == habits.dump()
