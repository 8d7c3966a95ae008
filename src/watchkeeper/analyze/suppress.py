"""X of Y: an alert that mostly ends by itself is told when it held in X of the last Y minutes.

X is learned by rule, from alerts that belonged to nothing and ended by themselves: the moving
average of how many minutes they held, and twice what they differ from it by. It decides whom a
person hears of, never what an incident is made of. After Bhukar et al., "Dynamic Alert Suppression
Policy for Noise Reduction in AIOps", ICSE-SEIP 2024, in which violations are those of a metric.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper.analyze.dedupe import Complaint
from watchkeeper.model.alert import Urgency

_WEIGHT: Final = 0.1
"""Of the newest, in the moving averages."""


class SuppressConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an alert that belongs to nothing is worth telling."""

    minutes: Annotated[int, Meta(ge=1, le=60, description="Y: minutes that are looked at.")] = 10
    learn_from: Annotated[
        int,
        Meta(ge=1, description="Alerts of a rule that ended by themselves, until X is learned."),
    ] = 20
    max_rules: Annotated[int, Meta(ge=1, description="Rules of which something is learned.")] = 5000


class Habit(msgspec.Struct, array_like=True):
    """How alerts of a rule go that belong to nothing."""

    n: int = 0
    mean: float = 0.0
    spread: float = 0.0


_decoder = msgspec.msgpack.Decoder(dict[str, Habit])


class Habits:
    """A state machine: what is learned of each rule."""

    def __init__(self, config: SuppressConfig) -> None:
        self._config = config
        self._habits: dict[str, Habit] = {}

    def minute(self, complaint: Complaint) -> None:
        """A minute is over."""
        mask = (1 << self._config.minutes) - 1
        complaint.minutes = (complaint.minutes << 1 | complaint.is_firing) & mask
        complaint.n_minutes = max(complaint.n_minutes, complaint.minutes.bit_count())

    def fired(self, complaint: Complaint) -> None:
        """It began to fire; the minute counts, however short it was."""
        complaint.minutes |= 1
        complaint.n_minutes = max(complaint.n_minutes, complaint.minutes.bit_count())

    def learn(self, complaint: Complaint) -> None:
        """It ended by itself and belonged to nothing."""
        habit = self._habits.pop(complaint.rule, None) or Habit(mean=float(complaint.n_minutes))
        off = complaint.n_minutes - habit.mean
        habit.n += 1
        habit.mean += _WEIGHT * off
        habit.spread += _WEIGHT * (abs(off) - habit.spread)
        self._habits[complaint.rule] = habit
        if len(self._habits) > self._config.max_rules:
            del self._habits[next(iter(self._habits))]

    def least(self, rule: str) -> int:
        """X: it has to hold in so many of the minutes; 1 until there is something to go by."""
        habit = self._habits.get(rule)
        if habit is None or habit.n < self._config.learn_from:
            return 1
        return min(self._config.minutes, math.floor(habit.mean + 2.0 * habit.spread) + 1)

    def is_held(self, complaint: Complaint) -> bool:
        """Whether it is too early to tell. What is critical never is."""
        return complaint.urgency < Urgency.CRITICAL and complaint.n_minutes < self.least(
            complaint.rule
        )

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(self._habits)

    def load(self, state: bytes) -> None:
        self._habits = _decoder.decode(state)
