"""Segments: what is written is found again, by us and by any reader of Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from pyarrow import parquet

from tests import disks, lakes
from tests.lakes import NOON, S
from watchkeeper.errors import Permanent
from watchkeeper.lake import segment_kernel
from watchkeeper.lake.library import Library
from watchkeeper.lake.manifest import Manifest, SegmentInfo
from watchkeeper.lake.runs import offsets
from watchkeeper.lake.segment import GROUP_ROWS, Block, Segment, SegmentWriter
from watchkeeper.lake.sidecar import map_arrays, write_arrays


def info(number: int = 1, **fields: int) -> SegmentInfo:
    usual = {
        "window": 0, "order": number, "tier": 0, "n_rows": 0, "n_series": 0,
        "start_ns": 0, "end_ns": 0, "n_bytes": 0,
    }  # fmt: skip
    return SegmentInfo(id=number, **{**usual, **fields})


def block(counts: list[int], *, first: int = 1, every_ns: int = 15 * S) -> Block:
    """Series with identities first, first + 1, ... and as many samples as `counts` says."""
    n, offset = sum(counts), offsets(np.array(counts))
    value = np.round(np.random.default_rng(n).normal(100, 3, n), 2)
    code = np.full(len(counts), segment_kernel.UNDECIDED, np.uint8)
    number = value.copy().view(np.int64)
    segment_kernel.encode_runs(number.view(np.float64), number, offset, code)
    identity = np.stack([np.arange(first, first + len(counts))] * 2, axis=1).astype(np.uint64)
    time_ns = NOON + every_ns * (np.arange(n) - np.repeat(offset[:-1], counts))
    return Block(identity, offset, code, time_ns, number)


def write(folder: Path, *blocks: Block, unit_ns: int = 1_000_000) -> Segment:
    writer = SegmentWriter(lakes.Unsynced(), folder, info(), unit_ns)
    for one in blocks:
        writer.add(one)
    return Segment(folder, writer.finish())


def identities(*numbers: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([[number, number] for number in numbers], np.uint64)


@pytest.mark.parametrize(
    "counts", [[1], [3, 1, 2], [GROUP_ROWS], [GROUP_ROWS - 1, 1, 1], [5, 3 * GROUP_ROWS + 7, 2]]
)
def test_each_series_is_found_alone_and_together(tmp_path: Path, counts: list[int]) -> None:
    given = block(counts)
    segment = write(tmp_path, given)
    every = range(1, len(counts) + 1)

    for chosen in [*([number] for number in every), list(every), [0, *every, 99]]:
        place = segment.find(identities(*chosen))
        runs = segment.read(place, 0, 2 * NOON)
        want = [counts[number - 1] if number in every else 0 for number in chosen]
        assert np.diff(runs.offset).tolist() == want
        for i, number in enumerate(chosen):
            if number in every:
                a, b = given.offset[number - 1], given.offset[number]
                part = runs.part(i, i + 1)
                assert part.time_ns.tolist() == given.time_ns[a:b].tolist()
                assert (part.value * 100).round().tolist() == given.number[a:b].tolist()


def test_time_is_cut_where_the_question_is(tmp_path: Path) -> None:
    segment = write(tmp_path, block([100, 100]))

    runs = segment.read(segment.find(identities(2)), NOON + 15 * S, NOON + 45 * S)

    assert runs.time_ns.tolist() == [NOON + 15 * S, NOON + 30 * S]


def test_blocks_continue_one_another(tmp_path: Path) -> None:
    parts = [block([7, 9000], first=1), block([], first=3), block([20_000, 1], first=3)]
    segment = write(tmp_path, *parts)

    assert (segment.info.n_series, segment.info.n_rows) == (4, 29_008)
    for first, last in [(0, 4), (1, 3), (2, 3), (3, 4)]:
        got = segment.read_block(first, last)
        assert got.identity[:, 0].tolist() == list(range(first + 1, last + 1))
        counts = np.diff(got.offset).tolist()
        assert counts == [7, 9000, 20_000, 1][first:last]
        assert len(got.time_ns) == len(got.number) == sum(counts)
        assert got.time_ns[0] == NOON


@pytest.mark.parametrize("unit_ns", [1, 1_000, 1_000_000])
def test_any_reader_of_parquet_reads_the_same(tmp_path: Path, unit_ns: int) -> None:
    given = block([5000, 9000, 3], every_ns=7 * unit_ns)
    segment = write(tmp_path, given, unit_ns=unit_ns)
    path = tmp_path / segment.info.raw_name
    series = np.repeat([0, 1, 2], [5000, 9000, 3])

    table = parquet.read_table(path)
    rows = duckdb.sql(f"SELECT series, epoch_ns(time), value FROM '{path}'").fetchnumpy()

    assert table.column("series").to_pylist() == series.tolist()
    assert (
        table.column("time").to_numpy().astype("datetime64[ns]").view(np.int64) == given.time_ns
    ).all()
    assert table.column("value").to_pylist() == given.number.tolist()
    assert [list(column) for column in rows.values()] == [
        series.tolist(), given.time_ns.tolist(), given.number.tolist(),
    ]  # fmt: skip


def test_realistic_gauges_cost_less_than_two_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    walk = np.zeros((200, 1000))
    for i in range(1, 1000):
        walk[:, i] = 0.95 * walk[:, i - 1] + rng.normal(size=200)
    value = np.round(50 * (1 + 0.02 * walk), 2).ravel()
    given = block([1000] * 200)
    code = np.full(200, segment_kernel.UNDECIDED, np.uint8)
    segment_kernel.encode_runs(value, value.view(np.int64), given.offset, code)

    segment = write(
        tmp_path, Block(given.identity, given.offset, code, given.time_ns, value.view(np.int64))
    )

    assert set(code.tolist()) == {2}
    assert segment.info.n_bytes / segment.info.n_rows < 2


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([1.0, 2.0, 1e15], 0),
        ([0.5, 1.25], 2),
        ([0.1, float("nan"), float("inf"), -0.0, lakes.STALE], 1),
        ([1e-12], 12),
        ([1 / 3], segment_kernel.RAW),
        ([1e300], segment_kernel.RAW + 2),
        ([float(np.float32(0.1))], segment_kernel.RAW + 29),
        ([4e15, 0.001], segment_kernel.RAW),
    ],
)
def test_a_series_gets_the_fewest_decimals_that_say_all_of_it(
    values: list[float], code: int
) -> None:
    value, got = np.array(values), np.full(1, segment_kernel.UNDECIDED, np.uint8)

    segment_kernel.encode_runs(value, value.view(np.int64), np.array([0, len(values)]), got)

    assert got[0] & 0xC0 == code & 0xC0
    assert got[0] >= code


def test_an_aborted_segment_leaves_nothing(tmp_path: Path) -> None:
    writer = SegmentWriter(disks.FaultyFiles(), tmp_path, info(), 1)
    writer.add(block([10]))

    writer.abort()
    writer.abort()

    assert list(tmp_path.iterdir()) == []


def test_a_sidecar_of_another_version_is_refused(tmp_path: Path) -> None:
    write_arrays(lakes.Unsynced(), tmp_path / "a.index", {"x": np.arange(5), "y": np.empty((0, 3))})
    assert map_arrays(tmp_path / "a.index")["x"].tolist() == [0, 1, 2, 3, 4]
    assert map_arrays(tmp_path / "a.index")["y"].shape == (0, 3)
    content = (tmp_path / "a.index").read_bytes()

    flipped = bytearray(content)
    flipped[-1] ^= 1
    for wrong in (b"", content[:30], b"WKarray2" + content[8:], bytes(flipped)):
        (tmp_path / "b.index").write_bytes(wrong)
        with pytest.raises(Permanent, match=r"b\.index"):
            map_arrays(tmp_path / "b.index")


def test_a_library_keeps_few_segments_open_and_reopens_the_others(tmp_path: Path) -> None:
    infos = []
    for number in range(1, 5):
        writer = SegmentWriter(lakes.Unsynced(), tmp_path, info(number), 1_000_000)
        writer.add(block([number]))
        infos.append(writer.finish())
    library = Library(tmp_path, limit=2)

    kept = library.segment(infos[0])
    assert library.segment(infos[0]) is kept
    for one in infos:
        assert library.segment(one).info.n_rows == one.n_rows
    assert library.segment(infos[0]) is not kept
    assert len(kept.read(kept.find(identities(1)), 0, 2 * NOON)) == 1
    library.forget(infos[0])
    library.clear()


def test_a_manifest_gives_out_no_number_twice() -> None:
    first = Manifest(stored=5).changed(added=(info(1, window=2), info(2, window=1)))

    second = first.changed(removed=frozenset({1, 2}))

    assert [one.id for one in first.segments] == [2, 1]
    assert (second.segments, second.stored) == ((), 5)
    assert second.next_id == 3
    assert json.loads(json.dumps([one.names for one in first.segments]))[0][1] == "00000002.parquet"
