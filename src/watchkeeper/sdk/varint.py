"""Protobuf's numbers of variable length, as everything that the SDK writes by hand needs them."""

from __future__ import annotations

from typing import Final

_SHORT: Final = tuple(bytes((value,)) for value in range(0x80))
"""Most tags and lengths take one byte."""


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; `value` is not negative."""
    if value < 0x80:
        return _SHORT[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
