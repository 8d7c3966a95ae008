"""A head is read as a list of its rows would be, whoever owns its slots by now."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from tests.lakes import MINUTE
from watchkeeper.lake.head import Head, SortedRows, sort_identities
from watchkeeper.lake.runs import Runs
from watchkeeper.model.series import I32, U64

N_SLOTS = 6
ROWS = st.lists(
    st.tuples(st.integers(0, N_SLOTS - 1), st.integers(0, 30), st.integers(0, 99)), max_size=40
)
SPANS = st.tuples(st.integers(-5, 35), st.integers(-5, 35))

Rows = list[tuple[int, int, int]]


def identities() -> U64:
    """Low halves in no order, two of them equal."""
    low = np.array([9, 4, 2**63, 4, 7, 1], np.uint64)
    return np.stack([low, np.arange(N_SLOTS, dtype=np.uint64)], axis=1)


def filled(rows: Rows, identity: U64, *, portion: int = 1000) -> Head:
    head = Head(1, rows=200, slots=N_SLOTS)
    for first in range(0, len(rows), portion):
        some = rows[first : first + portion]
        batch = make.samples(*[(slot, t, float(v)) for slot, t, v in some])
        assert head.append(batch, 0, identity) == len(some)
    return head


def wanted(slots: list[int], identity: U64) -> tuple[U64, I32]:
    slot = np.array(slots, np.int32)
    order = np.lexsort((identity[slot, 1], identity[slot, 0]))
    return identity[slot[order]], slot[order]


def first_wins(rows: Rows, slot: int, span: tuple[int, int]) -> list[tuple[int, float]]:
    kept: dict[int, float] = {}
    for of, t, value in rows:
        if of == slot and span[0] <= t < span[1]:
            kept.setdefault(t, float(value))
    return sorted(kept.items())


def points(runs: Runs) -> list[list[tuple[int, float]]]:
    pairs = list(zip(runs.time_ns.tolist(), runs.value.tolist(), strict=True))
    bounds = zip(runs.offset[:-1].tolist(), runs.offset[1:].tolist(), strict=True)
    return [pairs[a:b] for a, b in bounds]


@given(ROWS, SPANS, st.sets(st.integers(0, N_SLOTS - 1)), st.booleans(), st.integers(1, 9))
def test_any_series_any_time_any_moment_is_read_as_from_a_list(
    rows: Rows, span: tuple[int, int], chosen: set[int], is_forgotten: bool, portion: int
) -> None:
    identity = identities()
    head = filled(rows, identity, portion=portion)
    names, slot = wanted(sorted(chosen), identity)
    asked = np.full(len(slot), -1, np.int32) if is_forgotten else slot

    for n in {0, len(rows) // 2, len(rows)}:
        found = points(head.read(n, names, asked, span))
        assert found == [first_wins(rows[:n], s, span) for s in slot.tolist()]


@given(ROWS.filter(bool))
def test_sorted_rows_are_all_rows_by_identity_and_time(rows: Rows) -> None:
    identity = identities()

    got = filled(rows, identity).sorted_rows()

    there = sorted({slot for slot, _, _ in rows}, key=lambda s: tuple(identity[s].tolist()))
    assert got.identity.tolist() == [identity[slot].tolist() for slot in there]
    want = [first_wins(rows, slot, (0, 99)) for slot in there]
    assert points(values(got)) == want
    assert got.n_duplicates == len(rows) - sum(map(len, want))


def values(rows: SortedRows) -> Runs:
    return Runs(rows.offset, rows.time_ns, rows.bits.view(np.float64))


@given(st.lists(st.tuples(ROWS, st.sets(st.integers(0, N_SLOTS - 1))), max_size=4))
def test_a_head_holds_each_slot_for_one_owner_only(
    steps: list[tuple[Rows, set[int]]],
) -> None:
    """Slots change hands between batches; rows of the new owner go into the next head."""
    identity = identities()
    heads = [Head(1, rows=400, slots=N_SLOTS)]
    rows_of: dict[tuple[int, ...], Rows] = {}
    for number, (rows, changed) in enumerate(steps, 1):
        batch = make.samples(*[(slot, t, float(v)) for slot, t, v in rows])
        done = 0
        while done < len(rows):
            done = heads[-1].append(batch, done, identity)
            if done < len(rows):
                heads.append(Head(len(heads) + 1, rows=400, slots=N_SLOTS))
        for slot, t, value in rows:
            rows_of.setdefault(tuple(identity[slot].tolist()), []).append((0, t, value))
        for slot in changed:
            identity[slot] = [1000 * number + slot, number]

    names = np.array(sorted(rows_of), np.uint64).reshape(-1, 2)
    nowhere = np.full(len(names), -1, np.int32)
    found: dict[Any, list[tuple[int, float]]] = {name: [] for name in sorted(rows_of)}
    for head in heads:
        for name, some in zip(
            found, points(head.read(head.n, names, nowhere, (0, 99))), strict=True
        ):
            known = {t for t, _ in found[name]}
            found[name] += [(t, value) for t, value in some if t not in known]
    for name, rows in rows_of.items():
        assert sorted(found[name]) == first_wins(rows, 0, (0, 99))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), unique=True))
def test_identities_are_sorted_by_both_halves(drawn: list[tuple[int, int]]) -> None:
    identity = np.array(drawn, np.uint64).reshape(-1, 2)

    order = sort_identities(identity)

    assert [drawn[i] for i in order.tolist()] == sorted(drawn)


@given(ROWS, st.integers(0, 40))
def test_a_head_takes_no_more_rows_than_it_has_room(rows: Rows, room: int) -> None:
    head = Head(1, rows=room, slots=N_SLOTS)
    batch = make.samples(*[(slot, t, float(v)) for slot, t, v in rows])

    stopped = head.append(batch, 0, identities())

    assert stopped == head.n == min(len(rows), room)
    assert head.room == room - stopped


@pytest.mark.parametrize("span", [(0, MINUTE), (3 * MINUTE, 4 * MINUTE), (MINUTE, MINUTE)])
def test_time_that_a_head_does_not_touch_gives_nothing(span: tuple[int, int]) -> None:
    identity = identities()
    rows = [(slot, MINUTE + t, 1) for slot in range(N_SLOTS) for t in range(10)]
    head = filled(rows, identity)
    names, slot = wanted([0, 1, 2], identity)

    found = head.read(head.n, names, slot, span)

    assert points(found) == [[], [], []]


@pytest.mark.parametrize(
    "bits", [0x7FF8000000000000, 0x7FF0000000000002, 1 << 63, 1, (1 << 64) - 1]
)
def test_every_bit_of_a_value_is_kept(bits: int) -> None:
    identity = identities()
    head = Head(1, rows=5, slots=N_SLOTS)
    batch = make.samples((2, 7, 0.0))
    batch.value.view(np.uint64)[0] = bits

    head.append(batch, 0, identity)

    found = head.read(1, *wanted([2], identity), (0, 9))
    assert found.value.view(np.uint64).tolist() == [bits]
    assert head.sorted_rows().bits.view(np.uint64).tolist() == [bits]
