"""What explainers read of a case, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import NAMES, Call, Spans, case, graph, lines, matrix, requests
from watchkeeper.analyze.reading.attribution import LEAST, lost_requests
from watchkeeper.analyze.reading.deviation import NOVEL, deviation, known, quantile
from watchkeeper.analyze.reading.discount import beyond_callees
from watchkeeper.analyze.reading.failures import HANDLED, failures
from watchkeeper.analyze.reading.lagged import drives
from watchkeeper.analyze.reading.reading import Reading
from watchkeeper.analyze.reading.samples import summary
from watchkeeper.analyze.reading.sequences import END, START, followers
from watchkeeper.analyze.reading.span_tree import span_tree
from watchkeeper.analyze.reading.strangeness import chance
from watchkeeper.analyze.reading.structure import compared_children
from watchkeeper.model.case import LineColumns, SpanColumns
from watchkeeper.model.series import F64

NOTHING = span_tree(SpanColumns())


def of(values: list[float], q: float = 0.5) -> float:
    return float(quantile(np.array([values]), q)[0])


def test_a_quantile_is_of_what_is_there() -> None:
    assert of([3.0, np.nan, 1.0, 2.0]) == 2.0
    assert of([1.0, 2.0]) == 1.5
    assert of([1.0, 2.0, 3.0, 4.0, 5.0], 0.75) == 4.0
    assert np.isnan(of([np.nan]))
    assert np.isnan(quantile(np.empty((1, 0)), 0.5)[0])


def test_what_cannot_be_a_value_is_missing() -> None:
    values = np.array([1.0, -1.0, np.inf, 1e300, np.nan])

    assert np.isfinite(known(values)).tolist() == [True, True, False, False, False]
    assert np.isfinite(known(values, 0.0)).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("before", "now", "unit", "z"),
    [
        pytest.param([100.0] * 9, 150.0, "", 5.0, id="a tenth of the median is one spread"),
        pytest.param([0.0] * 9, 20.0, "%", 10.0, id="two per cents are one"),
        pytest.param([0.0] * 9, 20.0, "", NOVEL, id="what was always 0 has no scale"),
        pytest.param([0.0] * 9, -20.0, "", -NOVEL, id="nor below"),
        pytest.param([100.0] * 9, 100.0, "", 0.0, id="nothing moved"),
    ],
)
def test_a_series_that_never_moved_has_a_spread(
    before: list[float], now: float, unit: str, z: float
) -> None:
    seen = deviation(matrix({"cart": before}, {"cart": [now]}, unit=unit))

    assert seen.z.tolist() == pytest.approx([z])


def test_an_idle_replica_is_measured_by_the_busiest() -> None:
    rows = matrix({"cart": [0.0] * 9, "user": [1000.0] * 9}, {"cart": [100.0], "user": [1000.0]})

    assert deviation(rows).z.tolist() == pytest.approx([2.0, 0.0])


def test_the_middle_and_the_extreme_of_now_are_told_apart() -> None:
    seen = deviation(matrix({"cart": [10.0] * 9}, {"cart": [10.0, 10.0, 60.0]}))

    assert (seen.typical[0], seen.extreme[0], seen.z[0], seen.peak_z[0]) == (10.0, 60.0, 0.0, 50.0)


def test_two_points_of_before_say_nothing() -> None:
    assert np.isnan(deviation(matrix({"cart": [1.0, 2.0]}, {"cart": [9.0]})).z[0])


def test_samples_are_summed_up_by_group_without_their_largest() -> None:
    value = np.array([1.0] * 99 + [1e6] + [5.0])

    seen = summary(np.array([0] * 100 + [2]), value, 3)

    assert seen.n.tolist() == [100, 0, 1]
    assert seen.median.tolist() == pytest.approx([1.0, np.nan, 5.0], nan_ok=True)
    assert seen.mean[0] == 1.0


def test_chances_grow_with_deviation_and_are_never_certain() -> None:
    found = [chance(z) for z in (0.0, 3.0, 4.0, 5.0, 1e9)]

    assert found == sorted(found)
    assert (found[2], found[0] > 0.04, found[-1] < 0.96) == (0.5, True, True)


def test_of_failures_that_end_at_once_the_deeper_is_first() -> None:
    spans = Spans()
    spans.add(Call("gateway", 0, (Call("order", 5, failed=True, gap_ms=0),), failed=True))

    assert [NAMES[node] for node in failures(span_tree(spans.columns())).node] == ["order"]


def test_a_failure_that_nobody_felt_has_less_weight() -> None:
    spans = Spans()
    spans.add(Call("gateway", calls=(Call("cart", failed=True),)))
    spans.add(Call("gateway", calls=(Call("cart", failed=True),), failed=True))

    assert failures(span_tree(spans.columns())).weight.tolist() == [HANDLED, 1.0]


def test_without_failures_nothing_is_lost() -> None:
    none = failures(span_tree(requests(Call("cart"), n=3)))

    loss = lost_requests(none, none, len(NAMES))

    assert loss.by_node.sum() == loss.share.sum() == 0.0
    assert loss.badness == LEAST


def test_children_are_compared_by_how_many_parents_there_are() -> None:
    whole, half = Call("order", calls=(Call("stock"),)), Call("order")

    same = compared_children(span_tree(requests(whole)), span_tree(requests(whole, n=90)))
    less = compared_children(span_tree(requests(whole)), span_tree(requests(half)))

    assert not same.is_missing.any()
    assert less.is_missing.any()
    assert less.expected[less.is_missing].tolist() == [30.0]
    assert not compared_children(NOTHING, NOTHING).is_missing.any()


def told_by(*events: str, n: int) -> LineColumns:
    return lines([("cart", one, trace) for trace in range(n) for one in events])


def test_events_are_followed_by_others_from_the_beginning_to_the_end() -> None:
    usual = told_by("begin", "done", n=10)

    found = followers((NOTHING, usual), (NOTHING, usual))

    assert found.event.tolist() == [START, 0, 1]
    assert found.follower.tolist() == [0, 1, END]
    assert found.now.tolist() == found.all_now.tolist() == [10, 10, 10]
    assert found.change.tolist() == [0.0, 0.0, 0.0]


def test_an_event_that_is_followed_by_another_one_now_deviates_on_both() -> None:
    found = followers(
        (NOTHING, told_by("begin", "done", n=20)), (NOTHING, told_by("begin", "failed", n=20))
    )

    strange = found.deviance > 8.0
    assert set(found.follower[strange].tolist()) == {1, 2}


def test_lines_of_no_trace_follow_nothing() -> None:
    alone = lines([("cart", "begin", -1)] * 9)

    assert len(followers((NOTHING, alone), (NOTHING, alone))) == 0


def test_what_a_callee_shows_is_taken_from_all_above_it() -> None:
    found = beyond_callees(
        {"gateway": 1.0, "order": 1.0, "stock": 0.8},
        graph(("gateway", "order"), ("order", "stock")),
        0.5,
    )

    assert found == pytest.approx({"gateway": 0.5, "order": 0.6, "stock": 0.8})


def test_the_graph_has_the_calls_that_spans_show_beside_what_was_known() -> None:
    before = requests(Call("order", calls=(Call("database", silent=True), Call("stock"))), n=1)

    seen = Reading(case(before, topology=graph(("gateway", "order")))).graph

    assert seen.callees("order") == ("database", "stock")
    assert seen.callers("order") == ("gateway",)


def chain(n: int, seed: int) -> F64:
    """Three series, each the one before it a step later, with noise; and one of noise alone."""
    random = np.random.default_rng(seed)
    rows = [random.normal(size=n)]
    for _ in range(2):
        rows.append(0.9 * np.roll(rows[-1], 1) + 0.4 * random.normal(size=n))
    return np.stack([*rows, random.normal(size=n)])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_past_of_a_driver_tells_of_what_it_drives(seed: int) -> None:
    found = drives(chain(300, seed))

    assert found[0, 1]
    assert found[1, 2]
    assert not found[:, 0].any()
    assert not found[3].any()
    assert not found[:, 3].any()


def test_walks_that_only_wander_together_drive_each_other_seldom() -> None:
    steps = np.random.default_rng(4).normal(size=(12, 300))

    assert drives(steps.cumsum(axis=1)).sum() <= 3


def test_series_that_do_not_move_drive_nothing() -> None:
    assert not drives(np.ones((3, 200))).any()
