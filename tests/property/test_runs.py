"""Runs of samples: sorted, merged, cut, copied and encoded as lists would be."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lakes
from watchkeeper.lake import segment_kernel
from watchkeeper.lake.compact import merge_blocks
from watchkeeper.lake.runs import Runs, merge, offsets
from watchkeeper.lake.segment import Block, group_bounds, groups_of, rows_of
from watchkeeper.lake.segment_kernel import LIMIT, MAX_DECIMALS, RAW, UNDECIDED
from watchkeeper.model.series import F64, I64

Points = list[tuple[int, float]]

TIMES = st.integers(-20, 20)
VALUES = st.one_of(
    st.integers(-1000, 1000).map(lambda i: i / 100),
    st.integers(-(10**6), 10**6).map(float),
    st.floats(),
    st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, lakes.STALE, 2.0**52, 1e300]),
)
LOOSE = st.lists(st.tuples(TIMES, VALUES), max_size=15)
"""In any order, and times twice."""
SORTED = st.dictionaries(TIMES, VALUES, max_size=12).map(lambda drawn: sorted(drawn.items()))
COUNTS = st.lists(st.integers(0, 7), min_size=1, max_size=8)


def bits(values: Sequence[float] | F64) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


def columns(series: Sequence[Points]) -> tuple[I64, I64, I64]:
    """Offsets, times and bits."""
    value = np.array([value for one in series for _, value in one], np.float64)
    return (
        offsets(np.array([len(one) for one in series], np.int64)),
        np.array([t for one in series for t, _ in one], np.int64),
        value.view(np.int64),
    )


def runs(series: Sequence[Points]) -> Runs:
    offset, time_ns, as_bits = columns(series)
    return Runs(offset, time_ns, as_bits.view(np.float64))


def points(offset: I64, time_ns: I64, as_bits: I64) -> list[list[tuple[int, bytes]]]:
    values = bits(as_bits.view(np.float64))
    rows = list(zip(time_ns.tolist(), values, strict=True))
    return [rows[a:b] for a, b in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True)]


def first_wins(samples: Points) -> list[tuple[int, bytes]]:
    kept: dict[int, float] = {}
    for t, value in samples:
        kept.setdefault(t, value)
    return [(t, struct.pack("<d", kept[t])) for t in sorted(kept)]


# Order


@given(st.lists(LOOSE, min_size=1, max_size=4))
def test_settled_runs_are_sorted_and_the_first_of_a_time_stays(series: list[Points]) -> None:
    offset, time_ns, as_bits = columns(series)

    kept = segment_kernel.settle_runs(offset, time_ns, as_bits)

    assert points(offset, time_ns[:kept], as_bits[:kept]) == [first_wins(one) for one in series]


@given(st.lists(st.lists(SORTED, min_size=2, max_size=2), max_size=4))
def test_of_samples_of_one_time_the_first_source_wins(sources: list[list[Points]]) -> None:
    merged = merge([runs(source) for source in sources], 2)

    want = [first_wins([row for source in sources for row in source[s]]) for s in range(2)]
    assert points(merged.offset, merged.time_ns, merged.value.view(np.int64)) == want


@given(st.lists(SORTED, min_size=1, max_size=6), st.data())
def test_a_part_of_runs_is_those_runs(series: list[Points], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(series)))
    last = data.draw(st.integers(first, len(series)))
    whole = runs(series)

    part = whole.part(first, last)

    assert points(part.offset, part.time_ns, part.value.view(np.int64)) == [
        first_wins(one) for one in series[first:last]
    ]
    assert len(part) == sum(map(len, series[first:last]))


@given(COUNTS)
def test_offsets_are_where_runs_begin_and_the_last_one_ends(counts: list[int]) -> None:
    offset = offsets(np.array(counts, np.int64))

    assert offset.tolist() == [sum(counts[:i]) for i in range(len(counts) + 1)]


@given(st.lists(SORTED, min_size=1, max_size=4), TIMES, TIMES)
def test_runs_are_narrowed_to_a_stretch_of_time(
    series: list[Points], least: int, most: int
) -> None:
    offset, time_ns, as_bits = columns(series)
    begin, stop, count = offset[:-1].copy(), offset[1:].copy(), np.zeros(len(series), np.int64)

    segment_kernel.narrow_runs(time_ns, begin, stop, least, most, count)

    want = [[t for t, _ in one if least <= t <= most] for one in series]
    assert [time_ns[a:b].tolist() for a, b in zip(begin, stop, strict=True)] == want
    assert count.tolist() == [len(one) for one in want]
    out = np.empty(int(count.sum()), np.int64)
    segment_kernel.copy_runs(time_ns, begin, stop, 1000, offsets(count), out)
    assert out.tolist() == [1000 * t for one in want for t in one]
    assert len(as_bits) == len(time_ns)


# Values as whole numbers


def encoded(values: Sequence[float]) -> tuple[int, I64]:
    value = np.array(values, np.float64)
    code = np.full(1, UNDECIDED, np.uint8)
    segment_kernel.encode_runs(value, value.view(np.int64), np.array([0, len(values)]), code)
    return int(code[0]), value.view(np.int64)


def decoded(code: int, number: I64) -> F64:
    value = np.empty(len(number))
    ends = np.array([0, len(number)])
    segment_kernel.decode_runs(
        number, ends[:1], ends[1:], np.array([code], np.uint8), ends, value, value.view(np.int64)
    )
    return value


@given(st.integers(0, MAX_DECIMALS), st.lists(st.integers(-(10**6), 10**6), min_size=1))
def test_decimals_become_small_numbers(n_decimals: int, drawn: list[int]) -> None:
    values = [i / 10**n_decimals for i in drawn]

    code, number = encoded(values)

    assert code <= n_decimals, "never more decimals than were sent"
    assert [n / 10**code for n in number.tolist()] == values
    if code:
        assert any(round(value * 10 ** (code - 1)) / 10 ** (code - 1) != value for value in values)


@given(st.lists(VALUES, min_size=1, max_size=30), st.data())
def test_some_of_a_runs_values_fit_its_code(values: list[float], data: st.DataObject) -> None:
    """As in cells, whose least, most, first and last are some of the samples' values."""
    code, _ = encoded(values)
    some = [values[i] for i in data.draw(st.lists(st.integers(0, len(values) - 1), max_size=9))]
    number = np.array(some, np.float64)

    segment_kernel.encode_as(
        number, number.view(np.int64), np.array([0, len(some)]), np.array([code], np.uint8)
    )

    assert bits(decoded(code, number.view(np.int64))) == bits(some)


