"""Failures that begin in a node, beyond what began there before.

Blind where nothing is traced, and to failures that no span calls one.
"""

from __future__ import annotations

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion


class ErrorOrigin:
    """One voice per failed trace, so that retries are one failure."""

    name = "error_origin"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        if not reading.is_traced:
            return Opinion(self.name, missing=("spans of before and of now",))
        loss = reading.lost_requests
        share = loss.share * loss.badness
        nodes = np.flatnonzero(share).tolist()
        strengths = {reading.name(node): float(share[node]) for node in nodes}
        why = {reading.name(node): [self._evidence(reading, node)] for node in nodes}
        return opinion(self.name, strengths, why)

    def _evidence(self, reading: Reading, node: int) -> Evidence:
        loss, n, name = reading.lost_requests, reading.failures.n_traces, reading.name(node)
        expected = float(loss.expected[node])
        found = float(loss.by_node[node]) + expected
        text = f"of {n} requests {found:.0f} failed first at {name}, usually {expected:.1f}"
        return Evidence(self.name, name, text, found, expected, "requests", n)
