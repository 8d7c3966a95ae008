"""What a node lost itself of what was lost where it was felt, by aggregates alone.

For where nothing is traced: requests, mean latencies and shares of failures, and who calls whom.
Blind to nodes that nothing is known of, and where calls are not known.
"""

from __future__ import annotations

import msgspec

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.impact import FARTHEST_Z, Impact
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.case import Symptom
from watchkeeper.model.cause import Evidence, Opinion

LARGE, LITTLE = 0.5, 0.1
"""Who has so large a part in what was lost, and lost so little of that itself, is ruled out."""


class ExcessImpact:
    """Losses weighted by requests, so that a rarely called node is not blamed for many."""

    name = "excess_impact"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        found = reading.impact
        if found is None:
            return Opinion(self.name, missing=("requests, latencies and failures of nodes",))
        strengths, why, against = {}, {}, []
        for name, own in found.own.items():
            z = min(max(found.z[name], 0.0), FARTHEST_Z)
            strengths[name] = max(own, 0.0) * (z / FARTHEST_Z) ** 0.5
            told = self._evidence(found, name)
            why[name] = [told]
            if found.total[name] > LARGE and own < LITTLE * found.total[name]:
                against.append(told)
        return opinion(self.name, strengths, why, against=against)

    def _evidence(self, found: Impact, name: str) -> Evidence:
        of = "the time" if found.symptom == Symptom.LATENCY else "the requests"
        own, total = found.own[name], found.total[name]
        whole = f"{total:.0%} with what it calls"
        text = f"of {of} lost at {found.entry} {name} lost {own:.0%} itself, {whole}"
        return Evidence(self.name, name, text, own, 0.0, "ratio")
