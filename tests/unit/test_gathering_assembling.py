"""Whom a question is about, when it began, and one order of names for all parts of a case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import make
from tests.cases import Call
from tests.telling import lines_of, spans_of, zipkin
from watchkeeper.analyze.gathering.assembling import (
    CALLERS,
    MOST_NODES,
    Parts,
    Wanted,
    assembled,
    changed,
    findings,
    onset,
    troubles,
    wanted,
)
from watchkeeper.analyze.gathering.lines import LineReader
from watchkeeper.analyze.gathering.spans import Piece, SpanReader
from watchkeeper.analyze.gathering.stretch import look
from watchkeeper.model.anomaly import Anomaly, Severity
from watchkeeper.model.case import Case, MetricMatrix, MetricRow
from watchkeeper.model.change import Change
from watchkeeper.model.series import Entity
from watchkeeper.model.topology import Edge, EdgeKind, NodeKind, Topology

S = make.NS_PER_S
NOW = make.START_NS
CHAIN = Topology(edges=tuple(Edge(f"s{n}", f"s{n + 1}") for n in range(9)))
LOOKED = look(NOW, NOW + 60 * S, [])


def anomaly(at_s: float, severity: Severity = Severity.PAGE, **fields: Any) -> Anomaly:
    usual: dict[str, Any] = {"entity": Entity("web"), "started_ns": NOW + round(at_s * S)}
    return make.anomaly(severity=severity, **{**usual, **fields})


def parts(order: int = 1) -> Parts:
    """The same telemetry, read in one order or the other."""
    found = Parts()
    call = Call("gateway", calls=(Call("order"),))
    spans = spans_of(zipkin(call, at_s=NOW / S, n=2), node="pi")
    reader, lines = SpanReader(found.names, found.operations), LineReader(found.names)

    def read_spans() -> None:
        found.spans = reader.named(reader.read([Piece(spans, is_whole=True)]))
        found.hosts |= reader.hosts

    def read_lines() -> None:
        found.lines = lines.templated(lines.read([lines_of(("order", "b", 1), ("bank", "a", 1))]))
        found.templates = lines.texts()

    for read in (read_spans, read_lines)[::order]:
        read()
    row = MetricRow(found.names.number("bank"), "cpu")
    found.metrics = (MetricMatrix((row,), np.ones((1, 3)), np.ones((1, 2))),)
    return found


def case(order: int = 1) -> Case:
    return assembled(parts(order), Wanted("gateway", frozenset(), Topology()), LOOKED, NOW)


def test_a_question_is_about_all_that_a_node_depends_on_and_those_who_call_it() -> None:
    found = wanted(["s4"], CHAIN)

    assert found.entry == "s4"
    assert found.nodes == {f"s{n}" for n in range(4 - CALLERS, 10)}


@pytest.mark.parametrize(
    ("nodes", "entry"), [([], ""), (["s1", "s2"], ""), (["s1"], "s1"), (["stranger"], "stranger")]
)
def test_it_was_felt_at_the_one_node_that_is_named(nodes: list[str], entry: str) -> None:
    assert wanted(nodes, CHAIN).entry == entry


def test_about_a_stranger_all_is_looked_at_since_nobody_knows_what_it_depends_on() -> None:
    assert wanted(["s1", "stranger"], CHAIN).nodes == frozenset()


def test_about_very_many_nodes_all_is_looked_at() -> None:
    star = Topology(edges=tuple(Edge("hub", f"n{n}") for n in range(MOST_NODES)))

    assert wanted(["hub"], star).nodes == frozenset()


def test_pages_that_began_well_before_are_other_troubles() -> None:
    told = [
        anomaly(-900, ended_ns=NOW - 800 * S),
        anomaly(-700),
        anomaly(-30),
        anomaly(-800, Severity.EVIDENCE),
    ]

    found = troubles(told, NOW)

    assert found == [(NOW - 900 * S, NOW - 800 * S), (NOW - 700 * S, 2**62)]


def test_evidence_says_when_it_began_where_nothing_pages() -> None:
    told = [anomaly(-50, Severity.EVIDENCE), anomaly(-90, Severity.INFO)]

    assert onset(told, wanted([], CHAIN), NOW) == NOW - 50 * S


def test_when_it_began_is_asked_of_the_nodes_it_is_about() -> None:
    told = [anomaly(-400), anomaly(-50, entity=Entity("s5"))]

    assert onset(told, wanted(["s4"], CHAIN), NOW) == NOW - 50 * S


def test_findings_and_changes_are_told_by_time_in_whatever_order_they_come() -> None:
    told = [anomaly(9), anomaly(3), anomaly(-4000)]
    changes = [Change(one, "config", NOW + at, "web") for one, at in (("b", 5), ("a", 5), ("c", 1))]

    found = findings(told, LOOKED, ["web"])

    assert found == findings(told[::-1], LOOKED, ["web"])
    assert [one.started_ns for one in found] == [NOW + 3 * S, NOW + 9 * S]
    assert [one.id for one in changed(changes)] == ["c", "a", "b"]


def test_all_parts_of_a_case_name_the_same_nodes_by_the_same_places() -> None:
    found = case()

    assert found.names == ("bank", "gateway", "order", "pi")
    assert {found.names[one] for one in found.spans.service} == {"gateway", "order"}
    assert {found.names[one] for one in found.spans.peer if one >= 0} == {"order"}
    assert [found.names[one] for one in found.lines.service] == ["order", "bank"]
    assert [found.names[row.node] for row in found.metrics[0].rows] == ["bank"]
    assert [found.templates[one] for one in found.lines.template] == ["b", "a"]


def test_a_case_does_not_depend_on_what_was_read_first() -> None:
    one, other = case(1), case(-1)

    assert one.names == other.names
    assert one.spans.service.tolist() == other.spans.service.tolist()
    assert one.lines.service.tolist() == other.lines.service.tolist()


def test_a_case_has_the_graph_of_its_nodes_and_of_their_hosts() -> None:
    known = Topology(edges=(Edge("gateway", "order"), Edge("gateway", "elsewhere")))

    found = assembled(parts(), Wanted("gateway", frozenset(), known), LOOKED, NOW)

    pairs = {(one.source, one.target, one.kind) for one in found.topology.edges}
    assert ("gateway", "order", EdgeKind.CALLS) in pairs
    assert ("order", "pi", EdgeKind.RUNS_ON) in pairs
    assert not any(target == "elsewhere" for _, target, _ in pairs)
    assert found.topology.kind("pi") == NodeKind.HOST


def test_of_a_time_that_nothing_is_known_of_none_was_healthy() -> None:
    assert case().healthy_s == 0.0
