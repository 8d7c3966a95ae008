"""When a run of strange points is told, and when it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.make import NS_PER_S, START_NS
from watchkeeper.analyze.detectors import episode_kernel as episode
from watchkeeper.analyze.detectors import episodes
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED

HOUR_S = 3_600
DAY_S = 86_400
LIMIT = -4.0
NOTHING = 0


class OneSeries:
    """The episodes of one series, told by points of a given depth (log10 p)."""

    def __init__(
        self, n_remembered: int = 6, too_many: int = episode.MUTED, weekly: int = episode.SHOWN
    ) -> None:
        self._rows = np.zeros(1, np.dtype(episodes.fields(n_remembered)))
        self._too_many = too_many
        self._weekly = weekly

    @property
    def row(self) -> Any:
        return self._rows[0]

    def at(self, after_s: float, log_p: float) -> int:
        limits = (LIMIT, 5, HOUR_S * NS_PER_S, self._too_many, self._weekly)
        return int(episode.follow(self.row, START_NS + int(after_s * NS_PER_S), log_p, limits))

    def episode(self, after_s: float, log_p: float = -6.0) -> bool:
        """One strange point and five calm ones; whether anybody heard of it."""
        told = self.at(after_s, log_p)
        last = [self.at(after_s + 60 * i, 0.0) for i in range(1, 6)][-1]
        assert (told, last) in {(OPENED, CLOSED), (NOTHING, NOTHING)}
        return told == OPENED


def test_a_point_above_the_limit_is_nothing() -> None:
    assert OneSeries().at(0, -3.9) == NOTHING
    assert OneSeries().at(0, LIMIT) == NOTHING


def test_an_episode_closes_after_five_calm_points() -> None:
    series = OneSeries()

    told = [series.at(60 * i, p) for i, p in enumerate([-5, 0, 0, 0, 0, 0, 0])]

    assert told == [OPENED, NOTHING, NOTHING, NOTHING, NOTHING, CLOSED, NOTHING]


def test_a_point_that_is_nearly_strange_keeps_an_episode_open() -> None:
    series = OneSeries()

    told = [series.at(60 * i, p) for i, p in enumerate([-5, 0, 0, 0, 0, -3.5, 0, 0, 0, 0, 0])]

    assert told[-1] == CLOSED
    assert told.count(CLOSED) == 1


def test_an_episode_worsens_with_each_clearly_deeper_peak_only() -> None:
    series = OneSeries()

    told = [series.at(60 * i, p) for i, p in enumerate([-5, -5.2, -5.4, -4.5, -9, -9.1])]

    assert told == [OPENED, NOTHING, WORSENED, NOTHING, WORSENED, NOTHING]
    assert series.row["peak"] == -9


def test_an_episode_cannot_worsen_without_end() -> None:
    series = OneSeries()

    told = [series.at(i, max(-4.0 - 0.01 * i, episode.LOWEST)) for i in range(1, 10_000)]

    assert told.count(WORSENED) <= (-LIMIT - episode.LOWEST) / episode.DEEPER


def test_a_series_that_flaps_is_one_episode_until_it_was_quiet_for_an_hour() -> None:
    series = OneSeries()

    first = series.episode(0)
    again = [series.episode(20 * 60 * i) for i in range(1, 12)]
    later = series.episode(11 * 20 * 60 + HOUR_S + 60)

    assert (first, later) == (True, True)
    assert not any(again)


def test_within_the_hour_only_what_is_ten_times_stranger_is_told() -> None:
    series = OneSeries()
    series.episode(0, -5.0)

    assert not series.episode(600, -5.9)
    assert series.episode(1_200, -6.1)


def test_what_recurs_daily_is_known_from_the_third_time_on() -> None:
    series = OneSeries()

    told = [series.episode(day * DAY_S + 120 * day) for day in range(30)]

    assert told == [True, True] + [False] * 28


def test_what_recurs_daily_is_news_when_it_is_ten_times_stranger() -> None:
    series = OneSeries()
    for day in range(5):
        series.episode(day * DAY_S)

    assert not series.episode(5 * DAY_S, -6.8)
    assert series.episode(6 * DAY_S, -8.0)


def test_what_happens_at_other_times_of_day_is_news() -> None:
    series = OneSeries()

    assert all(series.episode(day * DAY_S + day * 3 * HOUR_S) for day in range(6))


def test_a_recurring_episode_is_forgotten_a_week_after_it_stopped() -> None:
    series = OneSeries()
    for day in range(5):
        series.episode(day * DAY_S)

    assert series.episode(13 * DAY_S)


@pytest.mark.parametrize("weekly", [episode.MUTED, episode.NOISY, episode.SHOWN])
def test_what_recurs_weekly_is_what_the_detector_makes_of_it(weekly: int) -> None:
    series = OneSeries(weekly=weekly)
    series.episode(0)
    series.episode(7 * DAY_S)

    told = series.at(14 * DAY_S, -6.0)

    assert series.row["phase"] == weekly
    assert told == (NOTHING if weekly == episode.MUTED else OPENED)


def test_what_came_once_at_this_time_of_the_week_is_still_news() -> None:
    series = OneSeries(weekly=episode.MUTED)
    series.episode(0)

    assert series.episode(7 * DAY_S)
    assert series.episode(14 * DAY_S + HOUR_S), "an hour later, it is another"
    assert not series.episode(21 * DAY_S)
    assert series.episode(28 * DAY_S, -6.4), "stranger than those"


def test_a_muted_episode_that_gets_ten_times_stranger_is_told_from_its_start() -> None:
    series = OneSeries()
    for day in range(3):
        series.episode(day * DAY_S)
    start_s = 3 * DAY_S

    muted = series.at(start_s, -6.0)
    began_ns = episode.began_ns(series.row, START_NS + (start_s + 60) * NS_PER_S)
    told = series.at(start_s + 60, -9.0)

    assert (muted, told) == (NOTHING, OPENED)
    assert began_ns == START_NS + start_s * NS_PER_S


def irregular(n: int) -> list[int]:
    """Times two to three hours apart, never twice at the same time of day in a week."""
    return [round(i * 2.37 * HOUR_S) for i in range(n)]


def test_a_week_full_of_episodes_lets_pass_only_what_beats_the_third_of_them() -> None:
    series = OneSeries(n_remembered=6)
    heard = [series.episode(s, -6.0) for s in irregular(40)]

    assert heard[:6] == [True] * 6
    assert not any(heard[6:])
    assert series.episode(irregular(42)[-1], -6.5), "none of the six was as strange"


def test_a_series_that_speaks_too_often_may_go_on_as_noise() -> None:
    series = OneSeries(n_remembered=6, too_many=episode.NOISY)
    for s in irregular(6):
        series.episode(s, -6.0)

    assert series.at(irregular(8)[-1], -6.0) == OPENED
    assert series.row["phase"] == episode.NOISY
    assert series.at(irregular(8)[-1] + 60, -8.0) == WORSENED
    assert series.row["phase"] == episode.SHOWN


def test_the_memory_of_a_noisy_week_fades_with_it() -> None:
    series = OneSeries()
    for s in irregular(30):
        series.episode(s, -6.0)

    assert series.episode(irregular(30)[-1] + 8 * DAY_S, -6.0)


@pytest.mark.parametrize(("interval_s", "n"), [(60, 5), (15, 5), (10, 6), (1, 60), (300, 5)])
def test_an_episode_ends_after_five_points_and_a_minute(interval_s: float, n: int) -> None:
    assert episode.calm_points(interval_s) == n


def test_a_band_ends_where_the_strangeness_reaches_the_limit() -> None:
    centres, scales = (10.0, 12.0), (1.0, 2.0)

    low, high = episode.band(centres, scales, 30.0, 25.0)

    assert low < 10.0 < 12.0 < high < 25.0
    for end in (low, high):
        assert episode.strangeness(centres, scales, end) == pytest.approx(30.0, rel=1e-9)


def test_a_silent_stream_has_no_say_in_the_band() -> None:
    low, high = episode.band((10.0, 500.0), (1.0, np.inf), 5.0, 30.0)

    assert (low, high) == (pytest.approx(6.0), pytest.approx(14.0))


def test_a_band_of_streams_that_contradict_each_other_is_a_point() -> None:
    low, high = episode.band((0.0, 1000.0), (1.0, 1.0), 50.0, 500.0)

    assert low == high
    assert low in {0.0, 1000.0}
