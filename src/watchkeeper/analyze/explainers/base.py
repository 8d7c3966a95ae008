"""The contract of an explainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion, Suspicion

MAX_SUSPICIONS: Final = 20
MAX_EVIDENCE: Final = 4
"""Of one explainer for one node: the strongest."""


class Explainer(Protocol):
    """A pure reader of cases. It suspects nodes that the case names, and knows no other explainer.

    The same case gives the same opinion, to the bit, in whatever order its rows came. Whatever is
    missing in a case, or strange in it, makes suspicions fewer, never an error.
    """

    name: str
    version: int
    """Goes up when its opinions change."""

    def explain(self, reading: Reading) -> Opinion:
        """Whom to suspect, and why; what the case lacks to say more."""
        ...


def opinion(
    explainer: str,
    strengths: Mapping[str, float],
    evidence: Mapping[str, Sequence[Evidence]],
    *,
    against: Sequence[Evidence] = (),
    missing: Sequence[str] = (),
) -> Opinion:
    """Of strengths by node: those above 0, strongest first, with the first of their evidence."""
    ordered = sorted((-strength, node) for node, strength in strengths.items() if strength > 0.0)
    return Opinion(
        explainer,
        tuple(
            Suspicion(node, -minus, tuple(evidence.get(node, ()))[:MAX_EVIDENCE])
            for minus, node in ordered[:MAX_SUSPICIONS]
        ),
        tuple(against),
        tuple(missing),
    )