@pytest.mark.parametrize("value", [LIMIT - 1, -(LIMIT - 1), (LIMIT - 1) / 10**3])
def test_the_largest_numbers_of_their_code_are_exact(value: float) -> None:
    code, number = encoded([float(value)])

    assert code < RAW
    assert decoded(code, number).tolist() == [float(value)]


@pytest.mark.parametrize("value", [LIMIT, -LIMIT, LIMIT * 16])
def test_numbers_at_the_limit_are_kept_as_bits(value: float) -> None:
    code, number = encoded([float(value)])

    assert code >= RAW
    assert decoded(code, number).tolist() == [float(value)]


@given(
    st.lists(st.lists(SORTED, min_size=1, max_size=3), min_size=2, max_size=4),
    st.one_of(st.none(), st.integers(0, 100)),
)
def test_merged_blocks_hold_what_lists_would_hold(
    sources: list[list[Points]], spare_rows: int | None
) -> None:
    """Each source is a block of series with codes of its own; series 0 is in all of them. The
    memory to merge them in holds something already, and may be larger than it must."""
    blocks = []
    for source in sources:
        some = [one or [(0, 1.0)] for one in source]
        offset, time_ns, number = columns(some)
        code = np.full(len(some), UNDECIDED, np.uint8)
        segment_kernel.encode_runs(number.view(np.float64), number, offset, code)
        name = np.arange(1, len(some) + 1, dtype=np.uint64) << np.uint64(60)
        blocks.append(Block(np.stack([name, name], axis=1), offset, code, time_ns, number))

    n_rows = sum(len(block.number) for block in blocks)
    memory = None if spare_rows is None else np.full((4, n_rows + spare_rows), -99)

    merged = merge_blocks(blocks, memory)

    n_series = max(map(len, sources))
    want = [
        first_wins([row for one in sources if s < len(one) for row in one[s] or [(0, 1.0)]])
        for s in range(n_series)
    ]
    assert (merged.identity[:, 0] >> np.uint64(60)).tolist() == list(range(1, n_series + 1))
    value = np.empty(len(merged.number))
    segment_kernel.decode_runs(
        merged.number, merged.offset[:-1], merged.offset[1:], merged.code, merged.offset, value,
        value.view(np.int64),
    )  # fmt: skip
    assert points(merged.offset, merged.time_ns, value.view(np.int64)) == want


