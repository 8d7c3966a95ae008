"""Children of spans beside those of before: what is missing, what is new, and who is excused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.cases import MS, NAMES, columns
from watchkeeper.analyze.reading.span_tree import SpanTree, span_tree
from watchkeeper.analyze.reading.structure import (
    MIN_PARENTS_BEFORE,
    MIN_PARENTS_NOW,
    Children,
    compared_children,
)
from watchkeeper.model.case import SpanColumns
from watchkeeper.model.severity import SpanKind

ORDER, STOCK, USER = (NAMES.index(name) for name in ("order", "stock", "user"))
SERVE, WORK = 2, 3


def told(
    n: int,
    *children: int,
    failed: bool = False,
    child_failed: bool = False,
    kind: int = SpanKind.SERVER,
    operation: int = SERVE,
    first: int = 0,
) -> list[tuple[Any, ...]]:
    """Traces of one span of order each, and of its children by their services."""
    rows = []
    for trace in range(first, first + n):
        rows.append(
            (trace, 1, 0, ORDER, operation, -1, kind, failed, trace * MS, 100 * MS)
        )  # fmt: skip
        for at, child in enumerate(children):
            rows.append(
                (trace, at + 2, 1, child, WORK, -1, SpanKind.SERVER, child_failed,
                 trace * MS, MS)
            )  # fmt: skip
    return rows


def compared(before: list[tuple[Any, ...]], now: list[tuple[Any, ...]]) -> Children:
    return compared_children(span_tree(columns(before)), span_tree(columns(now)))


def named(found: Children, which: str) -> list[int]:
    """The children of which it is said, by their services."""
    rows: list[int] = found.child_service[getattr(found, which)].tolist()
    return rows


@pytest.mark.parametrize(("n", "missing"), [(5, []), (6, [STOCK]), (60, [STOCK])])
def test_a_child_that_stays_away_is_missing_once_that_is_no_chance(
    n: int, missing: list[int]
) -> None:
    found = compared(told(30, STOCK), told(n))

    assert named(found, "is_missing") == missing
    assert found.expected.tolist() == [n]
    assert found.now.tolist() == [0]
    assert found.deviance.tolist() == pytest.approx([2.0 * n])


@pytest.mark.parametrize(("n", "extra"), [(4, []), (5, [USER]), (60, [USER])])
def test_a_child_that_never_was_is_extra_once_that_is_no_chance(n: int, extra: list[int]) -> None:
    found = compared(told(30), told(n, USER))

    assert named(found, "is_extra") == extra
    assert named(found, "is_missing") == []
    assert found.now.tolist() == [n]


@pytest.mark.parametrize("n", [MIN_PARENTS_BEFORE - 1, MIN_PARENTS_BEFORE])
def test_too_few_parents_of_before_say_nothing_of_what_is_usual(n: int) -> None:
    found = compared(told(n, STOCK, STOCK), told(30, USER, USER))

    known = n >= MIN_PARENTS_BEFORE
    assert named(found, "is_missing") == [STOCK] * known
    assert named(found, "is_extra") == [USER] * known


@pytest.mark.parametrize("n", [MIN_PARENTS_NOW - 1, MIN_PARENTS_NOW])
def test_too_few_parents_of_now_say_nothing_of_what_is_missing(n: int) -> None:
    ten = [STOCK] * 10

    assert named(compared(told(30, *ten), told(n)), "is_missing") == [STOCK] * (
        n >= MIN_PARENTS_NOW
    )


@pytest.mark.parametrize(("n_before", "n_now"), [(10, 30), (30, 10), (20, 20)])
def test_what_is_expected_grows_with_the_parents_and_is_no_finding_by_itself(
    n_before: int, n_now: int
) -> None:
    found = compared(told(n_before, STOCK, STOCK), told(n_now, STOCK, STOCK))

    assert found.expected.tolist() == [2.0 * n_now] == found.now.tolist()
    assert not (found.is_missing | found.is_extra).any()
    assert found.deviance.tolist() == [0.0]


@pytest.mark.parametrize(
    ("n_now", "missing", "extra"),
    [(1, True, False), (3, True, False), (4, False, False), (5, False, False), (8, False, True)],
)
def test_a_child_may_come_more_often_or_less_per_parent(
    n_now: int, missing: bool, extra: bool
) -> None:
    """Four times before. Of forty parents."""
    found = compared(told(40, *[STOCK] * 4), told(40, *[STOCK] * n_now))

    assert found.is_missing.tolist() == [missing]
    assert found.is_extra.tolist() == [extra]


def test_one_child_for_another_is_one_that_is_missing_and_one_that_is_extra() -> None:
    found = compared(told(20, STOCK), told(20, USER))

    assert (named(found, "is_missing"), named(found, "is_extra")) == ([STOCK], [USER])
    assert set(found.service.tolist()) == {ORDER}
    assert set(found.operation.tolist()) == {SERVE}
    assert set(found.child_operation.tolist()) == {WORK}


def test_who_failed_because_its_callee_did_is_excused_for_what_it_left_undone() -> None:
    now = told(20, USER, failed=True, child_failed=True)

    found = compared(told(20, STOCK, USER), now)

    assert named(found, "is_missing") == []
    assert named(found, "is_extra") == []


def test_who_failed_while_its_callees_were_well_is_not_excused() -> None:
    now = told(20, USER, failed=True)

    assert named(compared(told(20, STOCK, USER), now), "is_missing") == [STOCK]


def test_who_went_on_though_its_callee_failed_is_not_excused() -> None:
    now = told(20, USER, child_failed=True)

    assert named(compared(told(20, STOCK, USER), now), "is_missing") == [STOCK]


@pytest.mark.parametrize(
    ("kind", "missing"),
    [(SpanKind.CLIENT, []), (SpanKind.SERVER, [STOCK]), (SpanKind.INTERNAL, [STOCK])],
)
def test_a_call_that_failed_is_excused_for_having_no_answer(kind: int, missing: list[int]) -> None:
    """Whoever did not answer told no span; that is not the caller's doing."""
    found = compared(told(20, STOCK, kind=kind), told(20, failed=True, kind=kind))

    assert named(found, "is_missing") == missing


