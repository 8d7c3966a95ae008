"""What a p-value of FK is worth: as often as it says, where nothing happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pytest

from tests.detecting import DAY, dials, noise, points
from watchkeeper.analyze.detectors.fk import FK
from watchkeeper.analyze.detectors.tail_kernel import BOLDEST, RARE_WEIGHT
from watchkeeper.model.series import F64

WEEK: Final = 7 * DAY
N: Final = 5 * WEEK
STILL: Final[Mapping[str, Callable[[Any], F64]]] = {
    "normal": lambda chance: chance.standard_normal(N),
    "uniform": lambda chance: chance.uniform(size=N),
    "exponential": lambda chance: chance.exponential(size=N),
    "lognormal": lambda chance: np.exp(chance.standard_normal(N)),
    "student": lambda chance: chance.standard_t(3, N),
    "pareto": lambda chance: chance.pareto(2.5, N),
    "counts": lambda chance: chance.poisson(0.1, N).astype(np.float64),
}
"""From tails that end to tails that hardly do."""


def p_values(values: F64) -> F64:
    return FK(capacity=1).p_values(points(values), dials())


def realised(p: float) -> dict[str, float]:
    """The share of points that are said to be rarer than `p`, in `p`, from the second week on."""
    shares = {}
    for place, (name, drawn) in enumerate(STILL.items()):
        chances = (np.random.default_rng([place, draw]) for draw in range(4))
        said = np.concatenate([p_values(drawn(chance))[WEEK:] for chance in chances])
        shares[name] = float(np.mean(said < p)) / p
    return shares


def test_a_p_value_is_what_it_says_where_nothing_happens() -> None:
    """In the mean of several kinds of noise; it is cautious of tails that end soon."""
    shares = realised(1e-4)

    assert 1 / 1.5 < np.mean(list(shares.values())) < 1.5, shares
    assert max(shares.values()) < 4.0, shares
    assert shares["normal"] < 1.0


@pytest.mark.parametrize("height", [30.0, 300.0])
def test_what_came_often_is_never_said_to_be_far_rarer_than_it_was(height: float) -> None:
    """Spikes twice a day, by no clock. Half of those before were as high as the one in the middle,
    and each counted by half, as what is rare does."""
    values = noise(5 * WEEK)
    spikes = np.flatnonzero(np.random.default_rng(1).random(len(values)) < 2 / DAY)
    values[spikes] += height

    said = p_values(values)[spikes[spikes > WEEK]]

    assert np.median(said) > 0.9 * BOLDEST * RARE_WEIGHT / DAY
