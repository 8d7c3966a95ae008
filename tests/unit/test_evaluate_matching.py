"""Which page is whose, what is false, whom naive rules blame, and what it all comes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.evaluating import BEGIN_S, attempt, calm, page, run
from watchkeeper.evaluate.causes import EARLIEST, LARGEST, earliest, largest, within
from watchkeeper.evaluate.figures import figures, names, standing
from watchkeeper.evaluate.matching import judge
from watchkeeper.evaluate.records import Found, Outcome, Usage
from watchkeeper.sdk import FoundSpan


def failing(service: str, after_s: float, status: str = "error") -> FoundSpan:
    start = datetime.fromtimestamp(BEGIN_S, UTC) + timedelta(seconds=after_s)
    return FoundSpan(name="GET /", start=start, duration_ms=1.0, service=service, status=status)


# Pages and scenarios. A fault at 100 s is begun then, started at 102, stopped at 162, over at 222.


@pytest.mark.parametrize(
    ("at_s", "took_s"),
    [
        pytest.param(99.9, None, id="before it was begun"),
        pytest.param(100.0, 0.0, id="while it is being started"),
        pytest.param(112.0, 10.0, id="while it is on"),
        pytest.param(222.0, 120.0, id="with the last of the grace"),
        pytest.param(222.1, None, id="too late"),
    ],
)
def test_a_fault_is_detected_by_a_page_of_its_time(at_s: float, took_s: float | None) -> None:
    (match,) = judge(run(attempt(ended_s=BEGIN_S + 300), pages=[page(at_s)])).matches

    assert match.took_s == took_s


def test_the_first_page_counts_whoever_it_is_of() -> None:
    pages = [page(130.0), page(120.0, "gateway"), page(140.0, "cart")]

    (match,) = judge(run(attempt(), pages=pages)).matches

    assert match.page == pages[1]
    assert match.took_s == 18.0


def test_what_was_only_shown_detects_nothing() -> None:
    shown = page(120.0, severity="evidence", paged_s=None)

    judged = judge(run(attempt(), pages=[shown]))

    assert judged.matches[0].page is None
    assert judged.matches[0].is_told
    assert judged.false == ()


@pytest.mark.parametrize(
    "one",
    [page(120.0, severity="info", paged_s=None), page(90.0, severity="evidence", paged_s=None)],
    ids=["what is no evidence", "what stood before"],
)
def test_a_fault_is_not_told_by(one: Found) -> None:
    assert not judge(run(attempt(), pages=[one])).matches[0].is_told


def test_what_was_shown_before_and_pages_now_is_told_from_when_it_pages() -> None:
    grown = page(120.0, seen_s=BEGIN_S + 80, started_s=BEGIN_S + 70)

    (match,) = judge(run(attempt(), pages=[grown])).matches

    assert match.took_s == 18.0


def test_what_stood_when_counting_began_is_neither_hit_nor_false() -> None:
    stood = page(60.0)
    done = run(attempt(at_s=60.0), pages=[stood])

    judged = judge(done)

    assert judged.matches[0].page is None
    assert judged.false == ()
    assert standing(done) == (stood,)


def test_a_page_outside_of_every_fault_and_its_recovery_is_false() -> None:
    pages = [page(at_s) for at_s in (99.0, 110.0, 221.0, 223.0, 700.0)]

    judged = judge(run(attempt(), pages=pages))

    assert [one.paged_s for one in judged.false] == [
        BEGIN_S + at_s for at_s in (99.0, 223.0, 700.0)
    ]


@pytest.mark.parametrize("outcome", [Outcome.UNFELT, Outcome.FAILED, Outcome.INTERRUPTED])
def test_what_users_did_not_feel_proves_nothing_either_way(outcome: Outcome) -> None:
    judged = judge(run(attempt(outcome=outcome), pages=[page(120.0)]))

    assert judged.matches == ()
    assert judged.false == ()
    assert judged.free_s == 3600.0 - 122.0


def test_what_pages_in_a_stretch_without_a_fault_is_false_and_told_with_it() -> None:
    judged = judge(run(calm(), attempt(at_s=400.0), pages=[page(110.0), page(390.0)]))

    (stretch,) = judged.stretches
    assert [one.paged_s for one in stretch.pages] == [BEGIN_S + 110.0]
    assert len(judged.false) == 2
    assert judged.free_s == 3600.0 - 122.0


def test_a_skipped_stretch_is_none() -> None:
    assert judge(run(attempt(fault_free=True, outcome=Outcome.SKIPPED))).stretches == ()


# Causes


def test_the_earliest_failing_span_blames_whoever_called_first() -> None:
    spans = [failing("payment", 0.2), failing("gateway", 0.0), failing("checkout", 0.1),
             failing("gateway", 3.0), failing("cart", -1.0, "ok"), failing("", -2.0)]  # fmt: skip

    assert earliest(spans) == ("gateway", "checkout", "payment")
    assert earliest([]) == ()


def test_the_largest_deviation_is_the_least_probable_and_then_the_farthest() -> None:
    found = [
        page(1.0, "info", severity="info", p_value=1e-30),
        page(2.0, "near", deviation=1.0),
        page(3.0, "far", deviation=9.0),
        page(4.0, "rare", p_value=1e-12),
        page(5.0, "near", p_value=0.5),
        page(6.0, "", p_value=1e-40),
    ]

    assert largest(found) == ("rare", "far", "near", "info")


def test_only_what_came_in_its_time_is_blamed() -> None:
    found = [page(at_s) for at_s in (1.0, 2.0, 3.0)]

    assert within(found, BEGIN_S + 1.5, BEGIN_S + 3.0) == tuple(found[1:])


def test_a_cause_is_named_if_any_true_service_is_among_the_first() -> None:
    told = {LARGEST: ("cart", "user", "payment", "gateway")}
    both = attempt(services=("payment", "gateway"), causes=told)
    (match,) = judge(run(both)).matches

    assert [names(match, LARGEST, most) for most in (1, 2, 3)] == [False, False, True]
    assert not names(match, EARLIEST, 3)


# Figures


def day(**other: Any) -> Any:
    """Three faults of which two are detected, one unfelt, and two calm stretches."""
    blamed = {EARLIEST: ("gateway", "payment"), LARGEST: ("payment",)}
    return run(
        attempt("a", 100.0, causes=blamed),
        attempt("a", 300.0, causes=blamed),
        attempt("b", 500.0, services=(), kind="surge"),
        attempt("c", 700.0, outcome=Outcome.UNFELT),
        calm("deploy", 900.0),
        calm("pause", 1100.0),
        pages=[page(112.0), page(332.0), page(910.0), page(1500.0)],
        **other,
    )


def test_figures_count_what_users_felt() -> None:
    summary = figures([day()])

    assert (summary.runs, summary.scenarios) == (1, 3)
    assert (summary.detected.n, summary.detected.of) == (2, 3)
    assert (summary.told.n, summary.told.of) == (2, 3)
    assert (summary.detect_p50_s, summary.detect_p95_s) == (10.0, 30.0)
    assert (summary.false.n, summary.false.hours) == (2, (3600 - 4 * 122) / 3600)
    assert (summary.stretches.n, summary.stretches.of) == (1, 2)


def test_causes_are_asked_where_a_service_is_to_blame() -> None:
    causes = figures([day()]).causes

    first, largest_ = causes[EARLIEST], causes[LARGEST]
    assert (first.top1.n, first.top3.n, first.top1.of) == (0, 2, 2)
    assert (largest_.top1.n, largest_.top3.n) == (2, 2)


def test_a_line_for_each_scenario_faults_first() -> None:
    rows = figures([day()]).rows

    assert [row.scenario for row in rows] == ["a", "b", "c", "deploy", "pause"]
    assert (rows[0].detected, rows[0].detect_s) == (2, (10.0, 30.0))
    assert rows[0].top1 == {EARLIEST: 0, LARGEST: 2}
    assert rows[2].outcomes == {"unfelt": 1}
    assert [row.pages for row in rows] == [0, 0, 0, 1, 0]


def test_runs_are_merged_by_counting_them_together() -> None:
    one, two = figures([day()]), figures([day(), day(usage=())])

    assert (two.scenarios, two.detected.n) == (2 * one.scenarios, 2 * one.detected.n)
    assert two.false.hours == pytest.approx(2 * one.false.hours)
    assert [row.outcomes for row in two.rows] == [
        {name: 2 * n for name, n in row.outcomes.items()} for row in one.rows
    ]
    low, high = one.detected.bounds
    assert low < two.detected.bounds[0] < two.detected.bounds[1] < high


def test_what_the_server_takes_is_told_without_its_restarts() -> None:
    usage = tuple(
        Usage(BEGIN_S + at_s, cpu_s, held)
        for at_s, cpu_s, held in ((60, 50.0, 1e9), (70, 55.0, 3e9), (80, 1.0, 1e9), (100, 6.0, 1e9))
    )

    summary = figures([run(usage=usage), run(usage=())])

    assert summary.cpu_share == pytest.approx((5.0 + 5.0) / 30.0)
    assert summary.resident_bytes == 3e9


def test_of_a_server_that_does_not_say_nothing_is_told() -> None:
    summary = figures([run(usage=())])

    assert (summary.cpu_share, summary.resident_bytes) == (None, None)
    assert (summary.detect_p50_s, summary.detected.value) == (None, None)
