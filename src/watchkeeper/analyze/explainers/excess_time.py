"""Time that a node spends in itself beyond what it did before, of all such time.

Blind where nothing is traced, where a route was never taken before, and to waiting that no span
shows, which is counted as the waiter's own.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.cause import Evidence, Opinion


class ExcessTime:
    """Exclusive time compared per operation, so that another mix of requests changes nothing."""

    name = "excess_time"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        if not reading.is_traced:
            return Opinion(self.name, missing=("spans of before and of now",))
        loss, shift = reading.lost_time, reading.own_time
        rows = np.flatnonzero(shift.is_longer)
        why: dict[str, list[Evidence]] = defaultdict(list)
        for row in rows[np.argsort(-shift.excess_ms[rows], kind="stable")].tolist():
            why[reading.name(shift.node[row])].append(self._evidence(reading, row))
        share = loss.share * loss.badness
        strengths = {
            reading.name(node): float(share[node]) for node in np.flatnonzero(share).tolist()
        }
        return opinion(self.name, strengths, why)

    def _evidence(self, reading: Reading, row: int) -> Evidence:
        shift = reading.own_time
        was, is_ = float(shift.before.mean[row]), float(shift.now.mean[row])
        node, operation = reading.name(shift.node[row]), reading.operation(shift.operation[row])
        text = f"{node} takes {is_:.1f} ms by itself in {operation}, usually {was:.1f} ms"
        return Evidence(self.name, node, text, is_, was, "ms", int(shift.now.n[row]))
