"""The head: appended rows, chains and scans over them, and their order when it is sealed."""

from __future__ import annotations

import numpy as np
import pytest

from tests import lakes, make
from tests.lakes import NOON, S
from watchkeeper.lake.head import Head, sort_identities
from watchkeeper.lake.runs import Runs, merge
from watchkeeper.model.series import I32, U64

ALWAYS = (-(2**62), 2**62)


def head(rows: int = 100, slots: int = 16) -> Head:
    return Head(1, rows=rows, slots=slots)


def wanted(catalog: lakes.DictCatalog, *slots: int) -> tuple[U64, I32]:
    """Identities of these slots and the slots, in the order that a head wants."""
    slot = np.array(slots, np.int32)
    identity = catalog.identity[slot]
    order = sort_identities(identity)
    return identity[order], slot[order]


def points(runs: Runs) -> list[list[tuple[int, float]]]:
    pairs = list(zip(runs.time_ns.tolist(), runs.value.tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(runs.offset[:-1], runs.offset[1:], strict=True)]


def test_rows_are_taken_until_it_is_full() -> None:
    catalog, full = lakes.fleet(3), head(rows=4)
    batch = make.samples(*[(i % 3, NOON + i, float(i)) for i in range(6)])

    assert full.append(batch, 0, catalog.identity) == 4
    assert (full.n, full.room) == (4, 0)
    assert full.append(batch, 4, catalog.identity) == 4


def test_it_stops_at_a_slot_that_changed_hands() -> None:
    catalog, kept = lakes.fleet(2), head()
    kept.append(make.samples((0, NOON, 1.0)), 0, catalog.identity)
    catalog.add(make.labels("m", host="new"), slot=0)

    stopped = kept.append(make.samples((1, NOON, 2.0), (0, NOON, 3.0)), 0, catalog.identity)

    assert (stopped, kept.n) == (1, 2)


def test_it_stops_at_a_slot_beyond_its_room() -> None:
    catalog = lakes.fleet(2)

    assert head(slots=1).append(make.samples((0, 1, 1.0), (1, 1, 1.0)), 0, catalog.identity) == 1


@pytest.mark.parametrize("n_wanted", [1, 2, 40])
def test_chains_and_scans_find_the_same_rows(n_wanted: int) -> None:
    """One of 400 series is followed by its chain; forty are found in one pass."""
    catalog, filled = lakes.fleet(400), head(rows=4000, slots=400)
    reference = lakes.Reference(catalog)
    for batch in lakes.scrapes(400, 10):
        filled.append(batch, 0, catalog.identity)
        reference.append(batch)
    identity, slot = wanted(catalog, *range(0, 400, 400 // n_wanted))

    found = points(filled.read(filled.n, identity, slot, (NOON + 15 * S, NOON + 60 * S)))

    for place, s in enumerate(slot.tolist()):
        labels = catalog.labels(np.array([s]))[0]
        query = lakes.ask(NOON + 15 * S, NOON + 60 * S, where=labels)
        assert [found[place]] == list(reference.query(query).values())


def test_a_reader_sees_only_the_rows_that_were_there_when_it_came() -> None:
    catalog, growing = lakes.fleet(3), head()
    for i in range(5):
        growing.append(
            make.samples(*[(s, NOON + i, float(i)) for s in range(3)]), 0, catalog.identity
        )

    for n in range(16):
        found = growing.read(n, *wanted(catalog, 1), ALWAYS)
        assert len(found) == (n + 1) // 3


def test_rows_come_out_sorted_by_identity_and_time_and_no_time_twice() -> None:
    catalog, sealed = lakes.fleet(5), head()
    rows = [(s, NOON + t, float(10 * s + t)) for t in (3, 1, 2, 1, 3) for s in (4, 0, 2)]
    sealed.append(make.samples(*rows), 0, catalog.identity)

    got = sealed.sorted_rows()

    identity, slot = wanted(catalog, 4, 0, 2)
    assert got.identity.tolist() == identity.tolist()
    assert (np.diff(got.identity[:, 0].astype(object)) > 0).all()
    assert got.n_duplicates == 6
    assert points(Runs(got.offset, got.time_ns, got.bits.view(np.float64))) == [
        [(NOON + t, float(10 * s + t)) for t in (1, 2, 3)] for s in slot.tolist()
    ]


def test_identities_with_equal_low_halves_are_told_apart() -> None:
    catalog, kept = lakes.fleet(3), head()
    catalog.identity[:3] = [[7, 2], [7, 1], [7, 3]]
    kept.append(make.samples(*[(s, NOON, float(s)) for s in range(3)]), 0, catalog.identity)

    assert kept.sorted_rows().identity[:, 1].tolist() == [1, 2, 3]
    forgotten = np.full(2, -1, np.int32)
    found = kept.read(3, np.array([[7, 1], [7, 3]], np.uint64), forgotten, ALWAYS)
    assert points(found) == [[(NOON, 1.0)], [(NOON, 2.0)]]


def test_nothing_merges_to_nothing() -> None:
    empty = head().read(0, *wanted(lakes.fleet(2), 0, 1), ALWAYS)

    assert points(merge([empty, empty], 2)) == [[], []]
    assert points(merge([], 3)) == [[], [], []]
