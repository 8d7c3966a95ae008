"""Parquet pages: what other encoders write is read, and nothing makes the reader leave its page."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cramjam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.lake import page_kernel
from watchkeeper.lake.page_kernel import BROKEN

WORD = 1 << 64
GUARD = -77
"""What stands where nothing may be written."""

NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-100, 100),
    st.integers(0, 3).map(lambda i: i * 15_000_000_000),
    st.sampled_from([-(2**63), 2**63 - 1, 0]),
)
COLUMNS = st.one_of(
    st.lists(NUMBERS, min_size=1, max_size=20),
    st.lists(NUMBERS, min_size=120, max_size=300),
    st.tuples(st.integers(1, 400), NUMBERS).map(lambda drawn: [drawn[1]] * drawn[0]),
)
HUGE = st.sampled_from([2**16, 2**16 + 1, 2**31, 2**32, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1])


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def zigzag(number: int) -> bytes:
    return varint((number << 1 ^ number >> 63) % WORD)


def packed(numbers: list[int], block: int = 128, n_minis: int = 4) -> bytes:
    """DELTA_BINARY_PACKED by the letter of its specification."""
    out = bytearray(varint(block) + varint(n_minis) + varint(len(numbers)) + zigzag(numbers[0]))
    deltas = [(b - a + 2**63) % WORD - 2**63 for a, b in pairwise(numbers)]
    per_mini = block // n_minis
    for first in range(0, len(deltas), block):
        some = deltas[first : first + block]
        least = min(some)
        out += zigzag(least)
        minis = [
            [(delta - least) % WORD for delta in some[i * per_mini : (i + 1) * per_mini]]
            for i in range(n_minis)
        ]
        widths = [max((number.bit_length() for number in mini), default=0) for mini in minis]
        out += bytes(widths)
        for mini, width in zip(minis, widths, strict=True):
            if mini:
                whole = sum(number << (i * width) for i, number in enumerate(mini))
                out += whole.to_bytes(per_mini * width // 8, "little")
    return bytes(out)


def padded(page: bytes, slack: int = 0xFF) -> Any:
    """Behind a page stands something that must not count."""
    return np.frombuffer(bytearray(page + bytes([slack]) * READ_SLACK), np.uint8)


def unpack(page: bytes, n: int, enough: int) -> tuple[int, list[int]]:
    out = np.full(n + 2, GUARD)
    end = int(page_kernel.unpack_deltas(padded(page), 0, len(page), out, 1, n, enough))
    assert out[0] == out[n + 1] == GUARD
    return end, out[1 : n + 1].tolist()


@given(COLUMNS, st.sampled_from([(128, 4), (128, 1), (256, 8), (32, 4)]))
def test_deltas_come_back_whoever_packed_them(numbers: list[int], shape: tuple[int, int]) -> None:
    page = packed(numbers, *shape)

    end, found = unpack(page, len(numbers), len(numbers))

    assert found == numbers
    assert end == len(page)


@given(COLUMNS, st.data())
def test_only_as_many_numbers_are_written_as_are_wanted(
    numbers: list[int], data: st.DataObject
) -> None:
    enough = data.draw(st.integers(0, len(numbers)))

    end, found = unpack(packed(numbers), len(numbers), enough)

    assert end != BROKEN
    assert found == numbers[:enough] + [GUARD] * (len(numbers) - enough)


@given(COLUMNS, st.data())
def test_a_page_of_another_number_of_rows_is_broken(
    numbers: list[int], data: st.DataObject
) -> None:
    said = data.draw(st.integers(0, 500).filter(lambda n: n != len(numbers)))

    assert unpack(packed(numbers), said, min(said, 1))[0] == BROKEN


@given(COLUMNS.filter(lambda numbers: len(set(numbers)) > 1), st.data())
def test_a_page_cut_short_is_broken_or_gives_what_it_has(
    numbers: list[int], data: st.DataObject
) -> None:
    page = packed(numbers)
    cut = data.draw(st.integers(0, len(page) - 1))

    end, found = unpack(page[:cut], len(numbers), len(numbers))

    assert end == BROKEN or (end <= cut + 64 * 32 and found == numbers)


@given(COLUMNS, st.data())
def test_a_changed_byte_makes_no_reader_leave_the_page(
    numbers: list[int], data: st.DataObject
) -> None:
    page = bytearray(packed(numbers))
    for _ in range(data.draw(st.integers(1, 3))):
        page[data.draw(st.integers(0, len(page) - 1))] = data.draw(st.integers(0, 255))

    unpack(bytes(page), len(numbers), len(numbers))


@given(HUGE, st.one_of(HUGE, st.integers(1, 4)), st.integers(1, 50), st.binary(max_size=80))
def test_sizes_that_nobody_writes_are_broken(block: int, n_minis: int, n: int, rest: bytes) -> None:
    """A negative product of such sizes led the reader in front of its page, and to a crash."""
    page = varint(block) + varint(n_minis) + varint(n) + zigzag(5) + rest

    if block > 2**16 or n_minis > block:
        assert unpack(page, n, n)[0] == BROKEN


@pytest.mark.parametrize("n_minis", [0, 129])
def test_a_block_without_room_for_its_parts_is_broken(n_minis: int) -> None:
    page = varint(128) + varint(n_minis) + varint(3) + zigzag(1) + bytes(200)

    assert unpack(page, 3, 3)[0] == BROKEN


def test_a_width_beyond_a_word_is_broken() -> None:
    page = varint(128) + varint(4) + varint(3) + zigzag(1) + zigzag(0) + b"\x41\0\0\0" + bytes(300)

    assert unpack(page, 3, 3)[0] == BROKEN


# LZ4

TEXTS = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.binary(min_size=1, max_size=5), st.integers(1, 400)).map(lambda t: t[0] * t[1]),
    st.lists(st.sampled_from([b"abcdefgh", b"series", b"\0" * 7, b"x"]), max_size=60).map(b"".join),
)


def unlz4(block: bytes, room: int) -> tuple[int, bytes]:
    target = np.full(room + 8, 0xEE, np.uint8)
    size = int(page_kernel.unpack_lz4(padded(block), 0, len(block), target, room))
    assert (target[room:] == 0xEE).all()
    return size, target[: max(size, 0)].tobytes()


@given(TEXTS)
def test_what_lz4_packed_comes_back(text: bytes) -> None:
    block = bytes(cramjam.lz4.compress_block(text, store_size=False))

    assert unlz4(block, len(text)) == (len(text), text)


@given(TEXTS.filter(bool), st.data())
def test_a_block_that_unpacks_to_more_than_its_room_is_broken(
    text: bytes, data: st.DataObject
) -> None:
    block = bytes(cramjam.lz4.compress_block(text, store_size=False))

    assert unlz4(block, data.draw(st.integers(0, len(text) - 1)))[0] == BROKEN


@given(TEXTS, st.data())
def test_a_changed_or_cut_block_writes_nothing_beyond_its_room(
    text: bytes, data: st.DataObject
) -> None:
    block = bytearray(cramjam.lz4.compress_block(text, store_size=False))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(block)))

    for damaged in (block, block[:cut]):
        size, _ = unlz4(bytes(damaged), len(text))
        assert size <= len(text)


@pytest.mark.parametrize("back", [b"\x00\x00", b"\x05\x00", b"\xff\xff"])
def test_a_match_that_begins_before_the_text_is_broken(back: bytes) -> None:
    assert unlz4(b"\x40abcd" + back + b"\x10x", 100)[0] == BROKEN


def test_a_match_may_overlap_what_it_writes() -> None:
    assert unlz4(b"\x26ab" + b"\x02\x00" + b"\x10x", 100) == (13, b"ab" * 6 + b"x")


# Headers


def header(*fields: tuple[int, bytes]) -> bytes:
    """A struct in Thrift's compact protocol: (kind, content), fields numbered from 1 on."""
    return b"".join(bytes([0x10 | kind]) + content for kind, content in fields) + b"\0"


