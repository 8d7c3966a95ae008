"""Numbers of variable length, as Protobuf's own library writes them."""

from __future__ import annotations

import pytest
from google.protobuf.wrappers_pb2 import UInt64Value

from watchkeeper.sdk.varint import varint


@pytest.mark.parametrize("value", [1, 0x7F, 0x80, 0x3FFF, 0x4000, (1 << 35) - 1, (1 << 64) - 1])
def test_a_number_is_written_as_protobuf_writes_it(value: int) -> None:
    assert b"\x08" + varint(value) == UInt64Value(value=value).SerializeToString()


def test_nothing_takes_one_byte() -> None:
    assert varint(0) == b"\x00"
