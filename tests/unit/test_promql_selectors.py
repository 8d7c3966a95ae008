"""Selectors: which sample stands for a series, and what is read for it."""

from __future__ import annotations

import pytest

from tests.promql import Samples, course, scalar, vector, worth
from watchkeeper.errors import BadInput
from watchkeeper.lake.base import Sieve
from watchkeeper.lake.promql.ask import at, between
from watchkeeper.lake.promql.evaluate import Evaluation

M = 60
NS = 1_000_000_000


def test_the_newest_sample_stands_for_its_series() -> None:
    assert vector("x", {"x": "1 2 3"}, at_s=2 * M) == {"x": 3.0}
    assert vector("x", {"x": "1 2 3"}, at_s=2 * M - 0.001) == {"x": 2.0}


def test_a_sample_stands_for_five_minutes_and_no_longer() -> None:
    assert vector("x", {"x": "1"}, at_s=5 * M) == {"x": 1.0}
    assert vector("x", {"x": "1"}, at_s=5 * M + 0.001) == {}


def test_nothing_is_known_before_the_first_sample() -> None:
    assert vector("x", {"x": "_ 1"}, at_s=59) == {}


def test_an_end_is_an_end_at_once() -> None:
    lines = {"x": "1 2 stale _ _ 6"}

    found = course("x", lines, [0, 6])

    assert found == {"x": [1.0, 2.0, None, None, None, 6.0, 6.0]}


def test_a_nan_is_a_value_and_no_end() -> None:
    assert str(vector("x", {"x": "1 NaN"}, at_s=M)) == "{'x': nan}"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("x offset 1m", 2.0),
        ("x offset -1m", 4.0),
        ("x @ 60", 2.0),
        ("x @ 60 offset 1m", 1.0),
        ("x @ start()", 3.0),
        ("x @ end()", 3.0),
    ],
)
def test_offsets_and_at_move_the_moment(expression: str, value: float) -> None:
    assert vector(expression, {"x": "1 2 3 4 5"}, at_s=2 * M) == {"x": value}


def test_start_and_end_are_those_of_the_request_even_inside_a_subquery() -> None:
    lines = {"x": "1 2 3 4 5 6"}

    assert course("x @ start()", lines, [1, 3]) == {"x": [2.0] * 3}
    assert course("x @ end()", lines, [1, 3]) == {"x": [4.0] * 3}
    inside = course("min_over_time((x @ end())[2m:1m])", lines, [1, 3])
    assert inside == {"{}": [4.0] * 3}


def test_end_is_where_the_request_ends_and_not_its_last_step() -> None:
    lines = {"x": "1 2 3 4 5 6"}

    found = course("x @ end()", lines, [0, 5], step_s=2 * M)

    assert found == {"x": [6.0] * 3}


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ('x{a="1"}', {'x{a="1"}'}),
        ('x{a!="1"}', {'x{a="2"}', "x"}),
        ('x{a=~"1|2"}', {'x{a="1"}', 'x{a="2"}'}),
        ('x{a!~".+"}', {"x"}),
        ('x{a=""}', {"x"}),
        ('{__name__=~"x|y"}', {'x{a="1"}', 'x{a="2"}', "x", "y"}),
        ("z", set()),
    ],
)
def test_matchers_choose_series(selector: str, names: set[str]) -> None:
    lines = {'x{a="1"}': "1", 'x{a="2"}': "1", "x": "1", "y": "1"}

    assert set(vector(selector, lines)) == names


def test_numbers_and_time_need_no_samples() -> None:
    assert scalar("1 + 2 * 3") == 7.0
    assert scalar("time()", at_s=90.5) == 90.5


# What is read


def stretches(expression: str, start_s: int, end_s: int, step_s: int) -> list[tuple[float, float]]:
    """In seconds, the end's nanosecond left out."""
    source = Samples({"x": "1 2 3"})
    request = between(expression, start_s * 1000, end_s * 1000, step_s * 1000)
    Evaluation(source, start_s * 1000, end_s * 1000, 10**6).value(request.tree, request.steps)
    return [(one.start_ns / NS, (one.end_ns - 1) / NS) for one in source.asked]


