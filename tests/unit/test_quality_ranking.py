"""Curves, point scores and groups of lines, beside values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quality import grouping, points, ranking
from watchkeeper.model.series import F64, Mask


def mask(text: str) -> Mask:
    """`..##.`: a point for each sign."""
    return np.array([sign == "#" for sign in text], np.bool_)


def column(*values: float) -> F64:
    return np.array(values, np.float64)


@pytest.mark.parametrize(
    ("score", "area"),
    [
        ((0.9, 0.8, 0.1, 0.2), 1.0),
        ((0.1, 0.2, 0.8, 0.9), (1 / 3 + 2 / 4) / 2),
        ((0.9, 0.1, 0.5, 0.2), (1 + 2 / 4) / 2),
        ((0.5, 0.5, 0.5, 0.5), 0.5),
    ],
)
def test_auc_pr_is_the_mean_precision_over_strange_points(
    score: tuple[float, ...], area: float
) -> None:
    assert ranking.auc_pr(mask("##.."), column(*score)) == pytest.approx(area)


def test_labels_fade_over_half_a_window_to_both_sides() -> None:
    label = ranking.softened(mask(".....#....."), 4)

    side = [np.sqrt(3 / 4), np.sqrt(2 / 4)]
    assert label.tolist() == pytest.approx([0, 0, 0, side[1], side[0], 1, *side, 0, 0, 0])


def test_labels_that_fade_into_each_other_add_up_to_one_at_most() -> None:
    label = ranking.softened(mask("#..#"), 6)

    assert label.tolist() == pytest.approx([1, 1, 1, 1])


@pytest.mark.parametrize("window", [0, 1])
def test_without_a_window_it_is_the_area_over_touched_events(window: int) -> None:
    """Ranks are strange, ordinary, strange, ordinary...; recall counts for half until the second
    event is touched: areas 1/2 * 1/2 * 1 and then (1 - 1/4) * 2/3."""
    strange = mask("#...#...")
    score = column(0.9, 0.8, 0.1, 0.1, 0.7, 0.1, 0.1, 0.1)

    assert ranking.vus_pr(strange, score, window) == pytest.approx(0.25 + 0.75 * 2 / 3)


def test_the_area_of_a_window_is_as_worked_out() -> None:
    """One event, window 2, one faded point to each side, worth c = sqrt(1/2).

    The highest score is just before the event: precision c, recall c / (1 + c/2). Then the event:
    precision (1 + c) / 2 and recall 1.
    """
    strange = mask(".....#....")
    score = column(0, 0, 0, 0, 0.9, 0.8, 0, 0, 0, 0)

    area = ranking.vus_pr(strange, score, 2) * 3 - 2 * ranking.vus_pr(strange, score, 0)

    c = np.sqrt(0.5)
    first = c / (1 + c / 2)
    assert area == pytest.approx(first * c + (1 - first) * (1 + c) / 2)


def test_a_score_that_tells_all_has_a_volume_near_one_and_noise_near_the_share() -> None:
    rng = np.random.default_rng(1)
    strange = mask("." * 2_000)
    strange[500:600] = strange[1_500:1_700] = True

    told = ranking.vus_pr(strange, ranking.softened(strange, 100))
    guessed = ranking.vus_pr(strange, rng.random(2_000))

    assert told > 0.9
    assert guessed < 0.3


def test_a_near_miss_is_forgiven_by_volume_and_not_by_area() -> None:
    strange = mask("." * 100 + "#" * 20 + "." * 100)
    score = np.zeros(220)
    score[90:100] = 1.0

    assert ranking.vus_pr(strange, score) > 2 * ranking.auc_pr(strange, score)


def test_points_of_all_series_are_pooled() -> None:
    told = points.pooled([mask("##.."), mask("....#.")], [mask("#.#."), mask("....#.")])

    assert told.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert told.false_alarm_rate == pytest.approx(1 / 7)
    assert told.missed_alarm_rate == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("recall", "false", "prevalence", "f1"),
    [
        (1.0, 0.0, 0.03, 1.0),
        (0.0, 0.0, 0.03, 0.0),
        (0.5, 0.0, 0.10, 2 * 0.5 / 1.5),
        (1.0, 0.1, 0.10, 2 * 0.1 / (0.19 + 0.1)),
    ],
)
def test_f1_of_sessions_is_that_of_their_true_mixture(
    recall: float, false: float, prevalence: float, f1: float
) -> None:
    assert points.f1_at(recall, false, prevalence) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("groups", "ga", "fga"),
    [
        ("xxxyyz", 1.0, 1.0),
        ("xxxyyy", 3 / 6, 2 * 1 / (2 + 3)),  # two statements in one group: neither is right
        ("xxwyyz", 3 / 6, 2 * 2 / (4 + 3)),  # one statement in two groups
        ("xxxxxx", 0.0, 0.0),
    ],
)
def test_a_group_is_right_if_it_is_exactly_one_statement(
    groups: str, ga: float, fga: float
) -> None:
    assert grouping.accuracy(groups, "AAABBC") == pytest.approx((ga, fga))
