"""Which series a query is about: the living and the gone, each once, in order of identity."""

from __future__ import annotations

import numpy as np
import pytest

from tests import lakes, make
from tests.unit.test_series import HOUR_S, catalog, pods, send
from watchkeeper.errors import Retryable
from watchkeeper.lake.selection import Wanted, select
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp, TenantId

ALL = (Matcher("__name__", MatchOp.EQUAL, "m"),)


def chosen(known: lakes.DictCatalog, tenant: TenantId = DEFAULT_TENANT) -> Wanted:
    return select(known, tenant, ALL, 0)


def hosts(wanted: Wanted) -> list[str]:
    return [labels["host"] for labels in wanted.labels(np.arange(len(wanted)))]


def words(wanted: Wanted) -> list[tuple[int, ...]]:
    return [tuple(pair) for pair in wanted.identity.tolist()]


def test_series_come_in_order_of_their_identity() -> None:
    wanted = chosen(lakes.fleet(50))

    assert len(wanted) == 50
    assert words(wanted) == sorted(words(wanted))
    assert sorted(hosts(wanted), key=int) == [str(i) for i in range(50)]


def test_each_place_keeps_its_own_labels() -> None:
    known = lakes.fleet(20)

    wanted = chosen(known)

    for place, slot in enumerate(wanted.slot.tolist()):
        assert wanted.identity[place].tolist() == known.identity[slot].tolist()
        assert wanted.labels(np.array([place]))[0]["host"] == str(slot)


def test_labels_come_in_the_order_in_which_they_are_asked_for() -> None:
    wanted = chosen(lakes.fleet(9))
    every = hosts(wanted)

    assert [one["host"] for one in wanted.labels(np.array([7, 2, 5]))] == [
        every[7], every[2], every[5],
    ]  # fmt: skip


def test_what_left_memory_stands_among_the_living_without_a_slot() -> None:
    known = lakes.fleet(10)
    gone = {3, 8}
    for slot in gone:
        known.forget(slot)

    wanted = chosen(known)

    assert words(wanted) == sorted(words(wanted))
    by_host = dict(zip(hosts(wanted), wanted.slot.tolist(), strict=True))
    assert by_host == {str(slot): -1 if slot in gone else slot for slot in range(10)}


def test_a_series_that_is_back_counts_once_and_as_living() -> None:
    known = lakes.fleet(4)
    labels = known.labels(np.array([2], np.int32))[0]
    known.forget(2)
    identity = known.identity[2].tobytes()
    known.add(labels, slot=11)

    class Late(lakes.DictCatalog):
        """Its history was read just before the series came back."""

        def select_history(
            self, tenant: TenantId, matchers: object, since_ns: int
        ) -> list[tuple[bytes, lakes.Labels]]:
            return [(identity, labels)]

    known.__class__ = Late

    wanted = chosen(known)

    assert len(wanted) == 4
    assert sorted(wanted.slot.tolist()) == [0, 1, 3, 11]
    assert sorted(hosts(wanted)) == ["0", "1", "2", "3"]


def test_identities_with_equal_low_halves_keep_apart_living_or_not() -> None:
    known = lakes.fleet(3)
    known.identity[:3] = [[7, 2], [7, 1], [7, 3]]
    known.forget(1)

    wanted = chosen(known)

    assert words(wanted) == [(7, 1), (7, 2), (7, 3)]
    assert wanted.slot.tolist() == [-1, 0, 2]
    assert hosts(wanted) == ["1", "0", "2"]


@pytest.mark.parametrize("n_gone", [0, 3])
def test_nothing_that_fits_is_nothing_wanted(n_gone: int) -> None:
    known = lakes.fleet(n_gone)
    for slot in range(n_gone):
        known.forget(slot)

    wanted = chosen(known, TenantId("other"))

    assert (len(wanted), hosts(wanted)) == (0, [])


def test_only_the_gone_can_be_wanted() -> None:
    known = lakes.fleet(2)
    known.forget(0)
    known.forget(1)

    wanted = chosen(known)

    assert wanted.slot.tolist() == [-1, -1]
    assert sorted(hosts(wanted)) == ["0", "1"]


def test_a_slot_that_changed_hands_meanwhile_gives_nobody_elses_labels() -> None:
    known = lakes.fleet(3)
    wanted = chosen(known)
    known.add(make.labels("m", host="new"), slot=1)

    with pytest.raises(Retryable, match="ask again"):
        hosts(wanted)


def test_a_slot_that_was_not_asked_for_may_change_hands() -> None:
    known = lakes.fleet(3)
    wanted = chosen(known)
    known.add(make.labels("m", host="new"), slot=1)
    others = np.flatnonzero(wanted.slot != 1)

    assert sorted(one["host"] for one in wanted.labels(others)) == ["0", "2"]


def test_a_series_that_left_between_choosing_and_naming_is_asked_for_again() -> None:
    """Its slot is free and still says who was there, so the answer had series without labels."""
    known = catalog(donor_keep_s=0.0)
    send(known, *pods(3))
    wanted = select(known, DEFAULT_TENANT, (), 0)
    later_ns = make.START_NS + round(5 * HOUR_S) * make.NS_PER_S

    left = known.recycle(later_ns, HOUR_S)

    assert len(left) == 3
    with pytest.raises(Retryable, match="ask again") as told:
        wanted.labels(np.arange(3))
    assert told.value.after_s == pytest.approx(0.1)
