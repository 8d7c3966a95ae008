"""Which segments are merged, and what a merge of files holds."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import lakes
from tests.unit.test_rollup import block
from tests.unit.test_segment import info
from watchkeeper.errors import Permanent
from watchkeeper.lake.base import Fold
from watchkeeper.lake.compact import Compaction, choose
from watchkeeper.lake.manifest import Manifest, SegmentInfo
from watchkeeper.lake.rollup import Rollup
from watchkeeper.lake.segment import Block, Segment, SegmentWriter

FAN, MOST = 3, 100

SHAPES = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 2), st.integers(1, 120), st.booleans(), st.booleans()
    ),
    max_size=14,
)
"""(window, tier, rows, has_raw, considered)"""


def listed(shapes: Sequence[tuple[int, int, int, bool, bool]]) -> tuple[SegmentInfo, ...]:
    """In the order of a manifest."""
    return tuple(
        msgspec.structs.replace(
            info(number), window=window, tier=tier, n_rows=n_rows, has_raw=has_raw,
            considered=considered,
        )
        for number, (window, tier, n_rows, has_raw, considered) in enumerate(
            sorted(shapes, key=lambda shape: shape[0]), 1
        )
    )  # fmt: skip


@given(SHAPES, st.frozensets(st.integers(0, 2)))
def test_what_is_merged_are_neighbours_of_one_window_that_fit(
    shapes: list[tuple[int, int, int, bool, bool]], quiet: frozenset[int]
) -> None:
    segments = listed(shapes)

    chosen = choose(segments, quiet, fan_in=FAN, max_rows=MOST)

    if not chosen:
        return
    assert len({one.window for one in chosen}) == 1
    assert all(one.has_raw for one in chosen)
    present = [one.id for one in segments if one.window == chosen[0].window and one.has_raw]
    first = present.index(chosen[0].id)
    assert [one.id for one in chosen] == present[first : first + len(chosen)], "neighbours"
    assert len(chosen) == 1 or sum(one.n_rows for one in chosen) <= MOST
    if chosen[0].window not in quiet:
        assert len({one.tier for one in chosen}) == 1
        assert len(chosen) > 1
    if len(chosen) == 1:
        assert not chosen[0].considered, "nothing is written for nothing"


@given(SHAPES, st.frozensets(st.integers(0, 2)))
def test_merging_comes_to_an_end_and_keeps_the_order_of_arrival(
    shapes: list[tuple[int, int, int, bool, bool]], quiet: frozenset[int]
) -> None:
    manifest = Manifest().changed(added=listed(shapes))
    n_rows = sum(one.n_rows for one in manifest.segments)
    orders: dict[int, list[int]] = {one.window: [] for one in manifest.segments}
    for one in manifest.segments:
        orders[one.window].append(one.order)

    for _ in range(100):
        chosen = choose(manifest.segments, quiet, fan_in=FAN, max_rows=MOST)
        if not chosen:
            break
        merged = msgspec.structs.replace(
            chosen[0], id=manifest.next_id, tier=max(one.tier for one in chosen) + 1,
            n_rows=sum(one.n_rows for one in chosen), considered=True,
        )  # fmt: skip
        manifest = manifest.changed(added=(merged,), removed=frozenset(one.id for one in chosen))

    else:
        pytest.fail("it never ends")
    assert sum(one.n_rows for one in manifest.segments) == n_rows
    for window, group in groupby(manifest.segments, lambda one: one.window):
        left = [one.order for one in group]
        assert left == sorted(left)
        assert left[0] == orders[window][0], "the first keeps its place"
    for a, b in pairwise(manifest.segments):
        if a.window == b.window and a.window in quiet and a.has_raw and b.has_raw:
            assert a.n_rows + b.n_rows > MOST, "a quiet window has as few as may be"


# Merging files

POINTS = st.dictionaries(st.integers(0, 40), st.integers(0, 300), min_size=1, max_size=12)
SOURCES = st.lists(
    st.dictionaries(st.integers(0, 7), POINTS, min_size=1, max_size=5), min_size=1, max_size=3
)
"""Segments: series -> (time in half minutes -> value)."""


def spread(series: dict[int, dict[int, int]]) -> Block:
    """Series all over the range of hashes."""
    numbers = sorted(series)
    made = block([[(30.0 * t, v / 10) for t, v in sorted(series[n].items())] for n in numbers])
    identity = (np.array(numbers, np.uint64) * np.uint64(2**61))[:, None].repeat(2, axis=1)
    return Block(identity, made.offset, made.code, made.time_ns, made.number)


def written(folder: Path, sources: Sequence[dict[int, dict[int, int]]]) -> list[Segment]:
    found = []
    for number, source in enumerate(sources, 1):
        writer = SegmentWriter(lakes.Unsynced(), folder, info(number), 1_000_000)
        writer.add(spread(source))
        found.append(Segment(folder, writer.finish()))
    return found


@given(SOURCES, st.sampled_from([1, 5, 1000]))
def test_a_merge_holds_every_sample_once_and_the_first_of_a_time(
    sources: list[dict[int, dict[int, int]]], block_rows: int
) -> None:
    want: dict[int, dict[int, int]] = {}
    for source in sources:
        for name, samples in source.items():
            kept = want.setdefault(name, {})
            kept.update({t: v for t, v in samples.items() if t not in kept})
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        job = Compaction(
            lakes.Unsynced(), folder, written(folder, sources), 9, block_rows=block_rows
        )
        while job.step():
            pass
        done = job.finish()

        merged = Segment(folder, done)
        place = np.arange(done.n_series)
        runs = merged.read(place, 0, 2 * lakes.NOON)
        assert merged.low.tolist() == [name << 61 for name in sorted(want)]
        for at, name in enumerate(sorted(want)):
            part = runs.part(at, at + 1)
            seconds = ((part.time_ns - lakes.NOON) // lakes.S).tolist()
            found = dict(zip(seconds, part.value.tolist(), strict=True))
            assert found == {30 * t: v / 10 for t, v in sorted(want[name].items())}
        n_samples = sum(map(len, want.values()))
        assert (done.n_rows, job.n_read - job.n_duplicates) == (n_samples, n_samples)
        assert done.has_cells == (folder / done.cells_name).exists()
        if done.has_cells:
            cells = Rollup(folder, done).read(place, 0, 2 * lakes.NOON, Fold.COUNT)
            assert int(cells.numbers[1].sum()) == n_samples


def test_what_a_merge_says_of_its_time_is_that_of_its_samples(tmp_path: Path) -> None:
    parts = written(tmp_path, [{1: {5: 1, 9: 2}}, {2: {3: 1}, 4: {20: 7}}])
    job = Compaction(lakes.Unsynced(), tmp_path, parts, 9, block_rows=1)
    while job.step():
        pass

    done = job.finish()

    assert (done.start_ns - lakes.NOON) // lakes.S == 90
    assert (done.end_ns - lakes.NOON) // lakes.S == 600
    assert done.n_series == 3
    assert done.n_bytes == sum((tmp_path / name).stat().st_size for name in done.names)


def test_a_merge_does_not_go_on_behind_a_step_that_failed(tmp_path: Path) -> None:
    parts = written(tmp_path, [{1: {5: 1}}, {1: {6: 2}}])
    path = tmp_path / parts[1].info.raw_name
    raw = bytearray(path.read_bytes())
    raw[20] ^= 0xFF
    path.write_bytes(raw)
    job = Compaction(lakes.Unsynced(), tmp_path, parts, 9, block_rows=1000)

    with pytest.raises(Permanent, match="is not what was written"):
        job.step()
    with pytest.raises(Permanent, match="cannot go on"):
        job.step()

    job.abort()
    assert not list(tmp_path.glob("00000009*"))


def test_a_merge_keeps_the_finest_unit_of_its_times(tmp_path: Path) -> None:
    coarse = written(tmp_path, [{1: {5: 1}}])
    fine = SegmentWriter(lakes.Unsynced(), tmp_path, info(2), 1)
    odd = spread({1: {6: 2}})
    fine.add(Block(odd.identity, odd.offset, odd.code, odd.time_ns + 1, odd.number))
    job = Compaction(
        lakes.Unsynced(), tmp_path, [*coarse, Segment(tmp_path, fine.finish())], 9, block_rows=9
    )
    while job.step():
        pass

    merged = Segment(tmp_path, job.finish())

    assert merged.unit_ns == 1
    times = merged.read(np.array([0]), 0, 2 * lakes.NOON).time_ns - lakes.NOON
    assert times.tolist() == [150 * lakes.S, 180 * lakes.S + 1]
