"""PromQL of native histograms: who finds them, what is made of them, who passes them over."""

from __future__ import annotations

import math

import pytest

from tests.natives import ENDED, RESET, Shape, pool_of, shape_of, worth
from watchkeeper.errors import BadInput

ONE = Shape({1: 2, 3: 1}, zero=1, total=10.0)
TWO = Shape({1: 4, 3: 2}, zero=1, total=30.0)
AFRESH = Shape({1: 1}, total=1.0)
SEVERAL = {'h{a="1"}': [ONE], 'h{a="2"}': [TWO], 'h{a="3"}': [AFRESH]}


def shape(expression: str, *shapes: Shape | None, minute: float | None = None) -> Shape:
    """What an expression about `h` is worth, of which there is one series."""
    at = len(shapes) - 1 if minute is None else minute
    (found,) = worth(expression, {"h": shapes}, minute=at).values()
    assert isinstance(found, Shape), found
    return found


def number(expression: str, *shapes: Shape | None) -> float:
    (found,) = worth(expression, {"h": shapes}, minute=len(shapes) - 1).values()
    assert isinstance(found, float), found
    return found


# Finding


def test_a_selector_finds_the_newest_histogram_for_five_minutes() -> None:
    assert worth("h", {"h": [ONE, TWO]}, minute=1) == {"h": shape("h", TWO)}
    assert set(worth("h", {"h": [ONE]}, minute=5)) == {"h"}
    assert worth("h", {"h": [ONE]}, minute=5.1) == {}


def test_a_histogram_may_say_that_its_series_has_ended() -> None:
    assert worth("h", {"h": [ONE, ENDED]}, minute=1) == {}
    assert number("count_over_time(h[5m])", ONE, ENDED) == 1.0


def test_a_number_may_say_that_a_series_of_histograms_has_ended() -> None:
    assert worth("h", {"h": [ONE]}, {"h": "_ stale"}, minute=1) == {}


def test_of_both_kinds_the_newest_sample_stands_for_its_series() -> None:
    shapes = {"h": [ONE, None, TWO]}

    assert worth("h", shapes, {"h": "_ 7"}, minute=1) == {"h": 7.0}
    assert worth("h", shapes, {"h": "_ 7"}, minute=2) == {"h": shape("h", TWO)}
    assert worth("timestamp(h)", shapes, {"h": "_ 7"}, minute=3) == {"{}": 120.0}


def test_labels_are_made_for_histograms_as_for_numbers() -> None:
    found = worth('label_replace(h, "b", "$1", "a", "(.)")', {'h{a="1"}': [ONE]})

    assert found == {'h{a="1",b="1"}': shape("h", ONE)}


def test_absence_is_of_histograms_too() -> None:
    assert worth("absent(h)", {"h": [ONE]}) == {}
    assert worth("absent_over_time(h[2m])", {"h": [ONE]}, minute=2.5) == {"{}": 1.0}


# Growth


def test_growth_of_a_counter_is_that_of_its_buckets() -> None:
    found = shape("increase(h[2m])", ONE, TWO)

    assert found.positive == {1: 4.0, 3: 2.0}  # twice what was seen in one of two minutes
    assert (found.n, found.zero, found.total) == (6.0, 0.0, 40.0)
    assert shape("rate(h[2m])", ONE, TWO).n == pytest.approx(6 / 120)


def test_what_was_there_before_a_reset_is_added() -> None:
    found = shape("increase(h[2m])", ONE, TWO, AFRESH)

    assert found.positive == {1: 3.0, 3: 1.0}  # (4 - 2) + 1, and (2 - 1)
    assert found.n == 4.0


def test_a_sender_may_say_that_a_counter_began_anew() -> None:
    told = Shape(TWO.positive, zero=1, total=30.0, hint=RESET)

    assert shape("increase(h[1m])", ONE, told).positive == {1: 4.0, 3: 2.0}


