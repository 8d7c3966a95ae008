"""Operators: what they compute, which series find each other, what is refused as ambiguous."""

from __future__ import annotations

import math

import pytest

from tests.promql import course, scalar, vector
from watchkeeper.errors import BadInput

USED = {'used{host="a"}': "1", 'used{host="b"}': "2", 'used{host="c"}': "3"}
SIZE = {'size{host="a",disk="x"}': "10", 'size{host="b",disk="y"}': "20"}
PARTS = {
    'part{host="a",at="/"}': "5",
    'part{host="a",at="/home"}': "7",
    'part{host="b",at="/"}': "9",
}
ALL = {**USED, **SIZE, **PARTS}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("-2 ^ 2", -4.0),
        ("7 % 4", 3.0),
        ("-7 % 4", -3.0),
        ("7 % -4", 3.0),
        ("1 / 0", math.inf),
        ("2 > bool 1", 1.0),
        ("2 < bool 1", 0.0),
        ("1 == bool 1", 1.0),
        ("NaN == bool NaN", 0.0),
        ("NaN != bool NaN", 1.0),
        ("1 atan2 1", math.pi / 4),
    ],
)
def test_scalars_are_computed(expression: str, value: float) -> None:
    assert scalar(expression) == value


def test_a_division_of_nothing_by_nothing_is_nan() -> None:
    assert math.isnan(scalar("0 / 0"))
    assert math.isnan(scalar("5 % 0"))


def test_arithmetic_with_a_scalar_takes_the_name_away() -> None:
    assert vector("used * 2", USED)['{host="b"}'] == 4.0
    assert vector("10 - used", USED)['{host="b"}'] == 8.0
    assert vector("-used", USED)['{host="b"}'] == -2.0


def test_a_comparison_with_a_scalar_chooses() -> None:
    assert vector("used > 1", USED) == {'used{host="b"}': 2.0, 'used{host="c"}': 3.0}
    assert vector("1 < used", USED) == {'used{host="b"}': 2.0, 'used{host="c"}': 3.0}
    assert vector("used > 1 < 3", USED) == {'used{host="b"}': 2.0}


def test_a_comparison_with_bool_judges() -> None:
    assert vector("used >= bool 2", USED) == {
        '{host="a"}': 0.0, '{host="b"}': 1.0, '{host="c"}': 1.0,
    }  # fmt: skip


def test_series_of_equal_labels_find_each_other_without_their_names() -> None:
    assert vector("used + used", USED)['{host="c"}'] == 6.0
    assert vector('part{at="/"} - on(host) used', ALL) == {
        '{host="a"}': 4.0, '{host="b"}': 7.0,
    }  # fmt: skip


def test_labels_may_be_ignored_or_named() -> None:
    assert vector("used / ignoring(disk) size", ALL) == {'{host="a"}': 0.1, '{host="b"}': 0.1}
    assert vector("used / on(host) size", ALL) == {'{host="a"}': 0.1, '{host="b"}': 0.1}


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("used < on(host) size", {'{host="a"}', '{host="b"}'}),
        ("used < ignoring(disk) size", {'used{host="a"}', 'used{host="b"}'}),
        ("used < bool ignoring(disk) size", {'{host="a"}', '{host="b"}'}),
        ("used > ignoring(disk) size", set()),
    ],
)
def test_a_comparison_keeps_the_name_unless_it_is_left_out(
    expression: str, labels: set[str]
) -> None:
    assert set(vector(expression, ALL)) == labels


def test_many_may_match_one_where_it_is_said() -> None:
    left = vector("part / on(host) group_left() size", ALL)
    right = vector("size / on(host) group_right() part", ALL)

    assert left == {
        '{at="/",host="a"}': 0.5, '{at="/home",host="a"}': 0.7, '{at="/",host="b"}': 0.45,
    }  # fmt: skip
    assert set(right) == set(left)
    assert right['{at="/",host="a"}'] == 2.0


