"""What a record can be found and counted by besides its columns: words by name, and a text.

All of them lie in one text, which a store searches: `US N:word US N:word US text`. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from watchkeeper.errors import BadInput
from watchkeeper.store.base import Facets, Filter

NAMES: Final[Mapping[str, str]] = {
    "status": "T",
    "urgency": "U",
    "service": "S",
    "rule": "R",
    "assignee": "A",
    "shown": "L",
}
"""Each with the letter that it is written as. The text is in small letters, so it has none."""
_US: Final = "\x1f"
_MAX_TEXT: Final = 2000


def words(of: Mapping[str, Collection[str]], text: str) -> str:
    """As they are kept."""
    listed = (_word(name, value) for name, values in of.items() for value in values if value)
    return f"{_US}{''.join(listed)}{_plain(text).lower()[:_MAX_TEXT]}"


def wanted(query: Filter) -> list[str]:
    """What must all be in the words of a record."""
    unknown = sorted(set(query.where) - set(NAMES))
    if unknown:
        raise BadInput(f"filter: no record has '{unknown[0]}'; there are {', '.join(NAMES)}")
    found = [_US + _word(name, value) for name, value in query.where.items()]
    return found + ([_plain(query.text).lower()] if query.text else [])


def count(found: Iterable[str], limit: int) -> Facets:
    """Of the words of records, of which there may be one beyond the limit."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    n, is_whole = 0, True
    for text in found:
        if n == limit:
            is_whole = False
            break
        n += 1
        for word in text.split(_US)[1:-1]:
            counted[word[:1]][word[2:]] += 1
    return Facets(
        n,
        is_whole,
        {name: _ordered(counted[letter]) for name, letter in NAMES.items() if letter in counted},
    )


def _word(name: str, value: str) -> str:
    return f"{NAMES[name]}:{_plain(value)}{_US}"


def _plain(text: str) -> str:
    return text.replace(_US, " ")


def _ordered(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda one: (-one[1], one[0])))
