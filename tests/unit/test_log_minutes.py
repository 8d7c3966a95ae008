"""Which minute a line is counted in, and what of a minute is kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.line_watching import BEGAN, ERROR, FATAL, INFO, MINUTE, WARN, Story
from watchkeeper.analyze.log_episodes import Episodes
from watchkeeper.analyze.log_rates import LogRates
from watchkeeper.analyze.log_service import ERRORS, ServiceLog
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.model.series import DEFAULT_TENANT, Entity
from watchkeeper.model.template import OTHER

NOW = BEGAN // MINUTE
FEW = settings(max_examples=20, deadline=None)


def service(**config: Any) -> ServiceLog:
    """Of which the first tick has come, at the begin of a minute."""
    return Story(**config).service


def minutes(of: ServiceLog) -> dict[int, dict[int, tuple[int, int]]]:
    """From now on, by fingerprint: lines and the gravest."""
    return {at // MINUTE - NOW: counts for at, counts in of.dump().minutes.items()}


@pytest.mark.parametrize(
    ("ahead", "counted_in"),
    [
        pytest.param(0, 0, id="of now"),
        pytest.param(1, 0, id="of the next minute"),
        pytest.param(10**6, 0, id="of next year"),
        pytest.param(-1, None, id="of one that was judged"),
        pytest.param(-NOW, None, id="without a time"),
    ],
)
def test_a_line_is_counted_in_its_minute_and_none_is_to_come(
    ahead: int, counted_in: int | None
) -> None:
    one = service()

    one.count(7, INFO, NOW + ahead, 2)

    assert minutes(one) == ({} if counted_in is None else {counted_in: {7: (2, INFO)}})


def test_before_the_first_tick_no_line_has_an_age() -> None:
    episodes = Episodes(DEFAULT_TENANT, Entity("shop"), hours_per_week=1)
    fresh = ServiceLog(LogWatchConfig(), LogRates(64), episodes, "shop")

    fresh.count(7, INFO, NOW, 1)
    fresh.count_errors(NOW, 1)

    assert fresh.dump().minutes == {}
    assert fresh.now_ns == 0


@FEW
@given(
    st.lists(
        st.tuples(
            st.sampled_from([7, 8]),
            st.sampled_from([INFO, WARN, ERROR, FATAL]),
            st.integers(1, 5),
        ),
        min_size=1,
        max_size=10,
    )
)
def test_lines_add_up_and_the_gravest_counts(lines: list[tuple[int, int, int]]) -> None:
    one = service()

    for fingerprint, severity, n_lines in lines:
        one.count(fingerprint, severity, NOW, n_lines)

    assert minutes(one)[0] == {
        fingerprint: (
            sum(n for which, _, n in lines if which == fingerprint),
            max(severity for which, severity, _ in lines if which == fingerprint),
        )
        for fingerprint in {which for which, _, _ in lines}
    }


def test_errors_are_counted_beside_their_lines() -> None:
    one = service()

    one.count(7, ERROR, NOW, 3)
    one.count_errors(NOW, 3)
    one.count_errors(NOW, 2)
    one.count_errors(NOW - 1, 9)

    assert minutes(one) == {0: {7: (3, ERROR), ERRORS: (5, 0)}}


@pytest.mark.parametrize(("templates", "room"), [(1, 4), (2, 8)])
def test_of_one_minute_so_many_patterns_are_told_apart(templates: int, room: int) -> None:
    one = service(templates_per_service=templates)

    for fingerprint in range(1, room + 4):
        one.count(fingerprint, INFO, NOW, 1)
    one.count(1, WARN, NOW, 1)
    one.count(room + 3, FATAL, NOW, 1)

    counts = minutes(one)[0]
    assert len(counts) == room + 1
    assert counts[1] == (2, WARN)
    assert counts[OTHER] == (4, FATAL)


def test_minutes_have_room_each_for_itself() -> None:
    story = Story(templates_per_service=1)
    for fingerprint in range(1, 6):
        story.service.count(fingerprint, INFO, NOW, 1)
    story.now_ns += MINUTE
    story.tick()

    story.service.count(9, INFO, NOW + 1, 1)

    assert minutes(story.service)[1] == {9: (1, INFO)}


@pytest.mark.parametrize(
    ("after_s", "is_kept"),
    [
        pytest.param(89, True, id="while its lines may come"),
        pytest.param(90, False, id="when they had time to"),
        pytest.param(120, False, id="as long as a pause may be"),
    ],
)
def test_a_minute_is_judged_when_its_lines_had_time_to_come(after_s: int, is_kept: bool) -> None:
    story = Story()
    story.lines("all is well", 3)
    before = minutes(story.service)

    story.service.tick(BEGAN + after_s * MINUTE // 60, story.groups, is_compared=True)

    assert len(before) == 1
    assert bool(minutes(story.service)) is is_kept


def test_a_minute_waits_until_templates_were_compared() -> None:
    story = Story()
    story.lines("all is well", 3)

    story.service.tick(BEGAN + 110 * MINUTE // 60, story.groups, is_compared=False)
    waiting = minutes(story.service)
    story.service.tick(BEGAN + 115 * MINUTE // 60, story.groups, is_compared=True)

    assert list(waiting) == [0]
    assert minutes(story.service) == {}


@pytest.mark.parametrize(("pause_s", "is_known"), [(120, True), (121, False), (86_400, False)])
def test_what_came_before_a_pause_of_the_process_is_not_judged(
    pause_s: int, is_known: bool
) -> None:
    story = Story()
    story.lines("all is well", 3)

    story.service.tick(BEGAN + pause_s * MINUTE // 60, story.groups, is_compared=True)

    known = [template for template in story.service.dump().known if template > OTHER]
    assert bool(known) is is_known
    assert minutes(story.service) == {}


@FEW
@given(st.lists(st.tuples(st.integers(-2, 3), st.integers(1, 9)), max_size=10))
def test_a_restart_keeps_the_minutes_that_are_not_over(lines: list[tuple[int, int]]) -> None:
    story = Story()
    for ahead, fingerprint in lines:
        story.service.count(fingerprint, INFO, NOW + ahead, 1)

    other = story.restarted()

    assert minutes(other.service) == minutes(story.service)
    assert other.service.now_ns == story.service.now_ns
