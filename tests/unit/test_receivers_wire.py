"""The wire format's fringe, where compiled code must stop exactly where upb stops."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from watchkeeper.compiled.memory import padded
from watchkeeper.compiled.wire_kernel import MAX_DEPTH, read_size, read_tag, read_varint, skip_field
from watchkeeper.ingest.receivers import schema

Sample = schema.remote_write()["Sample"]
OPEN, CLOSE = b"\x1b", b"\x1c"  # a group of field 3, which nobody knows

TAGS = {
    "one byte": b"\x18\x05",
    "two bytes that could be one": b"\x98\x00\x05",
    "five bytes": b"\x98\x80\x80\x80\x00\x05",
    "six bytes": b"\x98\x80\x80\x80\x80\x00\x05",
    "the greatest": b"\xf8\xff\xff\xff\x0f\x05",
    "one bit more": b"\xf8\xff\xff\xff\x1f\x05",
    "field 0": b"\x00\x05",
    "wire type 6": b"\x1e\x05",
    "wire type 7": b"\x1f\x05",
    "a varint of ten bytes": b"\x18" + b"\xff" * 9 + b"\x01",
    "a varint of ten bytes with bits to spare": b"\x18" + b"\xff" * 9 + b"\x7f",
    "a varint of eleven bytes": b"\x18" + b"\x80" * 10 + b"\x00",
    "a size of five bytes": b"\x1a\x81\x80\x80\x80\x00A",
    "a size of six bytes": b"\x1a\x81\x80\x80\x80\x80\x00A",
    "a size beyond the end": b"\x1a\x02A",
    "a size beyond 31 bits": b"\x1a\x81\x80\x80\x80\x70A",
    "a fixed64": b"\x19" + b"x" * 8,
    "a fixed64 cut short": b"\x19" + b"x" * 7,
    "a fixed32": b"\x1d" + b"x" * 4,
    "a fixed32 cut short": b"\x1d" + b"x" * 3,
    "a group": OPEN + b"\x20\x01" + CLOSE,
    "a group left open": OPEN + b"\x20\x01",
    "a group closed by another": OPEN + b"\x24",
    "a group never opened": CLOSE,
    "a group within": OPEN + b"\x23\x0d1234\x24" + CLOSE,
    "field 0 in a group": OPEN + b"\x00\x05" + CLOSE,
    "a size beyond the end in a group": OPEN + b"\x22\x09" + CLOSE,
    "as many groups as may nest": OPEN * MAX_DEPTH + CLOSE * MAX_DEPTH,
    "one group more": OPEN * (MAX_DEPTH + 1) + CLOSE * (MAX_DEPTH + 1),
    "nothing behind the tag": b"\x18",
    "half a tag": b"\x98",
}


@pytest.mark.parametrize("case", TAGS)
def test_a_field_is_skipped_where_upb_skips_it(case: str) -> None:
    raw = TAGS[case]
    array = padded(raw)
    buffer = array.ctypes.data
    try:
        Sample.FromString(raw)
        is_sound = True
    except DecodeError:
        is_sound = False

    tag, at = read_tag(buffer, 0, len(raw))
    end = skip_field(buffer, at, len(raw), tag, MAX_DEPTH) if at >= 0 else -1

    assert end == (len(raw) if is_sound else -1)


@pytest.mark.parametrize(
    ("raw", "number", "end"),
    [
        (b"\x00", 0, 1),
        (b"\x7f", 127, 1),
        (b"\x80\x01", 128, 2),
        (b"\xff" * 9 + b"\x01", 2**64 - 1, 10),
        (b"\xff" * 9 + b"\x02", 2**63 - 1, 10),
        (b"", 0, -1),
        (b"\x80", 0, -1),
    ],
)
def test_a_varint_is_read_as_upb_reads_it(raw: bytes, number: int, end: int) -> None:
    array = padded(raw)

    assert read_varint(array.ctypes.data, 0, len(raw)) == (number, end)
    if end > 0:
        timestamp = Sample.FromString(b"\x10" + raw).timestamp
        assert timestamp % 2**64 == number


@pytest.mark.parametrize(
    ("raw", "stop"),
    [(b"\x00", 1), (b"\x02ab", 3), (b"\x03ab", -1), (b"", -1), (b"\x80", -1), (b"\x81\x00a", 3)],
)
def test_a_size_ends_within_its_message(raw: bytes, stop: int) -> None:
    array = padded(raw + b"what follows")

    assert read_size(array.ctypes.data, 0, len(raw))[1] == stop
