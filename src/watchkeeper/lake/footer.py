"""What makes pages of whole numbers a Parquet file: its footer, by the letter of parquet.thrift.

Thrift's compact protocol: a field is its type and how far its number is from the one before, in a
byte, then its content; a struct ends with a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from watchkeeper.lake import footer_kernel
from watchkeeper.model.series import I64

MAGIC: Final = b"PAR1"

_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
_TRUE: Final = b"\x11"
"""Field 1, with its value in the type."""
_CODEC: Final = {False: 0, True: 7}
"""UNCOMPRESSED, LZ4_RAW."""
_DELTA_BINARY_PACKED: Final = 5
_REQUIRED: Final = 0
_CREATED_BY: Final = b"watchkeeper"


class Kind(Enum):
    """What a column's whole numbers are."""

    INT32 = 32
    INT64 = 64
    TIME_MS = 1_000_000
    """Since 1970, in UTC, by the length of the unit in nanoseconds."""
    TIME_US = 1_000
    TIME_NS = 1

    @property
    def is_narrow(self) -> bool:
        return self is Kind.INT32


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: Kind
    packed: bool
    """Compressed with LZ4 after delta encoding; worth it where values repeat a pattern."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where all of a file's row groups lie."""

    chunk: I64
    """Row g: where each of group g's chunks begins, and where the last of them ends."""
    raw: I64
    """Row g: their sizes unpacked, with headers."""
    n_rows: int
    group_rows: int


def footer(columns: Sequence[Column], extent: Extent) -> bytes:
    """All that comes behind the last page."""
    schema = [_group(len(columns)), *map(_element, columns)]
    metadata = b"".join(
        [
            _number(1, _I32, 2),
            _field(1, _LIST) + _list(_STRUCT, schema),
            _number(1, _I64, extent.n_rows),
            _field(1, _LIST) + _size(_STRUCT, len(extent.raw)) + _row_groups(columns, extent),
            _field(2, _BINARY) + _text(_CREATED_BY),
            b"\0",
        ]
    )
    return metadata + len(metadata).to_bytes(4, "little") + MAGIC


def _row_groups(columns: Sequence[Column], extent: Extent) -> bytes:
    alike = [_alike(column) for column in columns]
    begin = np.cumsum([0, *map(len, alike)])
    size = len(extent.raw) * (int(begin[-1]) + (len(columns) + 1) * footer_kernel.CHUNK_BYTES)
    out = np.empty(size, np.uint8)
    n = footer_kernel.put_row_groups(
        np.frombuffer(b"".join(alike), np.uint8), begin, extent.chunk, extent.raw,
        extent.n_rows, extent.group_rows, out,
    )  # fmt: skip
    return out[:n].tobytes()


def _group(n_columns: int) -> bytes:
    """The schema's root."""
    return _field(4, _BINARY) + _text(b"schema") + _number(1, _I32, n_columns) + b"\0"


def _element(column: Column) -> bytes:
    name = _field(1, _BINARY) + _text(column.name.encode())
    known = _number(1, _I32, _physical(column)) + _number(2, _I32, _REQUIRED) + name
    return known + _logical(column.kind) + b"\0"


def _logical(kind: Kind) -> bytes:
    """That numbers are times: in the old way, where there is one, and in the new."""
    unit = {Kind.TIME_MS: 1, Kind.TIME_US: 2, Kind.TIME_NS: 3}.get(kind)
    if unit is None:
        return b""
    converted = {Kind.TIME_MS: 9, Kind.TIME_US: 10}.get(kind)
    old = b"" if converted is None else _number(2, _I32, converted)
    of_unit = _field(unit, _STRUCT) + b"\0\0"
    timestamp = _TRUE + _field(1, _STRUCT) + of_unit + b"\0"
    return (
        old
        + _field(6 if converted is None else 4, _STRUCT)
        + _field(8, _STRUCT)
        + timestamp
        + b"\0"
    )


def _alike(column: Column) -> bytes:
    """Of ColumnMetaData: type, encodings, path_in_schema, codec."""
    return b"".join(
        [
            _number(1, _I32, _physical(column)),
            _field(1, _LIST) + _list(_I32, [_zigzag(_DELTA_BINARY_PACKED)]),
            _field(1, _LIST) + _list(_BINARY, [_text(column.name.encode())]),
            _number(1, _I32, _CODEC[column.packed]),
        ]
    )


def _physical(column: Column) -> int:
    return 1 if column.kind.is_narrow else 2


def _field(further: int, kind: int) -> bytes:
    return bytes([further << 4 | kind])


def _number(further: int, kind: int, number: int) -> bytes:
    return _field(further, kind) + _zigzag(number)


def _list(kind: int, items: Sequence[bytes]) -> bytes:
    return _size(kind, len(items)) + b"".join(items)


def _size(kind: int, n: int) -> bytes:
    return bytes([n << 4 | kind]) if n < 15 else bytes([0xF0 | kind]) + _varint(n)


def _text(text: bytes) -> bytes:
    return _varint(len(text)) + text


def _zigzag(number: int) -> bytes:
    """Of a number that is not negative."""
    return _varint(number << 1)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
