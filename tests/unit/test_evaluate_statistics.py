"""Bounds of shares and rates, beside values that were published or follow from the definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.evaluate.statistics import Rate, Share, percentile, poisson, wilson


@pytest.mark.parametrize(
    ("n", "of", "bounds"),
    [
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (8, 10, (0.4902, 0.9433)),
        (81, 263, (0.2553, 0.3662)),  # Newcombe, Statistics in Medicine 17, 1998, table I
        (15, 148, (0.0624, 0.1605)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilsons_bounds_are_the_published_ones(
    n: int, of: int, bounds: tuple[float, float]
) -> None:
    assert wilson(n, of) == pytest.approx(bounds, abs=6e-5)


@pytest.mark.parametrize(
    ("n", "bounds"), [(0, (0.0, 3.6889)), (1, (0.0253, 5.5716)), (5, (1.6235, 11.6683)),
                      (100, (81.3640, 121.6268))],
)  # fmt: skip
def test_bounds_of_a_count_are_the_exact_ones(n: int, bounds: tuple[float, float]) -> None:
    assert poisson(n) == pytest.approx(bounds, abs=6e-5)


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_share_lies_within_its_bounds(n: int, more: int) -> None:
    low, high = wilson(n, n + more)

    assert 0.0 <= low <= high <= 1.0
    if n + more:
        assert low <= n / (n + more) <= high


def test_of_nothing_no_share_and_no_rate_is_known() -> None:
    assert Share(0, 0).value is None
    assert Share(0, 0).bounds == (0.0, 1.0)
    assert Rate(0, 0.0).value is None
    assert Rate(0, 0.0).bounds == (0.0, math.inf)


def test_a_rate_is_by_the_hour_and_so_are_its_bounds() -> None:
    rate = Rate(0, 4.0)

    assert rate.value == 0.0
    assert rate.bounds == pytest.approx((0.0, 0.9222), abs=1e-4)


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.5, 3.0), (0.6, 3.0), (0.61, 4.0), (0.95, 5.0), (1.0, 5.0)]
)
def test_a_percentile_is_a_value_that_was_there(share: float, value: float) -> None:
    assert percentile([5.0, 1.0, 3.0, 2.0, 4.0], share) == value
    assert percentile([], share) is None
