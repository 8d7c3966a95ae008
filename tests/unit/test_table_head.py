"""The head of a table: what fits, what is shown, and what stays as it was shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tables import CASES, NOON, ORIGINS, Case, rows
from watchkeeper.lake.tables.head import Head, text_bytes
from watchkeeper.lake.tables.rows import TenantOrigin, to_batch
from watchkeeper.model.row import Origin

tables = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))


def head(case: Case, *, n_rows: int = 20, size_bytes: int = 10_000, number: int = 1) -> Head[Any]:
    return Head(case.definition, n_rows=n_rows, size_bytes=size_bytes, number=number)


def shown(case: Case, one: Head[Any]) -> list[Any]:
    return rows(to_batch(one.rows(one.n), case.definition, one.sources))


@tables
def test_a_head_shows_what_was_appended(case: Case) -> None:
    one = head(case)
    first, second = case.batch(NOON, NOON + 1, seed=1), case.batch(NOON - 5, seed=2)

    one.append(first, 1)
    one.append(second, 2)

    assert shown(case, one) == [*rows(first), *rows(second)]
    assert (one.oldest_ns, one.newest_ns) == (NOON - 5, NOON + 1)


@tables
def test_rows_that_were_shown_stay_as_they_are(case: Case) -> None:
    one = head(case)
    one.append(case.batch(NOON, NOON + 1, seed=1), 1)
    before = one.rows(one.n)
    kept = rows(to_batch(before, case.definition, one.sources))

    one.append(case.batch(NOON, NOON, NOON, seed=2), 2)

    assert rows(to_batch(before, case.definition, one.sources)) == kept
    assert before.n_rows == 2


@tables
def test_what_was_shown_cannot_be_written_to(case: Case) -> None:
    one = head(case)
    one.append(case.batch(NOON), 1)

    with pytest.raises(ValueError, match="read-only"):
        one.rows(1).columns[case.definition.time][0] = 7


@tables
def test_rows_and_text_both_fill_a_head(case: Case) -> None:
    batch = case.batch(NOON, NOON, NOON, seed=3)
    size = text_bytes(batch)

    assert head(case, n_rows=3, size_bytes=size).fits(batch)
    assert not head(case, n_rows=2, size_bytes=size).fits(batch)
    assert not head(case, n_rows=3, size_bytes=size - 1).fits(batch)


@tables
def test_a_head_that_is_filled_to_the_brim_shows_all(case: Case) -> None:
    batch = case.batch(NOON, NOON, NOON, seed=3)
    one = head(case, n_rows=3, size_bytes=text_bytes(batch))

    one.append(batch, 1)

    assert shown(case, one) == rows(batch)


@tables
def test_an_origin_is_kept_once_for_each_tenant(case: Case) -> None:
    one = head(case)

    for position in range(1, 4):
        one.append(case.batch(NOON, seed=position), position)
    one.append(case.batch(NOON, tenant="acme"), 4)

    assert len(one.sources) == 2 * len(ORIGINS)
    assert len(set(one.sources)) == len(one.sources)


@tables
def test_rows_are_numbered_on_from_the_heads_first(case: Case) -> None:
    one = head(case, number=100)

    one.append(case.batch(NOON, NOON), 1)
    one.append(case.batch(NOON), 2)

    assert one.rows(one.n).column("number").tolist() == [100, 101, 102]


@tables
def test_a_head_knows_the_position_of_its_first_row(case: Case) -> None:
    one = head(case)

    one.append(case.batch(NOON), 7)
    one.append(case.batch(NOON), 9)

    assert one.first == 7


def test_a_batch_is_of_the_tenant_whose_rows_it_has() -> None:
    case = CASES[0]
    one = head(case)
    one.append(case.batch(NOON, tenant="acme", origins=[Origin(())]), 1)

    batch = to_batch(one.rows(1), case.definition, one.sources)

    assert batch.tenant == "acme"
    assert batch.origin.dtype == np.int32


def test_places_are_ordered_by_tenant_and_then_service() -> None:
    origins = [TenantOrigin(tenant, one) for tenant in ("b", "a") for one in ORIGINS]  # type: ignore[arg-type]

    places = sorted(one.place() for one in origins)

    assert places[:3] == [("a", ""), ("a", "bank"), ("a", "shop")]
