"""Whether one node, or two, could explain everything that is strange, and nothing that is not.

A node's trouble reaches each caller with a chance that falls with every hop, and what is strange
without a reason is so by a leak. The posterior of being a root is a prior for others: it knows the
graph and what is strange, not why. Blind without a graph, and where everything is strange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion
from watchkeeper.model.series import F64

LEAK: Final = 0.02
PER_HOP: Final = 0.8
ITSELF: Final = 0.97
N_ROOTS: Final = 200
"""Candidates, by how strange they are."""
N_IN_PAIRS: Final = 12
PAIR: Final = 0.1
"""How probable two at once are, beside one."""


class NoisyOr:
    """Single roots and pairs of the best of them."""

    name = "noisy_or"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        strange = reading.strangeness
        if not reading.graph.edges or not strange:
            return Opinion(self.name, missing=("who calls whom, and what is strange",))
        names = sorted(strange)
        of = np.array([strange[one] for one in names])
        roots = sorted((one for one in names if strange[one] > 0.5), key=lambda n: (-strange[n], n))
        if not roots:
            return Opinion(self.name)
        reach = _reach(reading, names, roots[:N_ROOTS])
        posterior = _posterior(reach, of)
        n = int((of > 0.5).sum())
        why = {
            one: [
                Evidence(
                    self.name,
                    one,
                    f"trouble in {one} would explain what is strange in {n} nodes ({p:.0%})",
                    p,
                    1.0 / len(posterior),
                    "",
                    n,
                )
            ]
            for one, p in posterior.items()
        }
        return opinion(self.name, {one: p for one, p in posterior.items() if p > 0.01}, why)


def _reach(reading: Reading, names: Sequence[str], roots: Sequence[str]) -> dict[str, F64]:
    """Of each root the chance with which it reaches every node."""
    place = {name: at for at, name in enumerate(names)}
    found = {}
    for root in roots:
        chance = np.zeros(len(names))
        for one, hops in reading.graph.ancestors(root).items():
            if one in place:
                chance[place[one]] = PER_HOP**hops
        chance[place[root]] = ITSELF
        found[root] = chance
    return found


def _posterior(reach: Mapping[str, F64], strange: F64) -> dict[str, float]:
    """That each is a root, given how strange every node is."""
    single = {one: _log_likelihood(chance, strange) for one, chance in reach.items()}
    best = sorted(single, key=lambda one: (-single[one], one))[:N_IN_PAIRS]
    sets: list[tuple[tuple[str, ...], float]] = [((one,), single[one]) for one in reach]
    for a, b in combinations(best, 2):
        both = 1.0 - (1.0 - reach[a]) * (1.0 - reach[b])
        sets.append(((a, b), _log_likelihood(both, strange) + float(np.log(PAIR))))
    logs = np.array([log for _, log in sets])
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    found = dict.fromkeys(reach, 0.0)
    for (members, _), p in zip(sets, weight.tolist(), strict=True):
        for one in members:
            found[one] += p
    return {one: min(p, 1.0) for one, p in found.items()}


def _log_likelihood(chance: F64, strange: F64) -> float:
    q = 1.0 - (1.0 - chance) * (1.0 - LEAK)
    return float(np.log(strange * q + (1.0 - strange) * (1.0 - q)).sum())
