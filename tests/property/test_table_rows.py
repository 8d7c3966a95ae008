"""Rows in memory: taken, cut and joined, they stay the rows that they are."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tests.tables import CASES, NOON, ORIGINS, Case, rows
from watchkeeper.lake.tables.definition import NUMBER
from watchkeeper.lake.tables.rows import (
    Rows,
    TenantOrigin,
    concat,
    decode_sources,
    empty,
    encode_sources,
    gather,
    nothing,
    part,
    take,
    to_batch,
)
from watchkeeper.lake.tables.sources import wanted
from watchkeeper.model.row import texts
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp, TenantId

tables = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
SOURCES = tuple(TenantOrigin(DEFAULT_TENANT, one) for one in ORIGINS)


def made(case: Case, n: int, seed: int = 1) -> Rows:
    batch = case.batch(*range(NOON, NOON + n), seed=seed)
    columns: dict[str, Any] = {name: getattr(batch, name) for name in batch.COLUMNS}
    columns[NUMBER] = np.arange(n)
    return Rows(columns, {name: getattr(batch, name) for name in batch.TEXTS})


def said(case: Case, some: Rows) -> list[Any]:
    return rows(to_batch(some, case.definition, SOURCES))


@tables
@given(st.integers(0, 9), st.data())
def test_rows_that_are_taken_are_those_in_this_order(
    case: Case, n: int, data: st.DataObject
) -> None:
    whole = made(case, n)
    chosen = data.draw(st.lists(st.integers(0, max(0, n - 1)), max_size=12 if n else 0))

    taken = take(whole, case.definition, np.array(chosen, np.int64))

    every = said(case, whole)
    assert said(case, taken) == [every[row] for row in chosen]
    assert taken.columns[NUMBER].tolist() == chosen


@tables
@given(st.integers(0, 9), st.data())
def test_parts_joined_are_the_whole(case: Case, n: int, data: st.DataObject) -> None:
    whole = made(case, n)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))

    parts = [part(whole, a, b) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]

    assert said(case, concat([empty(case.definition), *parts])) == said(case, whole)


@given(st.lists(st.binary(max_size=6), max_size=9), st.data())
def test_texts_are_gathered_as_they_are_taken(runs: list[bytes], data: st.DataObject) -> None:
    column = texts(runs)
    last = max(0, len(runs) - 1)
    chosen = np.array(
        data.draw(st.lists(st.integers(0, last), max_size=12 if runs else 0)), np.int64
    )

    gathered, taken = gather(column, chosen), column.take(chosen)

    assert gathered.data.tobytes() == taken.data.tobytes()
    assert gathered.offset.tolist() == taken.offset.tolist()


@tables
def test_nothing_is_a_batch_without_rows(case: Case) -> None:
    batch = nothing(case.definition)

    assert len(batch) == 0
    assert isinstance(batch, case.definition.kind)
    assert rows(batch) == []


def test_sources_are_read_as_they_were_written() -> None:
    content = encode_sources(SOURCES)

    assert decode_sources(content) == SOURCES


@pytest.mark.parametrize(
    ("matcher", "mask", "is_asked"),
    [
        (Matcher("service", MatchOp.EQUAL, "shop"), [True, False, True], True),
        (Matcher("host", MatchOp.EQUAL, "b"), [False, True, True], True),
        (Matcher("host", MatchOp.REGEX, "a|b"), [True, True, True], True),
        (Matcher("environment", MatchOp.NOT_EQUAL, "prod"), [False, True, True], True),
        (Matcher("code", MatchOp.EQUAL, "1"), [True, True, True], True),
    ],
)
def test_a_source_that_says_nothing_leaves_it_to_its_rows(
    matcher: Matcher, mask: list[bool], is_asked: bool
) -> None:
    found = wanted(SOURCES, DEFAULT_TENANT, [matcher])

    assert found.mask.tolist() == mask
    assert bool(found.asked) == is_asked


@pytest.mark.parametrize(
    ("matcher", "mask"),
    [
        (Matcher("service", MatchOp.EQUAL, "shop"), [True, False, False]),
        (Matcher("service", MatchOp.EQUAL, ""), [False, False, True]),
        (Matcher("service", MatchOp.NOT_REGEX, "s.*"), [False, True, True]),
    ],
)
def test_where_rows_have_no_attributes_sources_decide_alone(
    matcher: Matcher, mask: list[bool]
) -> None:
    found = wanted(SOURCES, DEFAULT_TENANT, [matcher], has_attributes=False)

    assert found.mask.tolist() == mask
    assert found.asked == ()


def test_sources_of_another_tenant_are_never_wanted() -> None:
    others = [TenantOrigin(TenantId("acme"), one) for one in ORIGINS]

    found = wanted([*SOURCES, *others], DEFAULT_TENANT, [])

    assert found.mask.tolist() == [True] * 3 + [False] * 3
