"""Functions of range vectors, as Prometheus documents them."""

from __future__ import annotations

import math

import pytest

from tests.promql import course, vector
from watchkeeper.errors import BadInput

M = 60


def one(expression: str, values: str, *, at_s: float) -> float | None:
    """The value of an expression about `x`, of which there is one series."""
    return next(iter(vector(expression, {"x": values}, at_s=at_s).values()), None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sum_over_time", 10.0),
        ("avg_over_time", 2.5),
        ("min_over_time", 1.0),
        ("max_over_time", 4.0),
        ("count_over_time", 4.0),
        ("last_over_time", 3.0),
        ("present_over_time", 1.0),
        ("stdvar_over_time", 1.25),
        ("stddev_over_time", math.sqrt(1.25)),
        ("changes", 3.0),
        ("resets", 2.0),
        ("delta", 1.0 * 3.5 / 3),  # carried on to the edge that is half a minute away
        ("idelta", -1.0),
        ("deriv", 0.6 / 60),
    ],
)
def test_each_function_has_its_value(name: str, value: float) -> None:
    """Of 2 1 4 3, in a window that begins half a minute before them."""
    assert one(f"{name}(x[3m30s])", "9 2 1 4 3", at_s=4 * M) == pytest.approx(value, rel=1e-12)


def test_a_window_has_both_of_its_edges() -> None:
    assert one("count_over_time(x[2m])", "1 1 1 1", at_s=3 * M) == 3.0
    assert one("count_over_time(x[2m])", "1 1 1 1", at_s=3 * M + 1) == 2.0


def test_a_rate_of_a_whole_window_is_the_growth_by_its_length() -> None:
    assert one("rate(x[3m])", "0 60 120 180", at_s=3 * M) == pytest.approx(1.0)
    assert one("increase(x[3m])", "0 60 120 180", at_s=3 * M) == pytest.approx(180.0)


def test_a_fall_of_a_counter_is_a_restart_from_zero() -> None:
    assert one("increase(x[3m])", "100 160 10 40", at_s=3 * M) == pytest.approx(100.0)


def test_a_fall_of_a_gauge_is_a_fall() -> None:
    assert one("delta(x[3m])", "100 160 10 40", at_s=3 * M) == pytest.approx(-60.0)


def test_growth_is_carried_to_an_edge_that_is_near() -> None:
    """A sample every minute; a window that ends half a minute behind the last."""
    assert one("increase(x[3m])", "60 120 180 240", at_s=3.5 * M) == pytest.approx(180.0)


def test_growth_is_carried_half_a_step_to_an_edge_that_is_far() -> None:
    assert one("increase(x[20m])", "600 660 720", at_s=9 * M) == pytest.approx(180.0)


def test_a_counter_is_not_carried_below_zero() -> None:
    """It was zero twenty seconds before its first sample, and goes on to the edge behind."""
    assert one("increase(x[4m])", "_ 20 80 140", at_s=4 * M) == pytest.approx(120 + 20 + 60)


@pytest.mark.parametrize("name", ["rate", "increase", "irate", "delta", "idelta", "deriv"])
def test_growth_needs_two_samples(name: str) -> None:
    assert one(f"{name}(x[1m])", "1 _ 3", at_s=2 * M) is None


def test_irate_looks_at_the_last_two_samples_alone() -> None:
    assert one("irate(x[5m])", "0 600 610 70", at_s=2 * M) == pytest.approx(10 / 60)
    assert one("irate(x[5m])", "0 600 610 70", at_s=3 * M) == pytest.approx(70 / 60)


def test_marks_of_ends_are_no_samples_of_a_window() -> None:
    assert one("count_over_time(x[5m])", "1 2 stale 4", at_s=3 * M) == 3.0
    assert one("increase(x[3m])", "0 60 stale 180", at_s=3 * M) == pytest.approx(180.0)


def test_nan_counts_and_spreads_but_is_no_least_value() -> None:
    values = "NaN 3 NaN 5"

    assert math.isnan(one("sum_over_time(x[5m])", values, at_s=3 * M) or 0.0)
    assert one("count_over_time(x[5m])", values, at_s=3 * M) == 4.0
    assert one("min_over_time(x[5m])", values, at_s=3 * M) == 3.0
    assert one("max_over_time(x[5m])", values, at_s=3 * M) == 5.0
    assert one("changes(x[5m])", "NaN NaN 1 NaN", at_s=3 * M) == 2.0


def test_infinity_stays_in_an_average() -> None:
    assert one("avg_over_time(x[5m])", "1 +Inf 3", at_s=2 * M) == math.inf
    assert math.isnan(one("avg_over_time(x[5m])", "+Inf -Inf 3", at_s=2 * M) or 0.0)


def test_small_summands_are_not_lost_beside_large_ones() -> None:
    assert one("sum_over_time(x[5m])", "1e16 1 1 -1e16", at_s=3 * M) == 2.0
    assert one("avg_over_time(x[5m])", "1e300 1e300 1e300", at_s=2 * M) == pytest.approx(1e300)


@pytest.mark.parametrize(
    ("q", "value"),
    [("0", 1.0), ("0.5", 2.5), ("1", 4.0), ("0.25", 1.75), ("-1", -math.inf), ("2", math.inf)],
)
def test_quantiles_lie_between_the_samples(q: str, value: float) -> None:
    assert one(f"quantile_over_time({q}, x[5m])", "4 1 3 2", at_s=3 * M) == value


