"""The compiled structures of the catalog do what dictionaries and lists would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from watchkeeper.compiled.columns import layout_of
from watchkeeper.lake import series_alias_kernel as aliases
from watchkeeper.lake import series_read_kernel as reading
from watchkeeper.lake import series_role_kernel as rings
from watchkeeper.lake import series_table_kernel as tables
from watchkeeper.lake.series_index import IndexLimits, SeriesIndex, grown, is_crowded
from watchkeeper.model.series import I32, LabelBlock

SALT = np.array([3, 5], np.uint64)
N_SLOTS = 40

# Few distinct hashes, so that searches run into each other and around the table's end.
HASHES = st.lists(st.integers(0, 7), min_size=12, max_size=12)
CHANGES = st.lists(st.tuples(st.booleans(), st.integers(0, 11)), max_size=60)


def held(table: I32) -> list[int]:
    return sorted(int(entry) - 1 for entry in table if entry)


def reachable(table: I32, hashes: Any, number: int) -> bool:
    """Whether a search that begins where it should finds a number before an empty entry."""
    mask = len(table) - 1
    i = int(tables.home(hashes[number], mask))
    while table[i]:
        if table[i] == number + 1:
            return True
        i = (i + 1) & mask
    return False


@given(HASHES, CHANGES)
def test_a_number_table_holds_what_was_put_in_and_not_taken_out(
    drawn: list[int], changes: list[tuple[bool, int]]
) -> None:
    hashes = np.array(drawn, np.uint64) << np.uint64(61)
    table = np.zeros(16, np.int32)
    there: set[int] = set()
    for comes, number in changes:
        if comes and number not in there:
            tables.insert(table.ctypes.data, len(table), hashes.ctypes.data, 1, number)
            there.add(number)
        elif not comes:
            tables.remove(table.ctypes.data, len(table), hashes.ctypes.data, 1, number)
            there.discard(number)

        assert held(table) == sorted(there)
        assert all(reachable(table, hashes, number) for number in there)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=200, unique=True))
def test_a_table_that_grows_keeps_all_and_never_crowds(drawn: list[int]) -> None:
    hashes = np.array(drawn, np.uint64)
    table = np.zeros(16, np.int32)
    for number in range(len(drawn)):
        if is_crowded(table, number + 1):
            table = grown(table, hashes, 1, number + 1)
        tables.insert(table.ctypes.data, len(table), hashes.ctypes.data, 1, number)

    assert held(table) == list(range(len(drawn)))
    assert all(reachable(table, hashes, number) for number in range(len(drawn)))
    assert 3 * len(drawn) <= 2 * len(table)


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 9), st.integers(0, 9))
def test_runs_are_compared_by_their_bytes_alone(
    left: bytes, right: bytes, before_left: int, before_right: int
) -> None:
    a = np.frombuffer(b"x" * before_left + left + bytes(range(16)), np.uint8)
    b = np.frombuffer(b"y" * before_right + right + bytes(range(100, 116)), np.uint8)
    size = min(len(left), len(right))

    same = tables.same_bytes(a.ctypes.data, before_left, b.ctypes.data, before_right, size)

    assert bool(same) == (left[:size] == right[:size])


@given(st.binary(max_size=40), st.integers(0, 9))
def test_a_copied_run_is_whole_and_reaches_no_further_than_a_word(run: bytes, at: int) -> None:
    source = np.frombuffer(run + bytes(16), np.uint8)
    target = np.full(80, 7, np.uint8)

    end = tables.copy_bytes(target.ctypes.data, at, source.ctypes.data, 0, len(run))

    assert end == at + len(run)
    assert target[at:end].tobytes() == run
    assert (target[:at] == 7).all()
    assert (target[end + 8 :] == 7).all()


KEYS = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2**32, 2**63]))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.lists(st.tuples(KEYS, st.integers(-1, 5)), max_size=6)),
            st.tuples(st.just("leave"), st.sets(st.integers(0, 5), max_size=3)),
        ),
        max_size=12,
    )
)
def test_the_alias_table_means_what_a_dictionary_would_mean(steps: list[tuple[str, Any]]) -> None:
    most = 3
    table = np.zeros((64, 2), np.uint64)
    n_of_slot = np.zeros(6, np.uint8)
    n_labels = np.ones(6, np.uint8)
    meant: dict[tuple[int, int], int] = {}
    for step, what in steps:
        if step == "put":
            fresh = {key: slot for key, slot in what if key not in meant}
            put(table, fresh, n_of_slot, most)
            for key, slot in fresh.items():
                if slot >= 0 and list(meant.values()).count(slot) < most:
                    meant[key] = slot
        else:
            n_labels[list(what)] = 0
            full = {slot for slot in range(6) if list(meant.values()).count(slot) >= most}
            n_removed = aliases.sweep_aliases(table, n_labels, n_of_slot, most)
            assert n_removed == sum(slot in full | what for slot in meant.values())
            meant = {key: slot for key, slot in meant.items() if slot not in full | what}
            n_labels[:] = 1

        assert {key: probed(table, key) for key in meant} == meant
        assert probed(table, (9, 9)) == -1
        assert n_of_slot.tolist() == [list(meant.values()).count(slot) for slot in range(6)]


def put(table: Any, fresh: dict[tuple[int, int], int], n_of_slot: Any, most: int) -> None:
    keys = np.array(list(fresh), np.uint64).reshape(-1, 2)
    slots = np.array(list(fresh.values()), np.int32)
    aliases.put_aliases(table, keys, np.arange(len(keys)), SALT, slots, n_of_slot, most)


def probed(table: Any, key: tuple[int, int]) -> int:
    slots, missed = np.empty(1, np.int32), np.empty(1, np.int64)
    n = aliases.probe_aliases(table, np.array([key], np.uint64), SALT, slots, missed)
    assert n == (slots[0] < 0)
    return int(slots[0])


@given(st.dictionaries(KEYS, st.integers(0, 5), max_size=16))
def test_an_alias_table_that_grows_means_the_same(meant: dict[tuple[int, int], int]) -> None:
    small, large = np.zeros((32, 2), np.uint64), np.zeros((64, 2), np.uint64)
    put(small, meant, np.zeros(6, np.uint8), 250)

    aliases.refill_aliases(large, small)

    assert {key: probed(large, key) for key in meant} == meant


class Rings:
    """The columns of roles, alone."""

    def __init__(self) -> None:
        self.role = np.zeros(N_SLOTS, np.uint64)
        self.columns = (
            self.role,
            np.zeros(N_SLOTS, np.int32),
            np.zeros(N_SLOTS, np.int32),
            np.zeros(N_SLOTS, np.uint8),
            np.zeros(64, np.int32),
        )
        self.layout = layout_of(self.columns)

    def join(self, slots: Sequence[int], roles: Sequence[int]) -> list[int]:
        some = np.array(slots, np.int32)
        self.role[some] = np.array(roles, np.uint64)
        donors = np.empty(len(some), np.int32)
        rings.join(self.layout, some, donors)
        self.columns[3][some] = 0
        return [int(donor) for donor in donors]

    def leave(self, slots: Sequence[int]) -> int:
        return int(rings.leave(self.layout, np.array(slots, np.int32)))

    def ring(self, head: int) -> list[int]:
        found, slot = [head], int(self.columns[1][head])
        while slot != head:
            assert self.columns[1][self.columns[2][slot]] == slot
            found.append(slot)
            slot = int(self.columns[1][slot])
        return found


@given(st.data())
@settings(deadline=None)
def test_rings_hold_the_members_of_each_role_in_order_of_registration(data: st.DataObject) -> None:
    known = Rings()
    members: dict[int, list[int]] = {}
    for _ in range(data.draw(st.integers(0, 12))):
        there = {slot for ring in members.values() for slot in ring}
        leaving = data.draw(st.sets(st.sampled_from(sorted(there)), max_size=4)) if there else set()
        before = len(members)
        for slot in leaving:
            next(ring for ring in members.values() if slot in ring).remove(slot)
        members = {role: ring for role, ring in members.items() if ring}
        assert known.leave(sorted(leaving)) == before - len(members)
        free = sorted(set(range(N_SLOTS)) - there)
        coming = data.draw(st.lists(st.sampled_from(free), max_size=5, unique=True)) if free else []
        roles = [data.draw(st.integers(0, 3)) for _ in coming]
        former = {role: ring[0] for role, ring in members.items()}

        donors = known.join(coming, roles)

        for slot, role in zip(coming, roles, strict=True):
            members.setdefault(role, []).append(slot)
        assert donors == [former.get(role, -1) for role in roles]
        for ring in members.values():
            assert known.ring(ring[0]) == ring


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=20))
def test_of_the_idle_the_last_of_a_role_without_living_members_stays(
    drawn: list[tuple[int, int]],
) -> None:
    known = Rings()
    known.join(range(len(drawn)), [role for role, _ in drawn])
    n_labels = np.ones(len(drawn), np.uint8)
    seen = np.array([seen for _, seen in drawn], np.int64)

    leaving, kept = rings.pick_idle(known.layout, n_labels, seen, 6, 2)

    idle = {slot for slot, (_, when) in enumerate(drawn) if when < 6}
    alive = {role for role, when in drawn if when >= 6}
    stays = set()
    for role in {role for role, _ in drawn} - alive:
        members = [slot for slot, (other, _) in enumerate(drawn) if other == role]
        newest = max(int(seen[slot]) for slot in members)
        if newest >= 2:
            (one,) = [int(slot) for slot in kept if drawn[slot][0] == role]
            assert seen[one] == newest
            stays.add(one)
    assert set(kept.tolist()) == stays
    assert set(leaving.tolist()) == idle - stays
    assert not known.columns[3].any(), "no mark is left behind"


WORDS = st.sampled_from(["a", "b", "c" * 9, "d" * 200])
ROWS = st.dictionaries(WORDS, WORDS, min_size=1, max_size=4)


@given(st.lists(st.tuples(st.lists(ROWS, max_size=5), st.sets(st.integers(0, 30))), max_size=8))
@settings(deadline=None)
def test_an_index_holds_the_labels_of_who_came_and_did_not_leave(
    steps: list[tuple[list[dict[str, str]], set[int]]],
) -> None:
    limits = IndexLimits(
        n_slots=N_SLOTS, n_pairs=400, n_names=50, text_bytes=1 << 14, labels=8, run_bytes=256
    )
    index = SeriesIndex.empty(limits, seed=7)
    there: dict[int, dict[str, str]] = {}
    number = 0
    for rows, leaving in steps:
        gone = np.array(sorted(leaving & there.keys()), np.int32)
        index.displace(gone)
        index.give_back(gone)
        for slot in gone.tolist():
            del there[slot]
        rows = [dict(sorted(row.items())) for row in rows[: N_SLOTS - len(there)]]
        identity = np.array([(number + k, 1) for k in range(len(rows))], np.uint64).reshape(-1, 2)
        number += len(rows)
        enter(index, make.label_block(*rows), identity, there, rows)

        slots = np.array(sorted(there), np.int32)
        assert index.n_used == len(there)
        assert index.labels(slots) == [there[slot] for slot in slots.tolist()]
        check_postings(index, there)

    index.displace(np.array(sorted(there), np.int32))
    assert index.count(reading.N_PAIRS) >= 0
    assert index.names(0) == []
    assert held(index.columns.pair_table) == held(index.columns.name_table) == []
    assert held(index.columns.identity_table) == []


def enter(
    index: SeriesIndex,
    block: LabelBlock,
    identity: Any,
    there: dict[int, dict[str, str]],
    rows: list[dict[str, str]],
) -> None:
    index.make_room(len(rows))
    verdict = np.zeros(len(rows), np.uint8)
    slots, is_new = index.claim(identity, verdict, budget=(99, 99), refusals=(1, 2))
    assert is_new.all()
    index.place(block, np.arange(len(rows)), slots, tenant=0, verdict=verdict)
    assert not verdict.any()
    assert index.lookup(identity).tolist() == slots.tolist()
    there.update(zip(slots.tolist(), rows, strict=True))


def check_postings(index: SeriesIndex, there: dict[int, dict[str, str]]) -> None:
    plan, sets = np.empty((0, 4), np.int32), np.zeros((0, 1), np.uint8)
    pairs = {item for row in there.values() for item in row.items()}
    for name, value in pairs:
        pair = index.pair_number(0, index.name_number(name), value)
        found = np.empty(N_SLOTS, np.int32)
        n = reading.walk(index.layout, np.array([pair], np.int32), plan, sets, found)
        expected = [slot for slot, row in there.items() if row.get(name) == value]
        assert sorted(found[:n].tolist()) == sorted(expected)
        assert index.columns.pair_count[pair] == len(expected)
