"""Opinions of explainers become one ranking: causes with probabilities, and the chance of none.

Scores add up: an explainer's strength by its weight. Priors (what changed, what was confirmed, who
could explain all) weigh little, and alone lift nobody above `unknown`. Softmax over the scores and
one for `unknown` gives probabilities. None is larger than the data are good: what all causes have
to give up for that is the probability of `unknown`.
Equal scores go by name, and nothing depends on the order of opinions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from watchkeeper.model.cause import Cause, Confidence, Evidence, Opinion, Ranking
from watchkeeper.model.series import F64

WEIGHTS: Final[Mapping[str, float]] = {
    "error_origin": 1.2,
    "excess_time": 0.9,
    "excess_impact": 3.0,
    "network_gap": 1.0,
    "structural_change": 0.7,
    "error_lines": 0.7,
    "metric_deviation": 0.8,
    "shared_dependency": 3.0,  # its rule is strict, and each of the callers is suspected, too
    "known_failures": 0.5,
    "first_failure": 0.3,
    "recent_change": 0.5,
    "noisy_or": 0.3,
    "history": 0.3,
    "granger": 0.2,
}
"""By hand, from what each is; a random search over them did worse on what it had not seen."""
OTHER: Final = 0.3
"""The weight of an explainer that came with an outside package."""
HIGH, MEDIUM = 0.75, 0.45


class Ranks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How opinions become probabilities."""

    temperature: float = 0.4
    """Smaller is surer."""
    unknown: float = 0.6
    """The score of nobody."""
    abstains_below: float = 0.4
    """A first cause that is less probable is not called the cause."""
    n_causes: int = 5
    weights: Mapping[str, float] = {}
    """Of explainers, in place of those they have."""


def rank(
    opinions: Sequence[Opinion], config: Ranks | None = None, *, quality: float = 1.0
) -> Ranking:
    """`quality` is how good the data were, 0 to 1."""
    config = config or Ranks()
    opinions = sorted(opinions, key=lambda one: one.explainer)
    parts = _parts(opinions, config)
    scores = {node: sum(by.values()) for node, by in parts.items()}
    order = sorted(scores, key=lambda node: (-scores[node], node))
    probabilities = _softmax([scores[one] for one in order], config)
    probabilities *= min(1.0, quality / max(float(probabilities.max(initial=0.0)), 1e-9))
    shown = order[: config.n_causes]
    evidence = _numbered(opinions, shown)
    causes = tuple(
        Cause(
            node,
            float(probabilities[at]),
            scores[node],
            dict(sorted(parts[node].items(), key=lambda part: (-part[1], part[0]))),
            tuple(one for one in evidence if one.node == node),
            _against(opinions, node),
        )
        for at, node in enumerate(shown)
    )
    first = causes[0].probability if causes else 0.0
    unknown = 1.0 - float(probabilities.sum())
    return Ranking(
        causes,
        unknown,
        first < max(config.abstains_below, unknown),
        _word(first),
        quality,
        tuple(one for opinion in opinions for one in opinion.against if one.node not in shown),
        tuple(sorted({f"{one.explainer}: {what}" for one in opinions for what in one.missing})),
    )


def _parts(opinions: Sequence[Opinion], config: Ranks) -> dict[str, dict[str, float]]:
    """Node -> explainer -> what it brings to the score."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for one in opinions:
        weight = config.weights.get(one.explainer, WEIGHTS.get(one.explainer, OTHER))
        for suspicion in one.suspicions:
            found[suspicion.node][one.explainer] = weight * suspicion.strength
    return found


def _softmax(scores: Sequence[float], config: Ranks) -> F64:
    """Of the nodes; what is left to one is of none."""
    logits = np.array([*scores, config.unknown]) / config.temperature
    weight = np.exp(logits - logits.max())
    found: F64 = (weight / weight.sum())[:-1]
    return found


def _numbered(opinions: Sequence[Opinion], shown: Sequence[str]) -> list[Evidence]:
    """The evidence for the nodes that are shown, with the ids that a narrator cites."""
    found = [
        one
        for node in shown
        for opinion in opinions
        for suspicion in opinion.suspicions
        if suspicion.node == node
        for one in suspicion.evidence
    ]
    return [replace(one, id=f"e{number}") for number, one in enumerate(found, 1)]


def _against(opinions: Sequence[Opinion], node: str) -> tuple[Evidence, ...]:
    return tuple(one for opinion in opinions for one in opinion.against if one.node == node)


def _word(probability: float) -> Confidence:
    if probability >= HIGH:
        return Confidence.HIGH
    return Confidence.MEDIUM if probability >= MEDIUM else Confidence.LOW
