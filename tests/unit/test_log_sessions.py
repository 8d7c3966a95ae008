"""Sessions of lines: what is strange of one, what becomes normal, and how many are kept open."""

from __future__ import annotations

import pytest

from watchkeeper.analyze.log_open_sessions import OpenSessions
from watchkeeper.analyze.log_session_watch import beyond
from watchkeeper.analyze.log_sessions import SETTLED, SessionRule, Strange
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.model.template import OTHER

MINUTE = 60 * 10**9


def rule(*sessions: dict[int, int]) -> SessionRule:
    made = SessionRule()
    for one in sessions:
        made.learn(one)
    return made


def test_nothing_is_strange_before_anything_was_learned() -> None:
    assert SessionRule().judge({1: 100}) == []


@pytest.mark.parametrize(
    ("counts", "strange"),
    [
        ({1: 1, 2: 3}, []),
        ({1: 1}, []),
        ({1: 2, 2: 1}, [Strange(1, 2, 1, 1)]),
        ({1: 1, 2: 4}, [Strange(2, 4, 0, 3)]),
        ({2: 1}, [Strange(1, 0, 1, 1)]),
        ({1: 1, 7: 1}, [Strange(7, 1, 0, 0)]),
    ],
)
def test_counts_outside_of_what_was_learned_and_new_templates_are_strange(
    counts: dict[int, int], strange: list[Strange]
) -> None:
    known = rule({1: 1, 2: 3}, {1: 1})

    assert known.judge(counts) == strange


def test_a_strange_count_becomes_normal_when_it_came_in_many_different_hours() -> None:
    known, strange = rule({1: 1}), {1: 1, 2: 5}

    for hour in range(SETTLED - 1):
        for _ in range(10):
            known.meet(known.judge(strange), hour)
    before = known.judge(strange)
    known.meet(known.judge(strange), SETTLED)

    assert before == [Strange(2, 5, 0, 0)]
    assert known.judge(strange) == []


def test_a_template_that_is_missing_hour_by_hour_may_be_missing() -> None:
    known = rule({1: 2, 2: 1})

    for hour in range(SETTLED):
        known.meet(known.judge({2: 1}), hour)

    assert known.judge({2: 1}) == []
    assert known.judge({1: 3, 2: 1}) == [Strange(1, 3, 0, 2)]


def test_joined_templates_may_have_the_lines_of_all_that_were_joined() -> None:
    known = rule({1: 2, 2: 3, 4: 1})

    known.rename({1: 9, 2: 9})

    assert known.judge({9: 5, 4: 1}) == []
    assert known.judge({9: 6, 4: 1}) == [Strange(9, 6, 5, 5)]


def test_a_session_ends_when_it_was_silent_for_long_enough() -> None:
    sessions, config = OpenSessions(), LogWatchConfig(session_idle_s=60.0)
    sessions.take([(5, 70, 2, (0, 5)), (6, 71, 1, (0, 6))], 1, 10)
    sessions.take([(5, 70, 1, (0, 5))], MINUTE, 10)

    first = sessions.ended(MINUTE + 1, config)
    second = sessions.ended(2 * MINUTE, config)

    assert [one.counts for one in first] == [{71: 1}]
    assert [one.counts for one in second] == [{70: 3}]


def test_of_more_sessions_than_there_is_room_for_a_share_is_kept_whole() -> None:
    sessions, config = OpenSessions(), LogWatchConfig()
    keys = range(1, 1001)

    for fingerprint in (70, 71):
        sessions.take([(key, fingerprint, 1, (0, key)) for key in keys], 1, 100)
    n_open = len(sessions.open)
    ended = sessions.ended(10 * MINUTE, config)

    assert 30 <= n_open <= 100
    assert all(one.counts == {70: 1, 71: 1} for one in ended)
    assert sessions.mask == 0


def test_a_session_of_many_patterns_keeps_a_hundred() -> None:
    sessions = OpenSessions()

    sessions.take([(1, 70 + number, 1, (0, 1)) for number in range(500)], 1, 10)

    (one,) = sessions.open.values()
    assert len(one.counts) == 101
    assert one.counts[OTHER] == 400


@pytest.mark.parametrize(
    ("n_strange", "n", "share", "least", "most"),
    [
        (0, 100, 0.01, 1.0, 1.0),
        (1, 100, 0.01, 1.0, 1.0),
        (0, 0, 0.5, 1.0, 1.0),
        (10, 100, 0.01, 1e-8, 1e-5),
        (100, 100, 0.01, 1e-200, 1e-199),
    ],
)
def test_the_bound_of_a_share_is_near_the_probability_and_not_below_it(
    n_strange: int, n: int, share: float, least: float, most: float
) -> None:
    assert least * 0.999 <= beyond(n_strange, n, share) <= most * 1.001
