"""Rows by slot: who has which, when slots change hands, and what lies in checkpoints meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.watching import EVERYWHERE, Slots
from watchkeeper.analyze.watchers.by_slot import WAIT_NS, BySlot
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import I32, N_PARTITIONS

ROW = np.dtype([("n", "i8"), ("value", "f8")])
START_NS = 1_700_000_000 * NS_PER_S


def series(name: str, service: str = "shop") -> dict[str, str]:
    return {"__name__": name, "service": service}


def rows_of(catalog: Slots, wants: Callable[[int], bool] = lambda _: True) -> BySlot:
    return BySlot(ROW, catalog, lambda slots: [wants(slot) for slot in slots.tolist()])


def note(held: BySlot, slots: I32, value: float) -> None:
    """Something of each of these, worth a look."""
    held.meet(slots)
    held.rows["n"][slots] += 1
    held.rows["value"][slots] = value
    held.fresh[slots] = True


def everything(held: BySlot) -> list[bytes]:
    return [held.dump(partition) for partition in range(N_PARTITIONS)]


def kept(state: bytes) -> list[tuple[bytes, bytes, bool]]:
    return msgspec.msgpack.decode(state, type=list[tuple[bytes, bytes, bool]]) if state else []


def test_a_series_is_new_once() -> None:
    catalog = Slots()
    slots = catalog.register(series("a"), series("b")).slot
    held = rows_of(catalog)

    first, again = held.meet(slots), held.meet(slots[::-1].copy())

    assert first.tolist() == sorted(slots.tolist())
    assert again.tolist() == []


def test_a_slot_in_a_batch_twice_is_new_once() -> None:
    catalog = Slots()
    slots = catalog.register(series("a"), series("b")).slot
    held = rows_of(catalog)

    new = held.meet(np.array([slots[1], slots[0], slots[1]], np.int32))

    assert new.tolist() == sorted(slots.tolist())


def test_whether_a_series_is_watched_is_asked_once() -> None:
    catalog = Slots()
    slots = catalog.register(series("a"), series("b")).slot
    asked: list[int] = []
    held = rows_of(catalog, lambda slot: asked.append(slot) is None and slot == slots[0])

    for _ in range(3):
        held.meet(slots)

    assert asked == sorted(slots.tolist())
    assert held.watched[slots].tolist() == [True, False]


def test_what_is_looked_at_is_not_looked_at_again() -> None:
    catalog = Slots()
    slots = catalog.register(series("a"), series("b")).slot
    held = rows_of(catalog)
    note(held, slots, 1.0)

    first = held.take_fresh(START_NS, EVERYWHERE)

    assert sorted(first) == sorted(slots.tolist())
    assert held.take_fresh(START_NS, EVERYWHERE) == []


@pytest.mark.parametrize("first_slot", [0, 100, 333])
def test_the_order_of_looking_is_that_of_identities_and_not_of_slots(first_slot: int) -> None:
    catalog = Slots(first_slot=first_slot)
    slots = catalog.register(*(series(f"m{n}") for n in range(12))).slot
    held = rows_of(catalog)
    note(held, slots, 1.0)

    looked = held.take_fresh(START_NS, EVERYWHERE)

    names = [(int(high), int(low)) for low, high in catalog.identity[looked]]
    assert names == sorted(names)
    assert len(names) == 12


def test_of_a_partition_that_is_covered_what_is_fresh_stays_fresh() -> None:
    catalog = Slots()
    here, there = catalog.register(series("a", "shop"), series("a", "cart")).slot.tolist()
    held = rows_of(catalog)
    note(held, np.array([here, there], np.int32), 1.0)
    only = np.arange(N_PARTITIONS) == catalog.partition[here]

    first = held.take_fresh(START_NS, only)
    rest = held.take_fresh(START_NS, EVERYWHERE)

    assert (first, rest) == ([here], [there])


def test_a_series_that_left_before_it_was_looked_at_harms_nobody() -> None:
    """Its slot is of no partition: to ask for that one was an error, with every tick from then."""
    catalog = Slots()
    gone, stays = catalog.register(series("a"), series("b")).slot.tolist()
    held = rows_of(catalog)
    note(held, np.array([gone, stays], np.int32), 1.0)

    catalog.leave(gone)

    assert held.take_fresh(START_NS, EVERYWHERE) == [stays]
    assert held.take_fresh(START_NS, EVERYWHERE) == []


def test_who_moves_into_a_slot_does_not_inherit_what_was_fresh_there() -> None:
    catalog = Slots()
    (slot,) = catalog.register(series("a")).slot.tolist()
    held = rows_of(catalog)
    note(held, np.array([slot], np.int32), 1.0)

    catalog.leave(slot)
    catalog.move_in(slot, series("b"))

    assert held.take_fresh(START_NS, EVERYWHERE) == []


def test_who_moves_into_a_slot_begins_with_an_empty_row() -> None:
    catalog = Slots()
    (slot,) = catalog.register(series("a")).slot.tolist()
    held = rows_of(catalog)
    note(held, np.array([slot], np.int32), 7.0)
    catalog.leave(slot)
    moved = catalog.move_in(slot, series("b"))

    new = held.meet(moved)

    assert new.tolist() == [slot]
    assert held.rows[slot].tolist() == (0, 0.0)
    assert not held.fresh[slot]


def test_a_checkpoint_between_moving_in_and_meeting_gives_no_row_of_another() -> None:
    """The row of who had the slot was kept under the name of who has it now."""
    catalog = Slots()
    (slot,) = catalog.register(series("a")).slot.tolist()
    held = rows_of(catalog)
    note(held, np.array([slot], np.int32), 7.0)
    catalog.leave(slot)
    catalog.move_in(slot, series("b"))

    states = everything(held)

    assert [kept(state) for state in states if state] == []


def test_a_checkpoint_has_nothing_of_who_left() -> None:
    catalog = Slots()
    gone, stays = catalog.register(series("a"), series("b")).slot.tolist()
    held = rows_of(catalog)
    note(held, np.array([gone, stays], np.int32), 7.0)

    catalog.leave(gone)

    names = [name for state in everything(held) for name, _, _ in kept(state)]
    assert names == [catalog.identity[stays].tobytes()]


def test_a_series_that_returns_to_its_slot_goes_on() -> None:
    catalog = Slots()
    (slot,) = catalog.register(series("a")).slot.tolist()
    held = rows_of(catalog)
    note(held, np.array([slot], np.int32), 7.0)
    catalog.leave(slot)
    back = catalog.move_in(slot, series("a"))

    assert held.meet(back).tolist() == []
    assert held.rows[slot].tolist() == (1, 7.0)


def test_a_series_that_returns_to_another_slot_begins_anew() -> None:
    catalog = Slots()
    (slot,) = catalog.register(series("a")).slot.tolist()
    held = rows_of(catalog)
    note(held, np.array([slot], np.int32), 7.0)
    catalog.leave(slot)
    catalog.register(series("c"))
    back = catalog.register(series("a")).slot

    assert held.meet(back).tolist() == back.tolist()
    assert held.rows[back].tolist() == [(0, 0.0)]


@pytest.mark.parametrize("is_fresh", [False, True])
def test_a_twin_in_other_slots_has_the_same_rows(is_fresh: bool) -> None:
    catalog, elsewhere = Slots(), Slots(first_slot=300)
    names = [series("a"), series("b"), series("a", "cart")]
    slots, others = catalog.register(*names).slot, elsewhere.register(*names).slot
    held, twin = rows_of(catalog), rows_of(elsewhere)
    note(held, slots, 3.5)
    held.fresh[slots] = is_fresh

    for partition in range(N_PARTITIONS):
        twin.load(partition, held.dump(partition))

    assert twin.rows[others].tolist() == held.rows[slots].tolist()
    assert twin.fresh[others].tolist() == [is_fresh] * 3
    assert everything(twin) == everything(held)


def test_rows_wait_for_series_that_are_met_later() -> None:
    catalog, elsewhere = Slots(), Slots(first_slot=300)
    slots = catalog.register(series("a"), series("b")).slot
    held, twin = rows_of(catalog), rows_of(elsewhere)
    note(held, slots, 3.5)
    state = everything(held)
    for partition in range(N_PARTITIONS):
        twin.load(partition, state[partition])

    before = everything(twin)
    late = elsewhere.register(series("b")).slot
    twin.meet(late)

    assert before == state
    assert twin.rows[late].tolist() == [(1, 3.5)]
    assert everything(twin) == state


def test_a_row_that_waited_is_handed_over_once() -> None:
    catalog, elsewhere = Slots(), Slots(first_slot=300)
    slots = catalog.register(series("a")).slot
    held, twin = rows_of(catalog), rows_of(elsewhere)
    note(held, slots, 3.5)
    for partition in range(N_PARTITIONS):
        twin.load(partition, held.dump(partition))
    (late,) = elsewhere.register(series("a")).slot.tolist()
    twin.meet(np.array([late], np.int32))
    elsewhere.leave(late)
    elsewhere.register(series("c"))

    back = elsewhere.register(series("a")).slot
    twin.meet(back)

    assert twin.rows[back].tolist() == [(0, 0.0)]


@pytest.mark.parametrize(
    ("waited_s", "is_there"), [(0, True), (3_599, True), (3_600, True), (3_601, False)]
)
def test_a_row_waits_for_an_hour_of_ticks(waited_s: int, is_there: bool) -> None:
    catalog, elsewhere = Slots(), Slots(first_slot=300)
    held, twin = rows_of(catalog), rows_of(elsewhere)
    note(held, catalog.register(series("a")).slot, 3.5)
    for partition in range(N_PARTITIONS):
        twin.load(partition, held.dump(partition))
    twin.take_fresh(START_NS, EVERYWHERE)

    twin.take_fresh(START_NS + waited_s * NS_PER_S, EVERYWHERE)

    assert WAIT_NS == 3_600 * NS_PER_S
    assert any(everything(twin)) == is_there


def test_a_series_that_is_not_watched_here_leaves_its_row_behind() -> None:
    """The class of a series may be another by the settings that are in force now."""
    catalog, elsewhere = Slots(), Slots(first_slot=300)
    held, twin = rows_of(catalog), rows_of(elsewhere, lambda _: False)
    note(held, catalog.register(series("a")).slot, 3.5)
    for partition in range(N_PARTITIONS):
        twin.load(partition, held.dump(partition))

    late = elsewhere.register(series("a")).slot
    twin.meet(late)

    assert twin.rows[late].tolist() == [(0, 0.0)]
    assert not any(everything(twin))


def test_loading_takes_the_place_of_all_that_was_known_of_a_partition() -> None:
    catalog = Slots()
    old, new = catalog.register(series("a"), series("b")).slot.tolist()
    held, other = rows_of(catalog), rows_of(catalog)
    note(held, np.array([old], np.int32), 1.0)
    note(other, np.array([new], np.int32), 2.0)
    partition = int(catalog.partition[old])

    met = held.load(partition, other.dump(partition))

    assert met.tolist() == [new]
    assert held.rows[[old, new]].tolist() == [(0, 0.0), (1, 2.0)]
    assert held.take_fresh(START_NS, EVERYWHERE) == [new]


def test_loading_one_partition_leaves_the_others_alone() -> None:
    catalog = Slots()
    slots = catalog.register(series("a", "shop"), series("a", "cart")).slot
    held = rows_of(catalog)
    note(held, slots, 1.0)
    mine, others = (int(catalog.partition[slot]) for slot in slots)
    assert mine != others

    held.load(mine, b"")

    assert held.dump(mine) == b""
    assert len(kept(held.dump(others))) == 1
    assert held.take_fresh(START_NS, EVERYWHERE) == [slots[1]]


def test_what_waits_for_a_partition_is_forgotten_with_it() -> None:
    catalog, elsewhere = Slots(), Slots(first_slot=300)
    slots = catalog.register(series("a")).slot
    held, twin = rows_of(catalog), rows_of(elsewhere)
    note(held, slots, 1.0)
    partition = int(catalog.partition[slots[0]])
    twin.load(partition, held.dump(partition))

    twin.load(partition, b"")

    assert twin.dump(partition) == b""


def test_the_limit_of_series_may_be_raised() -> None:
    catalog = Slots(first_slot=900)
    slots = catalog.register(*(series(f"m{n}") for n in range(100))).slot
    held = rows_of(catalog)

    note(held, slots[:1], 1.0)
    note(held, slots, 2.0)

    assert held.rows["n"][slots].tolist() == [2] + [1] * 99


@settings(max_examples=15, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 8), min_size=1, max_size=5).map(sorted),
    looked=st.sets(st.integers(0, 8)),
)
def test_how_batches_are_cut_and_when_is_looked_changes_no_row(
    cuts: list[int], looked: set[int]
) -> None:
    catalog = Slots()
    slots = catalog.register(*(series(f"m{n}", f"s{n % 3}") for n in range(8))).slot
    whole, parts = rows_of(catalog), rows_of(catalog)
    note(whole, slots, 4.0)

    for number, part in enumerate(np.split(slots, cuts)):
        if len(part):
            note(parts, part, 4.0)
        if number in looked:
            parts.take_fresh(START_NS, EVERYWHERE)
    parts.fresh[slots] = True

    assert everything(parts) == everything(whole)
