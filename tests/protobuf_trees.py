"""Protobuf bytes taken apart into fields, made hostile, and put together again with sizes right.

Flipped bytes alone rarely get past the first wrong size. What breaks decoders is what is legal and
odd: fields out of order, given twice, unknown, in groups, with sizes longer than they need be.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

VARINT, FIXED64, SIZED, GROUP, END_GROUP, FIXED32 = range(6)


@dataclass
class Field:
    number: int
    wire_type: int
    value: Any
    """int; bytes; or a list of Fields, where it is a message."""


def parse(raw: bytes, descriptor: Any) -> list[Field]:
    """The fields of sound bytes; `descriptor` says which of them are messages."""
    fields = []
    at = 0
    while at < len(raw):
        tag, at = _read_varint(raw, at)
        number, wire_type = tag >> 3, tag & 7
        value: Any
        if wire_type == VARINT:
            value, at = _read_varint(raw, at)
        elif wire_type == SIZED:
            size, at = _read_varint(raw, at)
            value = raw[at : at + size]
            at += size
            known = descriptor.fields_by_number.get(number)
            if known is not None and known.message_type is not None:
                value = parse(value, known.message_type)
        else:
            size = 8 if wire_type == FIXED64 else 4
            value = raw[at : at + size]
            at += size
        fields.append(Field(number, wire_type, value))
    return fields


def scramble(fields: list[Field], rng: random.Random, oddity: float) -> list[Field]:
    """The same fields with odd things done to about `oddity` of them, all the way down."""
    out = []
    for field in fields:
        value = field.value
        if isinstance(value, list):
            value = scramble(value, rng, oddity)
        out.append(Field(field.number, field.wire_type, value))
        if rng.random() < oddity:
            _ODDITIES[rng.randrange(len(_ODDITIES))](out, rng)
    return out


def encode(fields: list[Field], rng: random.Random, padding: float) -> bytes:
    """Bytes again; about `padding` of all varints are longer than they need be."""
    out = bytearray()
    for field in fields:
        out += _varint(field.number << 3 | field.wire_type, rng, padding, 5)
        if field.wire_type == VARINT:
            out += _varint(field.value, rng, padding, 10)
        elif field.wire_type == GROUP:
            out += encode(field.value, rng, padding)
            out += _varint(field.number << 3 | END_GROUP, rng, padding, 5)
        elif field.wire_type == SIZED:
            is_message = isinstance(field.value, list)
            payload = encode(field.value, rng, padding) if is_message else field.value
            out += _varint(len(payload), rng, padding, 5) + payload
        else:
            out += field.value
    return bytes(out)


def mutate(raw: bytes, rng: random.Random) -> bytes:
    """Bytes with up to four wounds."""
    out = bytearray(raw)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(out) + 1)
        wound = rng.randrange(6)
        if wound == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif wound == 1 and at < len(out):
            out[at] = rng.choice(
                (0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x0B, 0x0C, rng.randrange(256))
            )
        elif wound == 2:
            out[at:at] = rng.randbytes(rng.randrange(1, 12))
        elif wound == 3:
            del out[at : at + rng.randrange(1, 12)]
        elif wound == 4:
            del out[at:]
        else:
            start = rng.randrange(len(out) + 1)
            out[at:at] = out[start : start + rng.randrange(1, 40)]
    return bytes(out)


def _twice(out: list[Field], rng: random.Random) -> None:
    out.insert(rng.randrange(len(out) + 1), out[-1])


def _elsewhere(out: list[Field], rng: random.Random) -> None:
    out.insert(rng.randrange(len(out)), out.pop())


def _gone(out: list[Field], rng: random.Random) -> None:
    del out[rng.randrange(len(out))]


def _other_type(out: list[Field], rng: random.Random) -> None:
    """A field that is known, in a wire type that is not its own."""
    out.append(_random_field(rng, out[-1].number))


def _unknown(out: list[Field], rng: random.Random) -> None:
    number = rng.choice((13, 15, 16, 99, 1 << 20, (1 << 29) - 1))
    out.insert(rng.randrange(len(out) + 1), _random_field(rng, number))


def _other_bytes(out: list[Field], rng: random.Random) -> None:
    last = out[-1]
    if isinstance(last.value, int):
        out[-1] = Field(last.number, last.wire_type, rng.choice(NUMBERS))
    elif last.wire_type in (FIXED64, FIXED32):
        out[-1] = Field(last.number, last.wire_type, rng.randbytes(len(last.value)))
    elif isinstance(last.value, bytes):
        out[-1] = Field(last.number, SIZED, rng.choice(TEXTS))


def _nothing(out: list[Field], rng: random.Random) -> None:
    """An empty message or text."""
    if out[-1].wire_type == SIZED:
        out[-1] = Field(out[-1].number, SIZED, b"")


_ODDITIES = (_twice, _elsewhere, _gone, _other_type, _unknown, _other_bytes, _nothing)
NUMBERS = (0, 1, 2, 127, 128, 2**31, 2**32, 2**35, 2**63 - 1, 2**63, 2**64 - 1, 1_700_000_000_000)
TEXTS = (
    b"",
    b"x",
    b"service",
    "größe".encode(),
    "温度".encode(),
    "🙂".encode(),
    b"\xff",
    b"\xc0\xaf",  # overlong
    b"\xed\xa0\x80",  # a surrogate
    b"\xf4\x90\x80\x80",  # past the last character
    b"ab\xe2\x82",  # cut off
    b"y" * 130,
    b"z" * 20_000,
)


def _random_field(rng: random.Random, number: int) -> Field:
    wire_type = rng.choice((VARINT, FIXED64, SIZED, GROUP, FIXED32))
    if wire_type == VARINT:
        return Field(number, VARINT, rng.choice(NUMBERS))
    if wire_type == GROUP:
        inside = [_random_field(rng, rng.randrange(1, 9)) for _ in range(rng.randrange(3))]
        return Field(number, GROUP, inside)
    size = {FIXED64: 8, FIXED32: 4}.get(wire_type, rng.randrange(0, 20))
    return Field(number, wire_type, rng.randbytes(size))


def _varint(number: int, rng: random.Random, padding: float, longest: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    if rng.random() < padding and len(out) < longest:
        out[-1] |= 0x80
        out += b"\x80" * rng.randrange(longest - len(out)) + b"\x00"
    return bytes(out)


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (raw[at] & 0x7F) << shift
        shift += 7
        at += 1
        if raw[at - 1] < 0x80:
            return number, at
