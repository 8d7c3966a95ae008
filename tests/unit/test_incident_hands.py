"""Alerts that people move from incident to incident stay where they were put."""

from __future__ import annotations

import pytest

from tests.alerting import cascade, correlator, services, tick, watch
from watchkeeper.analyze.correlate import Correlator
from watchkeeper.model.incident import ComplaintKey, Incident, IncidentId, IncidentStatus


def keys(incident: Incident, *nodes: str) -> set[ComplaintKey]:
    return {one.complaint for one in incident.members if one.node in nodes}


@pytest.fixture
def one() -> Correlator:
    """With a cascade of four, and another trouble that is alone."""
    found = correlator()
    watch(found, [*cascade(), *cascade([("search", 75.0)])], until_s=120)
    return found


def both(one: Correlator) -> tuple[Incident, Incident]:
    first, second = one.incidents()
    return first, second


def test_one_that_became_another_is_told_of_at_once(one: Correlator) -> None:
    first, second = both(one)

    assert one.join_whole(second.id, first.id)

    told = {incident.id: incident for incident in one.told()}
    assert told[second.id].status is IncidentStatus.MERGED
    assert told[second.id].merged_into == first.id
    assert told[first.id].merged_from[-1] == second.id
    assert services(told[first.id]) == ["bank", "payment", "checkout", "web", "search"]
    assert told[first.id].representative == first.representative
    assert second.id not in one
    assert first.id in one


@pytest.mark.parametrize(("gone", "into"), [(0, 0), (0, 9), (9, 0)])
def test_only_two_that_are_there_can_be_joined(one: Correlator, gone: int, into: int) -> None:
    names = {n: incident.id for n, incident in enumerate(both(one))}
    strange = IncidentId("INC-1-99")
    before = one.incidents()

    assert not one.join_whole(names.get(gone, strange), names.get(into, strange))

    assert one.incidents() == before


def test_alerts_that_were_parted_have_the_earliest_of_them_as_their_cause(one: Correlator) -> None:
    first, _ = both(one)

    made = one.part(first.id, keys(first, "payment", "checkout"))

    (parted,) = [incident for incident in one.incidents() if incident.id == made]
    assert services(parted) == ["payment", "checkout"]
    assert parted.split_from == first.id
    assert parted.spokesman.node == "payment"
    assert {member.join.cause for member in parted.members} == {parted.representative}


def test_what_is_left_without_its_root_has_another(one: Correlator) -> None:
    first, _ = both(one)

    one.part(first.id, keys(first, "bank"))

    (left,) = [incident for incident in one.incidents() if incident.id == first.id]
    assert services(left) == ["payment", "checkout", "web"]
    assert left.spokesman.node == "payment"
    assert left.spokesman.join.odds == 0.0


@pytest.mark.parametrize("which", [(), ("bank", "payment", "checkout", "web"), ("search",)])
def test_nothing_is_parted_that_is_none_or_all_of_it(
    one: Correlator, which: tuple[str, ...]
) -> None:
    first, second = both(one)
    before = one.incidents()

    made = one.part(first.id, keys(first, *which) | keys(second, *which))

    assert made is None
    assert one.incidents() == before


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_was_put_by_hand_stays_when_all_is_formed_anew(
    one: Correlator, is_restarted: bool
) -> None:
    first, second = both(one)
    made = one.part(first.id, keys(first, "bank", "web"))
    assert made is not None
    one.join_whole(second.id, made)
    one.told()
    if is_restarted:
        other = correlator()
        other.load(one.dump())
        one = other

    for at_s in (150, 180, 210):
        tick(one, at_s)

    found = {incident.id: services(incident) for incident in one.incidents()}
    assert found == {first.id: ["payment", "checkout"], made: ["bank", "web", "search"]}


def test_what_comes_later_still_finds_its_place(one: Correlator) -> None:
    first, second = both(one)
    one.join_whole(second.id, first.id)

    watch(one, cascade([("catalog", 130.0)]), from_s=130, until_s=160)

    assert sum("catalog" in services(incident) for incident in one.incidents()) == 1


def test_what_was_told_is_not_told_again(one: Correlator) -> None:
    first, second = both(one)
    one.join_whole(second.id, first.id)
    one.told()

    assert one.told() == []
