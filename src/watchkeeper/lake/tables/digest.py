"""Digests of a Parquet file, kept beside it: no byte of it can change unnoticed.

Parquet's own checksums cover pages, not their headers and not the footer, and cost more to compare.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pyarrow import parquet
from xxhash import xxh3_64_intdigest

from watchkeeper.lake.tables.rows import Array
from watchkeeper.model.series import I64, U64

_EDGE, _CHECK = "edge", "check"
_FRAME: Final = [0, -1]


@dataclass(frozen=True, slots=True)
class Digest:
    """A file cut into stretches: its first bytes, the chunks of all columns, row group by row
    group, and its footer."""

    edge: I64
    """Where each stretch begins, and where the last one ends: with the file."""
    check: U64
    """A hash of each stretch."""

    @classmethod
    def of(cls, path: Path, metadata: parquet.FileMetaData) -> Digest:
        """Of a file as it was just written: it is in the page cache still."""
        columns = [
            metadata.row_group(group).column(column)
            for group in range(metadata.num_row_groups)
            for column in range(metadata.num_columns)
        ]
        begins = [one.dictionary_page_offset or one.data_page_offset for one in columns]
        end = begins[-1] + columns[-1].total_compressed_size
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as content,
        ):
            edge = np.array([0, *begins, end, len(content)], np.int64)
            stretches = list(range(len(edge) - 1))
            return cls(edge, np.array(_hashes(content, edge, stretches), np.uint64))

    @classmethod
    def kept(cls, index: Mapping[str, Array]) -> Digest:
        return cls(index[_EDGE], index[_CHECK])

    def arrays(self) -> dict[str, Array]:
        """To be kept in the index."""
        return {_EDGE: self.edge, _CHECK: self.check}

    def has_frame(self, content: memoryview) -> bool:
        """Whether all that is around the chunks is as it was, and the file as long."""
        return len(content) == self.edge[-1] and self._has(content, _FRAME)

    def has_chunks(self, content: memoryview, chunks: Iterable[int]) -> bool:
        """Whether these chunks, counted from the file's first, are as they were."""
        return self._has(content, [1 + chunk for chunk in chunks])

    def has_all(self, content: memoryview) -> bool:
        return self.has_frame(content) and self._has(content, list(range(len(self.check))))

    def _has(self, content: memoryview, stretches: list[int]) -> bool:
        expected: list[int] = self.check[stretches].tolist()
        return _hashes(content, self.edge, stretches) == expected


def _hashes(content: memoryview, edge: I64, stretches: list[int]) -> list[int]:
    begin, end = edge[:-1][stretches].tolist(), edge[1:][stretches].tolist()
    return [xxh3_64_intdigest(content[a:b]) for a, b in zip(begin, end, strict=True)]
