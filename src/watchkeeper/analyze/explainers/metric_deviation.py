"""A node's own series that are far from where they were.

What a node uses (CPU, memory, connections) speaks against itself; what it answers (latency,
errors, traffic) may be another's doing, and counts less the more a callee's is off. A node whose
every series falls silent is suspected by that. Blind to what no series shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.deviation import Deviation
from watchkeeper.analyze.reading.discount import beyond_callees
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.model.case import MetricMatrix, MetricRow
from watchkeeper.model.cause import Evidence, Opinion
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import F64

QUIET: Final = 4.0
"""So many spreads off is nothing yet."""
SYMPTOMS: Final = frozenset({MetricClass.LATENCY, MetricClass.ERRORS})
"""Seen in whoever calls, too. Where spans tell of it better, these say nothing."""
OF_OTHERS: Final = frozenset({MetricClass.TRAFFIC, MetricClass.BUSINESS, MetricClass.LOG_RATE})
"""What a node is asked for is decided by those who ask."""
VOLUMES: Final = frozenset({
    "network", "receive", "received", "transmit", "transmitted", "rx", "tx", "syscall",
})  # fmt: skip
VOLUME: Final = 0.3
"""What a name with one of these words counts: how much goes through a node others decide, too."""
MOST, HALF = 3.0, 15.0
"""The strength of what is infinitely far, and how far beyond `QUIET` half of it is reached."""
FALL: Final = 0.5
"""What a fall counts beside a rise: what restarts gives memory back, what hangs uses nothing."""
EXPLAINED: Final = 0.7
"""How much of a symptom the same in a callee takes away."""
SILENT: Final = 1.5
"""The strength of silence of every series of a node."""


class MetricDeviation:
    """Robust, with floors: `analyze/reading/deviation.py`."""

    name = "metric_deviation"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        if not any(len(one.rows) for one in reading.case.metrics):
            return Opinion(self.name, missing=("metrics of nodes",))
        own: dict[str, float] = defaultdict(float)
        symptom: dict[str, float] = defaultdict(float)
        why: dict[str, list[tuple[float, Evidence]]] = defaultdict(list)
        for row, strength, told in self._rows(reading):
            if row.metric_class in SYMPTOMS and reading.is_traced:
                continue
            side = symptom if row.metric_class in SYMPTOMS else own
            side[told.node] = max(side[told.node], strength)
            why[told.node].append((strength, told))
        for told in self._silences(reading):
            own[told.node] = max(own[told.node], SILENT)
            why[told.node].append((SILENT, told))
        felt = beyond_callees(symptom, reading.graph, EXPLAINED)
        names = {*own, *felt}
        return opinion(
            self.name,
            {one: max(own.get(one, 0.0), felt.get(one, 0.0)) for one in names},
            _strongest(why),
        )

    def _rows(self, reading: Reading) -> Iterator[tuple[MetricRow, float, Evidence]]:
        for matrix, seen in zip(reading.case.metrics, reading.deviations, strict=True):
            for at, row in enumerate(matrix.rows):
                strength = _strength(row, float(seen.z[at]))
                if strength > 0.0:
                    yield row, strength, self._evidence(reading, row, seen, at)

    def _evidence(self, reading: Reading, row: MetricRow, seen: Deviation, at: int) -> Evidence:
        node = reading.name(row.node)
        was, is_ = float(seen.median[at]), float(seen.typical[at])
        text = f"{row.name} of {node} is {is_:.4g}, usually {was:.4g} ({seen.z[at]:+.0f} spreads)"
        return Evidence(self.name, node, text, is_, was, row.unit)

    def _silences(self, reading: Reading) -> list[Evidence]:
        """Of nodes of which nothing came any more, while something came of others."""
        spoke, speaks = set(), set()
        for matrix in reading.case.metrics:
            spoke |= _heard(matrix, matrix.before)
            speaks |= _heard(matrix, matrix.now)
        if not speaks:
            return []
        names = sorted(reading.name(node) for node in spoke - speaks)
        return [
            Evidence(self.name, one, f"nothing more is heard of {one}", 0.0, 1.0) for one in names
        ]


def _strength(row: MetricRow, z: float) -> float:
    silent = row.metric_class in OF_OTHERS or (z < 0.0 and row.metric_class in SYMPTOMS)
    if silent or not np.isfinite(z):
        return 0.0
    beyond = max(abs(z) - QUIET, 0.0)
    strength = MOST * beyond / (beyond + HALF)
    if VOLUMES.intersection(row.name.split("_")):
        strength *= VOLUME
    return strength * (FALL if z < 0.0 else 1.0)


def _heard(matrix: MetricMatrix, side: F64) -> set[int]:
    some = np.atleast_1d(np.isfinite(side).any(axis=1))
    return {row.node for row, heard in zip(matrix.rows, some, strict=True) if heard}


def _strongest(why: Mapping[str, list[tuple[float, Evidence]]]) -> dict[str, list[Evidence]]:
    return {
        node: [one for _, one in sorted(told, key=lambda pair: (-pair[0], pair[1].text))]
        for node, told in why.items()
    }
