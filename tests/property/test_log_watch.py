"""Watching lines: however they are cut into batches, and wherever it was restarted, it says the
same."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.line_watching import ERROR, INFO, MINUTE, Watched, lines_of
from tests.templating import LINES
from watchkeeper.analyze.log_sessions import SessionRule

COUNTS = st.dictionaries(st.integers(1, 6), st.integers(1, 5), min_size=1)
MINUTES = st.lists(st.lists(LINES, max_size=8), min_size=1, max_size=6)


def told(watched: Watched, minutes: Sequence[Sequence[str]], size: int) -> list[object]:
    """What is said of these lines, in batches of no more than so many."""
    said: list[object] = []
    for number, lines in enumerate(minutes):
        severity = ERROR if number % 2 else INFO
        for begin in range(0, len(lines), size):
            part = lines[begin : begin + size]
            traces = range(begin + 1, begin + 1 + len(part))
            watched.take(lines_of(part, watched.now_ns + begin, severity, traces=traces))
        said += watched.minutes(1)
    return said + list(watched.minutes(2))


@given(MINUTES, st.integers(1, 5))
@settings(max_examples=8, deadline=None)
def test_what_is_said_does_not_hang_on_batches(minutes: list[list[str]], size: int) -> None:
    whole, parts = Watched(learning_s=0.0), Watched(learning_s=0.0)

    assert told(whole, minutes, 8) == told(parts, minutes, size)
    assert whole.watch.dump(3) == parts.watch.dump(3)


@given(MINUTES, MINUTES)
@settings(max_examples=8, deadline=None)
def test_what_is_said_does_not_hang_on_restarts(
    before: list[list[str]], after: list[list[str]]
) -> None:
    one, other = Watched(learning_s=0.0), Watched(learning_s=0.0)
    told(one, before, 8)
    other.templates.load(3, one.templates.dump(3))
    other.watch.load(3, one.watch.dump(3))
    other.now_ns = one.now_ns

    assert told(one, after, 8) == told(other, after, 8)
    assert one.watch.dump(3) == other.watch.dump(3)


@given(st.lists(COUNTS, min_size=1, max_size=20))
def test_no_session_that_was_learned_is_strange(sessions: list[dict[int, int]]) -> None:
    rule = SessionRule()
    for one in sessions:
        rule.learn(one)

    assert [rule.judge(one) for one in sessions] == [[]] * len(sessions)


@given(st.lists(COUNTS, min_size=1, max_size=12), COUNTS)
def test_a_session_is_strange_where_a_count_is_outside_of_all_that_were_learned(
    sessions: list[dict[int, int]], one: dict[int, int]
) -> None:
    rule = SessionRule()
    for learned in sessions:
        rule.learn(learned)

    strange = {found.template for found in rule.judge(one)}

    def count(of: dict[int, int], template: int) -> int:
        return of.get(template, 0)

    every = {template for learned in [*sessions, one] for template in learned}
    assert strange == {
        template
        for template in every
        if not min(count(s, template) for s in sessions)
        <= count(one, template)
        <= max(count(s, template) for s in sessions)
    }


def test_ticks_that_come_again_say_nothing_again() -> None:
    watched = Watched(learning_s=0.0)
    watched.take(lines_of(["begin"], watched.now_ns))
    watched.minutes(2)
    watched.take(lines_of(["something new"], watched.now_ns))
    first = watched.minutes(2)

    watched.now_ns -= MINUTE
    again = watched.minutes(1)

    assert (len(first), again) == (1, [])
