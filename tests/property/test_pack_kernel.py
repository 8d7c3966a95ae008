"""Pages as we write them: by the letter of the format, so that whoever reads it reads them."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import cramjam
import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests import lakes
from tests.property.test_page_kernel import COLUMNS, NUMBERS, TEXTS, packed, padded, unlz4, unpack
from watchkeeper.lake import pack_kernel
from watchkeeper.lake.columns import ColumnReader, ColumnWriter, Groups
from watchkeeper.lake.footer import Column, Kind

GUARD = 0xEE
SHAPES = st.sampled_from([(128, 32), (1024, 128), (256, 32)])
SMALL = st.integers(-(2**31), 2**31 - 1)


def pack(numbers: list[int], shape: tuple[int, int], *, is_narrow: bool = False) -> bytes:
    out = np.full(pack_kernel.ROW_BYTES * len(numbers) + pack_kernel.PAGE_BYTES, GUARD, np.uint8)
    scratch = np.full(pack_kernel.BLOCK_ROWS, -99)
    column = np.array([7, *numbers, 7])
    end = pack_kernel.pack_deltas(column, 1, len(numbers), is_narrow, shape, scratch, out, 0)
    assert (out[end + 8 :] == GUARD).all()
    return out[:end].tobytes()


def lz4(text: bytes) -> bytes:
    out = np.full(len(text) + len(text) // 255 + 64, GUARD, np.uint8)
    table = np.full(pack_kernel.TABLE_ROWS, 3, np.int32)
    end = pack_kernel.pack_lz4(padded(text), len(text), table, out, 0)
    assert end <= len(text) + len(text) // 255 + 16
    assert (out[end + 8 :] == GUARD).all()
    return out[:end].tobytes()


@given(COLUMNS, SHAPES)
def test_deltas_are_packed_by_the_letter(numbers: list[int], shape: tuple[int, int]) -> None:
    assert pack(numbers, shape) == packed(numbers, shape[0], shape[0] // shape[1])


@given(st.integers(0, 64), st.integers(0, 2**64 - 1), SHAPES)
def test_every_width_comes_back(width: int, seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**64 - 1, 300, np.uint64, endpoint=True)
    deltas = bits >> np.uint64(64 - width) if width else bits * np.uint64(0)
    numbers = np.cumsum(deltas, dtype=np.uint64).view(np.int64).tolist()

    page = pack(numbers, shape)

    assert unpack(page, len(numbers), len(numbers)) == (len(page), numbers)


@given(st.lists(SMALL, min_size=1, max_size=300), SHAPES)
def test_no_narrow_number_takes_more_than_its_width(
    numbers: list[int], shape: tuple[int, int]
) -> None:
    """Differences go round at 32 bits: readers refuse wider ones, which a word would hold."""
    page = pack(numbers, shape, is_narrow=True)

    end, found = unpack(page, len(numbers), len(numbers))

    assert end == len(page)
    assert np.array(found).astype(np.int32).tolist() == numbers
    ways = [(b - a + 2**31) % 2**32 - 2**31 for a, b in pairwise(numbers)]
    unbound = list(accumulate(ways, initial=numbers[0]))
    assert page == packed(unbound, shape[0], shape[0] // shape[1])


@given(st.one_of(TEXTS, st.binary(max_size=3000), st.integers(0, 70000).map(bytes)))
def test_what_is_packed_any_reader_of_lz4_unpacks(text: bytes) -> None:
    block = lz4(text)

    assert bytes(cramjam.lz4.decompress_block(block, output_len=len(text))) == text
    assert unlz4(block, len(text)) == (len(text), text)


@given(st.integers(1, 40), st.integers(20, 500), st.binary(min_size=40, max_size=40))
def test_what_repeats_becomes_small(period: int, times: int, seed: bytes) -> None:
    text = seed[:period] * times

    assert len(lz4(text)) <= period + 32 + len(text) // 250


def test_what_repeats_too_far_away_is_no_match() -> None:
    rng = np.random.default_rng(1)
    some = rng.bytes(64)
    for distance in (65_535, 65_536, 65_600):
        text = some + rng.bytes(distance - 64) + some

        assert unlz4(lz4(text), len(text)) == (len(text), text)


def write(path: Path, columns: list[Column], content: list[list[int]], group_rows: int) -> Any:
    writer = ColumnWriter(lakes.Unsynced(), path, columns, group_rows=group_rows)
    n = len(content[0])
    for c, numbers in enumerate(content):
        writer.buffers[c, :n] = numbers
    writer.advance(n)
    return writer.finish()


KINDS = st.sampled_from(list(Kind))
FILES = st.integers(1, 300).flatmap(
    lambda n: st.lists(
        st.tuples(
            KINDS.flatmap(
                lambda kind: st.tuples(
                    st.just(kind),
                    st.lists(
                        SMALL if kind is Kind.INT32 else NUMBERS, min_size=n, max_size=n
                    ),
                )
            ),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip


@settings(max_examples=30)
@given(FILES, st.sampled_from([1, 64, 100, 8192]))
def test_a_file_says_the_same_to_every_reader(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[tuple[Kind, list[int]], bool]],
    group_rows: int,
) -> None:
    columns = [Column(f"c{i}", kind, packed=flag) for i, ((kind, _), flag) in enumerate(drawn)]
    content = [numbers for (_, numbers), _ in drawn]
    n = len(content[0])
    path = tmp_path_factory.mktemp("file") / "f.parquet"

    layout = write(path, columns, content, group_rows)

    n_groups = -(-n // group_rows)
    groups = Groups(np.arange(n_groups), np.full(n_groups, group_rows))
    ours = ColumnReader(path, columns, layout, n).read(groups, group_rows, range(len(columns)))
    for column, found, numbers in zip(columns, ours, content, strict=True):
        narrow = found.astype(np.int32) if column.kind.is_narrow else found
        assert narrow.tolist() == numbers
    theirs = parquet.read_table(path)
    whole = [column.kind for column in columns if column.kind in (Kind.INT32, Kind.INT64)]
    for column, numbers in zip(columns, content, strict=True):
        found = theirs.column(column.name)
        assert found.cast("int64").to_pylist() == numbers
    if whole:
        names = [c.name for c in columns if c.kind in (Kind.INT32, Kind.INT64)]
        rows = duckdb.sql(f"SELECT {', '.join(names)} FROM read_parquet('{path}')").fetchall()
        chosen = [content[columns.index(c)] for c in columns if c.name in names]
        assert rows == list(zip(*chosen, strict=True))
    path.unlink()


@pytest.mark.parametrize("n", [0, 1, 100, 257])
def test_a_footer_says_what_is_where(tmp_path: Path, n: int) -> None:
    units = {Kind.TIME_MS: "ms", Kind.TIME_US: "us", Kind.TIME_NS: "ns"}
    columns = [
        Column(f"a column with a name {i}", list(Kind)[i % len(Kind)], packed=i % 2 == 0)
        for i in range(20)
    ]

    layout = write(tmp_path / "f", columns, [list(range(n)) for _ in columns], 100)

    file = parquet.ParquetFile(tmp_path / "f")
    metadata = file.metadata
    assert (metadata.num_rows, metadata.num_row_groups) == (n, -(-n // 100))
    for column, field in zip(columns, file.schema_arrow, strict=True):
        unit = units.get(column.kind)
        want = f"timestamp[{unit}, tz=UTC]" if unit else column.kind.name.lower()
        assert (field.name, str(field.type), field.nullable) == (column.name, want, False)
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        assert group.num_rows == min(100, n - 100 * g)
        for c, column in enumerate(columns):
            chunk = group.column(c)
            begin, end = layout.chunk[g, c : c + 2].tolist()
            assert (chunk.data_page_offset, chunk.total_compressed_size) == (begin, end - begin)
            assert chunk.compression == ("LZ4" if column.packed else "UNCOMPRESSED")
            assert chunk.num_values == group.num_rows
        sizes = [group.column(c).total_uncompressed_size for c in range(len(columns))]
        assert group.total_byte_size == sum(sizes)


def test_times_are_times_for_other_readers(tmp_path: Path) -> None:
    columns = [Column(kind.name, kind, packed=True) for kind in (Kind.TIME_MS, Kind.TIME_US)]
    at_s = 1_790_000_000

    write(tmp_path / "f", columns, [[at_s * 1000], [at_s * 1_000_000]], 100)

    rows = duckdb.sql(
        f"SELECT epoch_ms(TIME_MS), epoch_us(TIME_US) FROM read_parquet('{tmp_path / 'f'}')"
    ).fetchall()
    assert rows == [(at_s * 1000, at_s * 1_000_000)]
