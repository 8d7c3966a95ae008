"""Filters of the parts of texts, which say where what is looked for as it is cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from watchkeeper.lake.sidecar import Array
from watchkeeper.lake.tables import parts_kernel as kernel
from watchkeeper.lake.tables.words import FilterWriter, may_know
from watchkeeper.model.series import U8, U64, Mask

_PLAIN: Final = "parts"
_VARIED: Final = "varied parts"
_PLAIN_WORDS: Final = 1 << 13
"""Words of 64 bits: room for some 50,000 pieces in one row group."""
_VARIED_WORDS: Final = 1 << (kernel.VARIED_BITS - 6)
_VARIED_FULL: Final = 2 / 3
"""A part has several pieces, so that each may seem to be there more often than not."""


class PartsWriter:
    """Filters of row groups, one behind the other."""

    def __init__(self) -> None:
        self._plain = FilterWriter()
        self._varied = FilterWriter()

    def add(self, data: U8, offset: Any) -> None:
        plain = np.zeros(_PLAIN_WORDS, np.uint64)
        varied = np.zeros(_VARIED_WORDS, np.uint64)
        kernel.mark_parts(data, offset, plain, varied)
        self._plain.add(plain)
        self._varied.add(varied, full=_VARIED_FULL)

    def arrays(self) -> dict[str, Array]:
        """What an index keeps of them."""
        found: dict[str, Array] = {}
        for name, writer in ((_PLAIN, self._plain), (_VARIED, self._varied)):
            found[name], found[f"{name} start"] = writer.arrays()
        return found


class PartsReader:
    """The filters of an index."""

    def __init__(self, index: Mapping[str, Array]) -> None:
        self._filters = [
            (index[name], index[f"{name} start"], n_probes)
            for name, n_probes in ((_PLAIN, kernel.N_PROBES), (_VARIED, 1))
        ]

    def may_have(self, parts: Sequence[bytes]) -> Mask:
        """Of each row group, whether a row may have all of these, as they are."""
        may = np.ones(len(self._filters[0][1]) - 1, np.bool_)
        for part in parts:
            wanted = zip(self._filters, _wanted(part), strict=True)
            for (bits, start, n_probes), hashes in wanted:
                may &= may_know(bits, start, hashes, n_probes=n_probes) == len(hashes)
        return may


def _wanted(part: bytes) -> tuple[U64, U64]:
    """What the filters must know, each once."""
    plain, varied = np.empty((2, 2 * len(part)), np.uint64)
    n_plain, n_varied = kernel.hash_part(np.frombuffer(part, np.uint8), plain, varied)
    return np.unique(plain[:n_plain]), np.unique(varied[:n_varied])
