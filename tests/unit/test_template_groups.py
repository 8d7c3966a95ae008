"""The templates of one service, fingerprint by fingerprint."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.template_groups import Groups, TemplatesConfig
from watchkeeper.model.template import OTHER, template_id

S = 1_000_000_000
NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay")
LINES = tuple(f"the user {name} came from afar" for name in NAMES)
"""Enough of them that the name is a value."""
WIDE = "the user <*> came from afar"
FEW = settings(max_examples=15, deadline=None)


def groups(**config: Any) -> Groups:
    return Groups(TemplatesConfig(**config))


def told(one: Groups, *lines: str, time_ns: int = S) -> None:
    """Each line once; its fingerprint is its number among these."""
    for number, line in enumerate(lines):
        if not one.knows(number):
            one.meet(number, line)
        one.count(number, 1, time_ns, time_ns)


def texts(one: Groups) -> dict[str, int]:
    return {found.text: found.n_lines for found in one.templates("shop")}


def restarted(one: Groups) -> Groups:
    again = groups()
    again.load(one.dump())
    return again


def test_a_fingerprint_has_the_template_of_its_line() -> None:
    one = groups()

    one.meet(7, LINES[0])

    assert one.template_of(7) == template_id(LINES[0])
    assert one.text(one.template_of(7)) == LINES[0]
    assert one.fingerprints(template_id(LINES[0])) == {7}
    assert len(one) == 1


@pytest.mark.parametrize("fingerprint", [0, 1, 2**64 - 1])
def test_who_is_not_known_is_one_of_the_others(fingerprint: int) -> None:
    one = groups()

    assert not one.knows(fingerprint)
    assert one.template_of(fingerprint) == OTHER
    assert not one.count(fingerprint, 3, 10, 20)
    assert not one.count(fingerprint, 2, 5, 15)

    [other] = one.templates("shop")
    assert (other.id, other.text, other.n_lines, other.n_patterns) == (OTHER, "<other>", 5, 0)
    assert (other.first_ns, other.last_ns) == (5, 20)


@pytest.mark.parametrize("template", [OTHER, 7, template_id("never said")])
def test_of_a_template_that_is_not_there_nothing_is_known(template: int) -> None:
    one = groups()
    told(one, *LINES[:2])

    assert one.current(template) is None
    assert one.text(template) is None
    assert one.fingerprints(template) == set()


def test_there_is_room_for_so_many_and_no_more() -> None:
    one = groups(patterns_per_service=2)

    met = [one.meet(number, line) for number, line in enumerate(LINES[:4])]

    assert met == [True, True, False, False]
    assert [one.knows(number) for number in range(4)] == met


def test_what_is_joined_is_succeeded_and_goes_on_to_mean_what_it_meant() -> None:
    one = groups()
    told(one, *LINES)

    one.merge()

    wide = template_id(WIDE)
    [template] = one.templates("shop")
    assert (template.id, template.text, template.n_lines, template.n_patterns) == (wide, WIDE, 6, 6)
    assert template.succeeds == tuple(template_id(line) for line in LINES)
    assert one.current(template_id(LINES[2])) == wide
    assert one.fingerprints(template_id(LINES[2])) == {2}
    assert one.fingerprints(wide) == set(range(6))


def test_who_comes_later_is_joined_at_once() -> None:
    one = groups()
    told(one, *LINES)
    one.merge()

    one.meet(99, "the user zoe came from afar")

    assert one.template_of(99) == template_id(WIDE)
    assert one.fingerprints(template_id("the user zoe came from afar")) == {99}


def test_times_and_lines_of_a_template_are_those_of_all_its_patterns() -> None:
    one = groups()
    for number, line in enumerate(LINES):
        one.meet(number, line)
        one.count(number, number + 1, 100 - number, 200 + number)

    one.merge()

    [template] = one.templates("shop")
    assert (template.n_lines, template.first_ns, template.last_ns) == (21, 95, 205)


def test_lines_are_compared_once_for_every_while_and_only_if_some_are_new() -> None:
    one = groups(every_s=60.0)
    told(one, *LINES)

    ticked = [one.tick(second * S) for second in (100, 101, 159, 160, 161, 500)]

    assert ticked == [True, False, False, True, False, True]
    assert texts(one) == {WIDE: 6}


def test_new_lines_wait_for_the_next_comparison() -> None:
    one = groups(every_s=60.0)
    one.tick(100 * S)
    told(one, *LINES)

    one.tick(159 * S)
    before = len(texts(one))
    one.tick(160 * S)

    assert before == len(LINES)
    assert texts(one) == {WIDE: 6}


@pytest.mark.parametrize(("after_s", "is_known"), [(0, True), (100, True), (101, False)])
def test_what_no_line_had_for_long_makes_room(after_s: int, is_known: bool) -> None:
    one = groups(every_s=1.0, forget_s=100.0)
    one.tick(10 * S)
    told(one, LINES[0])

    one.tick((10 + after_s) * S)

    assert one.knows(0) is is_known
    assert (one.text(template_id(LINES[0])) is not None) is is_known


def test_lines_that_are_old_themselves_are_as_new_as_they_came() -> None:
    one = groups(every_s=1.0, forget_s=100.0)
    one.tick(1_000 * S)

    told(one, LINES[0], time_ns=1)
    one.tick(1_050 * S)

    assert one.knows(0)


def test_what_came_before_the_first_tick_is_as_old_as_that() -> None:
    one = groups(every_s=1.0, forget_s=100.0)
    told(one, LINES[0])

    one.tick(5_000 * S)
    kept = one.knows(0)
    one.tick(5_101 * S)

    assert kept
    assert not one.knows(0)


def test_of_what_was_joined_only_what_is_still_said_stays() -> None:
    one = groups(every_s=1.0, forget_s=100.0)
    one.tick(10 * S)
    told(one, *LINES)
    one.merge()
    one.tick(100 * S)
    one.count(3, 1, S, S)

    one.tick(111 * S)

    assert [one.knows(number) for number in range(6)] == [number == 3 for number in range(6)]
    assert one.text(template_id(LINES[0])) is None
    assert one.current(template_id(LINES[3])) == template_id(WIDE)
    assert texts(one) == {WIDE: 2}


def test_where_nothing_is_left_nothing_is_joined_any_more() -> None:
    one = groups(every_s=1.0, forget_s=100.0)
    one.tick(10 * S)
    told(one, *LINES)
    one.merge()

    one.tick(200 * S)
    one.meet(1, LINES[1])

    assert one.template_of(1) == template_id(LINES[1])


@FEW
@given(
    st.lists(st.sampled_from(LINES), max_size=8, unique=True),
    st.lists(st.sampled_from(LINES), max_size=8, unique=True),
    st.integers(0, 3),
)
def test_a_restart_at_any_place_changes_nothing(
    before: list[str], after: list[str], ticks: int
) -> None:
    one = groups()
    told(one, *before)
    for second in range(ticks):
        one.tick(100 * second * S)

    other = restarted(one)
    for each in (one, other):
        told(each, *after)
        each.tick(1_000 * S)

    assert other.dump() == one.dump()
    assert list(other.templates("shop")) == list(one.templates("shop"))


@FEW
@given(st.permutations(range(len(LINES))), st.integers(0, len(LINES)))
def test_whenever_lines_are_compared_they_come_to_the_same(order: list[int], at: int) -> None:
    one = groups()

    for place, number in enumerate(order):
        one.meet(number, LINES[number])
        one.count(number, 1, S, S)
        if place == at:
            one.merge()
    one.merge()

    assert texts(one) == {WIDE: 6}
    assert {one.template_of(number) for number in order} == {template_id(WIDE)}


def test_comparing_again_changes_nothing() -> None:
    one = groups()
    told(one, *LINES, "disk is full", "disk is slow")
    one.merge()
    before = one.dump()

    one.merge()

    assert one.dump() == before
