"""In which order, and how hard: everything of a run that is left to chance, by its seed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from watchkeeper.evaluate.scenarios import Scenario


class Step(NamedTuple):
    scenario: Scenario
    intensity: float


def plan(
    scenarios: Sequence[Scenario], *, seed: int, run: int, first: Collection[str] = ()
) -> tuple[Step, ...]:
    """All of them in random order; what a former run had no time for comes `first`.

    Intensities belong to scenarios, not to places: a list that is cut keeps them.
    """
    chance = np.random.default_rng([seed, run])
    shares = chance.random(len(scenarios))
    steps = [
        Step(one, round(one.intensity[0] + float(share) * (one.intensity[1] - one.intensity[0]), 3))
        for one, share in zip(scenarios, shares, strict=True)
    ]
    mixed = [steps[place] for place in chance.permutation(len(steps))]
    return tuple(sorted(mixed, key=lambda step: step.scenario.name not in first))


def length_s(step: Step, cool_down_s: float) -> float:
    """How long it takes at least."""
    return step.scenario.hold_s + cool_down_s


def expected_s(steps: Sequence[Step], cool_down_s: float, longest_s: float) -> tuple[float, int]:
    """(how long a run takes at least, how many of its steps have time in it)."""
    total_s, n = 0.0, 0
    for step in steps:
        length = length_s(step, cool_down_s)
        if total_s + length <= longest_s:
            total_s, n = total_s + length, n + 1
    return total_s, n
