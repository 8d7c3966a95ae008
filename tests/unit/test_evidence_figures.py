"""What evidence says in figures can be counted again in the case that it is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.cases import MS, NAMES, Call, case, graph, lines, matrix, rates, requests
from watchkeeper import plugins
from watchkeeper.analyze.causes import causes
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.case import Case, PastCause, SpanColumns
from watchkeeper.model.cause import Evidence, Opinion
from watchkeeper.model.change import Change
from watchkeeper.model.severity import Severity, SpanKind

ALL = sorted(plugins.BUILTIN["explainer"])
FINE = Call("gateway", calls=(Call("order", calls=(Call("stock"), Call("payment"))),))
ONSET_NS = 7_200 * NS_PER_S


def opinion(explainer: str, told: Case) -> Opinion:
    found: Opinion = plugins.build("explainer", {"use": explainer}).explain(Reading(told))
    return found


def evidence(explainer: str, told: Case, node: str) -> Evidence:
    """The first of what speaks against it."""
    return next(one.evidence[0] for one in opinion(explainer, told).suspicions if one.node == node)


def own_ms(spans: SpanColumns, node: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of a node that calls nobody."""
    rows = (spans.service == NAMES.index(node)) & (spans.kind == SpanKind.SERVER)
    return np.asarray(spans.duration_ns[rows], np.float64) / MS


def with_stock(ms: float, **more: float) -> Call:
    return Call("gateway", calls=(Call("order", calls=(Call("stock", ms, **more),)),))  # type: ignore[arg-type]


@pytest.mark.parametrize("slow_ms", [40.0, 90.0, 900.0])
@pytest.mark.parametrize("n", [20, 40])
def test_time_by_itself_is_the_mean_of_the_spans_of_now_and_of_before(
    slow_ms: float, n: int
) -> None:
    before, now = requests(with_stock(4.0)), requests(with_stock(slow_ms), n=n, seed=2)

    found = evidence("excess_time", case(before, now), "stock")

    assert found.observed == pytest.approx(own_ms(now, "stock").mean(), rel=0.02)
    assert found.expected == pytest.approx(own_ms(before, "stock").mean(), rel=0.02)
    assert (found.n, found.unit) == (n, "ms")


@pytest.mark.parametrize("n_failed", [5, 10, 30])
def test_failed_requests_are_those_of_all_that_failed_there_first(n_failed: int) -> None:
    failed = Call("gateway", failed=True, calls=(Call("order", failed=True),))
    good, bad = requests(FINE), requests(failed, n=n_failed)
    moved = replace(bad, trace=bad.trace + 1_000)
    now = SpanColumns(
        *(np.concatenate((getattr(good, name), getattr(moved, name))) for name in good.__slots__)
    )

    found = evidence("error_origin", case(requests(FINE), now), "order")
    first = evidence("first_failure", case(requests(FINE), now), "order")

    assert (found.observed, found.n, found.unit) == (n_failed, 30 + n_failed, "requests")
    assert (first.observed, first.n) == (n_failed, n_failed)


@pytest.mark.parametrize(("errors", "of", "before"), [(10, 10, 40), (5, 50, 100), (7, 9, 9)])
def test_errors_in_lines_are_counted_beside_the_share_of_before(
    errors: int, of: int, before: int
) -> None:
    severity = np.full(of, Severity.INFO, np.uint8)
    severity[:errors] = Severity.ERROR
    now = replace(lines([("order", "failed", -1)] * of), severity=severity)
    told = case(lines=now, lines_before=lines([("order", "done", -1)] * before))

    found = evidence("error_lines", told, "order")

    assert (found.observed, found.n, found.unit) == (errors, of, "lines")
    assert found.expected == pytest.approx(0.5 / before * of)


@pytest.mark.parametrize("gap_ms", [60.0, 200.0])
def test_the_gap_of_an_edge_is_the_median_of_how_much_longer_its_caller_waited(
    gap_ms: float,
) -> None:
    before, now = requests(with_stock(4.0)), requests(with_stock(4.0, gap_ms=gap_ms), n=12)

    found = evidence("network_gap", case(before, now), "stock")

    assert found.observed == pytest.approx(gap_ms)
    assert found.expected == pytest.approx(1.0)
    assert found.n == 12


@pytest.mark.parametrize("n_callers", [2, 3])
def test_callers_of_a_shared_dependency_are_counted(n_callers: int) -> None:
    callers = ("order", "stock", "user")[:n_callers]
    before, now = (requests(*(Call(one, ms) for one in callers)) for ms in (4.0, 90.0))
    told = case(before, now, topology=graph(*((one, "database") for one in callers)))

    found = evidence("shared_dependency", told, "database")

    assert (found.observed, found.n, found.unit) == (n_callers, n_callers, "callers")
    assert f"all {n_callers} callers of database" in found.text


