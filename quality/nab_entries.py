"""Who takes part in NAB: detectors of the product with the one setting that is their dial.

`tuned` is REX with eight streams, weights and a pace that were chosen with every file of NAB and
every window in sight. Its memory is 0.6 of the file's probation: NAB tells every detector how long
that is, and with it whether a file has fewer than 5,000 rows, and how many. `tuned_fixed` is not
told: 360 points for all files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from quality.tiers import T1

BUDGETS: Final = tuple(float(x) for x in np.geomspace(0.01, 1_000.0, 31))
STRANGENESS: Final = tuple(float(x) for x in np.geomspace(0.3, 9.0, 41))
LEAST_MEMORY: Final = 5.0
"""Points; of files with next to no probation."""
UNLIMITED: Final = 1e9

TUNED: Final[Mapping[str, Any]] = {
    "weights": {
        "value": 0.0,
        "level": 1.25**0.5,  # twice in the ensemble it is from, as 1 and 0.5
        "week": 1.4,
        "week_mean": 1.4,
        "mean": 0.9,
        "squashed": 0.9,
        "slow_level": 0.9,
        "short_mean": 1.4,
    },
    "halves": {
        "level": 0.03,
        "week": 0.12,
        "week_mean": 0.12,
        "mean": 0.03,
        "squashed": 0.12,
        "slow_level": 0.03,
        "short_mean": 0.4,
    },
    "growths": {
        "level": 0.3,
        "week": UNLIMITED,
        "week_mean": UNLIMITED,
        "mean": UNLIMITED,
        "squashed": 0.3,
        "slow_level": UNLIMITED,
        "short_mean": 0.3,
    },
    "habit": 0.2,
    "young_points": 0.0,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A detector, its dial with the values that are tried, and the settings that stay."""

    detector: str
    dial: str
    values: tuple[float, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    memory_share: float | None = None
    """Of a file's probation, where the entry is told it."""

    def settings(self, value: float, probation: int) -> dict[str, Any]:
        """With the dial at `value`, for a file with so many rows of probation."""
        settings = {**self.fixed, self.dial: value}
        if self.memory_share is not None:
            settings["memory_points"] = max(LEAST_MEMORY, self.memory_share * probation)
        return settings


ENTRIES: Final[Mapping[str, Entry]] = {
    T1: Entry(T1, "budget_per_week", BUDGETS),
    "fk": Entry("fk", "budget_per_week", BUDGETS),
    "rex": Entry("rex", "threshold", STRANGENESS),
    "tuned": Entry("rex", "threshold", STRANGENESS, TUNED, memory_share=0.6),
    "tuned_fixed": Entry("rex", "threshold", STRANGENESS, TUNED),
}