# Times


@given(st.lists(st.integers(-(2**60), 2**60), max_size=9), st.sampled_from([1, 1000, 1_000_000]))
def test_the_unit_of_times_is_the_coarsest_that_loses_nothing(
    drawn: list[int], factor: int
) -> None:
    times = np.array([t // factor * factor for t in drawn], np.int64)

    unit = segment_kernel.coarsest_unit(times)

    assert unit >= factor
    assert (times % unit == 0).all()
    coarser = unit * 1000
    assert unit == 1_000_000 or any(int(t) % coarser for t in times)


# Where rows are


@given(COUNTS.filter(any), st.integers(1, 5), st.data())
def test_only_groups_with_wanted_rows_are_read_and_only_as_far_as_needed(
    counts: list[int], group_rows: int, data: st.DataObject
) -> None:
    start = offsets(np.array(counts, np.int64))
    place = np.array(
        data.draw(st.lists(st.integers(-1, len(counts) - 1), min_size=1, max_size=5)), np.int64
    )
    begin, stop = rows_of(start, place)
    n_rows = int(start[-1])

    groups, there, until = groups_of(begin, stop, group_rows, n_rows)

    wanted = {
        row for a, b in zip(begin.tolist(), stop.tolist(), strict=True) for row in range(a, b)
    }
    by_group = {number: [row for row in wanted if row // group_rows == number]
                for number in {row // group_rows for row in wanted}}  # fmt: skip
    assert groups.number.tolist() == sorted(by_group)
    assert groups.enough.tolist() == [
        max(by_group[number]) - number * group_rows + 1 for number in sorted(by_group)
    ]
    read = [
        row
        for number in sorted(by_group)
        for row in range(number * group_rows, min((number + 1) * group_rows, n_rows))
    ]
    for a, b, c, d in zip(begin, stop, there, until, strict=True):
        assert read[int(c) : int(d)] == list(range(int(a), int(b)))
    first, last = group_bounds(begin, stop, group_rows)
    for a, b, c, d in zip(begin, stop, first, last, strict=True):
        assert d - c == len({row // group_rows for row in range(int(a), int(b))})


IDENTITIES = st.lists(
    st.tuples(st.sampled_from([0, 1, 5, 2**63, 2**64 - 1]), st.integers(0, 3)), unique=True
)


@given(IDENTITIES, IDENTITIES)
def test_series_are_found_by_both_halves(
    there: list[tuple[int, int]], wanted: list[tuple[int, int]]
) -> None:
    ordered = sorted(there)
    place = np.empty(len(wanted), np.int64)

    segment_kernel.find_series(
        halves(ordered)[:, 0].copy(), halves(ordered)[:, 1].copy(), halves(wanted), place
    )

    assert place.tolist() == [ordered.index(one) if one in ordered else -1 for one in wanted]


def halves(identities: list[tuple[int, int]]) -> Any:
    return np.array(identities, np.uint64).reshape(-1, 2)


@given(COUNTS.filter(any), st.data(), st.sampled_from([1, 1_000, 1_000_000]))
def test_rows_are_handed_over_in_any_portions(
    counts: list[int], data: st.DataObject, unit: int
) -> None:
    offset = offsets(np.array(counts, np.int64))
    n_rows = int(offset[-1])
    time_ns, number = np.arange(n_rows) * 1_000_000, np.arange(n_rows) * 7
    series, times, numbers = (np.full(n_rows, -9, kind) for kind in (np.int32, np.int64, np.int64))
    done = 0
    while done < n_rows:
        n = data.draw(st.integers(1, n_rows - done))
        segment_kernel.fill_rows(
            offset, done, n, 100, time_ns, unit, number, done, series, times, numbers
        )
        done += n

    assert series.tolist() == [100 + s for s, count in enumerate(counts) for _ in range(count)]
    assert (times * unit).tolist() == time_ns.tolist()
    assert numbers.tolist() == number.tolist()
