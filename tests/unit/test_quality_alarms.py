"""Alarms beside labels, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from quality import alarms, operations
from quality.alarms import Points, Tally
from quality.ewma_kernel import strays
from quality.tiers import Told
from watchkeeper.analyze.detectors.base import CLOSED, EVIDENCE, INFO, OPENED, WORSENED
from watchkeeper.model.series import I64, Mask

WEEK = 7 * 1_440
N = 2 * WEEK + 1
TIME_NS: I64 = np.arange(N) * 60 * 10**9


def rows(*numbers: int) -> I64:
    return np.array(numbers, np.int64)


def strange(*events: tuple[int, int], n: int = N) -> Mask:
    """Points within these events, first and last row."""
    mask: Mask = np.zeros(n, np.bool_)
    for first, last in events:
        mask[first : last + 1] = True
    return mask


def counted(mask: Mask, *onsets: int) -> Tally:
    told = alarms.tally(TIME_NS, mask, rows(*onsets))
    assert told is not None
    return told


def test_events_are_runs_also_at_the_ends() -> None:
    mask = strange((0, 1), (4, 4), (8, 9), n=10)

    assert alarms.events(mask) == [(0, 1), (4, 4), (8, 9)]


@pytest.mark.parametrize(
    ("at", "hits", "false"),
    [
        (11_996, 0, 1),  # four points before it
        (11_997, 1, 0),  # three
        (12_005, 1, 0),
        (12_019, 1, 0),  # ten after
        (12_020, 0, 0),  # neither: within the hour that has a reason
        (12_069, 0, 0),
        (12_070, 0, 1),
    ],
)
def test_an_alarm_is_a_hit_near_its_event_and_false_an_hour_after(
    at: int, hits: int, false: int
) -> None:
    told = counted(strange((12_000, 12_009)), at)

    assert (told.n_hit, told.n_false, told.n_events) == (hits, false, 1)


def test_the_first_week_counts_neither_alarms_nor_events() -> None:
    told = counted(strange((500, 509), (12_000, 12_009)), 505, 700, WEEK - 1)

    assert told == Tally(n_false=0, n_hit=0, n_events=1, weeks=1.0)


def test_a_series_that_ends_within_its_first_week_is_not_counted() -> None:
    assert alarms.tally(TIME_NS[:WEEK], strange(n=WEEK), rows(5)) is None


def test_many_alarms_within_an_event_are_one_hit() -> None:
    assert counted(strange((12_000, 12_900)), 12_000, 12_100, 12_500).n_hit == 1


def test_figures_are_means_over_series_and_sums_over_events() -> None:
    told = [Tally(4, 1, 2, weeks=2.0), Tally(0, 2, 2, weeks=4.0), Tally(1, 0, 0, weeks=1.0)]

    found = alarms.by_episodes(told)

    assert found["fp_per_series_week"] == pytest.approx((2.0 + 0.0 + 1.0) / 3)
    assert found["share_le_1"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["precision"] == pytest.approx(3 / 8)


def test_an_onset_comes_after_an_hour_without_a_flag() -> None:
    flagged = strange((100, 105), (160, 160), (221, 221))

    assert alarms.onsets(TIME_NS, flagged).tolist() == [100, 221]


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        (20, Points(10, 0, 0)),
        (27, Points(10, 0, 0)),
        (28, Points(0, 10, 0)),
        (19, Points(0, 10, 1)),
    ],
)
def test_an_event_is_found_whole_or_not_at_all(flag: int, told: Points) -> None:
    assert alarms.by_points(strange((20, 29), n=50), strange((flag, flag), n=50)) == told


def test_a_flag_behind_a_short_event_does_not_find_it() -> None:
    told = alarms.by_points(strange((20, 22), n=50), strange((23, 24), n=50))

    assert told == Points(found=0, missed=3, false=2)


def test_f1_is_of_pooled_points() -> None:
    told = Points(6, 2, 0) + Points(0, 1, 3)

    assert told.f1 == pytest.approx(2 * 6 / (2 * 6 + 3 + 3))
    assert Points().f1 == 0.0


def said(*changes: tuple[int, int, int]) -> Told:
    """(row, change, severity); every episode begins with what opened it."""
    row = rows(*(one[0] for one in changes))
    change = np.array([one[1] for one in changes], np.uint8)
    started = np.maximum.accumulate(np.where(change == OPENED, row, 0))
    severity = np.array([one[2] for one in changes], np.uint8)
    return Told(row, row, started, change, severity, np.full(len(row), 1e-6))


def test_points_are_flagged_while_an_episode_is_open() -> None:
    told = said((3, OPENED, INFO), (6, CLOSED, INFO), (8, OPENED, INFO))

    flagged = operations.flagged_while_open(10, told, INFO)

    assert np.flatnonzero(flagged).tolist() == [3, 4, 5, 8, 9]


def test_an_episode_counts_as_evidence_from_where_it_is() -> None:
    told = said((3, OPENED, INFO), (5, WORSENED, EVIDENCE), (7, CLOSED, INFO), (9, OPENED, INFO))

    flagged = operations.flagged_while_open(12, told, EVIDENCE)

    assert np.flatnonzero(flagged).tolist() == [5, 6]


def test_the_reference_flags_what_is_three_deviations_off_its_average() -> None:
    values = np.tile([9.0, 11.0], 100)
    values[150], values[160] = 14.0, np.nan
    flagged: Mask = np.zeros(200, np.bool_)

    strays(values, 3.0, flagged)

    assert np.flatnonzero(flagged).tolist() == [150]
