"""Text to tree: what is understood, and what is said of the rest."""

from __future__ import annotations

import pytest

from watchkeeper.errors import BadInput
from watchkeeper.lake.promql.parse import (
    MOST_CHARACTERS,
    MOST_DEEP,
    MOST_OPERATORS,
    parse,
    parse_duration,
    parse_matchers,
)
from watchkeeper.lake.promql.tree import (
    Aggregation,
    Binary,
    Call,
    Edge,
    Many,
    Matching,
    Negative,
    Number,
    Selector,
    Subquery,
    Text,
    When,
    is_constant,
    is_range,
)
from watchkeeper.model.series import Matcher, MatchOp

S = 1_000_000_000
UP = Selector((Matcher("__name__", MatchOp.EQUAL, "up"),), When())


def test_a_selector_has_its_name_first_and_every_kind_of_condition() -> None:
    tree = parse("""up{a="1",b!="2",c=~"3",d!~"4"}""")

    assert tree == Selector(
        (
            Matcher("__name__", MatchOp.EQUAL, "up"),
            Matcher("a", MatchOp.EQUAL, "1"),
            Matcher("b", MatchOp.NOT_EQUAL, "2"),
            Matcher("c", MatchOp.REGEX, "3"),
            Matcher("d", MatchOp.NOT_REGEX, "4"),
        ),
        When(),
    )


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("up offset 5m", When(300 * S)),
        ("up offset -1m30s", When(-90 * S)),
        ("up @ 12.5", When(at=12_500)),
        ("up @ start()", When(at=Edge.START)),
        ("up @ end() offset 1ms", When(1_000_000, Edge.END)),
        ("up offset 1ms @ end()", When(1_000_000, Edge.END)),
    ],
)
def test_a_selector_says_when_it_looks(text: str, when: When) -> None:
    assert parse(text) == Selector(UP.matchers, when)


def test_a_range_and_a_subquery_have_their_lengths() -> None:
    assert parse("up[5m]") == Selector(UP.matchers, When(), 300 * S)
    assert parse("up[1h:5m] offset 1s") == Subquery(UP, When(1 * S), 3600 * S, 300 * S)
    assert parse("up[1h:]") == Subquery(UP, When(), 3600 * S, None)


def test_brackets_are_in_the_shape_alone() -> None:
    assert parse("(((up)))") == UP
    assert parse("-(up)") == Negative(UP)
    assert parse("-1") == Number(-1.0)
    assert parse("'text'") == Text("text")


def test_an_aggregation_has_its_labels_wherever_they_stand() -> None:
    by = Aggregation("sum", UP, None, ("a", "b"), is_without=False)

    assert parse("sum by (a, b) (up)") == parse("sum(up) by (a, b)") == by
    assert parse("topk(3, up)") == Aggregation("topk", UP, Number(3.0), (), is_without=False)
    assert parse("count_values without (a) ('v', up)") == Aggregation(
        "count_values", UP, Text("v"), ("a",), is_without=True
    )


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("up + up", Matching()),
        ("up + on(a) up", Matching(labels=("a",), is_on=True)),
        ("up + ignoring(a) up", Matching(labels=("a",))),
        (
            "up + on(a) group_left(b) up",
            Matching(Many.LEFT, ("a",), is_on=True, include=("b",)),
        ),
        ("up + ignoring(a) group_right up", Matching(Many.RIGHT, ("a",))),
        ("up and up", Matching(Many.BOTH)),
        ("up unless on() up", Matching(Many.BOTH, is_on=True)),
    ],
)
def test_an_operator_says_how_series_find_each_other(text: str, matching: Matching) -> None:
    tree = parse(text)

    assert isinstance(tree, Binary)
    assert tree.matching == matching
    assert (tree.left, tree.right, tree.is_bool) == (UP, UP, False)


def test_powers_bind_from_the_right_and_bool_is_kept() -> None:
    power = parse("2 ^ 3 ^ 4")
    compared = parse("up > bool 1")

    assert isinstance(power, Binary)
    assert power.left == Number(2.0)
    assert isinstance(compared, Binary)
    assert compared.is_bool


def test_a_call_has_its_arguments_in_order() -> None:
    assert parse("quantile_over_time(0.5, up[1m])") == Call(
        "quantile_over_time", (Number(0.5), Selector(UP.matchers, When(), 60 * S))
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sum(", "promql: 'sum(': "),
        ("", "no expression"),
        ("rate(up)", "matrix"),
        ("nosuch(up)", "nosuch"),
        ("up offset 99999999y", ""),
        ("up{a='b' or c='d'}", "regular expression"),
        ("{a=''}", "non-empty"),
        ("up @ -1", "before 1970"),
        ("up @ 1e15", "too large"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_reason(text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text)

    assert said in str(refused.value)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MOST_DEEP + 1) + "a" + ")" * (MOST_DEEP + 1),
        "abs(" * 50_000,
        "a" + " + a" * (MOST_OPERATORS + 1),
        "a" + " or a" * (MOST_OPERATORS + 1),
        "-" * (MOST_OPERATORS + 1) + "a",
        "a" * (MOST_CHARACTERS + 1),
    ],
)
def test_what_would_end_the_stack_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(BadInput, match="split"):
        parse(text)


def test_what_stands_in_quotes_and_labels_is_not_counted() -> None:
    signs = "(+-" * MOST_OPERATORS

    tree = parse(f"""up{{a="{signs}\\"{signs}",b='{signs}'}} and up""")

    assert isinstance(tree, Binary)


def test_as_much_as_is_allowed_is_parsed() -> None:
    assert parse("(" * MOST_DEEP + "up" + ")" * MOST_DEEP) == UP
    assert isinstance(parse("up" + " + up" * MOST_OPERATORS), Binary)


def test_a_long_expression_is_shown_in_part() -> None:
    with pytest.raises(BadInput) as refused:
        parse("up " * 1000)

    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("text", ["up[5m]", "up offset 1m", "up @ 1", "sum(up)", "1"])
def test_conditions_are_taken_from_a_plain_selector_alone(text: str) -> None:
    with pytest.raises(BadInput, match="no selector"):
        parse_matchers(text)


def test_conditions_of_a_selector_are_its_matchers() -> None:
    assert parse_matchers("up") == UP.matchers


def test_durations_are_as_prometheus_writes_them() -> None:
    assert parse_duration("1h30m") == 5400 * S
    assert parse_duration("1ms") == 1_000_000
    for text in ("", "5", "1x", "-1m"):
        with pytest.raises(ValueError, match=r".+"):
            parse_duration(text)


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("up @ 1", True),
        ("up", False),
        ("rate(up[1m] @ end())", True),
        ("predict_linear(up[1m] @ end(), 1)", False),
        ("timestamp(up @ 1)", False),
        ("time()", False),
        ("up @ 1 + up", False),
        ("sum(up @ 1) + 1", True),
        ("-(up @ start())", True),
        ("max_over_time(up[5m:1m] @ 1)", True),
        ("max_over_time((up @ 1)[5m:1m])", False),
    ],
)
def test_constant_is_what_at_nails_down_everywhere(text: str, is_so: bool) -> None:
    assert is_constant(parse(text)) == is_so


def test_a_range_is_known_by_its_shape() -> None:
    assert [is_range(parse(text)) for text in ("up", "up[1m]", "up[1m:]", "rate(up[1m])")] == [
        False, True, True, False,
    ]  # fmt: skip
