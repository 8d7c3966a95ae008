"""Thrift's bytes are believed no further than they reach."""

from __future__ import annotations

import struct

import pytest

from tests.span_senders import STOP, t_i64, t_list, t_string, t_struct
from watchkeeper.errors import BadInput
from watchkeeper.ingest.receivers import thrift
from watchkeeper.ingest.receivers.thrift import Field, Message, Reader

LEAF = Message("Leaf", {1: Field("number", thrift.I64, is_required=True)})
ROOT = Message(
    "Root",
    {
        1: Field("name", thrift.STRING),
        2: Field("leaf", thrift.STRUCT, LEAF),
        3: Field("leaves", thrift.LIST, LEAF),
        4: Field("flag", thrift.BOOL),
    },
)
A_LEAF = t_i64(1, 7) + STOP
UNKNOWN = 99


def head(kind: int, number: int = UNKNOWN) -> bytes:
    return struct.pack(">Bh", kind, number)


def nested(depth: int) -> bytes:
    """An unknown struct in a struct in a struct ..."""
    return head(thrift.STRUCT) * depth + STOP * (depth + 1)


def nested_lists(depth: int) -> bytes:
    inner = struct.pack(">Bi", thrift.LIST, 1) * (depth - 1) + struct.pack(">Bi", thrift.I32, 0)
    return head(thrift.LIST) + inner + STOP


def test_known_fields_are_read_in_any_order() -> None:
    body = t_list(3, [A_LEAF, A_LEAF]) + t_struct(2, A_LEAF) + t_string(1, "ö") + STOP

    assert Reader(body).whole(ROOT) == {
        "leaves": [{"number": 7}, {"number": 7}],
        "leaf": {"number": 7},
        "name": "ö".encode(),
    }


def test_a_struct_may_be_empty_where_nothing_is_required() -> None:
    assert Reader(STOP).whole(ROOT) == {}


@pytest.mark.parametrize(
    "body",
    [
        t_i64(1, 5) + STOP,  # a number where the name is
        t_string(2, "x") + STOP,  # text where the leaf is
        t_string(3, "x") + STOP,  # and where the leaves are
    ],
)
def test_a_known_field_of_another_type_is_passed_over(body: bytes) -> None:
    assert Reader(body).whole(ROOT) == {}


def test_an_empty_list_may_be_of_any_type() -> None:
    assert Reader(t_list(3, [], kind=thrift.I32) + STOP).whole(ROOT) == {"leaves": []}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "ends in the middle"),
        (t_string(1, "x"), "ends in the middle"),
        (STOP + b"\x00\x00", "2 bytes follow the Root"),
        (t_struct(2, STOP) + STOP, "a Leaf of the body has no number"),
        (t_list(3, [A_LEAF, STOP]) + STOP, "a Leaf of the body has no number"),
        (t_list(3, [b"\x01"], kind=thrift.BOOL) + STOP, "holds type 2"),
        (head(thrift.STRING, 1) + struct.pack(">i", 9) + b"short", "9 values of 1 bytes"),
        (head(thrift.STRING, 1) + struct.pack(">i", -1) + STOP, "-1 values"),
        (head(thrift.LIST, 3) + struct.pack(">Bi", 12, -1) + STOP, "-1 values"),
        (head(thrift.LIST, 3) + struct.pack(">Bi", 12, 2**31 - 1) + STOP, "2147483647 values"),
        (head(thrift.LIST) + struct.pack(">Bi", 10, 2**31 - 1) + STOP, "2147483647 values"),
        (head(thrift.LIST) + struct.pack(">Bi", 10, -2) + STOP, "-2 values"),
        (head(thrift.MAP) + struct.pack(">BBi", 11, 11, 2**30) + STOP, "1073741824 values"),
        (head(thrift.LIST) + struct.pack(">Bi", 77, 1) + STOP, "thrift does not know"),
        (head(77) + STOP, "type 77, which thrift does not know"),
        (head(thrift.I64) + b"\x00", "1 values of 8 bytes"),
        (nested(thrift.MAX_DEPTH + 2), "deeper than 16"),
        (nested_lists(thrift.MAX_DEPTH + 2), "deeper than 16"),
    ],
)
def test_what_is_no_sound_thrift_is_told(body: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Reader(body).whole(ROOT)


@pytest.mark.parametrize("body", [nested(thrift.MAX_DEPTH - 1), nested_lists(thrift.MAX_DEPTH - 1)])
def test_what_is_unknown_may_nest_a_little(body: bytes) -> None:
    assert Reader(body).whole(ROOT) == {}


@pytest.mark.parametrize("n_lists", [1, 4])
def test_what_is_unknown_may_not_cost_much_time(n_lists: int) -> None:
    """A megabyte of zeros is a million empty structs."""
    n = thrift.MAX_SKIPPED // n_lists + 1
    body = (head(thrift.LIST) + struct.pack(">Bi", thrift.STRUCT, n) + STOP * n) * n_lists + STOP

    with pytest.raises(BadInput, match="100000 parts"):
        Reader(body).whole(ROOT)


def test_numbers_that_are_unknown_are_passed_over_at_once() -> None:
    """However many: they cost no time."""
    n = 2 * thrift.MAX_SKIPPED
    body = head(thrift.LIST) + struct.pack(">Bi", thrift.BYTE, n) + bytes(n) + STOP

    assert Reader(body).whole(ROOT) == {}
