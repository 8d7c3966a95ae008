"""Aggregations: who is grouped with whom, and what becomes of the values."""

from __future__ import annotations

import math

import pytest

from tests.promql import course, vector
from watchkeeper.errors import BadInput
from watchkeeper.lake.promql.aggregate import number_text

LINES = {
    'x{a="1",b="u"}': "1",
    'x{a="1",b="v"}': "2",
    'x{a="2",b="u"}': "3",
    'x{a="2",b="v"}': "4",
    'x{a="2",b="w"}': "8",
}


@pytest.mark.parametrize(
    ("op", "one", "two"),
    [
        ("sum", 3.0, 15.0),
        ("avg", 1.5, 5.0),
        ("min", 1.0, 3.0),
        ("max", 2.0, 8.0),
        ("count", 2.0, 3.0),
        ("group", 1.0, 1.0),
        ("stdvar", 0.25, 14 / 3),
        ("stddev", 0.5, math.sqrt(14 / 3)),
    ],
)
def test_groups_have_their_values(op: str, one: float, two: float) -> None:
    found = vector(f"{op} by (a) (x)", LINES)

    assert found == {'{a="1"}': pytest.approx(one), '{a="2"}': pytest.approx(two)}


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("sum(x)", {"{}"}),
        ("sum by (a) (x)", {'{a="1"}', '{a="2"}'}),
        ("sum by (nothing) (x)", {"{}"}),
        ("sum by (__name__) (x)", {"x"}),
        ("sum without (b) (x)", {'{a="1"}', '{a="2"}'}),
        ("sum without (a, b) (x)", {"{}"}),
        ("sum without () (x{a='1'})", {'{a="1",b="u"}', '{a="1",b="v"}'}),
    ],
)
def test_groups_keep_the_labels_that_they_are_told_to_keep(
    expression: str, labels: set[str]
) -> None:
    assert set(vector(expression, LINES)) == labels


def test_an_aggregation_of_nothing_is_nothing() -> None:
    for op in ("sum", "count", "topk(1,", "quantile(0.5,", 'count_values("v",'):
        assert vector(f"{op}{'' if op.endswith(',') else '('} nothing)", LINES) == {}


def test_a_group_is_there_while_one_of_it_is() -> None:
    lines = {'x{a="1"}': "1 2 stale", 'x{a="2"}': "_ 5 stale"}

    assert course("sum(x)", lines, [0, 2]) == {"{}": [1.0, 7.0, None]}
    assert course("count(x)", lines, [0, 2]) == {"{}": [1.0, 2.0, None]}


def test_nan_is_neither_least_nor_greatest_unless_alone() -> None:
    lines = {'x{a="1"}': "NaN", 'x{a="2"}': "5"}

    assert vector("min(x)", lines) == {"{}": 5.0}
    assert vector("max(x)", lines) == {"{}": 5.0}
    assert math.isnan(vector("max(x)", {"x": "NaN"})["{}"])
    assert math.isnan(vector("sum(x)", lines)["{}"])


def test_an_average_of_large_values_does_not_overflow() -> None:
    lines = {f'x{{a="{i}"}}': "1e308" for i in range(5)}

    assert vector("avg(x)", lines)["{}"] == pytest.approx(1e308)
    assert vector("avg(x)", {'x{a="1"}': "+Inf", 'x{a="2"}': "1"}) == {"{}": math.inf}


def test_the_greatest_come_in_their_order_with_their_names() -> None:
    assert list(vector("topk(2, x)", LINES).items()) == [
        ('x{a="2",b="w"}', 8.0), ('x{a="2",b="v"}', 4.0),
    ]  # fmt: skip
    assert list(vector("bottomk(2, x)", LINES).values()) == [1.0, 2.0]
    assert list(vector("topk by (a) (1, x)", LINES).values()) == [2.0, 8.0]


@pytest.mark.parametrize(("k", "n"), [("0", 0), ("-3", 0), ("2.9", 2), ("99", 5)])
def test_as_many_are_chosen_as_there_are(k: str, n: int) -> None:
    assert len(vector(f"topk({k}, x)", LINES)) == n


def test_nan_is_chosen_last() -> None:
    lines = {'x{a="1"}': "NaN", 'x{a="2"}': "-Inf", 'x{a="3"}': "+Inf"}

    assert list(vector("topk(2, x)", lines).values()) == [math.inf, -math.inf]
    assert list(vector("bottomk(2, x)", lines).values()) == [-math.inf, math.inf]
    assert list(vector("topk(3, x)", lines))[-1] == 'x{a="1"}'


def test_the_greatest_are_chosen_at_each_step_anew() -> None:
    lines = {'x{a="1"}': "1 5", 'x{a="2"}': "2 2"}

    found = course("topk(1, x)", lines, [0, 1])

    assert found == {'x{a="1"}': [None, 5.0], 'x{a="2"}': [2.0, None]}


@pytest.mark.parametrize("k", ["NaN", "Inf", "1e30"])
def test_a_number_of_series_is_a_number(k: str) -> None:
    with pytest.raises(BadInput, match="no number of series") as refused:
        vector(f"topk({k}, x)", LINES)

    assert refused.value.status == 422


def test_how_many_are_chosen_may_change_from_step_to_step() -> None:
    lines = {'x{a="1"}': "1 1", 'x{a="2"}': "2 2", "k": "1 2"}

    found = course("topk(scalar(k), x)", lines, [0, 1])

    assert found == {'x{a="1"}': [None, 1.0], 'x{a="2"}': [2.0, 2.0]}


@pytest.mark.parametrize(
    ("q", "value"), [("0.5", 3.0), ("0", 1.0), ("1", 8.0), ("-1", -math.inf), ("1.1", math.inf)]
)
def test_a_quantile_is_of_the_values_of_a_step(q: str, value: float) -> None:
    assert vector(f"quantile({q}, x)", LINES) == {"{}": value}


def test_values_are_counted_under_their_own_text() -> None:
    lines = {'x{a="1"}': "1", 'x{a="2"}': "1", 'x{a="3"}': "0.5", 'x{a="4"}': "NaN"}

    assert vector('count_values("v", x)', lines) == {
        '{v="0.5"}': 1.0, '{v="1"}': 2.0, '{v="NaN"}': 1.0,
    }  # fmt: skip


def test_counted_values_replace_a_label_of_that_name() -> None:
    assert vector('count_values by (a) ("a", x)', LINES) == {
        f'{{a="{value}"}}': 1.0 for value in (1, 2, 3, 4, 8)
    }


def test_a_value_is_counted_where_it_is() -> None:
    found = course('count_values("v", x)', {'x{a="1"}': "1 2", 'x{a="2"}': "2 2"}, [0, 1])

    assert found == {'{v="1"}': [1.0, None], '{v="2"}': [1.0, 2.0]}


def test_a_label_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadInput, match='invalid label name "1x"'):
        vector('count_values("1x", x)', LINES)


def test_an_aggregation_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="aggregation limitk is not supported"):
        vector("limitk(1, x)", LINES)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.1, "0.1"), (1e21, "1" + "0" * 21), (1e-7, "0.0000001"), (-2.5, "-2.5"),
     (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)  # fmt: skip
def test_a_number_as_a_label_has_no_exponent(value: float, text: str) -> None:
    assert number_text(value) == text
