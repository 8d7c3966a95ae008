"""Which time is looked at, and which time before it says what is usual."""

from __future__ import annotations

import pytest

from tests import make
from watchkeeper.analyze.gathering.stretch import (
    AFTER_NS,
    BACK_NS,
    DAY_NS,
    LEAD_NS,
    LONGEST_NS,
    USUAL_NS,
    Stretch,
    look,
    window,
)

S = make.NS_PER_S
ONSET = make.START_NS
BEGIN = ONSET - LEAD_NS
"""Of what is looked at."""


def test_it_is_looked_from_a_little_before_the_onset_until_now() -> None:
    found = window(ONSET, ONSET + 90 * S)

    assert found == Stretch(ONSET - LEAD_NS, ONSET + 90 * S)


def test_a_trouble_of_hours_is_looked_at_in_its_first_minutes() -> None:
    found = window(ONSET, ONSET + 7200 * S)

    assert found.end_ns == ONSET + LONGEST_NS


def test_a_question_before_its_own_onset_still_has_a_stretch() -> None:
    found = window(ONSET, ONSET - 3600 * S)

    assert found.length_ns == 1


def test_usual_is_the_last_ten_minutes_where_nothing_was_the_matter() -> None:
    found = look(ONSET, ONSET + 60 * S, [])

    assert found.before == Stretch(BEGIN - USUAL_NS, BEGIN)
    assert found.is_healthy


def test_an_earlier_trouble_and_the_minute_behind_it_are_not_usual() -> None:
    trouble = (BEGIN - 400 * S, BEGIN - 100 * S)

    found = look(ONSET, ONSET + 60 * S, [trouble])

    assert found.before == Stretch(trouble[0] - USUAL_NS, trouble[0])


def test_between_troubles_without_ten_minutes_the_longest_piece_counts() -> None:
    troubles = [(BEGIN - n * S, BEGIN - (n - 200) * S) for n in range(700, 7400, 700)]

    found = look(ONSET, ONSET + 60 * S, [*troubles, (BEGIN - 10 * S, BEGIN)])

    assert found.before.length_ns < USUAL_NS
    assert found.before.length_ns == 700 * S - 200 * S - AFTER_NS
    assert found.is_healthy


def test_of_equal_pieces_the_later_one_counts() -> None:
    troubles = [(BEGIN - n * S, BEGIN - (n - 200) * S) for n in range(500, 7900, 500)]

    found = look(ONSET, ONSET + 60 * S, troubles)

    assert found.before.end_ns == BEGIN


def test_where_nothing_was_ever_well_the_day_before_has_to_do_and_is_not_called_healthy() -> None:
    found = look(ONSET, ONSET + 60 * S, [(0, 2**62)])

    assert found.before == Stretch(BEGIN - DAY_NS - USUAL_NS, BEGIN - DAY_NS)
    assert not found.is_healthy


def test_what_began_later_is_no_earlier_trouble() -> None:
    found = look(ONSET, ONSET + 60 * S, [(ONSET + S, 2**62)])

    assert found.before.end_ns == BEGIN


def test_it_is_not_looked_back_for_ever() -> None:
    old = (BEGIN - 2 * BACK_NS, BEGIN - BACK_NS - AFTER_NS)

    found = look(ONSET, ONSET + 60 * S, [old, (BEGIN - BACK_NS + 300 * S, BEGIN - 30 * S)])

    assert found.before == Stretch(BEGIN - BACK_NS, BEGIN - BACK_NS + 300 * S)


@pytest.mark.parametrize(("length", "n"), [(100, 4), (7, 3), (2, 5), (1, 1)])
def test_pieces_of_a_stretch_are_all_of_it_and_overlap_nowhere(length: int, n: int) -> None:
    pieces = Stretch(10, 10 + length).cut(n)

    assert [one for piece in pieces for one in range(piece.start_ns, piece.end_ns)] == [
        *range(10, 10 + length)
    ]
    assert len(pieces) <= n