@pytest.mark.parametrize(
    ("after", "is_reset"),
    [
        (Shape({1: 2, 3: 1, 9: 9}, zero=1), False),
        (Shape({1: 1, 3: 9}, zero=1), True),
        (Shape({1: 9}, zero=1), True),
        (Shape({1: 9, 3: 9}, zero=0), True),
        (Shape({1: 9, 3: 9}, zero=1, scale=1), True),
        (Shape({1: 9, 3: 9}, zero=1, threshold=0.0001), True),
        (Shape({1: 9, 2: 9}, zero=1, scale=-1), False),
        (Shape({3: 9}, zero=3, threshold=2.0), False),
        (Shape({3: 9}, zero=3, threshold=1.5), True),
        (Shape({3: 9}, zero=2, threshold=2.0), True),
    ],
)
def test_a_counter_began_anew_where_something_fell(after: Shape, is_reset: bool) -> None:
    assert number("resets(h[5m])", ONE, after) == float(is_reset)


def test_a_gauge_may_fall() -> None:
    assert shape("delta(h[1m])", TWO, ONE).positive == {1: -2.0, 3: -1.0}


def test_growth_of_the_last_two_is_by_their_distance() -> None:
    assert shape("irate(h[5m])", AFRESH, ONE, TWO).positive == {1: 2 / 60, 3: 1 / 60}
    assert shape("irate(h[5m])", TWO, AFRESH).positive == {1: 1 / 60}
    assert shape("idelta(h[5m])", TWO, AFRESH).positive == {1: -3.0, 3: -2.0}


def test_one_histogram_has_not_grown() -> None:
    assert worth("rate(h[5m])", {"h": [ONE]}) == {}


@pytest.mark.parametrize("name", ["rate", "delta", "irate", "sum_over_time", "avg_over_time"])
def test_numbers_and_histograms_do_not_add_up(name: str) -> None:
    shapes, lines = {"h": [ONE, TWO]}, {"h": "_ _ 1 2"}

    assert worth(f"{name}(h[1m])", shapes, lines, minute=1) != {}
    assert worth(f"{name}(h[5m])", shapes, lines, minute=3) == {}


# Over time


def test_histograms_are_summed_averaged_and_counted_over_time() -> None:
    assert shape("sum_over_time(h[5m])", ONE, TWO).positive == {1: 6.0, 3: 3.0}
    assert shape("avg_over_time(h[5m])", ONE, TWO).total == 20.0
    assert number("count_over_time(h[5m])", ONE, None, TWO) == 2.0
    assert number("present_over_time(h[5m])", ONE, TWO) == 1.0
    assert number("changes(h[5m])", ONE, ONE, TWO) == 1.0


def test_the_last_over_time_is_of_either_kind() -> None:
    shapes = {"h": [ONE, None, TWO]}

    assert worth("last_over_time(h[1m])", shapes, {"h": "_ 7"}, minute=1) == {"h": 7.0}
    assert worth("last_over_time(h[5m])", shapes, {"h": "_ 7"}, minute=9) == {}
    assert worth("last_over_time(h[5m])", shapes, {"h": "_ 7"}, minute=4) == worth(
        "h", {"h": [TWO]}
    )


def test_a_subquery_has_histograms() -> None:
    assert number("count_over_time(h[2m:1m])", ONE, TWO, TWO) == 3.0


@pytest.mark.parametrize("name", ["max_over_time", "deriv", "stddev_over_time"])
def test_what_is_of_numbers_alone_passes_histograms_over(name: str) -> None:
    shapes, lines = {"h": [ONE, TWO]}, {'h{a="1"}': "1 2"}

    assert set(worth(f"{name}(h[5m])", shapes, lines, minute=1)) == {'{a="1"}'}


# Across series


def test_histograms_are_summed_averaged_and_counted_across_series() -> None:
    found = worth("sum(h)", SEVERAL)["{}"]

    assert found.positive == {1: 7.0, 3: 3.0}
    assert (found.n, found.zero, found.total) == (12.0, 2.0, 41.0)
    assert worth("avg(h)", SEVERAL)["{}"].n == 4.0
    assert worth("count(h)", SEVERAL) == {"{}": 3.0}
    assert worth("group(h)", SEVERAL) == {"{}": 1.0}


def test_groups_stay_apart() -> None:
    found = worth("sum by (a) (h)", SEVERAL)

    assert {name: one.n for name, one in found.items()} == {
        '{a="1"}': 4.0, '{a="2"}': 7.0, '{a="3"}': 1.0,
    }  # fmt: skip