def test_a_selector_reads_from_its_lookback_to_the_last_step() -> None:
    assert stretches("x", 600, 1200, 60) == [(300.0, 1200.0)]
    assert stretches("x", 600, 1210, 60) == [(300.0, 1200.0)]
    assert stretches("rate(x[2m])", 600, 1200, 60) == [(480.0, 1200.0)]
    assert stretches("rate(x[2m] offset 1m)", 600, 1200, 60) == [(420.0, 1140.0)]
    assert stretches("x @ 100", 600, 1200, 60) == [(-200.0, 100.0)]


def test_a_subquery_reads_for_the_steps_that_it_has() -> None:
    found = stretches("max_over_time(x[5m:2m])", 600, 1200, 60)

    assert found == [(360 - 300.0, 1200.0)]


def test_what_lies_between_windows_is_left_out() -> None:
    source = Samples({"x": "1 2 3"})
    request = between("rate(x[5m])", 0, 36_000_000, 3_600_000)

    Evaluation(source, 0, 36_000_000, 10**6).value(request.tree, request.steps)

    assert source.asked[0].sieve == Sieve(3600 * NS, 300 * NS + 1)


def test_windows_that_touch_are_read_as_one() -> None:
    source = Samples({"x": "1 2 3"})
    request = between("rate(x[5m])", 0, 600_000, 300_000)

    Evaluation(source, 0, 600_000, 10**6).value(request.tree, request.steps)

    assert source.asked[0].sieve is None


def test_the_same_samples_are_read_once() -> None:
    source = Samples({"x": "1 2 3"})
    request = at("rate(x[5m]) / rate(x[5m]) + rate(x[1m])", 0)

    Evaluation(source, 0, 0, 10**6).value(request.tree, request.steps)

    assert len(source.asked) == 2


def test_too_many_values_are_refused_by_the_settings_name() -> None:
    source = Samples({"x": "1 2 3"})
    request = between("x", 0, 60_000, 1000)

    with pytest.raises(BadInput, match=r"server\.query_samples \(60\)") as refused:
        Evaluation(source, 0, 60_000, 60).value(request.tree, request.steps)

    assert refused.value.status == 422


@pytest.mark.parametrize(
    "expression",
    [
        "x offset 200y",
        "x offset -200y",
        "rate(x[200y])",
        "x @ 9e9",
        "x offset 140y offset 1y",
        "max_over_time(x[1h:200y])",
        "x @ 200000000000",
    ],
)
def test_a_time_that_no_clock_shows_is_refused(expression: str) -> None:
    with pytest.raises(BadInput, match="promql: "):
        vector(expression, {"x": "1"})


@pytest.mark.parametrize("expression", ["x offset 100y", "x @ 4e9", "rate(x[100y] offset -40y)"])
def test_a_time_that_some_clock_will_show_is_empty(expression: str) -> None:
    assert vector(expression, {"x": "1"}, at_s=1e9) == {}


@pytest.mark.parametrize("at_s", [9e9, -9e9])
def test_a_moment_beyond_all_samples_still_has_numbers(at_s: float) -> None:
    assert scalar("time()", at_s=at_s) == at_s
    with pytest.raises(BadInput, match="1824"):
        vector("x", {"x": "1"}, at_s=at_s)


@pytest.mark.parametrize(
    "expression",
    ["scalar(x)", "predict_linear(x[5m], NaN)", "topk(NaN, nothing)", "exp(x) - exp(x)"],
)
def test_what_has_no_value_makes_no_noise(expression: str) -> None:
    """A warning would be an error here."""
    lines = {'x{a="1"}': "+Inf 1e308", 'x{a="2"}': "-Inf 1e308"}

    found = [worth(expression, lines, at_s=at_s) for at_s in (0, M)]

    assert len(found) == 2
