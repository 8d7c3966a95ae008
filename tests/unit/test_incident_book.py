"""Which alert is in which incident, and what became of them."""

from __future__ import annotations

from tests import make
from tests.alerting import complaint
from watchkeeper.analyze.groupers.base import Group, itself
from watchkeeper.analyze.incident_book import Book
from watchkeeper.model.incident import ComplaintKey, IncidentId, IncidentStatus
from watchkeeper.model.series import DEFAULT_TENANT

A, B, C = (ComplaintKey(letter) for letter in "abc")


def started(_: ComplaintKey) -> int:
    return make.START_NS


def group(root: ComplaintKey, *others: ComplaintKey) -> Group:
    return Group(root, {key: itself(root) for key in (root, *others)})


def book(*keys: ComplaintKey) -> Book:
    """An incident for each."""
    one = Book()
    for key in keys:
        one.open(make.START_NS, key, {key: itself(key)})
    return one


def names(one: Book) -> list[IncidentId]:
    return [incident.id for incident in one]


def test_what_is_opened_is_told_once() -> None:
    one = book(A, B)

    assert [incident.root for incident in one.changed()] == [A, B]
    assert one.changed() == []


def test_the_newest_come_first_and_no_more_than_asked_for() -> None:
    one = book(A, B, C)

    assert [incident.root for incident in one.newest(2)] == [C, B]


def test_what_joins_is_at_home_there_and_may_be_earlier() -> None:
    one = book(A)
    (incident,) = one

    early = complaint("payment", at_s=-5, key=B)
    one.join(incident, early, itself(A))

    assert one.homes == {A: incident.id, B: incident.id}
    assert incident.opened_ns == early.started_ns
    assert incident.newest_ns == make.START_NS


def test_two_that_are_one_keep_the_older_name_and_tell_of_the_other() -> None:
    one = book(A, B)
    first, second = names(one)

    one.reform([group(B, A)], {first, second}, started)

    (merged,) = one.merged(DEFAULT_TENANT, make.START_NS)
    assert names(one) == [first]
    assert (merged.id, merged.merged_into) == (second, first)
    assert (merged.status, merged.members) == (IncidentStatus.MERGED, ())
    assert one.merged(DEFAULT_TENANT, make.START_NS) == []


def test_one_that_is_two_says_where_the_second_came_from() -> None:
    one = book(A)
    (first,) = one
    for key in (B, C):
        one.join(first, complaint("payment", key=key), itself(A))

    one.reform([group(A, B), group(C)], {first.id}, started)

    kept, made = one
    assert kept.id == first.id
    assert (made.split_from, made.root) == (first.id, C)
    assert set(kept.joins) == {A, B}


def test_what_is_formed_as_it_was_is_not_told_again() -> None:
    one = book(A, B)
    one.changed()

    one.reform([group(A), group(B)], set(names(one)), started)

    assert one.changed() == []


def test_a_complaint_that_is_another_leaves_and_somebody_else_is_the_root() -> None:
    one = book(A)
    (first,) = one
    one.join(first, complaint("payment", key=B), itself(A))

    one.remove(A, started)

    assert (first.root, list(first.joins)) == (B, [B])
    assert one.home(A) is None


def test_an_incident_of_nothing_is_none() -> None:
    one = book(A)

    one.remove(A, started)
    one.remove(A, started)

    assert len(one) == 0
    assert one.changed() == []


def test_only_what_is_there_can_be_acknowledged() -> None:
    one = book(A)
    (first,) = one

    assert one.acknowledge(first.id)
    assert not one.acknowledge(IncidentId("INC-0-99"))
    assert first.acknowledged


def test_numbers_are_not_given_twice_after_what_was_forgotten_or_a_restart() -> None:
    one = book(A)
    (first,) = one
    one.forget(first)

    again = Book()
    again.load(one.dump())
    second = again.open(make.START_NS, B, {B: itself(B)})

    assert second.id == f"INC-{make.START_NS // make.NS_PER_S}-2"
    assert again.homes == {B: second.id}


def test_a_restart_changes_nothing() -> None:
    one, again = book(A, B, C), Book()
    one.reform([group(A, B)], set(names(one)[:2]), started)

    again.load(one.dump())

    assert again.dump() == one.dump()
    assert again.homes == one.homes
    assert [i.id for i in again.changed()] == [i.id for i in one.changed()]
