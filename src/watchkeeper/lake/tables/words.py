"""What a search text asks for, and the filters that say where it cannot be."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import numpy as np

from watchkeeper.errors import BadInput
from watchkeeper.lake.tables import words_kernel as kernel
from watchkeeper.lake.tables.base import TextQuery
from watchkeeper.lake.tables.parts_kernel import keep_with_part
from watchkeeper.model.row import texts
from watchkeeper.model.series import I64, U8, U64

MAX_WORDS: Final = 64
"""Of one search."""
_LARGEST: Final = 1 << 16
"""Words of 64 bits: room for some 400,000 words of text in one row group."""
_SMALLEST: Final = 4
_FULL: Final = 0.5
_USELESS: Final = 0.875
_EVERYTHING: Final = np.full(1, 2**64 - 1, np.uint64)
_PIECES: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^"\s]+)')


def parse_text(text: str, contains: str = "") -> TextQuery:
    """Words, all of which must occur, `"phrases in quotes"` that must occur as they are, and a part
    that may be anywhere."""
    words: dict[bytes, None] = {}
    phrases: dict[bytes, None] = {}
    if text.count('"') % 2 and '\\"' not in text:
        raise BadInput(f"text: '{text}' opens a quotation and does not close it")
    for quoted, plain in _PIECES.findall(text):
        if quoted:
            phrases[quoted.replace('\\"', '"').encode()] = None
        words |= dict.fromkeys(words_of(plain.encode()))
    if text and not words and not phrases:
        raise BadInput(f"text: '{text}' holds no word; look for signs with contains")
    query = TextQuery(tuple(words), tuple(phrases))
    if len(known_words(query)) > MAX_WORDS:
        raise BadInput(f"text: more than {MAX_WORDS} words; leave out the common ones")
    return replace(query, parts=(contains.encode(),)) if contains else query


def words_of(text: bytes) -> list[bytes]:
    """The words of a text, in small letters."""
    return [word for word in _folded_words(text) if word]


def _folded_words(text: bytes) -> list[bytes]:
    """What stands between signs that are in no word; nothing between two that follow another."""
    return kernel.FOLD[np.frombuffer(text, np.uint8)].tobytes().split(b"\0")


def known_words(query: TextQuery) -> list[bytes]:
    """The words that a row must have to fit, as far as a filter can know them."""
    of_phrases = [word for phrase in query.phrases for word in words_of(phrase)]
    # A part may begin and end within words; those between stand in it whole.
    of_parts = [word for part in query.parts for word in _folded_words(part)[1:-1] if word]
    return list(dict.fromkeys([*query.words, *of_phrases, *of_parts]))


def keep_fitting(data: U8, offset: Any, rows: I64, query: TextQuery) -> I64:
    """Those of `rows` whose text fits."""
    kept = rows.copy()
    if query.words:
        wanted = texts(query.words)
        kept = kept[: kernel.keep_with_words(data, offset, kept, wanted.data, wanted.offset)]
    for part, whole in [(p, True) for p in query.phrases] + [(p, False) for p in query.parts]:
        needle = np.frombuffer(bytearray(part), np.uint8)
        kept = kept[: keep_with_part(data, offset, kept, needle, whole)]
    return kept


def word_hashes(words: list[bytes]) -> U64:
    found = texts(words)
    out = np.empty(len(words), np.uint64)
    kernel.hash_words(found.data, found.offset, out)
    return out


def trace_hashes(traces: tuple[tuple[int, int], ...]) -> U64:
    ids = np.array(traces, np.uint64).reshape(-1, 2)
    out = np.empty(len(ids), np.uint64)
    kernel.hash_ids(ids[:, 0].copy(), ids[:, 1].copy(), out)
    return out


class FilterWriter:
    """Filters of row groups, one behind the other."""

    def __init__(self) -> None:
        self._scratch = np.zeros(_LARGEST, np.uint64)
        self._filters: list[U64] = []

    def add_words(self, data: U8, offset: Any) -> None:
        self._scratch[:] = 0
        kernel.mark_words(data, offset, self._scratch)
        self.add(self._scratch)

    def add_ids(self, ids: U64) -> None:
        size = max(_SMALLEST, 1 << (2 * len(ids) // 8).bit_length())
        bits = np.zeros(min(size, _LARGEST), np.uint64)
        kernel.mark_ids(ids[:, 0], ids[:, 1], bits)
        self.add(bits)

    def add(self, bits: U64, *, full: float = _FULL) -> None:
        """A filter of which at most that share of bits is set, if it can be folded to have any."""
        self._filters.append(_folded(bits, full))

    def arrays(self) -> tuple[U64, I64]:
        """All bits, and where those of each group begin."""
        start = np.zeros(len(self._filters) + 1, np.int64)
        np.cumsum([len(one) for one in self._filters], out=start[1:])
        return np.concatenate(self._filters or [np.empty(0, np.uint64)]), start


def _folded(bits: U64, full: float) -> U64:
    """In half, as long as it does not become too full. What denies hardly anything is not kept."""
    if np.bitwise_count(bits).sum(dtype=np.int64) > _USELESS * 64 * len(bits):
        return _EVERYTHING.copy()
    while len(bits) > _SMALLEST:
        half = len(bits) // 2
        folded = bits[:half] | bits[half:]
        if np.bitwise_count(folded).sum(dtype=np.int64) > full * 64 * half:
            return bits.copy()
        bits = folded
    return bits.copy()


def may_know(bits: U64, start: I64, hashes: U64, *, n_probes: int = kernel.N_PROBES) -> I64:
    """For each filter, how many of the hashes it may know."""
    out = np.empty(len(start) - 1, np.int64)
    kernel.knows(bits, start, hashes, n_probes, out)
    return out