def test_the_side_of_one_lends_its_labels() -> None:
    assert set(vector("part * on(host) group_left(disk) size", ALL)) == {
        '{at="/",disk="x",host="a"}', '{at="/home",disk="x",host="a"}',
        '{at="/",disk="y",host="b"}',
    }  # fmt: skip
    assert set(vector("part * on(host) group_left(at) size", {**SIZE, **_one_part()})) == {
        '{host="a"}'
    }


def _one_part() -> dict[str, str]:
    return {'part{host="a",at="/"}': "5"}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("part / on(host) size", "many-to-one matching must be explicit"),
        ("size / on(host) part", "right hand-side.*many-to-many matching not allowed"),
        ("part * on(host) group_right() size", "left hand-side"),
        ("part * on() group_left() size", "right hand-side"),
        ("sum by (at) (part) * on() group_left(at) used{host='a'}", "same labelset"),
    ],
)
def test_what_is_ambiguous_is_refused(expression: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        vector(expression, ALL)

    assert refused.value.status == 422


def test_only_what_is_there_at_a_step_can_be_ambiguous() -> None:
    lines = {
        'a{k="1"}': "1 1 1",
        'b{k="1",n="old"}': "2 stale _",
        'b{k="1",n="new"}': "_ 3 3",
    }

    found = course("a * on(k) group_left(n) b", lines, [0, 2])

    assert found == {
        '{k="1",n="old"}': [2.0, None, None],
        '{k="1",n="new"}': [None, 3.0, 3.0],
    }


def test_nothing_is_ambiguous_where_one_side_is_empty() -> None:
    assert vector("nothing * on(host) part", ALL) == {}
    assert vector("part * on(host) nothing", ALL) == {}


def test_what_was_chosen_away_is_not_ambiguous() -> None:
    assert vector("part > on(host) (size / 2 + 1)", ALL) == {'{host="a"}': 7.0}
    with pytest.raises(BadInput, match="explicit"):
        vector("part < on(host) size", ALL)


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("used and on(host) size", {'used{host="a"}', 'used{host="b"}'}),
        ("used unless on(host) size", {'used{host="c"}'}),
        ("used and size", set()),
        ("used and ignoring(disk) size", {'used{host="a"}', 'used{host="b"}'}),
        ("size or on(host) used", {*SIZE, 'used{host="c"}'}),
        ("used or size", {*USED, *SIZE}),
        ("nothing or used", set(USED)),
        ("used and nothing", set()),
        ("used unless nothing", set(USED)),
        ("used and on() vector(1)", set(USED)),
        ("used or on() vector(1)", set(USED)),
    ],
)
def test_sets_are_made_by_what_matches(expression: str, labels: set[str]) -> None:
    found = {_canonical(one) for one in vector(expression, ALL)}

    assert found == {_canonical(one) for one in labels}


def _canonical(name: str) -> tuple[str, tuple[str, ...]]:
    metric, _, rest = name.partition("{")
    return metric, tuple(sorted(rest.rstrip("}").split(",")))


def test_a_set_is_made_at_each_step_by_itself() -> None:
    lines = {"a": "1 1 stale", "b": "stale 2 2"}

    assert course("a and b", lines, [0, 2]) == {"a": [None, 1.0, None]}
    assert course("a unless b", lines, [0, 2]) == {"a": [1.0, None, None]}
    assert course("a or b", lines, [0, 2]) == {"a": [1.0, 1.0, None], "b": [None, None, 2.0]}


def test_series_that_become_equal_at_different_times_are_one() -> None:
    lines = {"a": "1 stale _", "b": "_ _ 3"}

    assert course("-a or -b", lines, [0, 2]) == {"{}": [-1.0, None, -3.0]}


def test_series_that_become_equal_at_one_time_are_refused() -> None:
    with pytest.raises(BadInput, match="same labelset"):
        vector('{__name__=~"a|b"} * 2', {"a": "1", "b": "2"})
    with pytest.raises(BadInput, match="same labelset"):
        vector('-{__name__=~"a|b"}', {"a": "1", "b": "2"})


def test_the_name_is_a_label_like_others_when_it_is_named() -> None:
    assert vector("used + on(__name__, host) used", USED)['{host="a"}'] == 2.0
