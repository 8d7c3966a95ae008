"""What detectors learned of series that this process has not met yet.

Whoever takes a partition over from another process gets its checkpoint before it hears of its
series, which are announced when their next samples come. Until then their state waits here, and is
handed on with every checkpoint. It goes after an hour, as series do that are silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import I64, U64, Mask

Arrays = Mapping[str, np.ndarray[Any, Any]]
States = Mapping[str, Arrays]
"""By detector."""

_KEPT_NS: Final = 3600 * NS_PER_S


@dataclass(slots=True)
class _Waiting:
    """Of one partition."""

    identity: U64
    states: States
    row_by_name: dict[bytes, int] = field(default_factory=dict)
    since_ns: int = 0
    """The first tick after it came."""


class Absent:
    """By partition and identity. For one thread."""

    def __init__(self) -> None:
        self._by_partition: dict[int, _Waiting] = {}

    def __bool__(self) -> bool:
        return bool(self._by_partition)

    def keep(self, partition: int, identity: U64, states: States) -> None:
        """Instead of all that waits for a partition."""
        self.forget(partition)
        if len(identity):
            rows = {one.tobytes(): row for row, one in enumerate(identity)}
            self._by_partition[partition] = _Waiting(identity, states, rows)

    def forget(self, partition: int) -> None:
        self._by_partition.pop(partition, None)

    def take(self, partition: int, identity: U64) -> tuple[Mask, States]:
        """Which of these series waited here, and their states, in this order; they do no more."""
        waiting = self._by_partition.get(partition)
        if waiting is None:
            return np.zeros(len(identity), np.bool_), {}
        names = [one.tobytes() for one in np.ascontiguousarray(identity)]
        rows: I64 = np.array([waiting.row_by_name.pop(name, -1) for name in names], np.int64)
        states = some(waiting.states, rows[rows >= 0])
        if not waiting.row_by_name:
            self.forget(partition)
        return rows >= 0, states

    def waits(self, partition: int, identity: bytes) -> bool:
        """Whether a series is still waited for."""
        waiting = self._by_partition.get(partition)
        return waiting is not None and identity in waiting.row_by_name

    def joined(self, partition: int, identity: U64, states: States) -> tuple[U64, States]:
        """These, and those that still wait behind them."""
        waiting = self._by_partition.get(partition)
        if waiting is None:
            return identity, states
        rows: I64 = np.array(sorted(waiting.row_by_name.values()), np.int64)
        return np.concatenate([identity, waiting.identity[rows]]), {
            name: {
                column: np.concatenate([array, waiting.states[name][column][rows]])
                for column, array in arrays.items()
            }
            for name, arrays in states.items()
        }

    def arrange(self, blank: States) -> None:
        """From here on states are of these detectors. `blank` is of no series; of a detector that
        is new, who waits has learned nothing."""
        for waiting in self._by_partition.values():
            n = len(waiting.identity)
            waiting.states = {
                name: waiting.states.get(name)
                or {column: _zeros(n, like) for column, like in arrays.items()}
                for name, arrays in blank.items()
            }

    def tick(self, now_ns: int) -> None:
        """Let go of what waited for too long."""
        for partition, waiting in list(self._by_partition.items()):
            waiting.since_ns = waiting.since_ns or now_ns
            if now_ns - waiting.since_ns > _KEPT_NS:
                self.forget(partition)


def some(states: States, rows: I64 | Mask) -> States:
    """The same of some rows."""
    return {
        name: {column: array[rows] for column, array in arrays.items()}
        for name, arrays in states.items()
    }


def _zeros(n: int, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.zeros((n, *like.shape[1:]), like.dtype)
