"""Work that a node no longer does, or does for the first time: calls and log lines.

A service that returns early is faster and fails nothing; what is missing is what it used to do.
A change in a callee is seen in its callers, too, and speaks less against them. Blind to a change
of what is done within one span and one line.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec
import numpy as np

from watchkeeper.analyze.explainers.base import opinion
from watchkeeper.analyze.reading.discount import beyond_callees
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.analyze.reading.sequences import END, START
from watchkeeper.model.cause import Evidence, Opinion

EXTRA: Final = 0.5
"""What a call counts that was not made before, beside one that is not made any more."""
CALLS_EXPLAINED, LINES_EXPLAINED = 0.7, 0.6
"""How much of a change the same in a callee takes away."""
CALLS_UNIT, LINES_UNIT = 4.0, 6.0
"""Roots of deviance that count as one: a single pair of lines tells less than a missing call."""
SURE: Final = 8.0
CHANGED: Final = 0.25
"""The least change of a share."""
LARGEST: Final = 60.0
"""A pair's deviance counts up to here: a thousand equal requests are one statement."""
N_PAIRS: Final = 4


class StructuralChange:
    """Children of spans by their parents, and what follows what within a service."""

    name = "structural_change"
    version = 1

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """None."""

    def __init__(self, config: Config) -> None:
        del config

    def explain(self, reading: Reading) -> Opinion:
        if not reading.is_traced:
            return Opinion(self.name, missing=("spans of before and of now",))
        calls, call_told = self._calls(reading)
        lines, line_told = self._lines(reading)
        graph = reading.graph
        calls = beyond_callees(calls, graph, CALLS_EXPLAINED)
        lines = beyond_callees(lines, graph, LINES_EXPLAINED)
        names = {*calls, *lines}
        strengths = {
            one: max(calls.get(one, 0.0), 0.0) + max(lines.get(one, 0.0), 0.0) for one in names
        }
        return opinion(
            self.name,
            strengths,
            {one: [*call_told.get(one, ())[:2], *line_told.get(one, ())[:2]] for one in names},
        )

    def _calls(self, reading: Reading) -> tuple[dict[str, float], dict[str, list[Evidence]]]:
        found = reading.children
        weight = np.sqrt(found.deviance) * (found.is_missing + EXTRA * found.is_extra)
        sums: dict[str, float] = defaultdict(float)
        told: dict[str, list[Evidence]] = defaultdict(list)
        rows = np.flatnonzero(weight)
        for row in rows[np.argsort(-weight[rows], kind="stable")].tolist():
            node, other = reading.name(found.service[row]), reading.name(found.child_service[row])
            sums[node] += float(weight[row])
            operation = reading.operation(found.operation[row])
            child = reading.operation(found.child_operation[row])
            n, expected = int(found.now[row]), float(found.expected[row])
            text = f"{operation} of {node} led to {child} of {other} {n} times, not {expected:.0f}"
            told[node].append(Evidence(self.name, node, text, n, expected, "spans"))
        return {one: float(np.log1p(sums[one] / CALLS_UNIT)) for one in sums}, told

    def _lines(self, reading: Reading) -> tuple[dict[str, float], dict[str, list[Evidence]]]:
        found = reading.followers
        deviance, change = found.deviance, found.change
        rows = np.flatnonzero((deviance > SURE) & (np.abs(change) > CHANGED))
        roots: dict[str, list[float]] = defaultdict(list)
        told: dict[str, list[Evidence]] = defaultdict(list)
        for row in rows[np.argsort(-deviance[rows], kind="stable")].tolist():
            node = reading.name(found.service[row])
            roots[node].append(float(np.sqrt(min(deviance[row], LARGEST))))
            first, then = (
                self._event(reading, found.event[row]),
                self._event(reading, found.follower[row]),
            )
            now = float(found.now[row] / found.all_now[row])
            was = float(found.before[row] / found.all_before[row])
            text = f"in {node}, {then} follows {first} in {now:.0%} of cases, usually {was:.0%}"
            told[node].append(Evidence(self.name, node, text, now, was, "", int(found.now[row])))
        sums = {one: sum(roots[one][:N_PAIRS]) for one in roots}
        return {one: float(np.log1p(sums[one] / LINES_UNIT)) for one in sums}, told

    def _event(self, reading: Reading, event: int) -> str:
        if event == START:
            return "the beginning"
        if event == END:
            return "the end"
        if event < 0:
            return f"the span '{reading.operation(~event)}'"
        return f"the line '{reading.case.templates[event][:80]}'"
