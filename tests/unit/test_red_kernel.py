"""Spans in the rows of their groups, and what is told of these."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze import red_kernel as kernel
from watchkeeper.analyze.red import ROW, STEP_NS
from watchkeeper.lake.red import BOUNDS_S, COUNT, ERRORS, N_BUCKETS, N_SERIES, SUM
from watchkeeper.lake.red_groups import Counted

MS = 1_000_000
BOUNDS_NS = np.array([round(bound * 1e9) for bound in BOUNDS_S], np.int64)
NOW_NS = 100 * STEP_NS
BEFORE_NS = NOW_NS - STEP_NS
FEW = settings(max_examples=20, deadline=None)
SPAN = st.tuples(st.integers(0, 2), st.integers(0, 20_000 * MS), st.booleans())


def rows(n: int = 3) -> Any:
    return np.zeros(n, ROW).view(np.recarray)


def counted(*spans: tuple[int, int, bool]) -> Counted:
    """Of (group, duration, failed)."""
    return Counted(
        np.array([one[0] for one in spans], np.int64),
        np.array([one[1] for one in spans], np.int64),
        np.array([one[2] for one in spans], np.bool_),
    )


def told(
    table: Any, now_ns: int = NOW_NS, *, groups: tuple[int, ...] = (0,), slots: Any = None
) -> list[tuple[int, int, float]]:
    """(slot, time, value) of each sample; slots count up from 0 unless given."""
    n = len(groups)
    slots = np.arange(n * N_SERIES, dtype=np.int32).reshape(n, -1) if slots is None else slots
    room = 2 * slots.size
    out = (np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room))
    n_out = kernel.tell(np.array(groups), slots, table, (now_ns, now_ns - STEP_NS), out)
    return list(zip(*(column[:n_out].tolist() for column in out), strict=True))


def now(samples: list[tuple[int, int, float]], at_ns: int = NOW_NS) -> list[float]:
    return [value for _, time_ns, value in samples if time_ns == at_ns]


@pytest.mark.parametrize(
    ("duration_ns", "bucket"),
    [
        (0, 0),
        (1 * MS, 0),
        (1 * MS + 1, 1),
        (100 * MS, 6),
        (100 * MS + 1, 7),
        (10_000 * MS, N_BUCKETS - 2),
        (10_000 * MS + 1, N_BUCKETS - 1),
        (10**18, N_BUCKETS - 1),
    ],
)
def test_a_span_is_counted_in_the_first_bucket_that_holds_it(duration_ns: int, bucket: int) -> None:
    table = rows()

    kernel.count(counted((1, duration_ns, False)), BOUNDS_NS, table)

    assert np.flatnonzero(table.bucket[1]).tolist() == [bucket]
    assert table.sum_ns.tolist() == [0, duration_ns, 0]
    assert table.is_changed.tolist() == [0, 1, 0]


@FEW
@given(st.lists(SPAN, max_size=12), st.integers(0, 12))
def test_how_spans_are_cut_into_batches_makes_no_difference(
    spans: list[tuple[int, int, bool]], at: int
) -> None:
    whole, parts = rows(), rows()

    kernel.count(counted(*spans), BOUNDS_NS, whole)
    kernel.count(counted(*spans[:at]), BOUNDS_NS, parts)
    kernel.count(counted(*spans[at:]), BOUNDS_NS, parts)

    assert whole.tobytes() == parts.tobytes()


@FEW
@given(st.lists(SPAN, min_size=1, max_size=12))
def test_what_is_told_is_what_a_reader_would_count(spans: list[tuple[int, int, bool]]) -> None:
    table = rows()
    kernel.count(counted(*spans), BOUNDS_NS, table)

    for group in range(3):
        values = now(told(table, groups=(group,)))
        own = [(took, failed) for of, took, failed in spans if of == group]
        want = [sum(took <= bound for took, _ in own) for bound in BOUNDS_NS]
        assert values[: N_BUCKETS - 1] == want
        assert values[N_BUCKETS - 1] == values[COUNT] == len(own)
        assert values[SUM] == sum(took for took, _ in own) / 1e9
        assert values[ERRORS] == sum(failed for _, failed in own)


def test_a_group_that_is_new_begins_at_zero_just_behind_the_boundary_before() -> None:
    table = rows()
    kernel.count(counted((0, MS, True)), BOUNDS_NS, table)

    samples = told(table)

    begins = [value for _, time_ns, value in samples if time_ns == BEFORE_NS + MS]
    assert begins == [0.0] * N_SERIES
    assert len(samples) == 2 * N_SERIES


def test_a_group_that_was_told_at_the_boundary_before_begins_no_more() -> None:
    table = rows()
    kernel.count(counted((0, MS, False)), BOUNDS_NS, table)
    told(table, BEFORE_NS)

    samples = told(table)

    assert len(samples) == N_SERIES
    assert {time_ns for _, time_ns, _ in samples} == {NOW_NS}


def test_a_group_that_was_silent_begins_with_what_it_had() -> None:
    table = rows()
    kernel.count(counted((0, MS, False)), BOUNDS_NS, table)
    told(table, NOW_NS - 5 * STEP_NS)
    kernel.count(counted((0, MS, True)), BOUNDS_NS, table)

    samples = told(table)

    had, has = samples[:N_SERIES], samples[N_SERIES:]
    assert {time_ns for _, time_ns, _ in had} == {BEFORE_NS + MS}
    assert (had[COUNT][2], has[COUNT][2]) == (1.0, 2.0)
    assert (had[ERRORS][2], has[ERRORS][2]) == (0.0, 1.0)


def test_a_telling_is_remembered_and_what_changed_is_told_once() -> None:
    table = rows()
    kernel.count(counted((0, MS, False)), BOUNDS_NS, table)

    told(table, BEFORE_NS)
    told(table, NOW_NS)

    assert table.is_changed[0] == 0
    assert (table.changed_ns[0], table.told_ns[0]) == (BEFORE_NS, NOW_NS)


def test_a_group_without_any_series_tells_nothing_and_goes_on_counting() -> None:
    table = rows()
    kernel.count(counted((0, MS, False)), BOUNDS_NS, table)

    samples = told(table, slots=np.full((1, N_SERIES), -1, np.int32))

    assert samples == []
    assert (table.told_ns[0], table.changed_ns[0]) == (0, NOW_NS)
    assert table.bucket[0].sum() == 1


@pytest.mark.parametrize("missing", [0, COUNT, SUM, ERRORS])
def test_series_for_which_there_was_no_room_are_left_out(missing: int) -> None:
    table = rows()
    kernel.count(counted((0, MS, False)), BOUNDS_NS, table)
    slots = np.arange(N_SERIES, dtype=np.int32)[None].copy()
    slots[0, missing] = -1

    samples = told(table, slots=slots)

    assert len(samples) == 2 * (N_SERIES - 1)
    assert missing not in {slot for slot, _, _ in samples}


def test_groups_are_told_in_the_order_in_which_they_are_asked_for() -> None:
    table = rows()
    kernel.count(counted((2, MS, False), (0, MS, False), (0, MS, False)), BOUNDS_NS, table)

    samples = told(table, groups=(2, 0))

    counts = [value for slot, at, value in samples if at == NOW_NS and slot % N_SERIES == COUNT]
    assert counts == [1.0, 2.0]
