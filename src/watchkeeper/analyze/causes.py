"""A case, from what was gathered to its causes: every explainer's opinion, and their ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchkeeper.analyze.explainers.base import Explainer
from watchkeeper.analyze.rank import Ranks, rank
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.case import Case
from watchkeeper.model.cause import Ranking

ENOUGH_S: Final = 600.0
"""Of time without trouble, to know what is usual."""
WITHOUT_PAST: Final = 0.7
"""What is left of a probability where nothing is known of before."""
ORPHANED: Final = 0.5
"""What is left of it where no span has a parent that is there."""


def causes(case: Case, explainers: Sequence[Explainer], config: Ranks | None = None) -> Ranking:
    """The same case gives the same ranking, to the byte, whatever the order of explainers."""
    return of_reading(Reading(case), explainers, config)


def of_reading(
    reading: Reading, explainers: Sequence[Explainer], config: Ranks | None = None
) -> Ranking:
    """The same, where a case is read for other ends, too."""
    opinions = [one.explain(reading) for one in explainers]
    return rank(opinions, config, quality=quality(reading))


def quality(reading: Reading) -> float:
    """How good the data are, 0 to 1: how much of before is known, and how whole the traces are."""
    past = min(max(reading.case.healthy_s, 0.0) / ENOUGH_S, 1.0)
    orphans = reading.now.is_orphan
    whole = 1.0 - float(orphans.mean()) if len(orphans) else 1.0
    return (WITHOUT_PAST + (1.0 - WITHOUT_PAST) * past) * (ORPHANED + (1.0 - ORPHANED) * whole)
