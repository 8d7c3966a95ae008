"""How often an alert comes that belongs to nothing, and how long it goes on: learned, and
forgotten slowly."""

from __future__ import annotations

import pytest

from watchkeeper.analyze.strangers import Strangers

HOUR_S = 3600.0


def watched(n_hours: int, *, n_each: int, n_minutes: int = 1) -> Strangers:
    one = Strangers()
    for _ in range(n_hours):
        for _ in range(n_each):
            one.count(n_minutes)
        one.pass_time(HOUR_S)
    return one


def test_before_anything_is_known_a_node_has_one_in_two_hours() -> None:
    assert Strangers().per_s(10) == pytest.approx(0.5 / HOUR_S)


def test_a_busy_installation_has_more_than_a_quiet_one() -> None:
    busy, quiet = watched(3, n_each=80), watched(3, n_each=1)

    assert busy.per_s(48) > 5 * quiet.per_s(48)


def test_the_same_alerts_of_more_nodes_are_fewer_of_each() -> None:
    one = watched(3, n_each=40)

    assert one.per_s(100) < one.per_s(10)


def test_where_no_node_is_known_there_is_one() -> None:
    one = watched(1, n_each=4)

    assert one.per_s(0) == one.per_s(1)


def test_what_was_long_ago_counts_little() -> None:
    one = watched(2, n_each=100)
    before = one.per_s(10)

    one.pass_time(48 * HOUR_S)

    assert one.per_s(10) < before / 10


def test_the_rate_is_never_nothing() -> None:
    one = Strangers()

    for _ in range(200):
        one.pass_time(HOUR_S)

    assert one.per_s(10) > 0.0


def test_going_on_says_more_the_longer_and_little_at_first() -> None:
    says = Strangers().goes_on()

    assert len(says) == 11
    assert says[0] == says[1] == -1.0
    assert list(says) == sorted(says)
    assert says[10] == 2.0


def test_where_strangers_go_on_for_long_going_on_says_little() -> None:
    long, short = (watched(2, n_each=40, n_minutes=n).goes_on() for n in (6, 1))

    assert long[4] < 0.0 < short[4]


@pytest.mark.parametrize(("n_minutes", "as_"), [(0, 1), (99, 10)])
def test_minutes_beyond_what_is_told_apart_are_the_nearest(n_minutes: int, as_: int) -> None:
    one, other = (watched(1, n_each=9, n_minutes=n) for n in (n_minutes, as_))

    assert one.goes_on() == other.goes_on()


def test_the_rate_survives_a_restart() -> None:
    one, again = watched(5, n_each=7), Strangers()

    again.load(one.dump())

    assert again.per_s(3) == one.per_s(3)
    assert again.goes_on() == one.goes_on()
    assert again.dump() == one.dump()
