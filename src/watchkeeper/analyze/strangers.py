"""How many alerts belong to nothing: learned from those that stayed alone while they were young."""

from __future__ import annotations

from typing import Final

import msgspec

_HALF_S: Final = 6 * 3600.0
"""After so long an hour counts half."""
_USUAL_PER_HOUR: Final = 0.5
"""Of one node, where nothing is known yet; counts as an hour that was watched."""
_HOUR_S: Final = 3600.0

_decoder = msgspec.msgpack.Decoder(tuple[float, float])


class Strangers:
    """A state machine: the rate, forgotten slowly."""

    def __init__(self) -> None:
        self._n = 0.0
        self._watched_s = 0.0

    def count(self) -> None:
        self._n += 1.0

    def pass_time(self, passed_s: float) -> None:
        kept = 0.5 ** (passed_s / _HALF_S)
        self._n *= kept
        self._watched_s = self._watched_s * kept + passed_s

    def per_s(self, n_nodes: int) -> float:
        """Of one node."""
        n_nodes = max(1, n_nodes)
        return (self._n / n_nodes + _USUAL_PER_HOUR) / (self._watched_s + _HOUR_S)

    def dump(self) -> bytes:
        return msgspec.msgpack.encode((self._n, self._watched_s))

    def load(self, state: bytes) -> None:
        self._n, self._watched_s = _decoder.decode(state)
