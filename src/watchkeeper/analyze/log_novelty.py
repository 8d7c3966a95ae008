"""How surprising it is that a service says something it never said, or hardly ever.

What is new in a program that says new things every hour is no news. So the hours with a new
template are counted, by how grave it was: their share is how likely one more was. Of what never
came the graver is the less likely: a calm day is enough for a new error to be evidence, while new
information needs three calm weeks.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

N_CLASSES: Final = 7
_INFO: Final = 3
_BEFORE: Final = (1.0, 16.0, 4.0, 1.0, 1 / 4, 1 / 16, 1 / 64)
"""How many such hours are taken to have been before any was seen, by class."""
_RARE_WEIGHT: Final = (1.0, 0.5, 0.5, 1.0, 1.2, 1.5, 1.5)
_FADE: Final = math.exp(-1 / 672)
"""An hour is forgotten to an e-fold in four weeks."""
HOUR_NS: Final = 3_600_000_000_000


def class_of(severity: int) -> int:
    """1 trace, 2 debug, 3 information or not known, 4 warning, 5 error, 6 fatal."""
    return (severity + 3) // 4 or _INFO


def rarity(n_lines: float, n_all: float, severity: int) -> float:
    """Of a template that is known: the graver and the rarer, the more."""
    return -math.log((n_lines + 1.0) / (n_all + 2.0)) * _RARE_WEIGHT[class_of(severity)]


class Novelty(msgspec.Struct, array_like=True):
    """Of one service: hours, and those with something new."""

    n_hours: float = 0.0
    with_new: list[float] = msgspec.field(default_factory=lambda: [0.0] * N_CLASSES)
    hour: int = -1
    gravest: int = 0

    def pass_to(self, now_ns: int) -> None:
        """Count the hours that are over. The first one is not: all is new there."""
        hour = now_ns // HOUR_NS
        if self.hour < 0:
            self.hour = hour + 1
        while self.hour < hour:
            self.n_hours = self.n_hours * _FADE + 1.0
            for grave in range(N_CLASSES):
                self.with_new[grave] = self.with_new[grave] * _FADE + (grave <= self.gravest > 0)
            self.gravest = 0
            self.hour = max(self.hour + 1, hour - 2000)

    def meet(self, severity: int, now_ns: int) -> float:
        """A new template; how likely one so grave was to come in this hour."""
        grave = class_of(severity)
        likely = (self.with_new[grave] + _BEFORE[grave]) / (self.n_hours + 2.0)
        if now_ns // HOUR_NS >= self.hour:
            self.gravest = max(self.gravest, grave)
        return min(1.0, likely)
