"""Whose past tells of another's future, where nobody knows who calls whom.

Granger's test on what was before, of all pairs of strange nodes at once; chance findings are held
to one in a hundred (Benjamini and Hochberg). A weak prior: what is correlated in the past need not
be what fails now. It says nothing where calls are known, with fewer than 120 points, or where
trouble spreads faster than the series are sampled.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.lagged import MIN_POINTS, drives
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion

MAX_NODES: Final = 60


class Granger:
    """Orientation of pairs that no call joins."""

    name = "granger"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        strange = reading.strangeness
        series = {one: row for one, row in reading.series.items() if strange.get(one, 0.0) > 0.5}
        names = sorted(series, key=lambda one: (-strange[one], one))[:MAX_NODES]
        if len(names) < 2 or any(self._joined(reading, one, names) for one in names):
            return Opinion(self.name)
        rows = np.stack([series[one] for one in names])
        if np.isfinite(rows).all(axis=0).sum() < MIN_POINTS:
            return Opinion(self.name, missing=(f"{MIN_POINTS} points of before",))
        leads = drives(rows)
        out, into = leads.sum(axis=1), leads.sum(axis=0)
        strengths, why = {}, {}
        for at, one in enumerate(names):
            strengths[one] = float(max(out[at] - into[at], 0)) / (len(names) - 1)
            text = f"{one} was ahead of {out[at]} of the strange nodes, behind {into[at]}"
            why[one] = [
                Evidence(self.name, one, text, float(out[at]), float(into[at]), "", len(names))
            ]
        return opinion(self.name, strengths, why)

    def _joined(self, reading: Reading, name: str, others: list[str]) -> bool:
        return not set(reading.graph.callees(name)).isdisjoint(others)
