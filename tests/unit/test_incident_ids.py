"""Incidents keep their names by most of what they are made of."""

from __future__ import annotations

from watchkeeper.analyze.incident_ids import incident_id, most_of, number_of, rename
from watchkeeper.model.incident import ComplaintKey, IncidentId

ONE, TWO, TEN = (IncidentId(f"INC-1700000000-{n}") for n in (1, 2, 10))


def keys(text: str) -> frozenset[ComplaintKey]:
    return frozenset(ComplaintKey(letter) for letter in text)


def homes(**complaints: IncidentId) -> dict[ComplaintKey, IncidentId]:
    return {
        ComplaintKey(letter): home for letters, home in complaints.items() for letter in letters
    }


def test_an_id_has_the_second_of_its_first_alert_and_a_number_that_grows() -> None:
    assert incident_id(1_700_000_000_999_999_999, 7) == "INC-1700000000-7"
    assert number_of(IncidentId("INC-1700000000-12")) == 12


def test_the_greatest_overlap_keeps_the_name() -> None:
    groups = [keys("a"), keys("bcx")]

    assert rename(groups, homes(abc=ONE)) == [None, ONE]


def test_of_equal_overlaps_the_older_incident_and_the_first_group_win() -> None:
    assert rename([keys("ab")], homes(a=TEN, b=TWO)) == [TWO]
    assert rename([keys("a"), keys("b")], homes(ab=ONE)) == [ONE, None]


def test_one_name_is_given_once_and_a_second_choice_counts() -> None:
    groups = [keys("abcd"), keys("ef")]

    assert rename(groups, homes(abc=ONE, de=TWO)) == [ONE, TWO]


def test_groups_of_newcomers_have_no_name() -> None:
    assert rename([keys("x"), keys("")], homes(a=ONE)) == [None, None]


def test_most_of_a_group_decides_where_it_comes_from() -> None:
    assert most_of(keys("abc"), homes(a=ONE, bc=TWO)) == TWO
    assert most_of(keys("ab"), homes(a=TEN, b=TWO)) == TWO
    assert most_of(keys("x"), homes(a=ONE)) is None
