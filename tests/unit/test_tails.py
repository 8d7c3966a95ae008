"""Tails of counts beside sums over all counts."""

from __future__ import annotations

import math

import pytest

from watchkeeper.analyze.watchers.tails_kernel import (
    beta_score,
    lack_score,
    lower_bound,
    plenty_score,
    share_score,
)


def binomial_tail(hits: int, n: int, share: float) -> float:
    return sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits, n + 1))


@pytest.mark.parametrize(("hits", "n", "share"), [(1, 1, 0.5), (5, 20, 0.1), (40, 100, 0.2)])
def test_the_incomplete_beta_is_the_tail_of_the_binomial(hits: int, n: int, share: float) -> None:
    expected = -math.log10(binomial_tail(hits, n, share))

    assert beta_score(share, float(hits), n - hits + 1.0) == pytest.approx(expected, abs=1e-6)


def test_what_is_too_improbable_for_a_float_is_told_all_the_same() -> None:
    assert 90.0 < beta_score(1e-3, 100.0, 1e4) < 300.0 or beta_score(1e-3, 1e3, 1e3) == 300.0
    assert beta_score(0.0, 5.0, 5.0) == 300.0
    assert beta_score(1.0, 5.0, 5.0) == 0.0


@pytest.mark.parametrize(
    ("hits", "n", "usual"), [(0.0, 0.0, 0.01), (5.0, 10_000.0, 0.01), (1.0, 1.0, 0.9)]
)
def test_what_is_not_more_than_usual_scores_nothing(hits: float, n: float, usual: float) -> None:
    assert share_score(hits, n, usual, 0.1) == 0.0


def test_a_share_that_scatters_makes_the_same_count_less_strange() -> None:
    steady, scattered = (share_score(60.0, 1_000.0, 0.02, c) for c in (0.01, 0.25))

    assert steady > 2.0 * scattered > 0.0


def test_one_of_one_is_never_far_beyond_what_is_usual() -> None:
    assert share_score(1.0, 1.0, 0.01, 0.1) < 2.5


def test_a_lack_and_a_plenty_are_poisson_where_the_rate_is_steady() -> None:
    few = sum(math.exp(-30.0) * 30.0**k / math.factorial(k) for k in range(11))
    many = 1.0 - sum(math.exp(-30.0) * 30.0**k / math.factorial(k) for k in range(60))

    assert lack_score(10.0, 30.0, 1e-6) == pytest.approx(-math.log10(few), rel=1e-3)
    assert plenty_score(60.0, 30.0, 1e-6) == pytest.approx(-math.log10(many), rel=1e-3)


def test_no_requests_where_few_are_expected_are_no_lack() -> None:
    assert lack_score(0.0, 3.0, 0.01) == pytest.approx(3.0 / math.log(10.0), rel=0.05)
    assert lack_score(0.0, 0.0, 0.01) == 0.0


@pytest.mark.parametrize(
    ("hits", "n", "bound"),
    [(0.0, 0.0, 0.0), (0.0, 20.0, 0.0), (1.0, 1.0, 0.156), (50.0, 100.0, 0.387)],
)
def test_the_lower_bound_is_wilsons(hits: float, n: float, bound: float) -> None:
    assert lower_bound(hits, n) == pytest.approx(bound, abs=1e-3)
