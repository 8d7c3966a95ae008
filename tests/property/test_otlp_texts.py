"""Columns of attributes: the kernel and Python together write what Python alone would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.otlp_rows import attributes_text
from watchkeeper.ingest.receivers.otlp_text_kernel import MAX_COMPARED
from watchkeeper.ingest.receivers.otlp_texts import attributes_column

NAMES = st.sampled_from(
    ["", "a", "b", "ab", 'a"', "a\\", 'a\\"', "größe", "a\nb", "\x01", "x" * 200]
)
TEXTS = st.one_of(NAMES, st.text(max_size=8))
INTEGERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 9, 10, -1, -(2**63), 2**63 - 1])
)


def of_sort(key: str, sort: str, value: Any) -> bytes:
    raw: bytes = KeyValue(key=key, value=AnyValue(**{sort: value})).SerializeToString()
    return raw


def text(key: str, value: str) -> bytes:
    return of_sort(key, "string_value", value)


MEMBERS = st.one_of(
    st.builds(text, NAMES, TEXTS),
    st.builds(of_sort, NAMES, st.just("int_value"), INTEGERS),
    st.builds(of_sort, NAMES, st.just("bool_value"), st.booleans()),
    st.builds(of_sort, NAMES, st.just("double_value"), st.sampled_from([0.0, 1.5, -2.0, 1e300])),
    st.builds(of_sort, NAMES, st.just("bytes_value"), st.binary(max_size=4)),
    st.builds(lambda key: bytes(KeyValue(key=key).SerializeToString()), NAMES),
)
ROWS = st.lists(st.lists(MEMBERS, max_size=5), max_size=5)


def column(rows: Sequence[Sequence[bytes]]) -> list[bytes]:
    found = attributes_column([raw for row in rows for raw in row], [len(row) for row in rows])
    return [found[row] for row in range(len(found))]


def reference(rows: Sequence[Sequence[bytes]]) -> list[bytes]:
    key_value = schema.otlp()["KeyValue"]
    return [attributes_text([key_value.FromString(raw) for raw in row]) for row in rows]


@given(ROWS)
def test_rows_are_written_as_python_writes_them(rows: list[list[bytes]]) -> None:
    assert column(rows) == reference(rows)


@given(ROWS)
def test_of_a_name_that_comes_twice_the_last_counts(rows: list[list[bytes]]) -> None:
    for row, written in zip(rows, column(rows), strict=True):
        names = [KeyValue.FromString(raw).key for raw in row]
        pairs = json.loads(written, object_pairs_hook=list) if written else []

        assert [name for name, _ in pairs] == list(dict.fromkeys(names))


@given(MEMBERS, st.data())
def test_odd_bytes_are_read_as_protobuf_reads_them(raw: bytes, data: Any) -> None:
    odd = bytearray(raw * data.draw(st.integers(1, 2)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, max(0, len(odd) - 1)))
        odd[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    rows = [[text("before", "1")], [bytes(odd)], [text("behind", "2")]]
    try:
        want = reference(rows)
    except DecodeError:
        with pytest.raises(DecodeError):
            column(rows)
        return

    assert column(rows) == want


@pytest.mark.parametrize(
    "odd",
    [
        text("a", "x") + b"\x12\x00",  # a second value, with nothing in it
        text("a", "x") + b"\x0a\x01b",  # a second name
        b"\x12\x03\x0a\x01x\x0a\x01a",  # the value first
        text("a", "x") + b"\x18\x07",  # a field of a newer release
        b"\x0a\x01a\x12\x05\x0a\x01x\x10\x01",  # two sorts of value
        b"\x0a\x01a\x12\x02\x10\x02",  # a flag of two
        b"\x0a\x81\x00a",  # a size in two bytes
    ],
)
def test_protobuf_that_nobody_writes_so_is_read_all_the_same(odd: bytes) -> None:
    assert column([[odd]]) == reference([[odd]])


@pytest.mark.parametrize("n", [MAX_COMPARED, MAX_COMPARED + 1, 3 * MAX_COMPARED])
def test_a_row_of_many_attributes_has_each_of_them_once(n: int) -> None:
    row = [text(f"key{k}", "first") for k in range(n)] + [text("key0", "last")]

    (written,) = column([row])

    found = json.loads(written)
    assert len(found) == n
    assert (found["key0"], found["key1"]) == ("last", "first")
    assert written.count(b'"key0"') == 1


def test_every_row_of_escapes_finds_room() -> None:
    rows = [[text('"' * 50, "\\" * 50), of_sort("", "bool_value", False)]] * 100

    assert column(rows) == reference(rows)


def test_no_rows_have_no_text() -> None:
    assert column([]) == []
    assert column([[], []]) == [b"", b""]
