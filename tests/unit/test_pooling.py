"""Baselines of a service's metric are those that all its samples together would have given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper.act import pooling
from watchkeeper.act.pooling import Pair, Pooling
from watchkeeper.model.baseline import NOTHING_LEARNED, Baselines
from watchkeeper.model.series import DEFAULT_TENANT, Entity, Kind, Series, SeriesId, TenantId

Row = tuple[str, float, float, int, int]
"""Service, mean, standard deviation, samples, time of the last."""


class Shelf:
    """A catalog of one series per slot; its identity is in its bytes."""

    def __init__(self) -> None:
        self.services: dict[int, str] = {}
        self.tenant = DEFAULT_TENANT
        self.generation = 0
        self.n_asked = 0

    def series(self, slot: int) -> Series:
        self.n_asked += 1
        entity = Entity(self.services[slot])
        return Series(SeriesId(bytes(16)), self.tenant, make.labels("m"), Kind.GAUGE, entity)

    def learned(self, *rows: Row) -> Baselines:
        self.services = {slot: row[0] for slot, row in enumerate(rows)}
        n = len(rows)
        slots = np.arange(n, dtype=np.int32)
        identity = np.stack([slots + 1, np.full(n, self.generation)], axis=1).astype(np.uint64)
        return Baselines(
            slots,
            identity,
            np.array([row[1] for row in rows], np.float64),
            np.array([row[2] for row in rows], np.float64),
            np.array([row[3] for row in rows], np.int64),
            np.array([row[4] for row in rows], np.int64),
        )


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def pooled(shelf: Shelf, limit: int = 10) -> Pooling:
    return Pooling(shelf, DEFAULT_TENANT, limit)


def numbers(said: Mapping[Pair, Mapping[str, str]]) -> dict[str, tuple[float, float, int, int]]:
    return {
        service: (
            float(one["mean"]),
            round(float(one["std_dev"]), 9),
            int(one["count"]),
            int(one["series"]),
        )
        for (service, _), one in said.items()
    }


def test_one_series_is_told_as_it_is(shelf: Shelf) -> None:
    said = pooled(shelf).pool(shelf.learned(("auth", 108.0, 5.74, 1000, make.START_NS)))

    assert said == {
        ("auth", "m"): {
            "mean": "108.0",
            "std_dev": "5.74",
            "count": "1000",
            "series": "1",
            "updated_at": "2023-11-14T22:13:20Z",
        }
    }


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), min_size=1, max_size=6))
def test_a_pool_is_what_all_its_samples_together_would_have_given(
    samples: list[list[float]],
) -> None:
    shelf = Shelf()
    rows = [("a", float(np.mean(one)), float(np.std(one)), len(one), 1) for one in samples]

    found = numbers(pooled(shelf).pool(shelf.learned(*rows)))

    every = [value for one in samples for value in one]
    mean, std_dev, count, n_series = found["a"]
    assert mean == pytest.approx(np.mean(every), abs=1e-6)
    assert std_dev == pytest.approx(np.std(every), abs=1e-6)
    assert (count, n_series) == (len(every), len(samples))


def test_what_has_not_changed_is_not_said_again(shelf: Shelf) -> None:
    pooling_ = pooled(shelf)
    pooling_.pool(shelf.learned(("a", 1.0, 0.1, 5, 10), ("b", 2.0, 0.1, 5, 10)))

    again = pooling_.pool(shelf.learned(("a", 1.0, 0.1, 5, 10), ("b", 3.0, 0.1, 6, 20)))

    assert numbers(again) == {"b": (3.0, 0.1, 6, 1)}


def test_a_series_is_looked_up_once(shelf: Shelf) -> None:
    pooling_ = pooled(shelf)
    for time_ns in (1, 2, 3):
        pooling_.pool(shelf.learned(("a", 1.0, 0.1, 5, time_ns), ("b", 1.0, 0.1, 5, time_ns)))

    assert shelf.n_asked == 2


def test_a_slot_that_changed_hands_counts_for_its_new_owner(shelf: Shelf) -> None:
    pooling_ = pooled(shelf)
    pooling_.pool(shelf.learned(("a", 1.0, 0.1, 5, 1)))
    shelf.generation += 1

    said = pooling_.pool(shelf.learned(("b", 7.0, 0.1, 5, 2)))

    assert numbers(said) == {"b": (7.0, 0.1, 5, 1)}


def test_there_are_no_more_pairs_than_the_limit(shelf: Shelf) -> None:
    rows = [(f"s{n}", 1.0, 0.1, 5, 1) for n in range(30)]

    said = pooled(shelf, limit=4).pool(shelf.learned(*rows))

    assert sorted(numbers(said)) == ["s0", "s1", "s2", "s3"]


def test_pairs_of_series_that_left_make_room_for_others(shelf: Shelf) -> None:
    pooling_ = pooled(shelf, limit=2)
    pooling_.pool(shelf.learned(*((name, 1.0, 0.1, 5, 1) for name in ("a", "b", "c"))))
    shelf.generation += 1

    said = pooling_.pool(shelf.learned(("c", 1.0, 0.1, 5, 2), ("d", 1.0, 0.1, 5, 2)))

    assert sorted(numbers(said)) == ["c", "d"]


def test_many_series_are_named_over_several_turns(shelf: Shelf) -> None:
    pooling_ = pooled(shelf)
    rows = [("a", 1.0, 0.1, 5, 1)] * (pooling.NAMED_AT_ONCE + 5)

    first = pooling_.pool(shelf.learned(*rows))
    second = pooling_.pool(shelf.learned(*((*row[:4], 2) for row in rows)))

    assert [numbers(said)["a"][3] for said in (first, second)] == [
        pooling.NAMED_AT_ONCE,
        pooling.NAMED_AT_ONCE + 5,
    ]


def test_series_of_another_tenant_are_not_told(shelf: Shelf) -> None:
    shelf.tenant = TenantId("other")

    assert pooled(shelf).pool(shelf.learned(("a", 1.0, 0.1, 5, 1))) == {}


def test_nothing_learned_is_nothing_told(shelf: Shelf) -> None:
    assert pooled(shelf).pool(NOTHING_LEARNED) == {}
