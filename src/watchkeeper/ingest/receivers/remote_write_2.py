"""What remote write 2.0 has of its own: symbols in the place of texts, and metadata with series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from watchkeeper.compiled.memory import READ_SLACK
from watchkeeper.ingest.receivers import remote_write_2_kernel as kernel
from watchkeeper.ingest.receivers import remote_write_kernel, schema
from watchkeeper.ingest.receivers.remote_write_columns import Columns
from watchkeeper.model.family import KINDS, Family, metric_type
from watchkeeper.model.series import I64, METRIC_NAME, U8, U64, Kind, LabelBlock
from watchkeeper.model.signal import WireSamples

_MIN_SYMBOLS: Final = 1 << 10
_KEPT_SYMBOLS: Final = 1 << 18
_KIND_BY_TYPE: Final = np.array([*KINDS, *[Kind.BY_NAME] * (256 - len(KINDS))], np.uint8)
"""The last is also where -1 leads, which says that there is no metadata."""
_Table = tuple[U64, I64, I64]


class Symbols:
    """Runs the kernel of 2.0, and tells what its columns mean. For one thread."""

    def __init__(self) -> None:
        self._table = _table(_MIN_SYMBOLS)
        self._type: I64 = np.empty(0, np.int64)
        self._n = 0

    def decode(self, buffer: U8, size: int, seed: np.uint64, columns: Columns, counts: I64) -> int:
        """As the kernel of 1.0 does."""
        table = self._table
        if len(self._type) < columns.capacity:
            self._type = np.empty(columns.capacity, np.int64)
        while True:
            code, self._n = kernel.decode(
                buffer, size, seed, table, (*columns.rows, self._type), columns.samples,
                columns.aside, counts,
            )  # fmt: skip
            # With no symbol counted it was their table that was full; they take a byte each, so
            # there is an end to it.
            if code != remote_write_kernel.FULL or self._n or len(table[1]) > size:
                self._used = table
                return int(code)
            table = _table(4 * len(table[1]))
            if len(table[1]) <= _KEPT_SYMBOLS:
                self._table = table

    def named(self, wire: WireSamples, buffer: U8, columns: Columns, n_rows: int) -> WireSamples:
        """The kernel's columns, with labels and metadata to be had from the symbols."""
        start, end = columns.rows[1][:n_rows].copy(), columns.rows[2][:n_rows].copy()
        types = self._type[:n_rows].copy()
        symbols = (
            self._used[0][:0],
            self._used[1][: self._n].copy(),
            self._used[2][: self._n].copy(),
        )

        def describe(rows: I64) -> LabelBlock:
            return _labels(buffer, symbols, start[rows], end[rows])

        def families(missed: I64) -> list[Family]:
            told = missed[types[missed] >= 0]
            return list(_families(buffer, symbols, start[told], end[told]))

        return replace(
            wire,
            kind=_KIND_BY_TYPE[types],
            describe=describe,
            families=families if (types >= 0).any() else None,
        )

    def exemplar(self, buffer: U8) -> Callable[[bytes], tuple[list[tuple[bytes, bytes]], Any]]:
        """How to read an exemplar of the body that was decoded last."""
        _, start, end = self._used

        def read(raw: bytes) -> tuple[list[tuple[bytes, bytes]], Any]:
            one = schema.remote_write_2()["Exemplar"].FromString(raw)
            refs = list(one.labels_refs)
            if len(refs) % 2 or max(refs, default=0) >= max(1, self._n):
                raise ValueError(f"{len(refs)} references, {self._n} symbols")
            found = [buffer[start[ref] : end[ref]].tobytes() for ref in refs]
            return list(zip(found[::2], found[1::2], strict=True)), one

        return read


def _table(n: int) -> _Table:
    return np.empty((n, 2), np.uint64), np.empty(n, np.int64), np.empty(n, np.int64)


def _labels(buffer: U8, symbols: _Table, start: I64, end: I64) -> LabelBlock:
    """The labels of some series, written anew."""
    n_refs, n_bytes = kernel.label_room(buffer, start, end, symbols, np.empty(0, np.int64))
    refs = np.empty(int(n_refs.sum()), np.int64)
    kernel.label_room(buffer, start, end, symbols, refs)
    text = np.empty(n_bytes + READ_SLACK, np.uint8)
    begin, stop = np.empty(len(start), np.int64), np.empty(len(start), np.int64)
    kernel.write_labels(buffer, symbols, refs, n_refs, (text, begin, stop))
    return LabelBlock(text, begin, stop)


def _families(buffer: U8, symbols: _Table, start: I64, end: I64) -> Iterator[Family]:
    """How some series describe their metrics, each family once; what is no text is passed over."""
    _, at, stop = symbols

    def text(ref: int) -> str:
        return buffer[at[ref] : stop[ref]].tobytes().decode() if 0 < ref < len(at) else ""

    told = set()
    series = schema.remote_write_2()["TimeSeries"]
    for row in range(len(start)):
        one = series.FromString(buffer[start[row] : end[row]].tobytes())
        about = one.metadata
        try:
            names = [text(ref) for ref in one.labels_refs]
            key = (names[names[::2].index(METRIC_NAME) * 2 + 1], about.type, about.help_ref)
            if key not in told:
                told.add(key)
                family = family_of(key[0], about.type)
                yield Family(
                    family, metric_type(about.type), text(about.help_ref), text(about.unit_ref)
                )
        except ValueError:  # no name, or not UTF-8: the catalog says so
            continue


def family_of(name: str, number: int) -> str:
    """The family that a series' metric belongs to: a histogram and a summary are several."""
    for suffix in ("_bucket", "_count", "_sum") if number in (3, 4, 5) else ():
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
