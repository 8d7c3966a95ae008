"""Words by number while a case is put together; told in an order that depends on them alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from watchkeeper.model.series import I32, Matcher, MatchOp

_SPECIAL: Final = frozenset("\\.+*?()|[]{}^$")
NONE: Final = -1
"""The number of the empty word."""


class Words:
    """Numbers by the order of coming."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, word: str) -> int:
        if not word:
            return NONE
        return self._numbers.setdefault(word, len(self._numbers))

    @property
    def all(self) -> tuple[str, ...]:
        """By number."""
        return tuple(self._numbers)

    def sorted(self) -> tuple[str, ...]:
        return tuple(sorted(self._numbers))

    def placed(self, numbers: I32) -> I32:
        """The places that they have among the sorted words."""
        place = np.full(len(self._numbers) + 1, NONE, np.int32)  # the last one is that of NONE
        for at, word in enumerate(self.sorted()):
            place[self._numbers[word]] = at
        found: I32 = place[numbers]
        return found


def one_of(label: str, values: Iterable[str]) -> Matcher:
    """That a label has one of these values."""
    quoted = ("".join(f"\\{one}" if one in _SPECIAL else one for one in v) for v in sorted(values))
    return Matcher(label, MatchOp.REGEX, "|".join(quoted))
