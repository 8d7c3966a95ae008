"""Files of whole numbers: row groups, what is read of them, and what is noticed."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from xxhash import xxh3_64_intdigest

from tests import disks, lakes
from watchkeeper.errors import Permanent
from watchkeeper.lake.columns import ColumnReader, ColumnWriter, Groups, Layout
from watchkeeper.lake.files import Files
from watchkeeper.lake.footer import Column, Kind

GROUP = 100
COLUMNS = [
    Column("number", Kind.INT64, packed=False),
    Column("small", Kind.INT32, packed=True),
    Column("step", Kind.INT64, packed=True),
]


def content(n: int) -> list[Any]:
    rng = np.random.default_rng(n)
    return [
        rng.integers(-(2**62), 2**62, n),
        rng.integers(-5, 5, n).astype(np.int32),
        np.arange(n) * 15_000_000_000,
    ]


def filled(writer: ColumnWriter, columns: list[Any], *, portion: int = 1 << 30) -> ColumnWriter:
    """Hand over rows, at most `portion` at a time."""
    done, n = 0, len(columns[0])
    while done < n:
        some = min(writer.room, portion, n - done)
        for buffer, column in zip(writer.buffers, columns, strict=True):
            buffer[writer.n : writer.n + some] = column[done : done + some]
        writer.advance(some)
        done += some
    return writer


def create(path: Path, files: Files | None = None) -> ColumnWriter:
    return ColumnWriter(files or lakes.Unsynced(), path, COLUMNS, group_rows=GROUP)


def written(path: Path, n: int) -> tuple[ColumnReader, Layout]:
    layout = filled(create(path), content(n)).finish()
    return ColumnReader(path, COLUMNS, layout, n), layout


def groups(*numbers: int, enough: int = GROUP) -> Groups:
    return Groups(np.array(numbers, np.int64), np.full(len(numbers), enough, np.int64))


def rows(*numbers: int, n: int) -> Any:
    """Row numbers of these groups in a file of n rows."""
    return np.concatenate([np.arange(g * GROUP, min((g + 1) * GROUP, n)) for g in numbers])


def n_handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("n", [1, GROUP - 1, GROUP, GROUP + 1, 7 * GROUP + 3])
def test_what_is_written_is_read_by_us_and_by_any_reader(tmp_path: Path, n: int) -> None:
    reader, layout = written(tmp_path / "f", n)
    n_groups = -(-n // GROUP)

    found = reader.read(groups(*range(n_groups)), GROUP, (0, 1, 2))

    assert len(layout.chunk) == len(layout.check) == n_groups
    for got, want in zip(found, content(n), strict=True):
        assert got.tolist() == want.tolist()
    table = parquet.read_table(tmp_path / "f")
    assert table.column_names == ["number", "small", "step"]
    for name, want in zip(table.column_names, content(n), strict=True):
        assert table.column(name).to_pylist() == want.tolist()


@pytest.mark.parametrize("portion", [1, 37, GROUP, 5000])
def test_portions_make_no_difference(tmp_path: Path, portion: int) -> None:
    n = 3 * GROUP + 5
    layout = filled(create(tmp_path / "f"), content(n), portion=portion).finish()

    written(tmp_path / "g", n)

    assert (tmp_path / "f").read_bytes() == (tmp_path / "g").read_bytes()
    assert len(layout.chunk) == 4


def test_more_rows_than_the_buffers_hold_end_no_group_early(tmp_path: Path) -> None:
    writer = create(tmp_path / "f")
    n = writer.room + GROUP + 1

    layout = filled(writer, content(n)).finish()

    assert writer.n_rows == n
    assert len(layout.chunk) == -(-n // GROUP)
    reader = ColumnReader(tmp_path / "f", COLUMNS, layout, n)
    last = len(layout.chunk) - 1
    (got,) = reader.read(groups(last - 1, last), GROUP, (0,))
    assert got.tolist() == content(n)[0][rows(last - 1, last, n=n)].tolist()


@pytest.mark.parametrize("chosen", [(0,), (3,), (7,), (0, 7), (1, 2, 5), (0, 1, 2, 4, 6, 7)])
def test_any_groups_are_read_one_behind_the_other(tmp_path: Path, chosen: tuple[int, ...]) -> None:
    n = 7 * GROUP + 3
    reader, _ = written(tmp_path / "f", n)

    for columns in [(0,), (1,), (2, 0), (0, 1, 2)]:
        found = reader.read(groups(*chosen), GROUP, columns)
        for got, column in zip(found, columns, strict=True):
            assert got.tolist() == content(n)[column][rows(*chosen, n=n)].tolist()


def test_no_groups_are_no_rows(tmp_path: Path) -> None:
    reader, _ = written(tmp_path / "f", 5)

    assert [len(column) for column in reader.read(groups(), GROUP, (0, 2))] == [0, 0]


@pytest.mark.parametrize("enough", [1, 40, 99])
def test_the_rows_that_are_enough_are_right(tmp_path: Path, enough: int) -> None:
    reader, _ = written(tmp_path / "f", 3 * GROUP)

    found = reader.read(groups(0, 2, enough=enough), GROUP, (0, 1, 2))

    for got, want in zip(found, content(3 * GROUP), strict=True):
        assert got[:enough].tolist() == want[:enough].tolist()
        assert got[GROUP : GROUP + enough].tolist() == want[2 * GROUP :][:enough].tolist()


def test_a_changed_byte_spoils_its_group_alone(tmp_path: Path) -> None:
    path = tmp_path / "f"
    _, layout = written(path, 5 * GROUP)
    raw = bytearray(path.read_bytes())
    raw[int(layout.chunk[2, 1]) + 3] ^= 1
    path.write_bytes(raw)
    reader = ColumnReader(path, COLUMNS, layout, 5 * GROUP)

    assert len(reader.read(groups(0, 1, 3, 4), GROUP, (0,))[0]) == 4 * GROUP
    for chosen in [(2,), (1, 2, 3), (0, 2, 4)]:
        with pytest.raises(Permanent, match=f"{path} is not what was written; restore it"):
            reader.read(groups(*chosen), GROUP, (0,))
    with pytest.raises(Permanent):
        reader.check()


def test_any_changed_byte_of_a_group_is_noticed(tmp_path: Path) -> None:
    """Headers of pages are no exception."""
    path = tmp_path / "f"
    _, layout = written(path, GROUP)
    sound = path.read_bytes()

    noticed = []
    for at in range(int(layout.chunk[0, 0]), int(layout.chunk[0, -1])):
        raw = bytearray(sound)
        raw[at] ^= 1 << at % 8
        path.write_bytes(raw)
        with pytest.raises(Permanent):
            ColumnReader(path, COLUMNS, layout, GROUP).check()
        noticed.append(at)

    assert noticed == list(range(4, int(layout.chunk[0, -1])))


def test_a_file_that_pyarrow_wrote_is_read_as_before(tmp_path: Path) -> None:
    """Every file of an earlier release is one."""
    n = 3 * GROUP + 5
    schema = pa.schema(
        [
            pa.field("number", pa.int64(), nullable=False),
            pa.field("small", pa.int32(), nullable=False),
            pa.field("step", pa.int64(), nullable=False),
        ]
    )
    parquet.write_table(
        pa.table(content(n), schema=schema),
        tmp_path / "f",
        row_group_size=GROUP,
        compression={c.name: "lz4" if c.packed else "none" for c in COLUMNS},
        use_dictionary=False,
        column_encoding={c.name: "DELTA_BINARY_PACKED" for c in COLUMNS},
        write_statistics=False,
        store_schema=False,
    )
    raw = (tmp_path / "f").read_bytes()
    metadata = parquet.read_metadata(tmp_path / "f")
    groups_found = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    first = [[g.column(c).data_page_offset for c in range(3)] for g in groups_found]
    last = [g.column(2).data_page_offset + g.column(2).total_compressed_size for g in groups_found]
    check = [xxh3_64_intdigest(raw[a[0] : b]) for a, b in zip(first, last, strict=True)]
    layout = Layout(np.column_stack([first, last]), np.array(check, np.uint64))

    found = ColumnReader(tmp_path / "f", COLUMNS, layout, n).read(
        groups(*range(4)), GROUP, (0, 1, 2)
    )

    for got, want in zip(found, content(n), strict=True):
        assert got.tolist() == want.tolist()


def test_a_column_that_was_not_asked_for_is_checked_with_its_group(tmp_path: Path) -> None:
    """One hash for a group: a file that is not what was written is not to be trusted by halves."""
    path = tmp_path / "f"
    _, layout = written(path, GROUP)
    raw = bytearray(path.read_bytes())
    raw[int(layout.chunk[0, 3]) - 1] ^= 0x80
    path.write_bytes(raw)

    with pytest.raises(Permanent):
        ColumnReader(path, COLUMNS, layout, GROUP).read(groups(0), GROUP, (0,))


def test_a_sound_file_passes_its_check(tmp_path: Path) -> None:
    reader, _ = written(tmp_path / "f", 3 * GROUP + 1)

    reader.check()

    assert len(reader.read(groups(3), GROUP, (1,))[0]) == 1


@pytest.mark.parametrize("left", [0, 10, 400])
def test_a_file_cut_short_is_not_what_was_written(tmp_path: Path, left: int) -> None:
    path = tmp_path / "f"
    reader, _ = written(path, 3 * GROUP)
    os.truncate(path, left)

    with pytest.raises(Permanent, match="is not what was written"):
        reader.read(groups(2), GROUP, (0,))


def test_a_file_with_other_rows_than_expected_is_not_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "f"
    _, layout = written(path, GROUP + 10)

    with pytest.raises(Permanent):
        ColumnReader(path, COLUMNS, layout, GROUP + 9).read(groups(1), GROUP, (0,))


def test_a_file_may_be_read_after_it_was_removed(tmp_path: Path) -> None:
    reader, _ = written(tmp_path / "f", GROUP)
    (tmp_path / "f").unlink()

    assert len(reader.read(groups(0), GROUP, (0,))[0]) == GROUP


def test_a_reader_that_nobody_holds_gives_its_handle_back(tmp_path: Path) -> None:
    reader, layout = written(tmp_path / "f", GROUP)
    gc.collect()
    before = n_handles()

    several = [ColumnReader(tmp_path / "f", COLUMNS, layout, GROUP) for _ in range(20)]
    assert n_handles() == before + 20
    del several
    gc.collect()

    assert n_handles() == before
    assert len(reader.read(groups(0), GROUP, (0,))[0]) == GROUP


# Faults while writing


def test_the_file_is_synced_at_its_full_size_before_it_counts_as_finished(tmp_path: Path) -> None:
    disk = disks.FaultyFiles()
    writer = filled(create(tmp_path / "f", disk), content(GROUP))
    disk.calls.clear()

    writer.finish()

    assert disk.calls[-2:] == ["truncate", "sync"]
    disk.lose_power()
    assert not (tmp_path / "f").exists() or len(parquet.read_table(tmp_path / "f")) == GROUP


@pytest.mark.parametrize("call", ["write", "truncate", "sync"])
def test_a_disk_that_refuses_is_told_as_such_and_an_abort_leaves_nothing(
    tmp_path: Path, call: str
) -> None:
    disk = disks.FaultyFiles()
    writer = filled(create(tmp_path / "f", disk), content(3 * GROUP))
    disk.fail(call, errno.ENOSPC)

    with pytest.raises(OSError, match="No space left"):
        writer.finish()
    writer.abort()
    writer.abort()

    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"somebody's")

    with pytest.raises(FileExistsError):
        create(tmp_path / "f")

    assert (tmp_path / "f").read_bytes() == b"somebody's"


@pytest.mark.parametrize("stage", ["fresh", "filled", "finished"])
def test_an_abort_at_any_time_leaves_nothing_and_no_handle(tmp_path: Path, stage: str) -> None:
    gc.collect()
    before = n_handles()
    writer = create(tmp_path / "f")
    if stage != "fresh":
        filled(writer, content(GROUP))
    if stage == "finished":
        writer.finish()

    writer.abort()

    assert list(tmp_path.iterdir()) == []
    assert n_handles() == before
