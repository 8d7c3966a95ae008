"""What somebody changed shortly before it began: deployments, configuration, flags, migrations.

A prior and no more: most changes do no harm, and what is deployed elsewhere at the same time is
no reason. What was changed after it began cannot be one, and is said to be none.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.cause import Evidence, Opinion
from watchkeeper.model.change import Change

FADES_S: Final = 900.0
"""By an e-fold in a quarter of an hour."""
FARTHEST_S: Final = 3_600.0
SLACK_S: Final = 60.0
"""An onset is told by a minute, and clocks differ: so much later may still be before."""


class RecentChange:
    """By how long before the onset."""

    name = "recent_change"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        case = reading.case
        strengths: dict[str, float] = {}
        why: dict[str, list[Evidence]] = {}
        against = []
        for change in sorted(case.changes, key=lambda one: (-one.time_ns, one.id)):
            before_s = (case.onset_ns - change.time_ns) / NS_PER_S
            told = self._evidence(change, before_s)
            if -FARTHEST_S <= before_s < -SLACK_S:
                against.append(told)
            elif -SLACK_S <= before_s <= FARTHEST_S:
                nearness = math.exp(-max(before_s, 0.0) / FADES_S)
                for node in self._nodes(reading, change):
                    strengths[node] = max(strengths.get(node, 0.0), nearness)
                    why.setdefault(node, []).append(self._evidence(change, before_s, node))
        return opinion(self.name, strengths, why, against=against)

    def _nodes(self, reading: Reading, change: Change) -> list[str]:
        """The service, and the host that was changed where one is named."""
        named = dict.fromkeys((change.service, change.entity.service, change.entity.node))
        return [one for one in named if one in reading.case.names]

    def _evidence(self, change: Change, before_s: float, node: str = "") -> Evidence:
        minutes = abs(before_s) / 60.0
        when = "before" if before_s >= 0.0 else "after"
        what = f"{change.kind} {change.version}".strip()
        text = f"{what} of {change.service}, {minutes:.0f} min {when} it began"
        return Evidence(self.name, node or change.service, text, before_s, 0.0, "s")
