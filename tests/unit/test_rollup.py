"""Five-minute cells in files: what samples said is what the cells say, and what is not kept."""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from tests import disks, lakes
from tests.lakes import CELL, NOON, S
from tests.unit.test_segment import info
from watchkeeper.errors import Permanent
from watchkeeper.lake import segment_kernel
from watchkeeper.lake.base import Fold
from watchkeeper.lake.files import Files
from watchkeeper.lake.fold import Cells, cells_of
from watchkeeper.lake.rollup import CELL_NS, GROUP_CELLS, Rollup, RollupWriter, worth_keeping
from watchkeeper.lake.runs import Runs, offsets
from watchkeeper.lake.segment import Block
from watchkeeper.model.series import I64

Points = Sequence[tuple[float, float]]
"""(seconds after noon, value), in order."""

ALWAYS = (0, 2 * NOON)


def runs(series: Sequence[Points]) -> Runs:
    return Runs(
        offsets(np.array([len(one) for one in series], np.int64)),
        np.array([NOON + round(t * S) for one in series for t, _ in one], np.int64),
        np.array([value for one in series for _, value in one], np.float64),
    )


def block(series: Sequence[Points], first: int = 1) -> Block:
    given = runs(series)
    code = np.full(len(series), segment_kernel.UNDECIDED, np.uint8)
    number = given.value.copy().view(np.int64)
    segment_kernel.encode_runs(number.view(np.float64), number, given.offset, code)
    identity = np.stack([np.arange(first, first + len(series))] * 2, axis=1).astype(np.uint64)
    return Block(identity, given.offset, code, given.time_ns, number)


def writer(folder: Path, files: Files | None = None, unit_ns: int = 1_000_000) -> RollupWriter:
    return RollupWriter(files or lakes.Unsynced(), folder, info(), unit_ns)


def rolled(folder: Path, *blocks: Sequence[Points], unit_ns: int = 1_000_000) -> Rollup:
    made = writer(folder, unit_ns=unit_ns)
    for one in blocks:
        made.add(block(one))
    made.finish()
    return Rollup(folder, info())


def places(*numbers: int) -> I64:
    return np.array(numbers, np.int64)


def counter(n: int, *, every_s: float = 15.0, by: float = 3.0, start: float = 0.0) -> Points:
    return [(i * every_s, start + by * i) for i in range(n)]


def gauge(n: int, *, every_s: float = 15.0, decimals: int = 2) -> Points:
    rng = np.random.default_rng(n)
    return [(i * every_s, round(float(v), decimals)) for i, v in enumerate(rng.normal(50, 9, n))]


def check(rollup: Rollup, series: Sequence[Points], fold: Fold, rows: Sequence[int]) -> None:
    """What `fold` needs of the cells is what the samples' own cells hold; totals are rounded."""
    want = cells_of(runs(series), CELL)
    got = rollup.read(places(*range(len(series))), *ALWAYS, fold)
    assert got.offset.tolist() == want.offset.tolist()
    assert got.numbers.tolist() == want.numbers.tolist()
    for row in rows:
        rounding = 1e-15 if row == TOTAL else 0
        np.testing.assert_allclose(got.values[row], want.values[row], rtol=rounding)


TOTAL, LEAST, MOST, FIRST, LAST, LOST = range(6)
NEEDS = {
    Fold.COUNT: [],
    Fold.MIN: [LEAST],
    Fold.MAX: [MOST],
    Fold.LAST: [LAST],
    Fold.SUM: [TOTAL],
    Fold.AVG: [TOTAL],
}
SHAPES: dict[str, Points] = {
    "a counter": counter(100),
    "a counter that restarts": [*counter(50), *((800.0 + t, v) for t, v in counter(50))],
    "a gauge of few decimals": gauge(100),
    "whole numbers": gauge(100, decimals=0),
    "one sample": [(7.0, 1.5)],
    "one sample per cell": counter(10, every_s=300.0),
    "constant": [(15.0 * i, 4.25) for i in range(60)],
    "negative": [(15.0 * i, -1.0 * i) for i in range(60)],
    "specials": [(0.0, math.inf), (15.0, -0.0), (30.0, 1.0), (320.0, -math.inf), (330.0, 0.0)],
    "with gaps": [(t, v) for t, v in gauge(300) if not 600 <= t < 2400],
    "large": [(15.0 * i, 1e15 + i) for i in range(60)],
}


