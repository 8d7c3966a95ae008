"""Which places of a text hold values, found from texts that are equal but for one word.

The texts of one service that have all tokens in common but one are a *column*: at that place they
differ. A column is *variable* where the rest has a word and

- MANY different words stand there, or SEVERAL if the rest has RICH words; or
- a value is known to stand there (`<*>` does, of another text) and the rest has two words.

In a variable column every word becomes `<*>`. Two texts that thereby become equal are one. That may
make other columns variable, so it goes on until nothing changes.

All places are decided at once, from all texts: the order in which texts come does not matter.
Nothing is ever taken back: more texts make more places variable, never fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import xxhash

from watchkeeper.analyze.template_form import WILD, tokens
from watchkeeper.model.series import U64, Mask

MANY: Final = 6
SEVERAL: Final = 4
RICH: Final = 4
"""Chosen on ten public logs, where 5 to 12, 3 to 5 and 3 to 5 differ by less than 0.02 of GA."""

_IS_WORD, _IS_WILD = 1, 2
_WORD: Final = re.compile(r"[^\W\d_]")
_STEP: Final = 0x9E3779B97F4A7C15
_PLACE: Final = 0xA0761D6478BD642F
_LENGTH: Final = 0xE7037ED1A0B428DB
_ALL_BITS: Final = (1 << 64) - 1
"""Odd numbers by chance. The hash of a text is a sum over its places, so that of a column is it
without one share."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text, and of each place that can be variable: its column, and whether `<*>` is there."""

    words: Sequence[str]
    place: Sequence[int]
    column: Sequence[int]
    is_wild: Sequence[bool]
    n_words: int


def merge(texts: Iterable[str], variable: set[int]) -> tuple[Mapping[str, str], set[int]]:
    """What each of these texts becomes, and the columns that are variable now.

    `variable` are those that were before. Texts that stay as they are do not appear.
    """
    known = set(variable)
    became = {text: text for text in texts}
    split = {text: _split(text) for text in became}
    while True:
        known |= _variable(list(split.values()))
        moved = {text: _masked(one, known) for text, one in split.items()}
        if all(text == masked for text, masked in moved.items()):
            return {text: last for text, last in became.items() if last != text}, known
        became = {text: moved[last] for text, last in became.items()}
        split = {text: split.get(text) or _split(text) for text in moved.values()}


def settled(text: str, variable: set[int]) -> str:
    """What a text becomes where these columns are variable."""
    while variable and (masked := _masked(_split(text), variable)) != text:
        text = masked
    return text


def _split(text: str) -> _Text:
    """Numbers of our own and not of numpy, whose calls cost more than the few words of a text."""
    words = tokens(text)
    shares, places, is_wild = [], [], []
    for at, word in enumerate(words):
        token, sort = _known(word)
        shares.append(token * ((at + 1) * _STEP | 1))
        if sort:
            places.append(at)
            is_wild.append(sort == _IS_WILD)
    whole = sum(shares) + len(words) * _LENGTH
    column = [(whole - shares[at] + (at + 1) * _PLACE) & _ALL_BITS for at in places]
    return _Text(words, places, column, is_wild, is_wild.count(False))


@lru_cache(maxsize=1 << 14)
def _known(token: str) -> tuple[int, int]:
    """Its hash, and of what sort it is: most are met again and again."""
    sort = _IS_WILD if token == WILD else _IS_WORD if _WORD.search(token) else 0
    return xxhash.xxh3_64_intdigest(token.encode()), sort


def _variable(split: Sequence[_Text]) -> set[int]:
    """Columns that these distinct texts show to be variable."""
    if not sum(len(one.place) for one in split):
        return set()
    n_places = [len(one.place) for one in split]
    column: U64 = np.array([column for one in split for column in one.column], np.uint64)
    wild: Mask = np.array([is_wild for one in split for is_wild in one.is_wild], np.bool_)
    # The rest is the same for all of a column, so any of them tells how many words are in it.
    n_rest = np.repeat([one.n_words for one in split], n_places) - ~wild
    order = np.argsort(column)
    column, wild, n_rest = column[order], wild[order], n_rest[order]
    begins = np.flatnonzero(np.r_[True, column[1:] != column[:-1]])
    count = np.diff(np.r_[begins, len(column)])  # texts are distinct, so in a column all differ
    has_wild: Mask = np.logical_or.reduceat(wild, begins)
    n_words = n_rest[begins]
    needed = np.where(n_words >= RICH, SEVERAL, MANY)
    is_variable = (count >= needed) & (n_words >= 1)
    is_variable |= has_wild & (count >= 2) & (n_words >= 2)
    return set(column[begins][is_variable].tolist())


def _masked(one: _Text, variable: set[int]) -> str:
    """With all that is variable masked; as it is, if no word would be left."""
    if variable.isdisjoint(one.column):
        return "".join(one.words)
    words = list(one.words)
    for place, column in zip(one.place, one.column, strict=True):
        if column in variable:
            words[place] = WILD
    if not any(_known(word)[1] == _IS_WORD for word in words):
        return "".join(one.words)
    return "".join(words)
