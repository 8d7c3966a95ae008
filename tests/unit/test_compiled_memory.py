"""Loads, stores and columns by address: every width, every sign, every alignment."""

# mypy: disable-error-code="call-arg, var-annotated"
# Numba gives an intrinsic its context and infers the types, of which mypy knows nothing.

from __future__ import annotations

import struct
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from watchkeeper.compiled.address import (
    address_of,
    load_i32,
    load_i64,
    load_u8,
    load_u16,
    store_f64,
    store_i32,
    store_i64,
    store_u8,
)
from watchkeeper.compiled.columns import (
    get8,
    get16,
    get32,
    get64,
    layout_of,
    set8,
    set16,
    set32,
    set64,
)
from watchkeeper.compiled.jit import kernel
from watchkeeper.compiled.memory import (
    READ_SLACK,
    load_f64,
    load_u64,
    padded,
    prefetch,
    prefetch_second,
    reserve,
    store_u64,
)

PATTERN = bytes((37 * i + 129) % 256 for i in range(64))


@kernel
def read_words(array: Any, n: Any, out: Any) -> Any:
    """Eight bytes at each offset: of the array, and of its address."""
    for i in range(n):
        out[0, i] = load_u64(array, i)
        out[1, i] = load_u64(address_of(array), i)


@kernel
def read_doubles(array: Any, n: Any, out: Any) -> Any:
    for i in range(n):
        out[0, i] = load_f64(array, i)
        out[1, i] = load_f64(address_of(array), i)


@kernel
def write_word(array: Any, at: Any, value: Any) -> Any:
    store_u64(array, at, value)


@kernel
def read_each(array: Any, i: Any) -> Any:
    at = address_of(array)
    return load_u8(at, i), load_u16(at, i), load_i32(at, i), load_i64(at, i)


@kernel
def write_each(small: Any, whole: Any, long: Any, real: Any, i: Any, value: Any) -> Any:
    store_u8(address_of(small), i, value)
    store_i32(address_of(whole), i, value)
    store_i64(address_of(long), i, value)
    store_f64(address_of(real), i, value / 2)


@kernel
def read_columns(layout: Any, i: Any) -> Any:
    columns = address_of(layout)
    return get8(columns, 0, i), get16(columns, 1, i), get32(columns, 2, i), get64(columns, 3, i)


@kernel
def write_columns(layout: Any, i: Any, value: Any) -> Any:
    columns = address_of(layout)
    set8(columns, 0, i, value)
    set16(columns, 1, i, value)
    set32(columns, 2, i, value)
    set64(columns, 3, i, value)


@kernel
def ask_ahead(array: Any) -> Any:
    for i in range(len(array)):
        prefetch(array, i)
        prefetch_second(array, i)


@kernel
def divide(left: Any, right: Any) -> Any:
    return left / right


@kernel
def add_in_order(values: Any) -> Any:
    total = 0.0
    for value in values:
        total += value
    return total


# Unaligned words


def test_words_are_read_little_endian_at_any_offset() -> None:
    out = np.empty((2, 40), np.uint64)

    read_words(padded(PATTERN), 40, out)

    want = [int.from_bytes(PATTERN[i : i + 8], "little") for i in range(40)]
    assert out.tolist() == [want, want]


def test_doubles_are_read_at_any_offset() -> None:
    body = b"xyz" + struct.pack("<3d", 1.5, -0.0, 1e300)
    out = np.empty((2, 20))

    read_doubles(padded(body), 20, out)

    for row in out:
        assert [row[3 + 8 * i].tobytes() for i in range(2)] == [
            struct.pack("<d", value) for value in (1.5, -0.0)
        ]
        assert row[19] == 1e300


@pytest.mark.parametrize("at", [0, 1, 7, 8, 13])
def test_a_word_is_written_where_it_belongs_and_nowhere_else(at: int) -> None:
    array = np.full(32, 7, np.uint8)

    write_word(array, at, np.uint64(0x0102030405060708))

    want = bytearray(b"\7" * 32)
    want[at : at + 8] = bytes([8, 7, 6, 5, 4, 3, 2, 1])
    assert array.tobytes() == bytes(want)


# Addresses


@pytest.mark.parametrize("i", [0, 1, 2, 3])
def test_each_width_is_read_with_its_sign(i: int) -> None:
    array = np.frombuffer(bytearray(PATTERN), np.uint8)

    byte, half, whole, long = read_each(array, i)

    assert byte == PATTERN[i]
    assert half == struct.unpack_from("<H", PATTERN, 2 * i)[0]
    assert whole == struct.unpack_from("<i", PATTERN, 4 * i)[0]
    assert long == struct.unpack_from("<q", PATTERN, 8 * i)[0]