def test_those_that_are_not_excused_are_still_compared_by_how_many_they_are() -> None:
    excused = told(50, USER, failed=True, child_failed=True)

    found = compared(told(20, STOCK, USER), [*excused, *told(10, USER, first=100)])

    (at,) = np.flatnonzero(found.is_missing)
    assert (found.child_service[at], found.expected[at], found.now[at]) == (STOCK, 10.0, 0)


def test_what_only_excused_parents_did_before_is_not_usual() -> None:
    before = told(30, STOCK, failed=True, child_failed=True)

    assert len(compared(before, told(30))) == 0


def test_each_operation_of_a_parent_is_compared_with_itself() -> None:
    before = [*told(20, STOCK), *told(20, USER, operation=WORK, first=50)]
    now = [*told(20, STOCK), *told(20, operation=WORK, first=50)]

    found = compared(before, now)

    (at,) = np.flatnonzero(found.is_missing)
    assert (found.operation[at], found.child_service[at]) == (WORK, USER)


def test_an_operation_without_a_name_is_one_of_its_own() -> None:
    found = compared(told(20, STOCK, operation=-1), told(20, operation=-1))

    assert found.operation.tolist() == [-1]
    assert named(found, "is_missing") == [STOCK]


@pytest.mark.parametrize(("before", "now"), [(0, 0), (0, 20), (20, 0)])
def test_where_a_stretch_is_empty_nothing_is_strange(before: int, now: int) -> None:
    found = compared(told(before, STOCK), told(now, STOCK))

    assert not (found.is_missing | found.is_extra).any()
    assert np.isfinite(found.expected).all()


def shuffled(spans: SpanColumns) -> SpanColumns:
    return spans.take(np.random.default_rng(3).permutation(len(spans)))


def doubled(spans: SpanColumns) -> SpanColumns:
    return spans.take(np.repeat(np.arange(len(spans)), 2))


def moved(spans: SpanColumns) -> SpanColumns:
    return replace(spans, start_ns=spans.start_ns - 10**15)


@pytest.mark.parametrize("bend", [shuffled, doubled, moved])
def test_neither_order_nor_repetition_nor_clocks_change_the_comparison(
    bend: Callable[[SpanColumns], SpanColumns],
) -> None:
    before, now = columns(told(20, STOCK, USER)), columns(told(25, USER, USER))

    found = compared_children(*(span_tree(bend(one)) for one in (before, now)))

    straight = compared_children(span_tree(before), span_tree(now))
    for name in Children.__slots__:
        assert getattr(found, name).tolist() == getattr(straight, name).tolist()


def chain(n: int) -> SpanTree:
    """One trace in which each span calls the next, and the last one calls the first."""
    return span_tree(
        columns(
            [
                (0, at + 1, at or n, at % len(NAMES), SERVE, -1, SpanKind.SERVER, False, 0, MS)
                for at in range(n)
            ]
        )
    )


@pytest.mark.parametrize("n", [1, 2, 7, 5_000])
def test_spans_that_call_each_other_in_a_circle_are_compared_as_any(n: int) -> None:
    found = compared_children(chain(n), chain(n))

    assert not (found.is_missing | found.is_extra).any()
    assert int(found.now.sum()) == (n if n > 1 else 0)
