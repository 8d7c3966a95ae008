"""Columns of attributes, of OTLP in protobuf: written by a kernel, and by Python what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from watchkeeper.compiled.memory import padded
from watchkeeper.ingest.receivers import otlp_text_kernel as kernel
from watchkeeper.ingest.receivers import schema
from watchkeeper.ingest.receivers.otlp_rows import text_of
from watchkeeper.model.row import Texts, texts
from watchkeeper.model.series import U8

_encode = msgspec.json.Encoder().encode


def attributes_column(attributes: Sequence[bytes], counts: Sequence[int]) -> Texts:
    """Rows with so many KeyValues each, as JSON objects of texts, or nothing of those with none.

    Of a name that comes twice the last counts. Raises DecodeError.
    """
    twice = np.zeros(len(counts), np.uint8)
    while (column := _written(attributes, counts, twice)) is None:
        attributes, counts = _unique(attributes, counts, twice)
    return column


def attribute(name: bytes, text: bytes) -> bytes:
    """A KeyValue, for what a protocol has a field of its own for."""
    classes = schema.otlp()
    value = classes["AnyValue"](string_value=text)
    raw: bytes = classes["KeyValue"](key=name, value=value).SerializeToString()
    return raw


def _written(attributes: Sequence[bytes], counts: Sequence[int], twice: U8) -> Texts | None:
    """None if a name may come twice in a row; `twice` says in which."""
    given = texts(attributes)
    data = padded(given.data.data)
    first = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=first[1:])
    marks = np.zeros(len(attributes), np.uint8)
    offset = np.zeros(len(counts) + 1, np.int32)
    extra = texts([])
    while True:
        size = _room(len(given.data), len(attributes)) + len(extra.data)
        out = np.empty(size, np.uint8)
        n_marked, n_twice = kernel.write(
            data, given.offset, first, padded(extra.data.data), extra.offset, marks, twice, out,
            offset,
        )  # fmt: skip
        if n_twice:
            return None
        if not n_marked:
            return Texts(out[: offset[-1]].copy(), offset)
        extra = texts([_member(attributes[a]) for a in np.flatnonzero(marks).tolist()])


def _room(n_bytes: int, n_attributes: int) -> int:
    """How much the objects take at most, without what Python writes: an escape takes two bytes,
    quotes and commas fewer than eight."""
    return 2 * n_bytes + 8 * n_attributes + 16


def _unique(
    attributes: Sequence[bytes], counts: Sequence[int], twice: U8
) -> tuple[list[bytes], list[int]]:
    """Without those whose names come again, in the rows where that may be."""
    kept: list[bytes] = []
    kept_counts: list[int] = []
    at = 0
    for count, is_asked in zip(counts, twice.tolist(), strict=True):
        row = attributes[at : at + count]
        at += count
        if is_asked:
            row = list({_key_value(raw).key: raw for raw in row}.values())
        kept += row
        kept_counts.append(len(row))
    return kept, kept_counts


def _member(raw: bytes) -> bytes:
    """A KeyValue as a member of a JSON object."""
    one = _key_value(raw)
    name = one.key.decode(errors="replace")
    return _encode(name) + b":" + _encode(text_of(one.value))


def _key_value(raw: bytes) -> Any:
    return schema.otlp()["KeyValue"].FromString(raw)