def test_negative_numbers_are_read_as_such_and_bytes_never_are() -> None:
    array = np.full(8, 0xFF, np.uint8)

    assert read_each(array, 0) == (255, 65535, -1, -1)


@pytest.mark.parametrize("value", [0, 1, -1, 127, 255, -(2**31), 2**31 - 1])
def test_each_width_is_written_alone(value: int) -> None:
    small, whole = np.full(3, 9, np.uint8), np.full(3, 9, np.int32)
    long, real = np.full(3, 9, np.int64), np.full(3, 9.0)

    write_each(small, whole, long, real, 1, value)

    assert small.tolist() == [9, value & 0xFF, 9]
    assert whole.tolist() == [9, value, 9]
    assert long.tolist() == [9, value, 9]
    assert real.tolist() == [9, value / 2, 9]


# Columns


def columns(n: int = 4) -> tuple[Any, ...]:
    kinds = (np.uint8, np.uint16, np.int32, np.int64)
    return tuple(np.full(n + k, 3, kind) for k, kind in enumerate(kinds))


def test_a_layout_names_where_columns_are_and_how_long() -> None:
    some = columns()

    layout = layout_of(some)

    assert layout[:4].tolist() == [column.ctypes.data for column in some]
    assert layout[4:].tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize("value", [0, 5, 200, 60_000, -7, 2**31 - 1, -(2**31)])
def test_what_is_written_to_a_column_is_read_from_it(value: int) -> None:
    some = columns()
    layout = layout_of(some)

    write_columns(layout, 2, value)

    assert read_columns(layout, 2) == (value & 0xFF, value & 0xFFFF, value, value)
    for column in some:
        assert np.delete(column, 2).tolist() == [3] * (len(column) - 1)


def test_a_long_column_holds_whole_words() -> None:
    some = columns()

    write_columns(layout_of(some), 0, -(2**63))

    assert some[3][0] == -(2**63)
    assert read_columns(layout_of(some), 0)[3] == -(2**63)


# Room


@pytest.mark.parametrize("body", [b"", b"a", PATTERN])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_padded_bytes_have_zeroes_to_read_ahead(body: bytes, kind: Any) -> None:
    array = padded(kind(body))

    assert array.tobytes() == body + bytes(READ_SLACK)
    assert array.flags.writeable, "to kernels, what cannot be written to is another type"


def test_padded_bytes_are_a_copy() -> None:
    body = bytearray(b"abc")
    array = padded(body)

    body[0] = 0

    assert array[:3].tobytes() == b"abc"


@pytest.mark.parametrize(
    ("shape", "kind"), [(5, np.uint8), ((3, 2), np.int64), ((0, 2), np.uint64), (0, np.int32)]
)
@pytest.mark.parametrize("huge", [False, True])
def test_reserved_room_is_zero_and_of_its_shape(shape: Any, kind: Any, huge: bool) -> None:
    array = reserve(shape, kind, huge=huge)

    assert array.shape == np.empty(shape).shape
    assert array.dtype == kind
    assert not array.any()
    assert array.flags.writeable
    assert array.flags.c_contiguous


def test_reserved_room_takes_memory_where_it_is_touched() -> None:
    before = resident_bytes()
    array = reserve(1 << 30, np.uint8)
    assert resident_bytes() - before < 64 << 20

    array[::4096][:1000] = 1

    assert int(array[: 4096 * 1000].sum()) == 1000
    assert resident_bytes() - before < 64 << 20


def resident_bytes() -> int:
    text = Path("/proc/self/statm").read_text()
    return int(text.split()[1]) * 4096


def test_asking_ahead_changes_nothing() -> None:
    array = np.arange(100)

    ask_ahead(array)

    assert array.tolist() == list(range(100))


# The compiler's settings


@pytest.mark.parametrize(
    ("left", "right", "want"),
    [(1.0, 0.0, "inf"), (-1.0, 0.0, "-inf"), (0.0, 0.0, "nan"), (6.0, 3.0, "2.0")],
)
def test_division_by_zero_is_a_number_and_no_error(left: float, right: float, want: str) -> None:
    assert str(divide(left, right)) == want


def test_sums_are_made_in_the_order_of_the_source() -> None:
    """A replay must come to the same bits, so the compiler may not add in another order."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=1000) * 10.0 ** rng.integers(-9, 9, 1000)
    total = 0.0
    for value in values.tolist():
        total += value

    assert add_in_order(values) == total


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same() -> None:
    """As where the program's folder may not be written to, and there is no home either."""

    def double(x: int) -> int:
        return 2 * x

    nowhere = FunctionType(double.__code__.replace(co_filename="/nowhere/never.py"), {})

    assert kernel(nowhere)(21) == 42
