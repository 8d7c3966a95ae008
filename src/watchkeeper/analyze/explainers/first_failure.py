"""Where failed requests failed first, by vote of their traces; with nothing of before to compare.

What is left where there is no baseline yet. Blind to whatever fails no request, and misled by a
node that always failed a little.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion

DOUBT: Final = 0.5
"""What is left of the doubt with each trace that votes."""


class FirstFailure:
    """The deepest failure of a trace, of these the first to end."""

    name = "first_failure"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        found = reading.failures
        if not found.n_traces:
            return Opinion(self.name, missing=("spans of now",))
        votes = found.by_node(len(reading.case.names))
        total = float(votes.sum())
        strengths, why = {}, {}
        for row in np.flatnonzero(votes > 0.0).tolist():
            node = reading.name(row)
            n = int((found.node == row).sum())
            strengths[node] = float(votes[row]) / total * (1.0 - DOUBT**n)
            text = f"{n} of {len(found.node)} failed requests failed first at {node}"
            why[node] = [
                Evidence(self.name, node, text, float(n), 0.0, "requests", len(found.node))
            ]
        return opinion(self.name, strengths, why)
