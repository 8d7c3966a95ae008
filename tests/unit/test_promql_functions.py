"""Functions of vectors and scalars: numbers, dates, labels, histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from tests.promql import course, scalar, string, vector
from watchkeeper.errors import BadInput

M = 60


def one(expression: str, value: str = "0") -> float:
    """The value of an expression about `x`, of which there is one series without labels."""
    (found,) = vector(expression, {"x": value}).values()
    return found


@pytest.mark.parametrize(
    ("expression", "given", "value"),
    [
        ("abs(x)", "-2.5", 2.5),
        ("ceil(x)", "-2.5", -2.0),
        ("floor(x)", "-2.5", -3.0),
        ("exp(x)", "0", 1.0),
        ("sqrt(x)", "9", 3.0),
        ("ln(x)", "1", 0.0),
        ("ln(x)", "0", -math.inf),
        ("log2(x)", "8", 3.0),
        ("log10(x)", "1000", 3.0),
        ("sgn(x)", "-7", -1.0),
        ("sgn(x)", "0", 0.0),
        ("deg(x)", str(math.pi), 180.0),
        ("rad(x)", "180", math.pi),
        ("round(x)", "2.5", 3.0),
        ("round(x)", "-2.5", -2.0),
        ("round(x, 0.5)", "2.3", 2.5),
        ("round(x, 10)", "25", 30.0),
        ("clamp(x, 1, 3)", "5", 3.0),
        ("clamp(x, 1, 3)", "-5", 1.0),
        ("clamp_min(x, 1)", "-5", 1.0),
        ("clamp_max(x, 1)", "5", 1.0),
        ("cos(x)", "0", 1.0),
        ("atanh(x)", "0", 0.0),
        ("timestamp(x)", "9", 0.0),
        ("vector(scalar(x))", "4", 4.0),
    ],
)
def test_numbers_are_computed(expression: str, given: str, value: float) -> None:
    assert one(expression, given) == pytest.approx(value)


@pytest.mark.parametrize("expression", ["sqrt(x)", "ln(x)", "acos(x - 4)", "acosh(x)"])
def test_what_has_no_value_is_nan(expression: str) -> None:
    assert math.isnan(one(expression, "-1"))


def test_a_clamp_between_crossed_limits_is_nothing() -> None:
    assert vector("clamp(x, 3, 1)", {"x": "2"}) == {}


def test_limits_may_change_from_step_to_step() -> None:
    found = course("clamp(x, scalar(low), 9)", {"x": "1 1", "low": "0 5"}, [0, 1])

    assert found == {"{}": [1.0, 5.0]}


@pytest.mark.parametrize(
    ("function", "value"),
    [
        ("minute", 37.0),
        ("hour", 23.0),
        ("day_of_week", 4.0),
        ("day_of_month", 29.0),
        ("day_of_year", 60.0),
        ("days_in_month", 29.0),
        ("month", 2.0),
        ("year", 2024.0),
    ],
)
def test_a_date_has_its_parts(function: str, value: float) -> None:
    """Thursday, 29 February 2024, 23:37:59 UTC."""
    leap_s = 1_709_249_879

    assert one(f"{function}(x)", str(leap_s)) == value
    assert vector(f"{function}()", {}, at_s=leap_s) == {"{}": value}


@pytest.mark.parametrize(
    ("function", "value"),
    [("hour", 23.0), ("day_of_week", 3.0), ("year", 1969.0), ("day_of_month", 31.0)],
)
def test_a_second_before_1970_is_a_date_too(function: str, value: float) -> None:
    assert one(f"{function}(x)", "-1") == value


@pytest.mark.parametrize("value", ["NaN", "+Inf", "1e300"])
def test_what_is_no_date_has_no_parts(value: str) -> None:
    assert math.isnan(one("month(x)", value))


def test_a_scalar_is_of_one_series_alone() -> None:
    lines = {"x": "3", 'y{a="1"}': "1", 'y{a="2"}': "2"}

    assert scalar("scalar(x)", lines) == 3.0
    assert math.isnan(scalar("scalar(y)", lines))
    assert math.isnan(scalar("scalar(nothing)", lines))


def test_a_text_is_worth_itself() -> None:
    assert string("'it is'") == "it is"


def test_the_time_of_a_sample_is_its_own() -> None:
    lines = {"x": "1 _ _"}

    assert vector("timestamp(x)", lines, at_s=2 * M) == {"{}": 0.0}
    assert vector("timestamp(x + 0)", lines, at_s=2 * M) == {"{}": 120.0}
    assert vector("timestamp((x offset 1m))", lines, at_s=2 * M) == {"{}": 0.0}


def test_sorting_is_by_value_and_nan_comes_last() -> None:
    lines = {'x{a="1"}': "2", 'x{a="2"}': "NaN", 'x{a="3"}': "-1", 'x{a="4"}': "+Inf"}

    assert [name[5] for name in vector("sort(x)", lines)] == ["3", "1", "4", "2"]
    assert [name[5] for name in vector("sort_desc(x)", lines)] == ["4", "1", "3", "2"]


def test_absence_is_of_everything() -> None:
    lines = {"x": "1 stale"}

    assert course("absent(x)", lines, [0, 1]) == {"{}": [None, 1.0]}
    assert vector('absent(y{a="b"})', lines) == {'{a="b"}': 1.0}


# Labels


@pytest.mark.parametrize(
    ("replacement", "source", "pattern", "labels"),
    [
        ("$1", "src", "(.*)-.*", 'x{dst="web",src="web-7"}'),
        ("${2}/$1", "src", "(.*)-(.*)", 'x{dst="7/web",src="web-7"}'),
        ("${name}!", "src", "(?P<name>[a-z]+)-\\\\d", 'x{dst="web!",src="web-7"}'),
        ("$name", "src", "(?:w)(?P<name>[(eb]+)[^]]-?.*", 'x{dst="eb",src="web-7"}'),
        ("$$1", "src", ".*", 'x{dst="$1",src="web-7"}'),
        ("$9", "src", "(.*)", 'x{src="web-7"}'),
        ("$1x", "src", "(.*)", 'x{src="web-7"}'),
        ("a\\\\1", "src", "(.*)", 'x{dst="a\\1",src="web-7"}'),
        ("same", "nothing", "", 'x{dst="same",src="web-7"}'),
        ("new", "src", "web", 'x{src="web-7"}'),
        ("$0", "src", ".*", 'x{dst="web-7",src="web-7"}'),
    ],
)
def test_a_label_is_made_of_another(
    replacement: str, source: str, pattern: str, labels: str
) -> None:
    expression = f'label_replace(x, "dst", "{replacement}", "{source}", "{pattern}")'

    assert set(vector(expression, {'x{src="web-7"}': "1"})) == {labels}


def test_an_empty_label_is_none() -> None:
    lines = {'x{src="web-7"}': "1"}

    assert set(vector('label_replace(x, "src", "", "src", ".*")', lines)) == {"x"}
    assert set(vector('label_join(x, "src", "-", "nothing")', lines)) == {"x"}


def test_a_name_may_be_replaced() -> None:
    found = vector('label_replace(x, "__name__", "y", "__name__", "x")', {"x": "1"})

    assert set(found) == {"y"}


def test_labels_are_joined_in_the_order_given() -> None:
    lines = {'x{a="1",b="2"}': "1"}

    found = vector('label_join(x, "c", "/", "b", "a", "b")', lines)

    assert set(found) == {'x{a="1",b="2",c="2/1/2"}'}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ('label_replace(x, "1d", "", "a", "")', "invalid destination label name"),
        ('label_replace(x, "d", "", "a", "(")', "invalid regular expression"),
        ('label_replace(x, "d", "", "a", "a)|(b")', "invalid regular expression"),
        ('label_replace(x, "d", "$10", "a", "(((((((((())))))))))")', "up to nine groups"),
        ('label_replace(x, "a", "1", "a", ".*")', "same labelset"),
        ('label_join(x, "1d", "")', "invalid destination label name"),
        ('label_join(x, "d", "", "1a")', "invalid source label name"),
    ],
)
def test_labels_that_cannot_be_are_refused(expression: str, said: str) -> None:
    lines = {'x{a="1"}': "1", 'x{a="2"}': "1"}

    with pytest.raises(BadInput, match=said) as refused:
        vector(expression, lines)

    assert refused.value.status == 422


# Histograms


def buckets(counts: Mapping[str, str], **labels: str) -> dict[str, str]:
    more = "".join(f',{name}="{value}"' for name, value in labels.items())
    return {f'b{{le="{le}"{more}}}': count for le, count in counts.items()}


SHARE = {"1": "10", "2": "30", "4": "40", "+Inf": "40"}


@pytest.mark.parametrize(
    ("q", "counts", "value"),
    [
        ("0.5", SHARE, 1.5),
        ("0.25", SHARE, 1.0),
        ("0.1", SHARE, 0.4),
        ("1", SHARE, 4.0),
        ("0", SHARE, 0.0),
        ("0.9", {"1": "1", "+Inf": "100"}, 1.0),
        ("0.25", {"-1": "5", "1": "10", "+Inf": "10"}, -1.0),
        ("-0.1", SHARE, -math.inf),
        ("1.1", SHARE, math.inf),
        # Counts that fall are those of buckets that were read a little later.
        ("0.5", {"1": "10", "2": "8", "4": "20", "+Inf": "20"}, 1.0),
        # One bound, twice.
        ("0.5", {"1": "10", "1.0": "10", "2": "40", "+Inf": "40"}, 1.0),
    ],
)
def test_a_quantile_lies_in_its_bucket(q: str, counts: dict[str, str], value: float) -> None:
    assert vector(f"histogram_quantile({q}, b)", buckets(counts)) == {"{}": pytest.approx(value)}


@pytest.mark.parametrize(
    ("q", "counts"),
    [
        ("NaN", SHARE),
        ("0.5", {"1": "10", "2": "30"}),
        ("0.5", {"+Inf": "40"}),
        ("0.5", {"1": "0", "+Inf": "0"}),
    ],
)
def test_a_quantile_of_half_a_histogram_is_nan(q: str, counts: dict[str, str]) -> None:
    assert math.isnan(vector(f"histogram_quantile({q}, b)", buckets(counts))["{}"])


def test_each_histogram_has_its_own_quantile() -> None:
    lines = {**buckets(SHARE, of="a"), **buckets({"1": "10", "+Inf": "10"}, of="b")}

    assert vector("histogram_quantile(0.5, b)", lines) == {
        '{of="a"}': pytest.approx(1.5), '{of="b"}': pytest.approx(0.5),
    }  # fmt: skip


@pytest.mark.parametrize("le", ["many", "1_0", " 1", "١", "0x"])
def test_what_has_no_readable_bound_is_no_bucket(le: str) -> None:
    assert vector("histogram_quantile(0.5, b)", {f'b{{le="{le}"}}': "5", "b": "5"}) == {}


def test_a_histogram_is_what_is_there_at_a_step() -> None:
    lines = buckets({"1": "10 10", "2": "20 stale", "+Inf": "20 20"})

    assert course("histogram_quantile(0.75, b)", lines, [0, 1]) == {"{}": [1.5, 1.0]}


def test_two_metrics_buckets_are_not_mixed() -> None:
    lines = {**buckets(SHARE), 'c{le="1"}': "1", 'c{le="+Inf"}': "2"}

    with pytest.raises(BadInput, match="same labelset"):
        vector('histogram_quantile(0.5, {__name__=~"b|c"})', lines)


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="function info is not supported"):
        vector("info(x)", {"x": "1"})
