"""Which segments are merged, and that merging takes bounded steps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests import lakes
from tests.lakes import NOON, S
from tests.unit.test_segment import block, info
from watchkeeper.lake.compact import Compaction, choose, merge_blocks
from watchkeeper.lake.manifest import Manifest, SegmentInfo
from watchkeeper.lake.segment import Block, Segment, SegmentWriter


def chosen(*segments: SegmentInfo, quiet: frozenset[int] = frozenset()) -> list[int]:
    found = choose(segments, quiet, fan_in=4, max_rows=1000)
    return [segment.id for segment in found]


def tiers(*tiers: int, n_rows: int = 10) -> list[SegmentInfo]:
    return [info(i, tier=tier, n_rows=n_rows) for i, tier in enumerate(tiers, 1)]


def test_four_neighbours_of_a_tier_become_one_of_the_next() -> None:
    assert chosen(*tiers(0, 0, 0)) == []
    assert chosen(*tiers(0, 0, 0, 0)) == [1, 2, 3, 4]
    assert chosen(*tiers(1, 1, 1, 0, 0, 0)) == []
    assert chosen(*tiers(1, 1, 1, 1, 0, 0)) == [1, 2, 3, 4]
    assert chosen(*tiers(2, 1, 0, 0, 0, 0, 0)) == [3, 4, 5, 6, 7]


def test_a_segment_of_another_tier_parts_neighbours() -> None:
    """Merging around it would forget whose sample was first."""
    assert chosen(*tiers(0, 0, 1, 0, 0)) == []


def test_no_segment_grows_beyond_its_limit() -> None:
    assert chosen(*tiers(0, 0, 0, 0, n_rows=400)) == [1, 2]
    assert chosen(*tiers(1, 1, 1, n_rows=600)) == []
    assert chosen(*tiers(0, 0, 0, 0, n_rows=2000)) == []


def test_segments_of_two_windows_are_never_merged() -> None:
    segments = [info(i, window=i // 3, n_rows=10) for i in range(6)]

    assert chosen(*segments) == []
    assert chosen(*segments, quiet=frozenset({1})) == [3, 4, 5]


def test_a_quiet_window_becomes_as_few_segments_as_may_be() -> None:
    done = info(1, tier=2, n_rows=10, considered=True)

    assert chosen(*tiers(1, 0), quiet=frozenset({0})) == [1, 2]
    assert chosen(*tiers(1), quiet=frozenset({0})) == [1]
    assert chosen(done, quiet=frozenset({0})) == []
    assert chosen(done, info(2, n_rows=995), quiet=frozenset({0})) == [2]


def test_what_retention_took_is_merged_no_more() -> None:
    segments = [info(i, n_rows=10, has_raw=False) for i in range(1, 6)]

    assert chosen(*segments, quiet=frozenset({0})) == []


@pytest.mark.parametrize("seed", range(3))
def test_every_sample_is_rewritten_a_logarithmic_number_of_times(seed: int) -> None:
    """500 heads of uneven size; each merge's rows are counted."""
    rng = np.random.default_rng(seed)
    manifest, n_written, n_rows, number = Manifest(), 0, 0, 0
    for _ in range(500):
        number += 1
        new = info(number, n_rows=int(rng.integers(1, 20)))
        n_rows += new.n_rows
        manifest = manifest.changed(added=(new,))
        while found := choose(manifest.segments, frozenset(), fan_in=4, max_rows=100_000):
            number += 1
            merged = info(
                number, order=found[0].order, tier=found[0].tier + 1,
                n_rows=sum(one.n_rows for one in found),
            )  # fmt: skip
            n_written += merged.n_rows
            manifest = manifest.changed(added=(merged,), removed=frozenset(one.id for one in found))

    assert n_written <= 5 * n_rows
    assert len(manifest.segments) <= 3 * 5
    assert all(a.order < b.order for a, b in pairwise(manifest.segments))


def segments(folder: Path, *blocks: Block) -> list[Segment]:
    found = []
    for number, one in enumerate(blocks, 1):
        writer = SegmentWriter(lakes.Unsynced(), folder, info(number), 1_000_000)
        writer.add(one)
        found.append(Segment(folder, writer.finish()))
    return found


def spread(given: Block) -> Block:
    """The same with identities all over the range, as hashes are."""
    step = np.uint64(2**64 // (len(given.identity) + 1))
    return Block(given.identity * step, given.offset, given.code, given.time_ns, given.number)


def test_merging_goes_in_bounded_steps(tmp_path: Path) -> None:
    parts = [spread(block([100] * 64)), spread(block([100] * 64))]
    later = Block(
        parts[1].identity, parts[1].offset, parts[1].code, parts[1].time_ns + 3600 * S,
        parts[1].number,
    )  # fmt: skip
    job = Compaction(
        lakes.Unsynced(), tmp_path, segments(tmp_path, parts[0], later), 9, block_rows=1000
    )

    steps = []
    before = 0
    while job.step():
        steps.append(job.n_read - before)
        before = job.n_read
    done = job.finish()

    assert max(steps) <= 2000
    assert sum(steps) == done.n_rows == 12_800
    assert (done.id, done.order, done.tier, done.considered) == (9, 1, 1, True)


def test_one_code_is_found_for_values_that_had_several() -> None:
    """Whole numbers in one segment, decimals in the next, bits in the third."""
    whole, decimals, bits = (block([3]) for _ in range(3))
    parts = [
        Block(whole.identity, whole.offset, np.array([0], np.uint8), whole.time_ns, np.arange(3)),
        Block(decimals.identity, decimals.offset, np.array([1], np.uint8), whole.time_ns + S,
              np.arange(3)),
        Block(bits.identity, bits.offset, np.array([64], np.uint8), whole.time_ns + 2 * S,
              np.array([0.25, 0.5, 0.75]).view(np.int64)),
    ]  # fmt: skip

    merged = merge_blocks(parts)

    assert merged.code.tolist() == [2]
    assert merged.number.tolist() == [0, 0, 25, 100, 10, 50, 200, 20, 75]


def test_cells_that_save_nothing_are_not_kept(tmp_path: Path) -> None:
    """One sample in five minutes is its own cell."""
    sparse = spread(block([20] * 5, every_ns=300 * S))
    job = Compaction(lakes.Unsynced(), tmp_path, segments(tmp_path, sparse), 9, block_rows=1000)
    while job.step():
        pass

    assert not job.finish().has_cells
    assert {path.name for path in tmp_path.iterdir()} >= {"00000009.parquet", "00000009.index"}
    assert not list(tmp_path.glob("*.5m.*"))


def test_a_merge_that_is_given_up_leaves_its_inputs_alone(tmp_path: Path) -> None:
    inputs = segments(tmp_path, spread(block([50] * 4)))
    before = {path.name for path in tmp_path.iterdir()}
    job = Compaction(lakes.Unsynced(), tmp_path, inputs, 9, block_rows=1000)
    job.step()

    job.abort()

    assert {path.name for path in tmp_path.iterdir()} == before
    assert inputs[0].read(np.array([0]), 0, 2 * NOON).offset[-1] == 50
