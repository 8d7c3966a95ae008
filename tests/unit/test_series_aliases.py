"""Keys of label bytes and the slots that they mean: a cache that forgets, and never lies."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.lake.series_aliases import Aliases
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.lake.series_rules import Rules, Scope
from watchkeeper.model.series import I32, I64, U8, U64, TenantId

KEY = bytes(range(16))


def aliases(max_aliases: int = 8) -> Aliases:
    return Aliases(CatalogConfig(max_series=20_000, max_donors=0, max_aliases=max_aliases))


def scope(tenant: str = "default", number: int = 0) -> Scope:
    return Rules(CatalogConfig(), KEY, ()).scope(number, TenantId(tenant))


HERE = scope()


def keys(*numbers: int) -> U64:
    """Hashes look like this: all over the range."""
    spread = np.array(numbers, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.stack([spread, ~spread], axis=1).reshape(-1, 2)


def put(known: Aliases, meant: dict[int, int], where: Scope = HERE) -> None:
    rows = np.arange(len(meant))
    known.put(where, keys(*meant), rows, np.array(list(meant.values()), np.int32))


def probed(known: Aliases, *numbers: int, where: Scope = HERE) -> list[int]:
    slots, missed = known.probe(where, keys(*numbers))
    check(slots, missed)
    found: list[int] = slots.tolist()
    return found


def check(slots: I32, missed: I64) -> None:
    assert missed.tolist() == np.flatnonzero(slots < 0).tolist()


def living(n: int, *gone: int) -> U8:
    n_labels = np.ones(n, np.uint8)
    n_labels[list(gone)] = 0
    return n_labels


def test_what_was_put_is_found_and_the_rest_is_missed() -> None:
    known = aliases()

    put(known, {1: 5, 2: 0, 3: 7})

    assert probed(known, 3, 9, 1, 2, 8) == [7, -1, 5, 0, -1]
    assert len(known) == 3


def test_an_empty_body_asks_nothing() -> None:
    assert probed(aliases()) == []


def test_refused_series_are_not_remembered() -> None:
    known = aliases()

    put(known, {1: -1, 2: 4})

    assert probed(known, 1, 2) == [-1, 4]
    assert len(known) == 1


def test_only_the_rows_that_were_missed_are_put() -> None:
    known = aliases()

    known.put(HERE, keys(1, 2, 3, 4), np.array([1, 3]), np.array([8, 9], np.int32))

    assert probed(known, 1, 2, 3, 4) == [-1, 8, -1, 9]


def test_the_same_key_from_two_tenants_is_two_keys() -> None:
    known, other = aliases(), scope("other", 1)

    put(known, {1: 5})
    assert probed(known, 1, where=other) == [-1]
    put(known, {1: 6}, other)

    assert (probed(known, 1), probed(known, 1, where=other)) == ([5], [6])


def test_a_key_that_is_put_again_is_kept_once() -> None:
    known = aliases()

    for _ in range(5):
        put(known, {1: 5})

    assert len(known) == 1


@pytest.mark.parametrize("n", [3000, 12_000])
def test_all_keys_are_found_after_the_table_grew(n: int) -> None:
    known = aliases()

    for first in range(0, n, 1000):
        put(known, {number: number for number in range(first, first + 1000)})

    assert probed(known, *range(n)) == list(range(n))
    assert probed(known, n, n + 1) == [-1, -1]
    assert len(known) == n


def test_a_slot_takes_so_many_keys_and_no_more() -> None:
    known = aliases(max_aliases=3)

    put(known, dict.fromkeys(range(10), 7))

    assert probed(known, *range(10)) == [7, 7, 7, -1, -1, -1, -1, -1, -1, -1]
    put(known, {99: 8})
    assert probed(known, 99) == [8], "others are not kept from theirs"


def test_a_sweep_forgets_the_keys_of_slots_that_are_free() -> None:
    known = aliases()
    put(known, {1: 0, 2: 1, 3: 1, 4: 2})

    known.sweep(living(3, 1))

    assert probed(known, 1, 2, 3, 4) == [0, -1, -1, 2]
    assert len(known) == 2
    put(known, {2: 1})
    assert probed(known, 2) == [1], "its next owner may be named"


def test_a_sweep_lets_a_slot_that_is_full_start_afresh() -> None:
    known = aliases(max_aliases=2)
    put(known, {1: 0, 2: 0, 3: 1})
    put(known, {4: 0})
    assert probed(known, 4) == [-1]

    known.sweep(living(2))

    assert probed(known, 1, 2, 3) == [-1, -1, 1]
    put(known, {4: 0})
    assert probed(known, 4) == [0]


def test_a_sweep_of_the_living_forgets_nothing() -> None:
    known = aliases()
    put(known, {number: number for number in range(500)})

    known.sweep(living(500))

    assert probed(known, *range(500)) == list(range(500))
    assert len(known) == 500


def test_sweeps_keep_a_table_from_growing_with_churn() -> None:
    known = aliases()
    for generation in range(30):
        first = 1000 * generation
        put(known, {first + k: k for k in range(1000)})
        assert probed(known, *range(first, first + 1000)) == list(range(1000))

        known.sweep(living(1000, *range(1000)))

        assert len(known) == 0
    assert probed(known, *range(0, 30_000, 97)) == [-1] * 310
