"""Protobuf's numbers of variable length, as everything that the SDK writes by hand needs them."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; `value` is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
