"""OTLP's protobuf, written by hand: what many requests have in common is encoded once.

Pure. Only the fields that are said here are written; `opentelemetry-proto` reads it back in tests.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from watchkeeper.sdk.rows import Label
from watchkeeper.sdk.varint import varint

TRACE, SPAN, PARENT, START, END = b"\n\x10", b"\x12\x08", b"\x22\x08", 0x39, 0x41
"""What stands before the id of a span's trace, its own, its parent's, and its times."""
SPAN_ID_BYTES: Final = 8
_TIMES: Final = struct.Struct("<BQBQ")
_EVENT: Final = struct.Struct("<BQ")
_FIXED: Final = struct.Struct("<Q")
_DOUBLE: Final = struct.Struct("<d")
_BYTES, _FIXED64 = 2, 1
CUMULATIVE: Final = 2
SHORT: Final = 100
"""Characters of a value that is remembered."""


def field(number: int, content: bytes) -> bytes:
    """A field of text, bytes or a message."""
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


def number(field_number: int, value: int) -> bytes:
    return varint(field_number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)


def fixed(field_number: int, value: int) -> bytes:
    return varint(field_number << 3 | _FIXED64) + _FIXED.pack(value)


def text(field_number: int, value: str) -> bytes:
    """A lone surrogate, as file names have them, is no UTF-8 and becomes a question mark."""
    return field(field_number, value.encode("utf-8", "replace"))


def value_of(value: Label) -> bytes:
    """An AnyValue; what is none of its kinds is told as its text."""
    match value:
        case bool():
            return number(2, value)
        case int() if -(1 << 63) <= value < 1 << 63:
            return number(3, value)
        case float():
            return b"\x21" + _DOUBLE.pack(value)
    return text(1, value if isinstance(value, str) else repr(value))


def attributes(field_number: int, given: Mapping[str, Label]) -> bytes:
    """Most say what others said before: short words and numbers are remembered."""
    return b"".join([
        _known(field_number, name, value)
        if type(value) is int or (type(value) is str and len(value) <= SHORT)
        else _attribute(field_number, name, value)
        for name, value in given.items()
    ])  # fmt: skip


def _attribute(field_number: int, name: str, value: Label) -> bytes:
    return field(field_number, text(1, name) + field(2, value_of(value)))


_known: Final = lru_cache(maxsize=1024)(_attribute)


def request(resource: bytes, items: Iterable[bytes]) -> bytes:
    """A whole body. `items` are framed; traces, metrics and logs are built alike."""
    return field(1, field(1, resource) + field(2, b"".join(items)))


def framed(item: bytes) -> bytes:
    """A span, metric or log record as an item of a body."""
    return field(2, item)


def span_tail(
    name: str, kind: int, given: Mapping[str, Label], failure: str | None, *, failed: bool
) -> bytes:
    """What all spans of an operation with the same outcome have in common."""
    tail = (_named if len(name) <= SHORT else _opening)(name, kind) + attributes(9, given)
    if failed:
        tail += field(15, (text(2, failure) if failure else b"") + number(3, 2))
    return tail


def _opening(name: str, kind: int) -> bytes:
    return text(5, name) + number(6, kind)


_named: Final = lru_cache(maxsize=1024)(_opening)


def span_times(start_ns: int, end_ns: int) -> bytes:
    return _TIMES.pack(START, start_ns, END, end_ns)


def span_form(id_bytes: int, tail_bytes: int) -> tuple[Callable[..., bytes], bytes]:
    """What packs a whole span at once, and what is to stand before its trace; behind that come
    SPAN, its id with what else is of that length, START, a time, END, a time, and the tail."""
    size = 2 + 16 + 2 + id_bytes + 2 * (1 + _FIXED.size) + tail_bytes
    head = varint(2 << 3 | _BYTES) + varint(size) + TRACE
    return struct.Struct(f"<{len(head)}s16s2s{id_bytes}sBQBQ{tail_bytes}s").pack, head


def event(time_ns: int, name: str, given: Mapping[str, Label]) -> bytes:
    """An event of a span."""
    return field(11, _EVENT.pack(0x09, time_ns) + text(2, name) + attributes(3, given))


def histogram_point(
    labels: bytes, times: tuple[int, int], total: float, counts: Sequence[int], bounds: bytes
) -> bytes:
    """`labels` are attributes of field 9, `times` its start and now, `bounds` packed doubles."""
    body = labels + fixed(2, times[0]) + fixed(3, times[1]) + fixed(4, sum(counts))
    body += b"\x29" + _DOUBLE.pack(total) + field(6, struct.pack(f"<{len(counts)}Q", *counts))
    return field(1, body + field(7, bounds))


def histogram(name: str, unit: str, points: Iterable[bytes]) -> bytes:
    body = b"".join(points) + number(2, CUMULATIVE)
    return text(1, name) + text(3, unit) + field(9, body)


def counter(name: str, unit: str, points: Iterable[bytes]) -> bytes:
    body = b"".join(points) + number(2, CUMULATIVE) + number(3, 1)
    return text(1, name) + text(3, unit) + field(7, body)


def counter_point(given: Mapping[str, Label], times: tuple[int, int], value: int) -> bytes:
    body = fixed(2, times[0]) + fixed(3, times[1]) + fixed(6, value)
    return field(1, attributes(7, given) + body)


def doubles(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)