def data_header(size: int, raw_size: int, n: int = 3) -> bytes:
    inner = header((5, zigzag(n)), (5, zigzag(5)), (5, zigzag(3)), (5, zigzag(3)))
    return header((5, zigzag(0)), (5, zigzag(raw_size)), (5, zigzag(size)))[:-1] + (
        bytes([0x2C]) + inner + b"\0"
    )


def look(page: bytes) -> tuple[int, int, int]:
    at, size, raw_size = page_kernel.page_header(padded(page), 0, len(page))
    return int(at), int(size), int(raw_size)


@given(st.integers(0, 200), st.integers(0, 2**31 - 1))
def test_a_header_says_where_its_page_is(size: int, raw_size: int) -> None:
    head = data_header(size, raw_size)

    assert look(head + bytes(size)) == (len(head), size, raw_size)
    if size:
        assert look(head + bytes(size - 1))[0] == BROKEN, "the page is cut short"


@pytest.mark.parametrize("size", [-1, -(2**31), 2**31, 2**63 - 1, -(2**63)])
def test_a_page_of_an_impossible_size_is_broken(size: int) -> None:
    assert look(data_header(size, 8) + bytes(40))[0] == BROKEN


@given(st.binary(max_size=60))
def test_a_header_never_names_a_page_beyond_the_chunk(junk: bytes) -> None:
    for head in (junk, data_header(3, 3)[:4] + junk):
        at, size, _ = look(head)
        assert at == BROKEN or 0 <= at <= at + size <= len(head)


