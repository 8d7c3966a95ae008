"""Labels of many series as numbers: room that is used again, limits that hold, names that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from tests import make
from watchkeeper.lake import series_layout_kernel as layout
from watchkeeper.lake.series_canon_kernel import NO_ROOM
from watchkeeper.lake.series_index import (
    IndexLimits,
    SeriesIndex,
    grown,
    is_crowded,
    parts,
    split,
)
from watchkeeper.model.series import I32, U64

TOO_MANY, TOO_FAST = 7, 8
UNLIMITED = (1 << 30, 1 << 30)


def limits(**fields: int) -> IndexLimits:
    usual = {
        "n_slots": 100, "n_pairs": 1000, "n_names": 100, "text_bytes": 1 << 16, "labels": 8,
        "run_bytes": 1 << 12,
    }  # fmt: skip
    return IndexLimits(**{**usual, **fields})


def empty(**fields: int) -> SeriesIndex:
    return SeriesIndex.empty(limits(**fields), seed=11)


def identity(*numbers: int) -> U64:
    return np.array([[number, number + 1] for number in numbers], np.uint64).reshape(-1, 2)


def enter(
    index: SeriesIndex,
    rows: Mapping[int, Mapping[str, str]],
    *,
    tenant: int = 0,
    budget: tuple[int, int] = UNLIMITED,
) -> tuple[I32, list[int]]:
    """Series by the number of their identity: their slots and verdicts."""
    index.make_room(len(rows))
    verdict = np.zeros(len(rows), np.uint8)
    slots, is_new = index.claim(
        identity(*rows), verdict, budget=budget, refusals=(TOO_MANY, TOO_FAST)
    )
    new = np.flatnonzero(is_new)
    block = make.label_block(*(dict(sorted(one.items())) for one in rows.values()))
    index.place(block, new, slots, tenant=tenant, verdict=verdict)
    return slots, verdict.tolist()


def leave(index: SeriesIndex, slots: Sequence[int] | I32) -> None:
    some = np.array(slots, np.int32)
    index.displace(some)
    index.give_back(some)


def pods(n: int, first: int = 0, size: int = 1) -> dict[int, dict[str, str]]:
    return {k: {"app": "shop", "pod": f"{k}" * size} for k in range(first, first + n)}


# Coming and going


def test_what_was_entered_is_found_with_its_labels() -> None:
    index, rows = empty(), pods(20)

    slots, verdicts = enter(index, rows)

    assert verdicts == [0] * 20
    assert index.labels(slots) == list(rows.values())
    assert index.lookup(identity(*rows)).tolist() == slots.tolist()
    assert index.lookup(identity(99)).tolist() == [-1]
    assert (index.n_used, index.high_slot) == (20, 20)


def test_a_series_that_comes_twice_has_one_slot() -> None:
    index = empty()
    first, _ = enter(index, pods(3))

    again, _ = enter(index, pods(4))

    assert again.tolist() == [*first.tolist(), 3]
    assert index.n_used == 4


def test_a_claim_without_labels_is_not_there_yet() -> None:
    """Another thread that looks between claim and labels would find a series without a name."""
    index = empty()
    verdict = np.zeros(1, np.uint8)

    index.claim(identity(5), verdict, budget=UNLIMITED, refusals=(1, 2))

    assert index.lookup(identity(5)).tolist() == [-1]


def test_an_unsound_row_gets_no_slot() -> None:
    index, verdict = empty(), np.array([0, 3, 0], np.uint8)

    slots, is_new = index.claim(identity(1, 2, 3), verdict, budget=UNLIMITED, refusals=(1, 2))

    assert slots.tolist() == [0, -1, 1]
    assert is_new.tolist() == [1, 0, 1]
    assert verdict.tolist() == [0, 3, 0]


def test_who_left_is_not_found_and_has_no_labels() -> None:
    index = empty()
    slots, _ = enter(index, pods(3))

    index.displace(slots[1:2])

    assert index.lookup(identity(0, 1, 2)).tolist() == [0, -1, 2]
    assert index.labels(slots) == [pods(3)[0], {}, pods(3)[2]]
    assert index.n_used == 2


def test_a_slot_that_was_left_is_nobodys_until_it_is_given_back() -> None:
    index = empty(n_slots=4)
    slots, _ = enter(index, pods(3))
    index.displace(slots[:2])

    _, verdicts = enter(index, pods(2, first=10))
    assert verdicts == [0, TOO_MANY]

    index.give_back(slots[:2])
    again, verdicts = enter(index, pods(2, first=20))
    assert (sorted(again.tolist()), verdicts) == ([0, 1], [0, 0])


def test_series_may_be_put_into_slots_by_number() -> None:
    index, rows = empty(), {7: {"app": "a"}, 8: {"app": "b"}}
    index.make_room(2)
    slots = np.array([5, 2], np.int32)
    index.occupy(identity(*rows), slots)
    index.place(
        make.label_block(*rows.values()), np.arange(2), slots, tenant=0,
        verdict=np.zeros(2, np.uint8),
    )  # fmt: skip

    index.collect_free()
    new, _ = enter(index, pods(5, first=20))

    assert index.lookup(identity(7, 8)).tolist() == [5, 2]
    assert new.tolist() == [0, 1, 3, 4, 6], "the lowest that are free come first"
    assert index.labels(slots) == [{"app": "a"}, {"app": "b"}]


# Room


def test_churn_of_equal_size_takes_no_more_room() -> None:
    """A week of deployments: every pod is new, and as large as the one that left."""
    index = empty()
    slots, _ = enter(index, pods(50, first=100))
    text_bytes = index.text_bytes
    n_pairs, n_positions = index.count(layout.N_PAIRS), index.count(layout.N_POSITIONS)

    for generation in range(2, 9):
        leave(index, slots)
        slots, verdicts = enter(index, pods(50, first=100 * generation))
        assert verdicts == [0] * 50

    assert index.text_bytes == text_bytes
    assert index.count(layout.N_PAIRS) == n_pairs
    assert index.count(layout.N_POSITIONS) == n_positions
    assert index.high_slot == 50


def test_a_shared_value_is_kept_once_and_for_as_long_as_one_has_it() -> None:
    index = empty()
    slots, _ = enter(index, {k: {"app": "x" * 800, "pod": str(k)} for k in range(10)})
    assert index.text_bytes < 2 * 800

    leave(index, slots[:9])
    assert index.labels(slots[9:]) == [{"app": "x" * 800, "pod": "9"}]
    leave(index, slots[9:])

    assert index.names(0) == []
    assert index.count(layout.LIVE_PAIRS) == index.count(layout.LIVE_NAMES) == 0


@pytest.mark.parametrize(
    "fields",
    [{"n_pairs": 7}, {"n_names": 2}, {"text_bytes": 90}, {"labels": 2}, {"run_bytes": 16}],
    ids=["pairs", "names", "text", "labels", "a long value"],
)
def test_a_row_without_room_gives_up_its_claim_and_leaves_no_trace(fields: dict[str, int]) -> None:
    index = empty(**fields)
    fits, _ = enter(index, {1: {"app": "a", "pod": "b"}})
    before = [index.count(one) for one in (layout.LIVE_PAIRS, layout.LIVE_NAMES, layout.N_USED)]
    large = {"app": "a", "pod": "y" * 60, **{f"n{k}": f"{k}" * 20 for k in range(6)}}

    _, verdicts = enter(index, {2: large})

    assert verdicts == [NO_ROOM]
    after = [index.count(one) for one in (layout.LIVE_PAIRS, layout.LIVE_NAMES, layout.N_USED)]
    assert after == before
    assert index.lookup(identity(1, 2)).tolist() == [0, -1]
    again, verdicts = enter(index, {3: {"app": "a", "pod": "b"}})
    assert (again.tolist(), verdicts) == ([1], [0]), "the slot is free again"
    assert index.labels(fits) == [{"app": "a", "pod": "b"}]


@pytest.mark.parametrize(
    ("budget", "refused"), [((2, 9), TOO_MANY), ((9, 2), TOO_FAST), ((2, 2), TOO_MANY)]
)
def test_a_budget_says_why_it_refuses(budget: tuple[int, int], refused: int) -> None:
    index = empty()

    slots, verdicts = enter(index, pods(4), budget=budget)

    assert slots.tolist() == [0, 1, -1, -1]
    assert verdicts == [0, 0, refused, refused]


def test_those_who_are_known_need_no_budget() -> None:
    index = empty()
    enter(index, pods(4))

    slots, verdicts = enter(index, pods(5), budget=(0, 0))

    assert slots.tolist() == [0, 1, 2, 3, -1]
    assert verdicts == [0, 0, 0, 0, TOO_MANY]


def test_more_series_than_a_small_table_holds_are_all_found() -> None:
    index = empty(n_slots=5000, n_pairs=20_000, text_bytes=1 << 20)

    for first in range(0, 5000, 500):
        enter(index, pods(500, first=first))

    assert index.lookup(identity(*range(5000))).tolist() == list(range(5000))
    assert index.labels(np.array([0, 4999], np.int32)) == [pods(1)[0], pods(1, first=4999)[4999]]


# Names, pairs, values


def test_tenants_have_pairs_of_their_own() -> None:
    index = empty()
    enter(index, {1: {"app": "a", "zone": "z"}})
    enter(index, {2: {"app": "a", "disk": "d"}}, tenant=1)
    name = index.name_number("app")

    assert index.names(0) == ["app", "zone"]
    assert index.names(1) == ["app", "disk"]
    assert index.names(2) == []
    assert index.pair_number(0, name, "a") != index.pair_number(1, name, "a")
    assert index.pair_number(0, index.name_number("disk"), "d") == -1


def test_names_and_values_that_nobody_has_have_no_number() -> None:
    index = empty()
    slots, _ = enter(index, {1: {"app": "a"}})
    name = index.name_number("app")

    assert index.name_number("ap") == index.name_number("appp") == -1
    assert index.pair_number(0, name, "") == index.pair_number(0, name, "b") == -1
    leave(index, slots)
    assert index.name_number("app") == -1


def test_values_of_pairs_are_read_in_their_order() -> None:
    index = empty()
    enter(index, {k: {"pod": f"p{k}é"} for k in (3, 1, 2)})
    pairs = index.pairs(0, index.name_number("pod"))

    texts = index.values(pairs, index.n_released)

    assert texts is not None
    assert split(*texts) == ["p3é", "p1é", "p2é"]


def test_values_are_not_told_once_a_number_may_mean_something_else() -> None:
    index = empty()
    slots, _ = enter(index, pods(3))
    pairs, released = index.pairs(0, index.name_number("pod")), index.n_released
    leave(index, slots[:1])

    assert index.values(pairs, released) is None
    assert index.values(pairs[1:], index.n_released) is not None


def test_a_series_that_leaves_while_others_have_its_pairs_releases_none() -> None:
    index = empty()
    slots, _ = enter(index, {1: {"app": "a"}, 2: {"app": "a"}})
    before = index.n_released

    leave(index, slots[:1])

    assert index.n_released == before


def test_labels_come_back_as_the_bytes_that_they_were() -> None:
    index = empty()
    rows = [{"a": "x" * size, "b": "é"} for size in (1, 127, 128, 1000)]
    slots, _ = enter(index, dict(enumerate(rows)))

    with index.lock:
        block = index.label_block(slots)

    want = make.label_block(*rows)
    assert [make.read_labels(block, k) for k in range(4)] == [list(row.items()) for row in rows]
    assert block.buffer[: block.end[-1]].tobytes() == want.buffer[: want.end[-1]].tobytes()


# Small parts


@pytest.mark.parametrize(("n", "size"), [(0, 5), (1, 5), (5, 5), (6, 5), (11, 5)])
def test_parts_cover_all_and_overlap_nowhere(n: int, size: int) -> None:
    covered = [i for part in parts(n, size) for i in range(n)[part]]

    assert covered == list(range(n))
    assert all(part.stop - part.start <= size for part in parts(n, size))


@pytest.mark.parametrize(("needed", "is_too_small"), [(0, False), (10, False), (11, True)])
def test_a_table_is_crowded_beyond_two_thirds(needed: int, is_too_small: bool) -> None:
    assert is_crowded(np.zeros(16, np.int32), needed) == is_too_small


@pytest.mark.parametrize("needed", [1, 10, 11, 100, 1000])
def test_a_grown_table_is_not_crowded_and_a_power_of_two(needed: int) -> None:
    table = grown(np.zeros(16, np.int32), np.zeros(4, np.uint64), 1, needed)

    assert not is_crowded(table, needed)
    assert len(table).bit_count() == 1
