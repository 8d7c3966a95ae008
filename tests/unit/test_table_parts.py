"""Parts of texts: filters that never deny what is there, and rows that have a part as it is."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from watchkeeper.lake.tables.base import TextQuery
from watchkeeper.lake.tables.parts import PartsReader, PartsWriter
from watchkeeper.lake.tables.words import keep_fitting
from watchkeeper.model.row import texts

lines = st.lists(
    st.text(alphabet="aB09 -.ä\x00", max_size=90).map(str.encode) | st.binary(max_size=12),
    min_size=1,
    max_size=12,
)


def reader(*groups: Sequence[bytes]) -> PartsReader:
    writer = PartsWriter()
    for group in groups:
        column = texts(group)
        writer.add(column.data, column.offset)
    return PartsReader(writer.arrays())


def random_ids(n: int, seed: int = 1) -> list[bytes]:
    return [
        b"%016x" % value for value in np.random.default_rng(seed).integers(0, 2**63, n).tolist()
    ]


@given(st.lists(lines, min_size=1, max_size=3), st.data())
def test_a_filter_never_denies_a_part_that_is_there(
    groups: list[list[bytes]], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(groups) - 1))
    line = data.draw(st.sampled_from(groups[number]))
    begin = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(begin, len(line)))

    may = reader(*groups).may_have([line[begin:end]] if end > begin else [])

    assert may[number]


@given(lines, st.data(), st.booleans())
def test_rows_with_a_part_are_those_that_python_finds(
    group: list[bytes], data: st.DataObject, leaves_out: bool
) -> None:
    joined = b"".join(group) or b"x"  # so that a part may seem to reach over two rows
    begin = data.draw(st.integers(0, len(joined) - 1))
    part = joined[begin : begin + data.draw(st.integers(1, 20))]
    column = texts(group)
    rows = np.arange(len(group))[:: 2 if leaves_out else 1]

    found = keep_fitting(column.data, column.offset, rows, TextQuery(parts=(part,)))

    assert found.tolist() == [row for row in rows.tolist() if part in group[row]]


@pytest.mark.parametrize("size", [1, 63, 64, 65, 127, 128, 129, 200])
def test_a_part_is_found_wherever_in_a_long_row_it_is(size: int) -> None:
    column = texts([b"." * size + b"here", b"here" + b"." * size, b"." * size])

    found = keep_fitting(column.data, column.offset, np.arange(3), TextQuery(parts=(b"here",)))

    assert found.tolist() == [0, 1]


@pytest.mark.parametrize(
    "part", [b"unheard", b"Order", b"order 48", b"er  t", b"|", b"::", b"order id\x00", b"\t7"]
)
def test_a_filter_denies_what_is_in_no_line(part: bytes) -> None:
    said = [b"order id=%s took %d ms" % (one, n % 9) for n, one in enumerate(random_ids(500))]

    assert reader(said).may_have([part]).tolist() == [False]


def test_parts_of_ids_that_no_line_has_are_mostly_denied() -> None:
    known = [b"request=%s done" % one for one in random_ids(4000)]
    asked = random_ids(4000, seed=2)
    filters = reader(known)

    denied = [not filters.may_have([one[4:12]])[0] for one in asked]

    assert sum(denied) > 0.8 * len(asked)


def test_filters_of_lines_with_an_id_each_take_less_than_four_bytes_a_line() -> None:
    writer = PartsWriter()
    column = texts(b"request=%s was answered after a while" % one for one in random_ids(8000))

    writer.add(column.data, column.offset)

    assert sum(one.nbytes for one in writer.arrays().values()) < 4 * 8000


def test_a_filter_that_would_deny_hardly_anything_takes_no_room() -> None:
    writer = PartsWriter()
    noise = np.random.default_rng(1).integers(48, 112, 3_000_000, np.uint8)

    writer.add(noise, np.array([0, len(noise)], np.int32))

    assert sum(one.nbytes for one in writer.arrays().values()) < 1000
