"""How many alerts belong to nothing, and how long these go on: learned from those that stayed
alone while they were young."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Final

import msgspec

_HALF_S: Final = 6 * 3600.0
"""After so long an hour counts half."""
_USUAL_PER_HOUR: Final = 0.5
"""Of one node, where nothing is known yet; counts as an hour that was watched."""
_HOUR_S: Final = 3600.0
_MINUTES: Final = 10
"""Longer ones are not told apart."""
_BELIEVED: Final = 10.0
"""Strangers that are believed in before any is seen: each minute ends half of them."""
_MOST: Final = 3.0
"""What going on says at most: others than strangers go on for all kinds of reasons."""

_decoder = msgspec.msgpack.Decoder(tuple[float, float, list[float]])


class Strangers:
    """A state machine: the rate, and the minutes, both forgotten slowly."""

    def __init__(self) -> None:
        self._n = 0.0
        self._watched_s = 0.0
        self._lasted = [0.0] * _MINUTES

    def count(self, n_minutes: int) -> None:
        """One that fired in so many of ten minutes."""
        self._n += 1.0
        self._lasted[min(max(n_minutes, 1), _MINUTES) - 1] += 1.0

    def pass_time(self, passed_s: float) -> None:
        kept = 0.5 ** (passed_s / _HALF_S)
        self._n *= kept
        self._watched_s = self._watched_s * kept + passed_s
        self._lasted = [kept * n for n in self._lasted]

    def per_s(self, n_nodes: int) -> float:
        """Of one node."""
        n_nodes = max(1, n_nodes)
        return (self._n / n_nodes + _USUAL_PER_HOUR) / (self._watched_s + _HOUR_S)

    def goes_on(self) -> tuple[float, ...]:
        """By minutes: how unusual it is for a stranger to fire in as many, in natural logarithms,
        above what is usual; of none and of one first."""
        longer = [*accumulate(reversed(self._lasted))][::-1]
        n = longer[0] + _BELIEVED
        share = [(k + _BELIEVED * 0.5**at) / n for at, k in enumerate(longer)]
        says = tuple(min(-math.log(one), _MOST) - 1.0 for one in share)
        return (says[0], *says)

    def dump(self) -> bytes:
        return msgspec.msgpack.encode((self._n, self._watched_s, self._lasted))

    def load(self, state: bytes) -> None:
        self._n, self._watched_s, self._lasted = _decoder.decode(state)
