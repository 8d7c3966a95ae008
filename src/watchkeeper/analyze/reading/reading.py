"""A case as explainers read it: what several of them need is worked out once."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from watchkeeper.analyze.reading.attribution import Loss, lost_requests, lost_time
from watchkeeper.analyze.reading.deviation import Deviation, deviation, known
from watchkeeper.analyze.reading.failures import Failures, failures
from watchkeeper.analyze.reading.impact import Impact, impact
from watchkeeper.analyze.reading.sequences import Followers, followers
from watchkeeper.analyze.reading.span_tree import SpanTree, span_tree
from watchkeeper.analyze.reading.strangeness import by_deviations, by_rates, by_spans
from watchkeeper.analyze.reading.structure import Children, compared_children
from watchkeeper.analyze.reading.time_shift import TimeShift, gaps, own_time
from watchkeeper.model.case import CallRates, Case
from watchkeeper.model.series import F64
from watchkeeper.model.topology import Edge, Topology


class Reading:
    """Of one case, for one thread. Everything in it follows from the case alone."""

    def __init__(self, case: Case) -> None:
        self.case = replace(case, rates=_possible(case.rates))

    @cached_property
    def now(self) -> SpanTree:
        return span_tree(self.case.spans)

    @cached_property
    def before(self) -> SpanTree:
        return span_tree(self.case.spans_before)

    @cached_property
    def graph(self) -> Topology:
        """What is known of who depends on whom, with the calls that the spans show."""
        known = self.case.topology
        seen = {*self._calls(self.before), *self._calls(self.now)}
        told = {(edge.source, edge.target) for edge in known.edges}
        new = tuple(Edge(*pair) for pair in sorted(seen - told))
        if not new:
            return known
        return Topology(known.nodes, (*known.edges, *new), known.version)

    @cached_property
    def own_time(self) -> TimeShift:
        return own_time(self.before, self.now)

    @cached_property
    def gaps(self) -> TimeShift:
        return gaps(self.before, self.now)

    @cached_property
    def failures(self) -> Failures:
        return failures(self.now)

    @cached_property
    def failures_before(self) -> Failures:
        return failures(self.before)

    @cached_property
    def followers(self) -> Followers:
        return followers((self.before, self.case.lines_before), (self.now, self.case.lines))

    @cached_property
    def deviations(self) -> tuple[Deviation, ...]:
        """One for each matrix of the case."""
        return tuple(deviation(matrix) for matrix in self.case.metrics)

    @cached_property
    def children(self) -> Children:
        return compared_children(self.before, self.now)

    @cached_property
    def lost_time(self) -> Loss:
        return lost_time(self.own_time, self.before, self.now, len(self.case.names))

    @cached_property
    def lost_requests(self) -> Loss:
        return lost_requests(self.failures_before, self.failures, len(self.case.names))

    @cached_property
    def strangeness(self) -> dict[str, float]:
        """By node, of those of which anything is known: the largest of all that is."""
        found: dict[str, float] = {}
        told = [
            *by_deviations(self.case, self.deviations),
            *by_rates(self.case),
            *((one.node, one.strength) for one in self.case.findings),
        ]
        if self.is_traced:
            told += by_spans(self.case, (self.before, self.now), self.lost_requests)
        for node, chance in told:
            found[node] = max(found.get(node, 0.0), min(max(chance, 0.01), 0.99))
        return found

    @cached_property
    def series(self) -> dict[str, F64]:
        """Of each node the one series of before that stands for it, all on one grid."""
        rates = self.case.rates
        if rates.latency_before.size:
            return {
                self.name(n): row for n, row in zip(rates.node, rates.latency_before, strict=True)
            }
        found: dict[str, tuple[float, F64]] = {}
        if len(self.case.metrics) == 1:
            matrix, seen = self.case.metrics[0], self.deviations[0]
            for at, row in enumerate(matrix.rows):
                far = float(np.nan_to_num(abs(seen.z[at])))
                if far > found.get(self.name(row.node), (-1.0, None))[0]:
                    found[self.name(row.node)] = far, known(matrix.before[at])
        return {name: row for name, (_, row) in found.items()}

    @cached_property
    def impact(self) -> Impact | None:
        return impact(self.case, self.graph)

    @property
    def is_traced(self) -> bool:
        """In both stretches."""
        return bool(len(self.now) and len(self.before))

    def operation(self, operation: int) -> str:
        """`?` where it has no name."""
        return self.case.operations[operation] if operation >= 0 else "?"

    def name(self, node: int) -> str:
        return self.case.names[node]

    def _calls(self, tree: SpanTree) -> list[tuple[str, str]]:
        """Both from who waits, and from a child of another node."""
        n = len(self.case.names)
        waits = tree.callee >= 0
        below = (tree.parent >= 0) & (tree.spans.service != tree.spans.service[tree.parent])
        pair = np.concatenate(
            (
                tree.spans.service[waits].astype(np.int64) * n + tree.callee[waits],
                tree.spans.service[tree.parent[below]].astype(np.int64) * n
                + tree.spans.service[below],
            )
        )
        return [(self.name(a), self.name(b)) for a, b in (divmod(x, n) for x in np.unique(pair))]


def _possible(rates: CallRates) -> CallRates:
    """None of these can be negative."""
    return CallRates(
        rates.node,
        known(rates.requests_before, 0.0),
        known(rates.latency_before, 0.0),
        known(rates.errors_before, 0.0),
        known(rates.requests, 0.0),
        known(rates.latency, 0.0),
        known(rates.errors, 0.0),
    )
