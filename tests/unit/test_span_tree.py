"""Spans as trees, whatever they look like."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import MS, NAMES, Call, columns, requests
from watchkeeper.analyze.reading.span_tree import SpanTree, span_tree
from watchkeeper.model.case import SpanColumns
from watchkeeper.model.series import I32
from watchkeeper.model.severity import SpanKind

INTERNAL, SERVER, CLIENT = SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT
GATEWAY, ORDER, DATABASE = (NAMES.index(one) for one in ("gateway", "order", "database"))


def row(
    span: int,
    parent: int,
    times_ms: tuple[float, float],
    service: int = GATEWAY,
    kind: int = INTERNAL,
    peer: int = -1,
) -> tuple[object, ...]:
    """A span of trace 1, with start and duration."""
    start, duration = (round(one * MS) for one in times_ms)
    return (1, span, parent, service, 0, peer, kind, False, start, duration)


def tree(*rows: tuple[object, ...]) -> SpanTree:
    return span_tree(columns(rows))


def own_ms(found: SpanTree) -> list[float]:
    return [one / MS for one in found.own_ns.tolist()]


def test_own_time_is_what_no_child_takes() -> None:
    found = tree(row(1, 0, (0, 100)), row(2, 1, (10, 30)), row(3, 1, (50, 20)))

    assert own_ms(found) == [50, 30, 20]


def test_children_that_overlap_count_once() -> None:
    found = tree(row(1, 0, (0, 100)), row(2, 1, (10, 40)), row(3, 1, (20, 40)), row(4, 1, (30, 5)))

    assert own_ms(found)[0] == 50


def test_five_hundred_children_at_once_leave_no_less_than_nothing() -> None:
    fan = [row(n, 1, (1, 80)) for n in range(2, 502)]

    assert own_ms(tree(row(1, 0, (0, 100)), *fan))[0] == 20


def test_a_span_told_twice_counts_once() -> None:
    found = tree(row(1, 0, (0, 100)), row(2, 1, (10, 30)), row(2, 1, (10, 30)))

    assert len(found) == 2
    assert own_ms(found) == [70, 30]


def test_a_child_whose_parent_is_unknown_is_an_orphan_and_a_root() -> None:
    found = tree(row(1, 0, (0, 100)), row(2, 77, (10, 30)))

    assert found.parent.tolist() == [-1, -1]
    assert found.is_orphan.tolist() == [False, True]


def test_loops_end_and_a_span_is_no_parent_of_its_own() -> None:
    found = tree(row(1, 1, (0, 100)), row(2, 3, (0, 40)), row(3, 2, (0, 30)))

    assert found.parent.tolist() == [-1, 2, 1]
    assert min(own_ms(found)) >= 0


def test_a_negative_duration_is_none() -> None:
    assert own_ms(tree(row(1, 0, (0, -50)))) == [0]


def test_an_endless_span_counts_as_one_of_an_hour() -> None:
    assert own_ms(tree(row(1, 0, (0, 1e9)))) == [3_600_000]


def test_a_clock_that_is_ahead_moves_no_time_from_caller_to_callee() -> None:
    found = tree(
        row(1, 0, (0, 100), GATEWAY, CLIENT),
        row(2, 1, (5_000, 60), ORDER, SERVER),
    )

    assert own_ms(found) == [40, 60]
    assert found.gap_ns.tolist() == [40 * MS, -1]


def test_what_goes_on_after_its_parent_ended_is_cut_off_there() -> None:
    found = tree(row(1, 0, (0, 100)), row(2, 1, (90, 500)))

    assert own_ms(found)[0] == 90


def test_a_wrapper_beside_the_call_that_it_waits_for_took_no_time() -> None:
    found = tree(
        row(1, 0, (0, 100)),
        row(2, 1, (10, 70)),
        row(3, 1, (20, 50), GATEWAY, CLIENT),
        row(4, 3, (21, 45), ORDER, SERVER),
    )

    assert own_ms(found)[1] == 20


def test_a_call_of_who_tells_nothing_belongs_to_whom_it_names() -> None:
    found = tree(row(1, 0, (0, 100)), row(2, 1, (10, 60), GATEWAY, CLIENT, DATABASE))

    assert found.owner.tolist() == [GATEWAY, DATABASE]
    assert found.gap_ns.tolist() == [-1, -1]


def test_without_a_kind_a_span_with_one_child_elsewhere_waits_for_it() -> None:
    unknown = SpanKind.UNKNOWN
    found = tree(row(1, 0, (0, 100), GATEWAY, unknown), row(2, 1, (10, 60), ORDER, unknown))

    assert found.callee.tolist() == [ORDER, -1]


def test_a_servers_span_with_children_elsewhere_waits_for_none_of_them() -> None:
    found = tree(row(1, 0, (0, 100), GATEWAY, SERVER), row(2, 1, (10, 60), ORDER, SERVER))

    assert found.callee.tolist() == [-1, -1]
    assert own_ms(found)[0] == 40


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    told = requests(Call("gateway", calls=(Call("order"), Call("database", silent=True))), n=5)
    order = np.random.default_rng(seed).permutation(len(told))
    back = np.argsort(order)

    one, other = span_tree(told), span_tree(told.take(order))

    assert other.own_ns[back].tolist() == one.own_ns.tolist()
    assert other.callee[back].tolist() == one.callee.tolist()
    assert other.gap_ns[back].tolist() == one.gap_ns.tolist()


def test_spans_of_one_id_in_two_traces_are_two() -> None:
    first = row(1, 0, (0, 100))
    second = (2, *row(1, 0, (0, 100))[1:])

    assert len(tree(first, second)) == 2


def test_fifty_thousand_spans_of_one_trace_are_read() -> None:
    n = 50_000
    rows = np.arange(n)
    nothing: I32 = np.zeros(n, np.int32)
    found = span_tree(
        SpanColumns(
            np.ones(n, np.int64),
            (rows + 1).astype(np.uint64),
            rows.astype(np.uint64),
            nothing,
            nothing,
            nothing - 1,
            nothing.astype(np.uint8),
            nothing.astype(np.bool_),
            rows,
            10 * n - 2 * rows,
        )
    )

    assert found.own_ns[:-1].tolist() == [2] * (n - 1)
