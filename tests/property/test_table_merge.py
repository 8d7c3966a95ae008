"""Merging segments: all rows of all inputs, in order, whatever is in memory at a time."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.disks import UnsyncedFiles
from tests.tables import CASES, NOON, Case
from watchkeeper.lake.tables.config import LogsConfig
from watchkeeper.lake.tables.definition import NUMBER
from watchkeeper.lake.tables.flush import write_segments
from watchkeeper.lake.tables.head import Head
from watchkeeper.lake.tables.manifest import SegmentInfo
from watchkeeper.lake.tables.merge import Merge, choose
from watchkeeper.lake.tables.rows import ranks, sort_key
from watchkeeper.lake.tables.segment import Segment

WINDOW_NS = 10**18


def segment(case: Case, folder: Path, number: int, rows: list[int], first_row: int) -> Segment[Any]:
    """One of rows at these times, in row groups of three."""
    small = replace(case.definition, group_rows=3)
    head: Head[Any] = Head(small, n_rows=64, size_bytes=1 << 16, number=first_row)
    head.append(case.batch(*(NOON + t for t in rows), seed=number), number)
    (info,) = write_segments(
        UnsyncedFiles(),
        folder,
        small,
        rows=(head.rows(head.n), head.sources),
        window_ns=WINDOW_NS,
        number=lambda: number,
    )
    return Segment(folder, info, small)


def numbers(one: Segment[Any]) -> list[int]:
    found: list[int] = one.rows(0, one.n_groups).columns[NUMBER].tolist()
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=14), min_size=2, max_size=5),
    st.integers(1, 40),
)
def test_a_merge_holds_all_rows_in_order(
    case: Case, several: list[list[int]], block_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs, n = [], 1
        for number, times in enumerate(several, 1):
            inputs.append(segment(case, folder, number, times, n))
            n += len(times)

        merge = Merge(UnsyncedFiles(), folder, inputs, 99, block_rows=block_rows)
        while merge.step():
            pass
        merged = Segment(folder, merge.finish(), inputs[0].definition)

        rows = merged.rows(0, merged.n_groups)
        order = np.lexsort(sort_key(rows, merged.definition, ranks(merged.sources)))
        assert order.tolist() == list(range(n - 1))
        assert sorted(numbers(merged)) == list(range(1, n))
        assert merge.n_read == merged.info.n_rows == n - 1
        assert (merged.info.start_ns, merged.info.end_ns) == (
            NOON + min(map(min, several)),
            NOON + max(map(max, several)),
        )


infos = st.lists(
    st.builds(
        lambda window, tier, n_rows: (window, tier, n_rows),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(1, 60),
    ),
    max_size=12,
)


@given(infos, st.sets(st.integers(0, 2)), st.integers(2, 4))
def test_what_is_chosen_to_be_merged_fits_together(
    several: list[tuple[int, int, int]], quiet: set[int], fan_in: int
) -> None:
    config = LogsConfig(compact_fan_in=fan_in, compact_into_rows=100)
    segments = [
        SegmentInfo(id=n, window=window, tier=tier, n_rows=n_rows, start_ns=0, end_ns=0, n_bytes=1)
        for n, (window, tier, n_rows) in enumerate(sorted(several), 1)
    ]

    chosen = choose(segments, frozenset(quiet), config)

    if chosen:
        assert len({one.window for one in chosen}) == 1
        assert len({one.id for one in chosen}) == len(chosen) >= 2
        assert sum(one.n_rows for one in chosen) <= 100


@given(st.lists(st.integers(1, 60), max_size=12))
def test_merging_comes_to_an_end(sizes: list[int]) -> None:
    """However often it is asked: nothing is merged with itself again and again."""
    config = LogsConfig(compact_fan_in=2, compact_into_rows=100)
    segments = [
        SegmentInfo(id=n, window=0, tier=0, n_rows=size, start_ns=n, end_ns=n, n_bytes=1)
        for n, size in enumerate(sizes)
    ]

    n_merges = 0
    while chosen := choose(segments, frozenset({0}), config):
        merged = SegmentInfo(
            id=chosen[0].id,
            window=0,
            tier=max(one.tier for one in chosen) + 1,
            n_rows=sum(one.n_rows for one in chosen),
            start_ns=chosen[0].start_ns,
            end_ns=chosen[-1].end_ns,
            n_bytes=1,
        )
        segments = sorted(
            [one for one in segments if one not in chosen] + [merged],
            key=lambda one: one.start_ns,
        )
        n_merges += 1

    assert n_merges < max(1, len(sizes))
    assert sum(one.n_rows for one in segments) == sum(sizes)