def test_a_group_of_both_kinds_has_no_sum() -> None:
    found = worth("sum by (a) (h)", SEVERAL, {'h{a="1",b="x"}': "1"})

    assert set(found) == {'{a="2"}', '{a="3"}'}


@pytest.mark.parametrize("name", ["max", "min", "stddev", "quantile", "topk", "bottomk"])
def test_what_orders_numbers_passes_histograms_over(name: str) -> None:
    parameter = "1, " if name in ("quantile", "topk", "bottomk") else ""

    assert worth(f"{name}({parameter}h)", SEVERAL) == {}


# Operators


def test_histograms_are_scaled_by_numbers() -> None:
    assert shape("h * 2", ONE).positive == shape("2 * h", ONE).positive == {1: 4.0, 3: 2.0}
    assert shape("h / 2", ONE).n == 2.0
    assert shape("-h", ONE).total == -10.0
    assert worth("h * on () x", {"h": [ONE]}, {"x": "3"})["{}"].n == 12.0


@pytest.mark.parametrize("expression", ["2 / h", "h + 1", "h ^ 2", "h > 0", "1 - h", "h == 0"])
def test_what_makes_no_sense_of_a_histogram_and_a_number_is_nothing(expression: str) -> None:
    assert worth(expression, {"h": [ONE]}) == {}


def test_histograms_are_added_to_and_taken_from_each_other() -> None:
    shapes = {"h": [ONE], "k": [TWO]}

    assert worth("h + k", shapes)["{}"].positive == {1: 6.0, 3: 3.0}
    assert worth("k - h", shapes)["{}"].positive == {1: 2.0, 3: 1.0}
    assert worth("k * h", shapes) == {}


def test_histograms_are_the_same_or_not() -> None:
    shapes = {"h": [ONE], "k": [ONE], "m": [TWO]}

    assert set(worth("h == k", shapes)) == {"h"}
    assert worth("h == m", shapes) == {}
    assert set(worth("h != m", shapes)) == {"h"}
    assert worth("h == bool m", shapes) == {"{}": 0.0}


def test_sets_are_of_either_kind() -> None:
    lines = {'x{a="1"}': "5", 'x{a="9"}': "6"}

    assert set(worth("h and on (a) x", SEVERAL, lines)) == {'h{a="1"}'}
    assert set(worth("x unless on (a) h", SEVERAL, lines)) == {'x{a="9"}'}
    assert set(worth("x or on (a) h", SEVERAL, lines)) == {
        'x{a="1"}', 'x{a="9"}', 'h{a="2"}', 'h{a="3"}',
    }  # fmt: skip


def test_functions_of_numbers_pass_histograms_over() -> None:
    for expression in ("abs(h)", "round(h)", "clamp_min(h, 1)", "sort(h)", "minute(h)"):
        assert worth(expression, {"h": [ONE]}) == {}


# Reconciling


def test_of_two_resolutions_the_coarser_counts() -> None:
    fine = Shape({1: 1, 2: 2, 3: 4, 4: 8}, scale=1)

    found = worth("sum(h)", {'h{a="1"}': [fine], 'h{a="2"}': [Shape({1: 16}, scale=0)]})["{}"]

    assert (found.scale, found.positive) == (0, {1: 19.0, 2: 12.0})


def test_of_two_zero_buckets_the_wider_counts_and_cuts_no_bucket_in_two() -> None:
    wide = Shape({5: 1}, zero=1, threshold=3.0)
    narrow = Shape({1: 2, 2: 4, 3: 8}, {2: 16}, zero=1)

    found = worth("sum(h)", {'h{a="1"}': [wide], 'h{a="2"}': [narrow]})["{}"]

    assert (found.threshold, found.zero) == (4.0, 24.0)
    assert (found.positive, found.negative) == ({3: 8.0, 5: 1.0}, {})


def test_listed_bounds_go_together_with_the_same_ones_alone() -> None:
    listed, other = Shape({0: 1, 2: 1}, bounds=(1.0, 2.0)), Shape({0: 1}, bounds=(1.0, 3.0))

    same = worth("sum(h)", {'h{a="1"}': [listed], 'h{a="2"}': [listed]})["{}"]

    assert (same.positive, same.bounds) == ({0: 2.0, 2: 2.0}, (1.0, 2.0))
    assert worth("sum(h)", {'h{a="1"}': [listed], 'h{a="2"}': [other]}) == {}
    assert worth("sum(h)", {'h{a="1"}': [listed], 'h{a="2"}': [ONE]}) == {}