def read(
    page: bytes, n: int, *, is_packed: bool, scratch_bytes: int = 256
) -> tuple[int, list[int]]:
    out = np.full(n + 1, GUARD)
    scratch = np.full(scratch_bytes, 0xEE, np.uint8)
    rows = np.array([n])
    done = page_kernel.read_column(
        padded(page), np.array([0]), np.array([len(page)]), rows, rows, is_packed, scratch, out
    )
    assert out[n] == GUARD
    assert (scratch[-READ_SLACK:] == 0xEE).all()
    return int(done), out[:n].tolist()


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.booleans())
def test_a_chunk_is_read_packed_or_not(numbers: list[int], is_packed: bool) -> None:
    raw = packed(numbers)
    page = bytes(cramjam.lz4.compress_block(raw, store_size=False)) if is_packed else raw
    chunk = data_header(len(page), len(raw)) + page

    found = read(chunk, len(numbers), is_packed=is_packed, scratch_bytes=len(raw) + READ_SLACK)

    assert found == (len(numbers), numbers)


@pytest.mark.parametrize("raw_size", [0, 99, 10**6, 2**31, 2**63 - 1])
def test_a_chunk_that_unpacks_to_another_size_than_it_says_is_broken(raw_size: int) -> None:
    raw = packed([1, 2, 3])
    page = bytes(cramjam.lz4.compress_block(raw, store_size=False))

    assert read(data_header(len(page), raw_size) + page, 3, is_packed=True)[0] == BROKEN
    assert read(data_header(len(raw), raw_size) + raw, 3, is_packed=False)[0] == BROKEN


def test_a_page_that_leaves_no_room_to_read_ahead_is_broken() -> None:
    raw = packed([1, 2, 3])
    page = bytes(cramjam.lz4.compress_block(raw, store_size=False))
    chunk = data_header(len(page), len(raw)) + page

    for scratch_bytes in (len(raw), len(raw) + READ_SLACK - 1):
        out = np.full(3, GUARD)
        done = page_kernel.read_column(
            padded(chunk), np.array([0]), np.array([len(chunk)]), np.array([3]), np.array([3]),
            True, np.zeros(scratch_bytes, np.uint8), out,
        )  # fmt: skip
        assert done == BROKEN
