"""What verdicts change: how much, of what, and that it is undone when they are withdrawn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper.analyze.feedback import DAY_NS, HOLDS_NS, WEEK_NS, effect, expected, shift
from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.ruling import Verdict, Word

HOUR_NS = DAY_NS // 24


def said(*words: Word) -> list[Verdict]:
    """On as many anomalies of one series."""
    return [make.verdict(word, anomaly=AnomalyId(str(n))) for n, word in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ([], 0.0),
        ([Word.NOT_USEFUL], -0.5),
        ([Word.NOT_USEFUL] * 4, -2.0),
        ([Word.NOT_USEFUL] * 9, -2.0),
        ([Word.REAL], 0.25),
        ([Word.REAL] * 9, 1.0),
        ([Word.REAL, Word.NOT_USEFUL], -0.25),
        ([Word.EXPECTED], 0.0),
        ([Word.WITHDRAWN], 0.0),
    ],
)
def test_verdicts_turn_the_dial_within_bounds(words: list[Word], want: float) -> None:
    assert shift(said(*words)) == want


@given(st.lists(st.sampled_from(list(Word)), max_size=20), st.randoms())
def test_the_order_of_verdicts_makes_no_difference(words: list[Word], chance: object) -> None:
    verdicts = said(*words)
    mixed = list(verdicts)
    chance.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis' random

    assert shift(mixed) == shift(verdicts)


@given(st.lists(st.sampled_from(list(Word)), max_size=12), st.sampled_from(list(Word)))
def test_a_verdict_that_is_withdrawn_leaves_what_there_was(words: list[Word], word: Word) -> None:
    verdicts = said(*words)
    one = make.verdict(word, anomaly=AnomalyId("another"))
    with_it = effect(one, [*verdicts, one])

    assert with_it.before == shift(verdicts)
    assert with_it.after == shift([*verdicts, one])


def began(verdict: Verdict, later_ns: int) -> str:
    return expected([verdict], "fk", verdict.started_ns + later_ns)


@pytest.mark.parametrize(
    ("later_ns", "want"),
    [
        (WEEK_NS, "every week"),
        (WEEK_NS + HOUR_NS, "every week"),
        (WEEK_NS - HOUR_NS, "every week"),
        (WEEK_NS + HOUR_NS + 1, ""),
        (5 * WEEK_NS, "every week"),
        (DAY_NS, ""),
        (0, ""),
        (-WEEK_NS, ""),
        (HOLDS_NS, "every week"),
        (HOLDS_NS + HOUR_NS, ""),
    ],
)
def test_what_was_expected_once_is_expected_at_that_time_of_the_week(
    later_ns: int, want: str
) -> None:
    assert began(make.verdict(Word.EXPECTED), later_ns) == want


def test_what_was_expected_on_two_days_is_expected_every_day() -> None:
    first = make.verdict(Word.EXPECTED)
    second = make.verdict(
        Word.EXPECTED, anomaly=AnomalyId("b"), started_ns=first.started_ns + DAY_NS
    )

    assert expected([first, second], "fk", first.started_ns + 3 * DAY_NS) == "every day"
    assert expected([first, second], "fk", first.started_ns + 3 * DAY_NS + 2 * HOUR_NS) == ""


def test_what_another_detector_finds_is_not_expected() -> None:
    verdict = make.verdict(Word.EXPECTED)

    assert expected([verdict], "rex", verdict.started_ns + WEEK_NS) == ""


def test_a_verdict_beyond_the_bound_changes_nothing_and_says_so() -> None:
    verdicts = said(*[Word.NOT_USEFUL] * 5)

    found = effect(verdicts[0], verdicts)

    assert (found.before, found.after) == (-2.0, -2.0)
    assert found.expects == ""
