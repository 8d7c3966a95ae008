"""What moves the episode of a symptom on: evidence, then a page, then only what is far worse."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.analyze.watchers.service_rows import FOUND, SILENCE, SYMPTOM, Settings, State
from watchkeeper.analyze.watchers.shares_kernel import slow_bound
from watchkeeper.analyze.watchers.symptom_episode_kernel import (
    ERRORS,
    OPENED,
    WORSENED,
    _move,
    turn_half_hour,
)
from watchkeeper.analyze.watchers.symptoms_kernel import tick

SECOND = 1_000_000_000
HALF_HOUR_BINS, DAY_BINS = 180, 8_640
SETTINGS = Settings(5.0, 7.0, 0, 0, 0, 20.0, 2.0, 0.0, 1.2, 0.0, 0.4, 1.0, 0.95)
"""Evidence from a score of 5 on, a page from 7 on."""


def moved(*scores: float) -> list[int]:
    """The change that each score makes, ten seconds after the other."""
    symptom = np.zeros(1, SYMPTOM)
    return [
        _move(symptom[0], score, False, True, (at + 1) * 10_000_000_000, SETTINGS)
        for at, score in enumerate(scores)
    ]


@pytest.mark.parametrize(("learning_s", "is_calibrated"), [(3_600, 1), (7_200, 0)])
def test_an_open_silence_says_whether_enough_was_learned(
    learning_s: int, is_calibrated: int
) -> None:
    """As every open symptom does."""
    state, found = State.room(1), np.zeros(512, FOUND)
    service = state.service[0]
    service["first_ns"], service["arrived_ns"] = SECOND, 5_000 * SECOND
    service["is_live"], service["n_arrivals"], service["gap_s"] = 1, 100, 10.0
    settings = SETTINGS._replace(learning_ns=learning_s * SECOND)
    judged = np.zeros(1, np.int64)

    _, n_found = tick(
        5_100 * SECOND, np.zeros(64, np.int64), state, settings, judged, 0, found
    )  # fmt: skip

    symptom = state.symptom[0, SILENCE]
    assert (n_found, symptom["is_open"]) == (1, 1)
    assert symptom["is_calibrated"] == found["is_calibrated"][0] == is_calibrated


def test_evidence_is_told_again_when_it_passes_the_limit_of_pages() -> None:
    assert moved(6.5, 7.1) == [OPENED, WORSENED]


def test_evidence_that_grows_a_little_is_not_told_again() -> None:
    assert moved(5.1, 6.9) == [OPENED, 0]


def test_a_page_is_told_again_only_when_it_is_far_worse() -> None:
    assert moved(7.1, 8.5, 9.2, 11.0) == [OPENED, 0, WORSENED, 0]


@pytest.mark.parametrize(("was_known", "change"), [(True, 0), (False, OPENED)])
def test_what_was_told_before_enough_was_known_keeps_nothing_quiet(
    was_known: bool, change: int
) -> None:
    symptom = np.zeros(1, SYMPTOM)
    settings = SETTINGS._replace(rearm_ns=3_600 * SECOND)
    for at, score in enumerate([60.0] + 6 * [0.0]):
        _move(symptom[0], score, False, was_known, (at + 1) * 10 * SECOND, settings)
    symptom["is_calibrated"] = was_known

    changed = _move(symptom[0], 30.0, False, True, 1_200 * SECOND, settings)

    assert changed == change


def test_what_goes_on_in_its_quiet_time_is_told_when_that_is_over() -> None:
    """An equally strong one does not begin the quiet time again."""
    symptom = np.zeros(1, SYMPTOM)
    settings = SETTINGS._replace(rearm_ns=600 * SECOND)
    for at, score in enumerate([60.0] + 6 * [0.0]):
        _move(symptom[0], score, False, True, (at + 1) * 10 * SECOND, settings)
    symptom["is_calibrated"] = 1

    changes = [
        _move(symptom[0], 30.0, False, True, (100 + at * 10) * SECOND, settings) for at in range(60)
    ]

    assert changes.index(OPENED) == 57
    assert symptom["started_ns"][0] - 70 * SECOND == settings.rearm_ns - 10 * SECOND


def half_hours(state: State, *, days: int, peak: float) -> list[float]:
    """What is known of the half hour in which that peak comes, as it begins each day."""
    known = []
    for one in range(0, days * DAY_BINS, HALF_HOUR_BINS):
        turn_half_hour(state, 0, one)
        if one % DAY_BINS == 7 * HALF_HOUR_BINS:
            known.append(float(state.known[0, ERRORS, 7]))
            state.symptom[0, ERRORS]["half_hour_peak"] = peak
    return known


def test_what_happens_today_is_a_habit_tomorrow_and_not_today() -> None:
    state = State.room(1)

    known = half_hours(state, days=1, peak=20.0)

    assert (known, float(state.known.max())) == ([0.0], 0.0)
    assert half_hours(State.room(1), days=4, peak=20.0) == pytest.approx([0.0, 6.0, 10.2, 13.14])


def test_latency_is_not_judged_before_anybody_can_know_what_is_usual() -> None:
    bounds = np.array([np.inf, 0.1, 0.2])

    told = [slow_bound(bounds, np.array([n, 0.9 * n, n]), 3) for n in (0.0, 49.0, 50.0)]

    assert told == [0, 0, 1]