@pytest.mark.parametrize("fold", NEEDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_cells_come_back_as_the_samples_had_them(tmp_path: Path, shape: str, fold: Fold) -> None:
    series = [SHAPES[shape], counter(5)]

    check(rolled(tmp_path, series), series, fold, NEEDS[fold])


@pytest.mark.parametrize("fold", [Fold.MIN, Fold.MAX, Fold.LAST, Fold.COUNT])
def test_values_of_many_decimals_are_exact_but_for_totals(tmp_path: Path, fold: Fold) -> None:
    rng = np.random.default_rng(1)
    series = [[(15.0 * i, float(v)) for i, v in enumerate(rng.normal(size=200) * 10.0**k)]
              for k in (-200, -3, 0, 9, 200)]  # fmt: skip

    check(rolled(tmp_path, series), series, fold, NEEDS[fold])


def test_totals_of_few_decimals_have_as_few(tmp_path: Path) -> None:
    """As a person would add them up; the sum of the doubles is often one bit beside it."""
    values = [value for _, value in gauge(2000)]
    by_hand = [
        float(sum(Decimal(str(value)) for value in values[first : first + 20]))
        for first in range(0, 2000, 20)
    ]

    cells = rolled(tmp_path, [gauge(2000)]).read(places(0), *ALWAYS, Fold.SUM)

    assert by_hand != [math.fsum(values[first : first + 20]) for first in range(0, 2000, 20)]
    assert cells.values[TOTAL].tolist() == by_hand


def test_nan_is_no_value_of_a_cell(tmp_path: Path) -> None:
    series = [[(0.0, math.nan), (15.0, 2.0), (30.0, lakes.STALE), (300.0, math.nan), (600.0, 1.0)]]

    cells = rolled(tmp_path, series).read(places(0), *ALWAYS, Fold.LAST)

    assert cells.numbers[0].tolist() == [NOON, NOON + 2 * CELL]
    assert cells.numbers[1].tolist() == [1, 1]
    assert cells.numbers[2:].tolist() == [[NOON + 15 * S, NOON + 600 * S]] * 2
    assert cells.values[LAST].tolist() == [2.0, 1.0]


def test_a_series_without_any_value_has_no_cells(tmp_path: Path) -> None:
    series = [[(0.0, math.nan)], counter(3), [(0.0, math.nan)]]

    cells = rolled(tmp_path, series).read(places(0, 1, 2), *ALWAYS, Fold.COUNT)

    assert cells.offset.tolist() == [0, 0, 1, 1]


# Rates


def growth(cells: Cells) -> list[float]:
    values = cells.values
    return [float(one) for one in values[LAST] - values[FIRST] + values[LOST]]


def test_the_growth_of_a_counter_is_known_across_restarts(tmp_path: Path) -> None:
    """100 steps of 3, with a restart from 150 to 0 in the third cell."""
    series = [SHAPES["a counter that restarts"]]

    cells = rolled(tmp_path, series).read(places(0), *ALWAYS, Fold.RATE)

    want = cells_of(runs(series), CELL)
    assert growth(cells) == growth(want)
    assert cells.values[LOST].sum() == 147.0


def test_what_behaves_like_a_gauge_has_no_known_growth(tmp_path: Path) -> None:
    """Its rate is a question for the samples; NaN says that cells cannot answer it."""
    series = [counter(100), gauge(100)]

    cells = rolled(tmp_path, series).read(places(0, 1), *ALWAYS, Fold.RATE)

    n = int(cells.offset[1])
    assert not np.isnan(cells.values[LOST][:n]).any()
    assert np.isnan(cells.values[LOST][n:]).all()


@pytest.mark.parametrize(("n_falls", "is_known"), [(12, True), (13, False)])
def test_a_counter_may_fall_one_time_in_eight(tmp_path: Path, n_falls: int, is_known: bool) -> None:
    values = [float(i % 2 if i <= 2 * n_falls else i) for i in range(100)]
    series = [[(15.0 * i, value) for i, value in enumerate(values)]]

    cells = rolled(tmp_path, series).read(places(0), *ALWAYS, Fold.RATE)

    assert np.isnan(cells.values[LOST]).any() != is_known


# Which cells


@pytest.mark.parametrize(
    ("start", "end", "want"),
    [
        (0, 4, [0, 1, 2, 3]),
        (1, 3, [1, 2]),
        (3, 3.5, [3]),
        (0.5, 2, [1]),
        (-5, 0.01, [0]),
        (4, 9, []),
        (-9, 0, []),
    ],
)
def test_cells_that_begin_within_the_time_are_read(
    tmp_path: Path, start: float, end: float, want: list[int]
) -> None:
    rollup = rolled(tmp_path, [counter(80)])

    cells = rollup.read(places(0), NOON + round(start * CELL), NOON + round(end * CELL), Fold.COUNT)

    assert ((cells.numbers[0] - NOON) // CELL).tolist() == want


def test_series_are_read_in_any_choice(tmp_path: Path) -> None:
    series = [counter(20 * n) for n in (1, 0, 3, 2)]
    rollup = rolled(tmp_path, series)

    for chosen in [(0,), (2,), (0, 2), (-1, 3), (1, 2, -1), (-1,)]:
        cells = rollup.read(places(*chosen), *ALWAYS, Fold.COUNT)
        n_samples = [
            int(cells.numbers[1][a:b].sum())
            for a, b in zip(cells.offset[:-1], cells.offset[1:], strict=True)
        ]
        assert n_samples == [len(series[place]) if place >= 0 else 0 for place in chosen]


def test_blocks_continue_one_another_over_many_row_groups(tmp_path: Path) -> None:
    n = 3 * GROUP_CELLS // 2
    blocks = [[counter(n, every_s=300.0), gauge(7)], [], [counter(n, every_s=300.0, by=1.0)]]
    rollup = rolled(tmp_path, *blocks)
    series = [one for some in blocks for one in some]

    check(rollup, series, Fold.LAST, [LAST])
    alone = rollup.read(places(2), *ALWAYS, Fold.MAX)
    assert alone.values[MOST].tolist() == [float(i) for i in range(n)]
    first, last = rollup.groups(places(0, 1, 2, -1))
    assert (last - first).tolist() == [2, 1, 3, 0]


@pytest.mark.parametrize("unit_ns", [1, 1_000, 1_000_000])
def test_the_times_of_first_and_last_sample_are_exact(tmp_path: Path, unit_ns: int) -> None:
    step_s = 7 * unit_ns / 1e9
    series = [[(1 + i * step_s, 1.0) for i in range(9)]]

    cells = rolled(tmp_path, series, unit_ns=unit_ns).read(places(0), *ALWAYS, Fold.COUNT)

    assert cells.numbers[2].tolist() == [NOON + S]
    assert cells.numbers[3].tolist() == [NOON + S + 56 * unit_ns]


def test_any_reader_of_parquet_finds_cells_and_counts(tmp_path: Path) -> None:
    rolled(tmp_path, [counter(40)], [counter(3)])

    table = parquet.read_table(tmp_path / info().cells_name)

    assert table.column("series").to_pylist() == [0, 0, 1]
    assert table.column("cell").to_pylist() == [NOON // CELL, NOON // CELL + 1, NOON // CELL]
    assert table.column("count").to_pylist() == [20, 20, 3]


# Whether, and faults


@pytest.mark.parametrize(
    ("n_rows", "n_cells", "is_worth"), [(100, 50, True), (100, 51, False), (9, 0, False)]
)
def test_cells_are_worth_keeping_where_they_halve_the_work(
    n_rows: int, n_cells: int, is_worth: bool
) -> None:
    assert worth_keeping(n_rows, n_cells) == is_worth


def test_the_writer_knows_its_cells_and_their_bytes(tmp_path: Path) -> None:
    made = writer(tmp_path)
    assert made.n_cells == 0

    made.add(block([counter(40), counter(21)]))

    assert made.n_cells == 4
    assert made.finish() == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_writing_leaves_the_block_as_it_was(tmp_path: Path) -> None:
    """The segment's writer takes the same block."""
    given = block([gauge(50), counter(50)])
    before = [array.tobytes() for array in (given.code, given.number, given.offset, given.time_ns)]

    made = writer(tmp_path)
    made.add(given)
    made.abort()

    after = [array.tobytes() for array in (given.code, given.number, given.offset, given.time_ns)]
    assert after == before


@pytest.mark.parametrize("call", ["write", "sync"])
def test_an_abort_after_a_fault_leaves_nothing(tmp_path: Path, call: str) -> None:
    files = disks.FaultyFiles()
    made = writer(tmp_path, files)
    made.add(block([counter(40)]))
    files.fail(call, errno.EIO)

    with pytest.raises(OSError, match="Input/output"):
        made.finish()
    made.abort()

    assert list(tmp_path.iterdir()) == []


def test_a_changed_cell_is_noticed(tmp_path: Path) -> None:
    rollup = rolled(tmp_path, [gauge(400)])
    rollup.check()
    path = tmp_path / info().cells_name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 4] ^= 4
    path.write_bytes(raw)

    with pytest.raises(Permanent, match=str(path)):
        Rollup(tmp_path, info()).check()
    with pytest.raises(Permanent, match=str(path)):
        rollup.read(places(0), *ALWAYS, Fold.AVG)


def test_a_cell_is_five_minutes() -> None:
    """Files of former releases depend on it."""
    assert CELL_NS == CELL == 300 * 10**9