@pytest.mark.parametrize("n", [10, 60])
def test_calls_that_are_not_made_any_more_are_counted_beside_what_was_due(n: int) -> None:
    whole = Call("order", calls=(Call("stock"),))

    found = evidence(
        "structural_change", case(requests(whole), requests(Call("order"), n=n)), "order"
    )

    assert (found.observed, found.expected, found.unit) == (0.0, float(n), "spans")
    assert f"0 times, not {n}" in found.text


@pytest.mark.parametrize("before_s", [30.0, 600.0, 3_000.0])
def test_a_change_is_told_with_the_seconds_between_it_and_the_onset(before_s: float) -> None:
    change = Change("1", "deployment", ONSET_NS - round(before_s * NS_PER_S), "stock", "v2")

    found = evidence("recent_change", case(changes=(change,), onset_ns=ONSET_NS), "stock")

    assert (found.observed, found.unit) == (before_s, "s")
    assert found.text.startswith("deployment v2 of stock, ")


@pytest.mark.parametrize(("confirmed", "refuted"), [(1, 0), (7, 2)])
def test_what_was_confirmed_is_told_of_how_many(confirmed: int, refuted: int) -> None:
    past = PastCause("s", "stock", confirmed, refuted)

    found = evidence("history", case(history=(past,), signature="s"), "stock")

    assert (found.observed, found.n) == (confirmed, confirmed + refuted)


def test_refuted_causes_are_told_as_evidence_against() -> None:
    past = PastCause("s", "stock", 1, 4)

    found = opinion("history", case(history=(past,), signature="s"))

    assert found.suspicions == ()
    assert [(one.node, one.observed, one.n) for one in found.against] == [("stock", 1.0, 5)]


def eventful() -> Case:
    """Something for as many of them as possible."""
    random = np.random.default_rng(5)
    before: dict[str, Sequence[float]] = {
        one: random.normal(50.0, 1.0, 100).tolist() for one in NAMES
    }
    now: dict[str, Sequence[float]] = dict.fromkeys(NAMES, [50.0] * 3)
    now["stock"] = [97.0] * 3
    usual = dict.fromkeys(("gateway", "order", "stock"), (100.0, 0.1, 0.01))
    slow = Call("stock", 90.0, failed=True, gap_ms=70.0)
    bad = Call("gateway", failed=True, calls=(Call("order", failed=True, calls=(slow,)),))
    return case(
        requests(FINE),
        requests(bad),
        lines_before=lines([("stock", "done", 1)] * 20),
        lines=lines([("stock", "failed", 1)] * 20, Severity.ERROR),
        metrics=(matrix(before, now, unit="%"),),
        rates=rates(usual, {**usual, "stock": (100.0, 0.9, 0.4)}),
        topology=graph(("gateway", "order"), ("order", "stock"), ("order", "payment")),
        changes=(Change("1", "deployment", ONSET_NS - 300 * NS_PER_S, "stock", "v2"),),
        history=(PastCause("s", "stock", 3),),
        signature="s",
        onset_ns=ONSET_NS,
        entry="gateway",
    )


EVENTFUL = eventful()


@pytest.mark.parametrize("explainer", ALL)
def test_evidence_is_of_its_node_and_of_its_explainer_in_finite_figures(explainer: str) -> None:
    found = opinion(explainer, EVENTFUL)

    for one in found.suspicions:
        assert {each.node for each in one.evidence} <= {one.node}
    told = [*(each for one in found.suspicions for each in one.evidence), *found.against]
    assert {each.explainer for each in told} <= {explainer}
    assert all(np.isfinite((each.observed, each.expected)).all() for each in told)
    assert all(each.n >= 0 and each.text for each in told)


@pytest.mark.parametrize(
    "explainer", ["excess_time", "error_origin", "error_lines", "network_gap", "first_failure",
                  "history"]
)  # fmt: skip
def test_every_figure_in_a_text_is_one_of_its_fields(explainer: str) -> None:
    found = opinion(explainer, EVENTFUL)

    told = [each for one in found.suspicions for each in one.evidence]
    assert told
    for one in told:
        fields = {
            f"{each:.{digits}f}" for each in (one.observed, one.expected) for digits in (0, 1)
        }
        assert set(re.findall(r"\d+(?:\.\d+)?", one.text)) <= {*fields, str(one.n)}


def test_the_cause_of_an_eventful_case_is_supported_from_many_sides_with_ids_of_their_own() -> None:
    explainers = [plugins.build("explainer", {"use": name}) for name in ALL]

    found = causes(replace(EVENTFUL, healthy_s=3_600.0), explainers)

    first = found.causes[0]
    told = [each for one in found.causes for each in (*one.evidence, *one.against)]
    assert first.node == "stock"
    assert len({one.explainer for one in first.evidence}) >= 5
    assert len({one.id for one in told}) == len(told)
    assert sum(one.probability for one in found.causes) + found.unknown == pytest.approx(1.0)


@pytest.mark.parametrize("explainer", ALL)
def test_of_an_empty_case_nobody_is_suspected(explainer: str) -> None:
    found = opinion(explainer, case())

    assert (found.suspicions, found.against) == ((), ())
