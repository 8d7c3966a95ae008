"""What was read becomes a case: whom it is about, and all parts in one order of names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from watchkeeper.analyze.gathering.stretch import Looked
from watchkeeper.analyze.gathering.words import Words
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Anomaly, Severity
from watchkeeper.model.case import Case, Finding, LineColumns, MetricMatrix, SpanColumns
from watchkeeper.model.change import Change
from watchkeeper.model.series import I32
from watchkeeper.model.topology import Edge, EdgeKind, Node, NodeKind, Topology

CALLERS: Final = 2
"""So many hops of those who depend on a node are looked at with it."""
MOST_NODES: Final = 200
"""Of a question; beyond them all that there is is looked at."""
_OWN_NS: Final = 300 * NS_PER_S
"""What began so shortly before the onset is taken for the same trouble."""
_HOUR_NS: Final = 3_600 * NS_PER_S
_RECENT_NS: Final = 120 * NS_PER_S
_NEVER: Final = 2**62
_STRENGTHS: Final = {Severity.PAGE: 0.9, Severity.EVIDENCE: 0.6}
"""Of an anomaly as a finding."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a question is about."""

    entry: str
    nodes: frozenset[str]
    """All that may have to do with it; nobody in particular where there are none."""
    topology: Topology


@dataclass(slots=True)
class Parts:
    """What was read; numbers of names are those of `names`."""

    names: Words = field(default_factory=Words)
    operations: Words = field(default_factory=Words)
    templates: tuple[str, ...] = ()
    spans: SpanColumns = field(default_factory=SpanColumns)
    spans_before: SpanColumns = field(default_factory=SpanColumns)
    lines: LineColumns = field(default_factory=LineColumns)
    lines_before: LineColumns = field(default_factory=LineColumns)
    metrics: tuple[MetricMatrix, ...] = ()
    hosts: set[tuple[str, str]] = field(default_factory=set)
    known_since_ns: int | None = None
    """Of what is known of before, the earliest."""


def wanted(nodes: Sequence[str], topology: Topology) -> Wanted:
    """These, what they depend on, and who depends on them; nobody in particular where one of them
    is not known, so that what it depends on is not either."""
    found = set(nodes)
    for one in nodes:
        found |= topology.descendants(one).keys() | topology.ancestors(one, CALLERS).keys()
    entry = nodes[0] if len(nodes) == 1 else ""
    narrow = len(found) <= MOST_NODES and all(one in topology for one in nodes)
    return Wanted(entry, frozenset(found if narrow else ()), topology)


def troubles(anomalies: Iterable[Anomaly], onset_ns: int) -> list[tuple[int, int]]:
    """When something else was the matter, from and to."""
    return [
        (one.started_ns, _NEVER if one.ended_ns is None else one.ended_ns)
        for one in anomalies
        if one.severity is Severity.PAGE and one.started_ns < onset_ns - _OWN_NS
    ]


def findings(
    anomalies: Iterable[Anomaly], looked: Looked, names: Sequence[str]
) -> tuple[Finding, ...]:
    """What was found strange of these nodes since it began, by time."""
    known = set(names)
    found = [
        Finding(one.entity.service, one.metric_class, one.started_ns, _STRENGTHS[one.severity])
        for one in anomalies
        if one.severity in _STRENGTHS
        and one.entity.service in known
        and one.started_ns >= looked.now.start_ns - _OWN_NS
    ]
    return tuple(sorted(found, key=lambda one: (one.started_ns, one.node, one.kind)))


def onset(anomalies: Iterable[Anomaly], about: Wanted, now_ns: int) -> int:
    """When it began, by open anomalies of the last hour: by those that page, if any does."""
    for severity in _STRENGTHS:
        begun = [
            one.started_ns
            for one in anomalies
            if one.severity is severity
            and (not about.nodes or one.entity.service in about.nodes)
            and now_ns - _HOUR_NS <= one.started_ns <= now_ns
        ]
        if begun:
            return min(begun)
    return now_ns - _RECENT_NS


def changed(changes: Iterable[Change]) -> tuple[Change, ...]:
    """In an order that depends on nothing else."""
    return tuple(sorted(changes, key=lambda one: (one.time_ns, one.id)))


def assembled(parts: Parts, about: Wanted, looked: Looked, onset_ns: int) -> Case:
    """All in the order of sorted names."""
    names = parts.names
    for one in sorted({*about.nodes, *(host for _, host in parts.hosts)}):
        names.number(one)
    operations = parts.operations
    known = names.sorted()

    def spans(columns: SpanColumns) -> SpanColumns:
        return replace(
            columns,
            service=names.placed(columns.service),
            peer=names.placed(columns.peer),
            operation=operations.placed(columns.operation),
        )

    def lines(columns: LineColumns) -> LineColumns:
        return replace(columns, service=names.placed(columns.service))

    healthy_ns = looked.before.end_ns - max(
        looked.before.start_ns, looked.before.end_ns if parts.known_since_ns is None
        else parts.known_since_ns,
    )  # fmt: skip
    return Case(
        names=known,
        onset_ns=onset_ns,
        until_ns=looked.now.end_ns,
        entry=about.entry,
        healthy_s=healthy_ns / NS_PER_S if looked.is_healthy else 0.0,
        operations=operations.sorted(),
        templates=parts.templates,
        spans=spans(parts.spans),
        spans_before=spans(parts.spans_before),
        lines=lines(parts.lines),
        lines_before=lines(parts.lines_before),
        metrics=tuple(_placed(one, names) for one in parts.metrics),
        topology=_graph(about.topology, parts.hosts, set(known)),
    )


def _placed(matrix: MetricMatrix, names: Words) -> MetricMatrix:
    place: I32 = names.placed(_nodes(matrix))
    rows = zip(matrix.rows, place.tolist(), strict=True)
    return replace(matrix, rows=tuple(replace(row, node=node) for row, node in rows))


def _nodes(matrix: MetricMatrix) -> I32:
    return np.array([row.node for row in matrix.rows], np.int32)


def _graph(topology: Topology, hosts: Iterable[tuple[str, str]], known: set[str]) -> Topology:
    """Of those that the case names, with what its spans say of hosts."""
    edges = [one for one in topology.edges if {one.source, one.target} <= known]
    told = {(one.source, one.target) for one in edges}
    on = [Edge(*pair, EdgeKind.RUNS_ON) for pair in sorted(hosts) if pair not in told]
    kinds = {one: topology.kind(one) or NodeKind.SERVICE for one in known}
    kinds.update((host, NodeKind.HOST) for _, host in hosts if topology.kind(host) is None)
    nodes = tuple(Node(name, kind) for name, kind in sorted(kinds.items()))
    return Topology(nodes, (*edges, *on), topology.version)
