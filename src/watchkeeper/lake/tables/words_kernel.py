"""Compiled search in text: the words of rows, filters that know them, and rows that have them.

A word is a run of ASCII letters and digits and of bytes beyond ASCII; the case of ASCII letters
makes no difference. A filter is a Bloom filter whose size is a power of two, so that one made too
large is folded in half, bit by bit onto bit, until it is full enough.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.compiled.hashing import fold_multiply
from watchkeeper.compiled.jit import kernel

N_PROBES = 7
"""With half of the bits set, 1 in 128 words that are not there seems to be."""
_SEEN = 1 << 12
"""Hashes remembered, so that words which come again and again cost next to nothing."""

FOLD = np.array(
    [
        b + 32 if 65 <= b <= 90 else b if 48 <= b <= 57 or 97 <= b <= 122 or b >= 128 else 0
        for b in range(256)
    ],
    np.uint8,
)
"""Byte -> in a small letter; 0 for what is in no word."""

_SEED = np.uint64(0xA0761D6478BD642F)
_STEP = np.uint64(0xE7037ED1A0B428DB)
_MIX = np.uint64(0x8EBC6AF09C88C6E3)


@kernel
def mark(bits, h, n_probes):
    """Set a hash's bits."""
    mask = np.uint64(len(bits) * 64 - 1)
    step = (h >> np.uint64(32)) | np.uint64(1)
    for _ in range(n_probes):
        at = h & mask
        bits[at >> np.uint64(6)] |= np.uint64(1) << (at & np.uint64(63))
        h += step


@kernel
def mark_words(data, offset, bits):
    """Let a filter know all words of these rows."""
    seen = np.zeros(_SEEN, np.uint64)
    for row in range(len(offset) - 1):
        h = _SEED
        n = 0
        for i in range(offset[row], offset[row + 1] + 1):
            c = FOLD[data[i]] if i < offset[row + 1] else np.uint8(0)
            if c:
                h = (h ^ np.uint64(c)) * _STEP
                n += 1
            elif n:
                h = fold_multiply(h ^ _MIX, h | np.uint64(1))
                place = h & np.uint64(_SEEN - 1)
                if seen[place] != h:
                    seen[place] = h
                    mark(bits, h, N_PROBES)
                h = _SEED
                n = 0


@kernel
def hash_words(data, offset, out):
    """The hash of each row's bytes as one word."""
    for row in range(len(offset) - 1):
        h = _SEED
        for i in range(offset[row], offset[row + 1]):
            h = (h ^ np.uint64(FOLD[data[i]])) * _STEP
        out[row] = fold_multiply(h ^ _MIX, h | np.uint64(1))


@kernel
def hash_ids(high, low, out):
    """The hash of each id of two halves."""
    for row in range(len(high)):
        out[row] = fold_multiply(high[row] ^ _SEED, low[row] ^ _STEP) ^ low[row]


@kernel
def mark_ids(high, low, bits):
    """Let a filter know all ids but 0."""
    before_high = np.uint64(0)
    before_low = np.uint64(0)
    for row in range(len(high)):
        if high[row] == before_high and low[row] == before_low:
            continue
        before_high = high[row]
        before_low = low[row]
        if before_high or before_low:
            mark(bits, fold_multiply(high[row] ^ _SEED, low[row] ^ _STEP) ^ low[row], N_PROBES)


@kernel
def knows(bits, start, hashes, n_probes, out):
    """For each filter, bits[start[f]:start[f + 1]], how many of the hashes it may know."""
    for f in range(len(start) - 1):
        own = bits[start[f] : start[f + 1]]
        mask = np.uint64(len(own) * 64 - 1)
        n = 0
        for j in range(len(hashes)):
            h = hashes[j]
            step = (h >> np.uint64(32)) | np.uint64(1)
            found = True
            for _ in range(n_probes):
                at = h & mask
                if not (own[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1):
                    found = False
                    break
                h += step
            n += found
        out[f] = n


@kernel
def _is_word(data, start, end, word, word_start, word_end):
    if end - start != word_end - word_start:
        return False
    for j in range(end - start):
        if FOLD[data[start + j]] != word[word_start + j]:
            return False
    return True


@kernel
def keep_with_words(data, offset, rows, word, word_offset):
    """Keep of `rows`, in place, those that have all words; how many. At most 64 words, in small
    letters."""
    n_words = len(word_offset) - 1
    everything = np.uint64(0)
    for w in range(n_words):
        everything |= np.uint64(1) << np.uint64(w)
    kept = 0
    for k in range(len(rows)):
        row = rows[k]
        end = offset[row + 1]
        found = np.uint64(0)
        i = offset[row]
        while i < end and found != everything:
            while i < end and not FOLD[data[i]]:
                i += 1
            start = i
            while i < end and FOLD[data[i]]:
                i += 1
            if i > start:
                first = FOLD[data[start]]
                for w in range(n_words):
                    if word[word_offset[w]] == first and _is_word(
                        data, start, i, word, word_offset[w], word_offset[w + 1]
                    ):
                        found |= np.uint64(1) << np.uint64(w)
        if found == everything:
            rows[kept] = row
            kept += 1
    return kept


@kernel
def keep_equal(data, offset, rows, whole):
    """Keep of `rows`, in place, those whose text is `whole`; how many."""
    size = len(whole)
    kept = 0
    for k in range(len(rows)):
        row = rows[k]
        begin = offset[row]
        if offset[row + 1] - begin != size:
            continue
        j = 0
        while j < size and data[begin + j] == whole[j]:
            j += 1
        if j == size:
            rows[kept] = row
            kept += 1
    return kept


@kernel
def gather(data, offset, rows, out_offset, out):
    """Copy the texts of `rows` one behind the other; `out_offset` says where each begins."""
    for k in range(len(rows)):
        begin = offset[rows[k]]
        at = out_offset[k]
        for j in range(out_offset[k + 1] - at):
            out[at + j] = data[begin + j]
