"""Thrift's binary protocol: structs read by a table of their fields, all else passed over.

A list is believed only as far as there are bytes behind it; what is passed over may neither nest
deep nor be made of very many parts.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from watchkeeper.errors import BadInput

STOP, BOOL, BYTE, DOUBLE, I16, I32, I64, STRING, STRUCT, MAP, SET, LIST = (
    0, 2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15,
)  # fmt: skip
"""Types of fields, as they are written."""

MAX_DEPTH: Final = 16
MAX_SKIPPED: Final = 100_000
"""Parts of lists and maps that are passed over, in a body. Real senders have none."""
_SIZES: Final = {BOOL: 1, BYTE: 1, DOUBLE: 8, I16: 2, I32: 4, I64: 8}
_LEAST: Final = {**_SIZES, STRING: 4, STRUCT: 1, MAP: 6, SET: 5, LIST: 5}
"""The fewest bytes that a value takes."""
_FORMS: Final = {
    BOOL: struct.Struct(">?"),
    BYTE: struct.Struct(">b"),
    DOUBLE: struct.Struct(">d"),
    I16: struct.Struct(">h"),
    I32: struct.Struct(">i"),
    I64: struct.Struct(">q"),
}
_field: Final = struct.Struct(">BH").unpack_from
_size: Final = struct.Struct(">i").unpack_from
_list: Final = struct.Struct(">Bi").unpack_from
_map: Final = struct.Struct(">BBi").unpack_from


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct that is read."""

    name: str
    type: int
    of: Message | None = None
    """Of a struct, or of a list of structs: what they are."""
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A struct: its fields by their numbers."""

    name: str
    fields: Mapping[int, Field]


class Reader:
    """Reads one body from its start. Raises BadInput as soon as the bytes are not what they say."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._n_skipped = 0

    def whole(self, message: Message) -> dict[str, Any]:
        """The struct that the body is."""
        try:
            found = self._struct(message, 0)
        except struct.error as error:
            raise BadInput(f"the body ends in the middle of a {message.name}") from error
        if self._at != len(self._body):
            raise BadInput(
                f"{len(self._body) - self._at} bytes follow the {message.name} that a body is"
            )
        return found

    def _struct(self, message: Message, depth: int) -> dict[str, Any]:
        """What is given of it, by name. Strings are bytes."""
        found: dict[str, Any] = {}
        fields = message.fields
        body = self._body
        while body[self._at : self._at + 1] != b"\x00":
            kind, number = _field(body, self._at)
            self._at += 3
            field = fields.get(number)
            if field is None or field.type != kind:
                self._skip(kind, depth + 1)
            elif kind in _FORMS:
                found[field.name] = _FORMS[kind].unpack_from(body, self._at)[0]
                self._at += _SIZES[kind]
            elif kind == STRING:
                found[field.name] = self._string()
            elif kind == LIST and field.of is not None:
                found[field.name] = self._structs(field.of, depth + 1)
            elif field.of is not None:
                found[field.name] = self._struct(field.of, depth + 1)
        self._at += 1
        for field in fields.values():
            if field.is_required and field.name not in found:
                raise BadInput(f"a {message.name} of the body has no {field.name}")
        return found

    def _string(self) -> bytes:
        (size,) = _size(self._body, self._at)
        start = self._at + 4
        self._advance(4, size, 1)
        return self._body[start : self._at]

    def _structs(self, message: Message, depth: int) -> list[dict[str, Any]]:
        kind, size = _list(self._body, self._at)
        if kind != STRUCT and size:
            raise BadInput(f"a list of the body holds type {kind}, where it holds {message.name}")
        self._check_room(5, size, _LEAST[STRUCT])
        self._at += 5
        return [self._struct(message, depth) for _ in range(size)]

    def _skip(self, kind: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise BadInput(f"the body nests deeper than {MAX_DEPTH} levels")
        if kind in _SIZES:
            self._advance(0, 1, _SIZES[kind])
        elif kind == STRING:
            self._string()
        elif kind == STRUCT:
            self._skip_struct(depth)
        elif kind in (LIST, SET):
            of, size = _list(self._body, self._at)
            self._skip_many((of,), 5, size, depth)
        elif kind == MAP:
            of, to, size = _map(self._body, self._at)
            self._skip_many((of, to), 6, size, depth)
        else:
            raise BadInput(f"the body has a field of type {kind}, which thrift does not know")

    def _skip_struct(self, depth: int) -> None:
        while self._body[self._at : self._at + 1] != b"\x00":
            kind, _ = _field(self._body, self._at)
            self._at += 3
            self._skip(kind, depth + 1)
        self._at += 1

    def _skip_many(self, kinds: tuple[int, ...], head: int, size: int, depth: int) -> None:
        if size and not all(kind in _LEAST for kind in kinds):
            raise BadInput(f"the body has a list of types {kinds}, which thrift does not know")
        least = sum(_LEAST[kind] for kind in kinds) if size else 0
        if all(kind in _SIZES for kind in kinds):
            self._advance(head, size, least)
            return
        self._check_room(head, size, least)
        self._n_skipped += size
        if self._n_skipped > MAX_SKIPPED:
            raise BadInput(f"more than {MAX_SKIPPED} parts of the body are unknown here")
        self._at += head
        for _ in range(size):
            for kind in kinds:
                self._skip(kind, depth + 1)

    def _advance(self, head: int, n: int, size: int) -> None:
        self._check_room(head, n, size)
        self._at += head + n * size

    def _check_room(self, head: int, n: int, size: int) -> None:
        """That so many values of so many bytes are there, behind a head."""
        if n < 0 or self._at + head + n * size > len(self._body):
            raise BadInput(f"the body ends before {n} values of {size} bytes that it claims")
