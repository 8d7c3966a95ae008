"""A dependency that tells nothing itself, and every caller of which lost time or requests.

Connections that no span shows are counted as the callers' own time; when all of them are slow at
once and hardly anybody else is, it is what they share: a database, a queue, a host. Blind with one
caller alone, since that one may as well be frozen itself.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.attribution import Loss
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion

MIN_CALLERS: Final = 2
MIN_SHARE: Final = 0.06
"""Of what was lost, each caller."""
MIN_TOTAL: Final = 0.65
"""All callers and itself together."""
CERTAIN: Final = 1.05
"""Beside what the callers are suspected by, so that it comes before them."""


class SharedDependency:
    """By time, and by failures."""

    name = "shared_dependency"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        if not reading.is_traced:
            return Opinion(self.name, missing=("spans of before and of now",))
        strengths: dict[str, float] = {}
        why: dict[str, list[Evidence]] = {}
        for node, callers in self._silent(reading):
            for loss, what in (
                (reading.lost_time, "time"),
                (reading.lost_requests, "failures"),
            ):
                found = _shared(reading, loss, node, callers)
                if found <= strengths.get(node, 0.0):
                    continue
                strengths[node] = found
                text = (
                    f"all {len(callers)} callers of {node} lost {what} at once, "
                    "and hardly anybody else did"
                )
                n = len(callers)
                why[node] = [Evidence(self.name, node, text, float(n), 0.0, "callers", n)]
        return opinion(self.name, strengths, why)

    def _silent(self, reading: Reading) -> list[tuple[str, list[str]]]:
        """Nodes of which there are no spans, with those of their callers of which there are."""
        tell = {reading.name(node) for node in np.unique(reading.now.spans.service)}
        found = []
        for node in reading.graph.names:
            callers = [one for one in reading.graph.callers(node) if one in tell]
            if node not in tell and len(callers) >= MIN_CALLERS:
                found.append((node, callers))
        return found


def _shared(reading: Reading, loss: Loss, node: str, callers: list[str]) -> float:
    """As sure as all of it together; 0 where one of them lost nothing."""
    known: list[float] = loss.share.tolist()
    share = dict(zip(reading.case.names, known, strict=False))
    shares = [share.get(one, 0.0) for one in callers]
    total = sum(shares) + share.get(node, 0.0)
    if min(shares) < MIN_SHARE or total < MIN_TOTAL:
        return 0.0
    return CERTAIN * total * loss.badness