def test_nan_is_the_least_of_a_quantile() -> None:
    assert math.isnan(one("quantile_over_time(0, x[5m])", "4 NaN 3", at_s=2 * M) or 0.0)
    assert one("quantile_over_time(1, x[5m])", "4 NaN 3", at_s=2 * M) == 4.0


def test_a_quantile_may_change_from_step_to_step() -> None:
    lines = {"x": "1 2 3", "q": "0 1 0"}

    found = course("quantile_over_time(scalar(q), x[10m])", lines, [0, 2])

    assert found == {"{}": [1.0, 2.0, 1.0]}


def test_a_line_is_drawn_through_the_window_and_read_later() -> None:
    values = "0 60 120 180"

    assert one("deriv(x[5m])", values, at_s=3 * M) == pytest.approx(1.0)
    assert one("predict_linear(x[5m], 60)", values, at_s=3 * M) == pytest.approx(240.0)
    assert one("predict_linear(x[5m], -60)", values, at_s=4 * M) == pytest.approx(180.0)


def test_a_flat_line_is_flat_to_the_last_bit() -> None:
    assert one("deriv(x[5m])", "0.1 0.1 0.1", at_s=2 * M) == 0.0
    assert one("predict_linear(x[5m], 1e9)", "0.1 0.1 0.1", at_s=2 * M) == 0.1
    assert math.isnan(one("deriv(x[5m])", "+Inf +Inf", at_s=M) or 0.0)


def test_a_prediction_starts_from_the_step_whatever_at_says() -> None:
    found = course("predict_linear(x[5m] @ 180, 0)", {"x": "0 60 120 180"}, [3, 5])

    assert found == {"{}": pytest.approx([180.0, 240.0, 300.0])}


def test_names_go_but_for_the_last_value() -> None:
    lines = {'x{a="1"}': "1 2 3"}

    assert list(vector("rate(x[5m])", lines, at_s=2 * M)) == ['{a="1"}']
    assert list(vector("last_over_time(x[5m])", lines, at_s=2 * M)) == ['x{a="1"}']


def test_two_metrics_that_lose_their_names_are_refused() -> None:
    with pytest.raises(BadInput, match="same labelset"):
        vector('rate({__name__=~"x|y"}[5m])', {"x": "1 2", "y": "1 2"}, at_s=M)


def test_absence_over_time_is_that_of_all_series() -> None:
    lines = {'x{a="1"}': "1 _ _ _ _", 'x{a="2"}': "_ _ 1 _ _"}

    found = course('absent_over_time(x{b=""}[1m])', lines, [0, 5])

    assert found == {"{}": [None, None, None, None, 1.0, 1.0]}


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ('absent_over_time(y{a="1",b=~"2",c!="3"}[1m])', '{a="1"}'),
        ('absent_over_time(y{a="1",a="2",b="3"}[1m])', '{b="3"}'),
        ('absent_over_time(y{a="1"}[5m:1m])', "{}"),
        ('absent(y{a="1",b=""})', '{a="1"}'),
        ('absent(sum(y{a="1"}))', "{}"),
    ],
)
def test_what_is_absent_has_the_labels_that_it_would_have(expression: str, labels: str) -> None:
    assert vector(expression, {"x": "1"}) == {labels: 1.0}


def test_a_subquery_is_computed_at_multiples_of_its_step() -> None:
    """At 0:30 of the third minute: the steps are whole minutes."""
    lines = {"x": "1 2 4 8"}

    assert one("sum_over_time(x[2m:1m])", "1 2 4 8", at_s=3.5 * M) == 4.0 + 8.0
    assert one("sum_over_time(x[2m:])", "1 2 4 8", at_s=3.5 * M) == 4.0 + 8.0
    assert vector("sum_over_time(x[2m:1m] offset 1m)", lines, at_s=3 * M) == {"{}": 7.0}


def test_a_subquery_may_be_of_anything_that_is_a_vector() -> None:
    lines = {'x{a="1"}': "1 2 3", 'x{a="2"}': "10 20 30"}

    assert vector("max_over_time(sum(x)[2m:1m])", lines, at_s=2 * M) == {"{}": 33.0}
    assert vector("sum_over_time(vector(time())[2m:1m])", lines, at_s=2 * M) == {"{}": 180.0}
    assert vector("count_over_time((x > 1)[2m:1m])", lines, at_s=2 * M) == {
        '{a="1"}': 2.0, '{a="2"}': 3.0,
    }  # fmt: skip


def test_a_subquery_without_steps_has_nothing() -> None:
    assert vector("sum_over_time(x[10s:1m])", {"x": "1 2 3"}, at_s=90) == {}


@pytest.mark.parametrize(
    "expression",
    ["mad_over_time(x[5m])", "double_exponential_smoothing(x[5m], 0.5, 0.5)"],
)
def test_a_function_that_is_not_there_is_named(expression: str) -> None:
    name = expression.partition("(")[0]

    with pytest.raises(BadInput, match=f"function {name} is not supported") as refused:
        vector(expression, {"x": "1 2 3"}, at_s=M)

    assert refused.value.status == 422
