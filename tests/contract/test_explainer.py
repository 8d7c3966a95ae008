"""Every explainer keeps the promises of `analyze/explainers/base.py`."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest

from tests.cases import NAMES, Call, case, graph, lines, matrix, rates, requests
from watchkeeper import plugins
from watchkeeper.analyze.explainers.base import MAX_EVIDENCE, MAX_SUSPICIONS
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.case import Case, Finding, LineColumns, MetricMatrix, PastCause, SpanColumns
from watchkeeper.model.cause import Opinion
from watchkeeper.model.change import Change
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.severity import Severity

EVERY = pytest.mark.parametrize("name", sorted(plugins.BUILTIN["explainer"]))
FINE = Call("gateway", calls=(Call("order", calls=(Call("stock"), Call("payment"))),))
BAD = Call(
    "gateway",
    failed=True,
    calls=(Call("order", 90, failed=True, gap_ms=60, calls=(Call("stock", 70),)),),
)


def explain(name: str, told: Case) -> Opinion:
    found: Opinion = plugins.build("explainer", {"use": name}).explain(Reading(told))
    return found


def eventful() -> Case:
    """Something for every explainer."""
    random = np.random.default_rng(2)
    before = {one: random.normal(50.0, 1.0, 200) for one in NAMES}
    now = {one: [50.0, 50.0] for one in NAMES} | {"order": [99.0, 99.0], "stock": [80.0, 80.0]}
    usual = dict.fromkeys(("gateway", "order", "stock"), (100.0, 0.1, 0.01))
    return case(
        requests(FINE),
        requests(BAD),
        lines_before=lines([("order", "done", 1)] * 20),
        lines=lines([("order", "failed", 1)] * 20, Severity.ERROR),
        metrics=(matrix(before, now, unit="%"),),
        rates=rates(usual, {**usual, "order": (100.0, 0.9, 0.4)}),
        topology=graph(("gateway", "order"), ("order", "stock"), ("order", "payment")),
        changes=(Change("1", "deployment", 0, "order"),),
        findings=(Finding("order", MetricClass.LATENCY, 0, 0.9),),
        history=(PastCause("s", "order", 3),),
        signature="s",
        onset_ns=60 * NS_PER_S,
        entry="gateway",
    )


def shuffled(told: Case, seed: int) -> Case:
    """The same case with every column and list in another order."""
    random = np.random.default_rng(seed)

    def rows(columns: LineColumns) -> LineColumns:
        order = random.permutation(len(columns))
        return LineColumns(*(getattr(columns, one.name)[order] for one in fields(columns)))

    def series(one: MetricMatrix) -> MetricMatrix:
        order = random.permutation(len(one.rows))
        return MetricMatrix(tuple(one.rows[at] for at in order), one.before[order], one.now[order])

    return replace(
        told,
        spans=told.spans.take(random.permutation(len(told.spans))),
        spans_before=told.spans_before.take(random.permutation(len(told.spans_before))),
        lines=rows(told.lines),
        lines_before=rows(told.lines_before),
        metrics=tuple(series(one) for one in told.metrics),
        findings=told.findings[::-1],
    )


@EVERY
def test_an_empty_case_raises_no_suspicion(name: str) -> None:
    assert explain(name, Case(())).suspicions == ()
    assert explain(name, Case(NAMES)).suspicions == ()


@EVERY
def test_who_is_suspected_is_in_the_case_with_a_finite_strength(name: str) -> None:
    found = explain(name, eventful())

    assert found.explainer == name
    nodes = [one.node for one in found.suspicions]
    assert set(nodes) <= set(NAMES)
    assert len(set(nodes)) == len(nodes) <= MAX_SUSPICIONS
    assert all(0.0 < one.strength < 100.0 for one in found.suspicions)
    strengths = [one.strength for one in found.suspicions]
    assert strengths == sorted(strengths, reverse=True)


@EVERY
def test_every_suspicion_has_evidence_of_its_own_node(name: str) -> None:
    for one in explain(name, eventful()).suspicions:
        assert 1 <= len(one.evidence) <= MAX_EVIDENCE
        for told in one.evidence:
            assert (told.explainer, told.node) == (name, one.node)
            assert told.text
            assert math.isfinite(told.observed)
            assert math.isfinite(told.expected)


@EVERY
def test_the_same_case_gives_the_same_bytes_ten_times(name: str) -> None:
    told = eventful()

    assert len({msgspec.json.encode(explain(name, told)) for _ in range(10)}) == 1


@EVERY
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_in_which_a_case_is_told_changes_no_suspicion(name: str, seed: int) -> None:
    told = eventful()
    one, other = explain(name, told), explain(name, shuffled(told, seed))

    assert [x.node for x in other.suspicions] == [x.node for x in one.suspicions]
    assert [x.strength for x in other.suspicions] == pytest.approx(
        [x.strength for x in one.suspicions], rel=1e-9
    )


@EVERY
def test_a_case_is_not_changed_by_reading_it(name: str) -> None:
    told = eventful()
    for columns in (told.spans, told.spans_before, told.lines, told.lines_before):
        for one in fields(columns):
            getattr(columns, one.name).flags.writeable = False
    told.metrics[0].before.flags.writeable = told.metrics[0].now.flags.writeable = False

    assert explain(name, told).explainer == name


@EVERY
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 0.0, -5.0])
def test_whatever_values_a_series_has_strengths_stay_finite(name: str, value: float) -> None:
    strange = {one: [value] * 9 for one in NAMES}
    usual = {"gateway": (value, value, value), "order": (9.0, 0.1, 0.0)}
    told = replace(
        eventful(),
        metrics=(matrix(strange, strange), matrix({"cart": [1.0] * 9}, {"cart": [value]})),
        rates=rates(usual, usual),
    )

    assert all(math.isfinite(one.strength) for one in explain(name, told).suspicions)


@EVERY
def test_one_span_is_enough_to_raise_no_error(name: str) -> None:
    single = requests(Call("cart"), n=1)

    assert explain(name, case(single, single)).suspicions == ()
    assert explain(name, case(SpanColumns(), single)).suspicions == ()