# Numbers about a histogram


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("histogram_count(h)", 4.0),
        ("histogram_sum(h)", 10.0),
        ("histogram_avg(h)", 2.5),
        ("histogram_quantile(0.5, h)", 1.5),
        ("histogram_quantile(0.1, h)", 0.0004),
        ("histogram_quantile(1, h)", 8.0),
        ("histogram_quantile(-1, h)", -math.inf),
        ("histogram_quantile(2, h)", math.inf),
        ("histogram_fraction(0, 2, h)", 0.75),
        ("histogram_fraction(1.5, +Inf, h)", 0.5),
        ("histogram_fraction(2, 1, h)", 0.0),
    ],
)
def test_a_histogram_is_asked_for_numbers(expression: str, value: float) -> None:
    assert number(expression, ONE) == pytest.approx(value)


def test_deviations_take_the_middle_of_every_bucket() -> None:
    middles = [(0.0, 1), (math.sqrt(2.0), 2), (math.sqrt(32.0), 1)]
    variance = sum(n * (middle - 2.5) ** 2 for middle, n in middles) / 4

    assert number("histogram_stdvar(h)", ONE) == pytest.approx(variance)
    assert number("histogram_stddev(h)", ONE) == pytest.approx(math.sqrt(variance))


def test_observations_that_were_no_number_lie_above_all_buckets() -> None:
    odd = Shape({1: 3, 3: 1}, count=8.0, total=math.nan)

    assert number("histogram_quantile(0.9, h)", odd) == 8.0
    assert math.isnan(number("histogram_sum(h)", odd))


@pytest.mark.parametrize(
    ("q", "value"), [(0.0, 0.0), (0.25, 0.5), (0.6, 1.4), (0.9, 2.0), (1.0, 2.0)]
)
def test_listed_bounds_are_interpolated_like_those_of_classic_buckets(
    q: float, value: float
) -> None:
    listed = Shape({0: 2, 1: 1, 2: 1}, bounds=(1.0, 2.0))

    assert number(f"histogram_quantile({q}, h)", listed) == pytest.approx(value)


def test_a_histogram_without_observations_has_no_quantile() -> None:
    assert math.isnan(number("histogram_quantile(0.5, h)", Shape()))
    assert math.isnan(number("histogram_fraction(0, 1, h)", Shape()))


def test_numbers_of_histograms_are_not_made_of_numbers() -> None:
    assert worth("histogram_count(x)", {}, {"x": "1"}) == {}


def test_classic_and_native_histograms_are_answered_together() -> None:
    lines = {'b{le="1"}': "1", 'b{le="+Inf"}': "1"}

    found = worth('histogram_quantile(1, {__name__=~"h|b"})', {'h{a="1"}': [ONE]}, lines)

    assert found == {"{}": 1.0, '{a="1"}': 8.0}


def test_a_classic_and_a_native_histogram_of_one_name_are_neither() -> None:
    lines = {'h{le="1"}': "1", 'h{le="+Inf"}': "1", 'h{a="1",le="+Inf"}': "1"}

    assert set(worth("histogram_quantile(1, h)", {"h": [ONE]}, lines)) == {'{a="1"}'}


# Limits


def test_buckets_are_counted_against_the_limit() -> None:
    with pytest.raises(BadInput, match=r"server\.query_samples \(1\) buckets"):
        pool_of(ONE, most=1)
    with pytest.raises(BadInput, match=r"server\.query_samples \(4\) buckets"):
        worth("h + h", SEVERAL, limit=4)
    assert len(worth("h + h", SEVERAL, limit=5)) == 3


def test_a_pool_says_what_was_sent() -> None:
    sent = Shape({-3: 1.5, 4: 2}, {1: 1, 2: 7}, 3, -5.5, 3, 0.25)

    assert shape_of(pool_of(ONE, sent), 1) == Shape(
        sent.positive, sent.negative, 3, -5.5, 3, 0.25, count=14.5
    )
