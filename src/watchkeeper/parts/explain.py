"""Why something is the matter: who gathers a case here, of what, and who explains it."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper import plugins
from watchkeeper.analyze.explainers.base import Explainer
from watchkeeper.analyze.gather_stage import Gatherer, Kept
from watchkeeper.know.topologies_stage import Topologies
from watchkeeper.parts.ground import Ground
from watchkeeper.parts.keep import Reading


def explaining(ground: Ground, reading: Reading) -> Gatherer:
    """By all explainers that there are, at their own settings."""
    kept = Kept(
        reading.lake,
        reading.spans.table,
        reading.logs.table,
        ground.store,
        Topologies(ground.store, ground.clock).whole,
        ground.enrich,
        ground.enrich.relevant_labels,
    )
    return Gatherer(kept, explainers(), ground.queries)


def explainers() -> Sequence[Explainer]:
    """Every one, by name."""
    names = sorted(plugins.known("explainer"))
    return [plugins.build("explainer", {"use": name}) for name in names]
