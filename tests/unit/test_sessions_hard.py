"""Sessions in bounded memory: shares, restarts, joined templates, and what was never learned."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.log_open_sessions import OpenSessions
from watchkeeper.analyze.log_session_watch import SessionState, SessionWatch, beyond
from watchkeeper.analyze.log_sessions import SETTLED, SessionRule, Strange
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.template import OTHER

IDLE_S = 60.0
CONFIG = LogWatchConfig(session_idle_s=IDLE_S)
TRACE = (0, 0)
Counts = dict[int, int]
COUNTS = st.dictionaries(st.integers(1, 5), st.integers(1, 6), min_size=1, max_size=4)


def at(seconds: float) -> int:
    return round((1_700_000_000 + seconds) * NS_PER_S)


def restarted(rule: SessionRule) -> SessionRule:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(rule), type=SessionRule)


def learned(*sessions: Mapping[int, int]) -> SessionRule:
    rule = SessionRule()
    for counts in sessions:
        rule.learn(counts)
    return rule


@settings(max_examples=25, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=8))
def test_what_was_learned_is_not_strange(sessions: list[Counts]) -> None:
    rule = learned(*sessions)

    assert [rule.judge(counts) for counts in sessions] == [[]] * len(sessions)


@settings(max_examples=25, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=8))
def test_the_order_of_sessions_changes_nothing(sessions: list[Counts]) -> None:
    one, other = learned(*sessions), learned(*sessions[::-1])

    assert (one.most, one.always, one.n) == (other.most, other.always, other.n)


@settings(max_examples=25, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=6), COUNTS, st.integers(0, 6))
def test_a_restart_at_any_session_judges_alike(
    sessions: list[Counts], asked: Counts, cut: int
) -> None:
    one = learned(*sessions)

    twin = restarted(learned(*sessions[:cut]))
    for counts in sessions[cut:]:
        twin.learn(counts)

    assert twin.judge(asked) == one.judge(asked)
    assert msgspec.msgpack.encode(twin) == msgspec.msgpack.encode(one)


@pytest.mark.parametrize(
    ("asked", "strange"),
    [
        ({1: 2, 2: 1}, []),
        ({1: 3, 2: 1}, [Strange(1, 3, 1, 2)]),
        ({2: 1}, [Strange(1, 0, 1, 2)]),
        ({1: 1}, []),
        ({1: 1, 9: 1}, [Strange(9, 1, 0, 0)]),
        ({}, [Strange(1, 0, 1, 2)]),
        ({1: 1, 2: 5}, [Strange(2, 5, 0, 2)]),
    ],
)
def test_what_lies_outside_of_the_ranges_is_strange(asked: Counts, strange: list[Strange]) -> None:
    rule = learned({1: 1, 2: 2}, {1: 2})

    assert rule.judge(asked) == strange


@pytest.mark.parametrize(("hours", "is_normal"), [(SETTLED - 1, False), (SETTLED, True)])
def test_what_comes_in_many_hours_becomes_normal(hours: int, is_normal: bool) -> None:
    rule = learned({1: 1})

    for hour in range(hours):
        for _ in range(3):
            rule.meet(rule.judge({1: 4}), hour)

    assert (rule.judge({1: 4}) == []) == is_normal
    assert (1 in rule.pending) == (not is_normal)


def test_what_is_pending_is_bounded() -> None:
    rule = learned({1: 1})

    rule.meet([Strange(template, 1, 0, 0) for template in range(5_000)], 0)

    assert len(rule.pending) == 1_000


def test_what_is_known_is_bounded_and_what_is_beyond_is_not_strange() -> None:
    rule = learned({1: 1})
    for first in range(0, 6_000, 100):
        rule.learn({1: 1} | {first + n: 1 for n in range(100, 200)})

    assert len(rule.most) == 4_000
    assert rule.judge({1: 1, 999_999: 3}) == []
    assert rule.judge({1: 2}) == [Strange(1, 2, 1, 1)]


def test_joined_templates_are_one_in_what_every_session_has() -> None:
    rule = learned({1: 1, 2: 2, 3: 1}, {1: 1, 2: 2})

    rule.rename({2: 1, 7: 1})

    assert rule.judge({1: 3}) == []
    assert rule.judge({1: 2}) == [Strange(1, 2, 3, 3)]
    assert rule.judge({1: 4}) == [Strange(1, 4, 3, 3)]


def test_what_was_pending_of_joined_templates_begins_anew() -> None:
    rule = learned({1: 1})
    rule.meet([Strange(8, 1, 0, 0), Strange(9, 1, 0, 0)], 0)

    rule.rename({8: 1})

    assert set(rule.pending) == {9}


def test_names_of_strangers_change_nothing() -> None:
    rule = learned({1: 1, 2: 2})
    before = msgspec.msgpack.encode(rule)

    rule.rename({50: 60})

    assert msgspec.msgpack.encode(rule) == before


# Those that have not ended.


def run(key: int, fingerprint: int = 1, n: int = 1) -> tuple[int, int, int, tuple[int, int]]:
    return key, fingerprint, n, TRACE


@pytest.mark.parametrize(
    ("spoken_s", "asked_s", "is_over"),
    [
        ([0], 59.0, False),
        ([0], 60.0, True),
        ([0, 30], 89.0, False),
        ([0, 30], 90.0, True),
        (list(range(0, 1_830, 30)), 1_799.0, False),
        (list(range(0, 1_800, 30)), 1_800.0, True),
    ],
)
def test_a_session_is_over_when_idle_or_too_long(
    spoken_s: list[float], asked_s: float, is_over: bool
) -> None:
    sessions = OpenSessions()
    for seconds in spoken_s:
        sessions.take([run(8)], at(seconds), 10)

    ended = sessions.ended(at(asked_s), CONFIG)

    assert bool(ended) == is_over
    assert bool(sessions.open) != is_over


@settings(max_examples=30, deadline=None)
@given(
    keys=st.lists(st.integers(0, 255), min_size=1, max_size=60),
    limit=st.integers(1, 10),
)
def test_memory_is_bounded_and_a_session_is_kept_whole(keys: list[int], limit: int) -> None:
    sessions = OpenSessions()

    sessions.take([run(key) for key in keys], at(0), limit)
    sessions.take([run(key) for key in keys], at(1), limit)

    assert len(sessions.open) <= limit
    for key, one in sessions.open.items():
        assert key & sessions.mask == 0
        assert one.counts == {1: 2 * keys.count(key)}


def test_the_share_grows_again_when_all_are_over() -> None:
    sessions = OpenSessions()
    sessions.take([run(key) for key in range(64)], at(0), 4)
    assert sessions.mask > 0

    sessions.ended(at(IDLE_S), CONFIG)

    assert (sessions.mask, sessions.open) == (0, {})


def test_patterns_beyond_a_hundred_are_others() -> None:
    sessions = OpenSessions()

    sessions.take([run(8, fingerprint) for fingerprint in range(10, 160)], at(0), 4)

    counts = sessions.open[8].counts
    assert len(counts) == 101
    assert counts[OTHER] == 50


@pytest.mark.parametrize("cut", range(0, 9, 2))
def test_a_restart_between_lines_of_a_session_loses_none(cut: int) -> None:
    runs = [run(8 * (n % 3), n % 4) for n in range(9)]
    one, other = OpenSessions(), OpenSessions()
    one.take(runs, at(0), 4)

    other.take(runs[:cut], at(0), 4)
    other = msgspec.msgpack.decode(msgspec.msgpack.encode(other), type=OpenSessions)
    other.take(runs[cut:], at(0), 4)

    assert msgspec.msgpack.encode(other) == msgspec.msgpack.encode(one)


def test_states_share_nothing() -> None:
    """Each has sessions and ranges of its own, whatever the defaults are."""
    one, other = SessionState(), SessionState()

    one.open.take([run(8)], at(0), 4)
    one.rule.learn({1: 1})
    one.rule.meet([Strange(5, 1, 0, 0)], 0)

    assert (other.open.open, other.rule.most, other.rule.pending) == ({}, {}, {})


def test_a_watch_with_other_settings_goes_by_them() -> None:
    watch = SessionWatch(CONFIG)
    watch.configure(LogWatchConfig(session_idle_s=IDLE_S, open_sessions=16))

    watch.take([run(key) for key in range(500)], at(0))

    assert len(watch.dump().open.open) <= 16


@given(n=st.integers(0, 10_000), part=st.floats(0.0, 1.0), share=st.floats(1e-9, 0.999_999))
def test_the_bound_is_a_probability(n: int, part: float, share: float) -> None:
    n_strange = round(n * part)

    p_value = beyond(n_strange, n, share)

    assert 0.0 < p_value <= 1.0
    assert beyond(n, n, share) <= p_value * (1.0 + 1e-9)
    assert beyond(0, n, share) == 1.0
