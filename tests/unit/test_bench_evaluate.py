"""The suite over the shop: what it asks for, and what it makes of the answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.evaluate import (
    FIGURES,
    SCENARIOS,
    TARGETS,
    figures,
    listed,
    notes,
    plan_of,
    scenarios,
    settings,
)
from bench.peers import Unmeasurable
from bench.shop_past import measured
from bench.suite import Options
from tests.evaluating import attempt, page, run
from watchkeeper.analyze.watchers.budget import BudgetConfig
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.cli.demo.gate import Gate
from watchkeeper.config.loading import load
from watchkeeper.evaluate.course_stage import LONGEST_S
from watchkeeper.evaluate.plan import expected_s, plan
from watchkeeper.evaluate.records import Outcome
from watchkeeper.evaluate.report import as_json
from watchkeeper.evaluate.scenarios import Scenario, words

LISTED = tuple(
    Scenario(name=name, start="a", stop="b", fault_free=name.startswith("calm"))
    for name in ("calm 1", "a", "b", "c", "calm 2")
)


def test_a_quick_run_takes_two_faults_and_a_stretch_without_one() -> None:
    quick, whole = plan_of(Options(quick=True, seed=7), LISTED), plan_of(Options(), LISTED)

    assert quick.only == ("a", "b", "calm 1")
    assert quick.warm_up_s > quick.learning_s
    assert (whole.only, quick.seed) == ((), 7)
    assert whole.days * 86_400 > whole.learning_s == Symptoms.Config().learning_s


def test_thirty_scenarios_and_twenty_calm_minutes_have_time_in_a_run(tmp_path: Path) -> None:
    whole = plan_of(Options(), LISTED)

    asked = scenarios(listed(whole, tmp_path / "scenarios.yaml"))
    longest = sorted(plan(asked, seed=1, run=1), key=lambda step: not step.scenario.fault_free)

    lasts_s, n = expected_s(longest, whole.cool_down_s, LONGEST_S)
    calm_s = sum(one.hold_s + whole.cool_down_s for one in asked if one.fault_free)
    assert n >= 30
    assert calm_s >= 20 * 60
    assert lasts_s <= 65 * 60


def test_quickly_the_list_is_as_it_is(tmp_path: Path) -> None:
    quick = plan_of(Options(quick=True), LISTED)

    assert scenarios(listed(quick, tmp_path / "scenarios.yaml")) == scenarios(SCENARIOS)


def test_its_settings_are_taken_and_leave_alone_how_strange_something_has_to_be(
    tmp_path: Path,
) -> None:
    file = tmp_path / "watchkeeper.yaml"
    file.write_text(str(dict(settings(plan_of(Options(), LISTED)))))

    config = load(file, environment={}).config

    (symptoms, _) = config.detection.watchers
    assert symptoms["use"] == "symptoms"
    assert symptoms["budget"] == BudgetConfig(per_subject_and_day=60, rearm_s=10.0)
    assert symptoms["learning_s"] == Symptoms.Config().learning_s


def test_its_figures_are_those_of_the_report_and_what_is_unknown_is_missing() -> None:
    told = as_json([run(attempt(), pages=[page(112.0)], usage=())])

    found = figures(told)

    assert {*TARGETS} <= {*FIGURES}
    assert {*FIGURES.values()} <= {*told["figures"]}
    assert (found["scenarios"], found["detected"], found["detect_p95_s"]) == (1.0, 1.0, 10.0)
    assert {*FIGURES} - {*found} == {"cpu_cores", "memory_mib"}


def test_what_did_not_count_is_told_by_name() -> None:
    lost = attempt("loss", outcome=Outcome.SKIPPED, reason="no tc here.")

    said = notes(
        plan_of(Options(seed=3), LISTED), as_json([run(attempt(), lost, left_out=("hang",))])
    )

    assert said[0].endswith("seed 3")
    assert said[1:] == ["loss: skipped. no tc here", "no time for: hang"]


def test_the_past_of_a_shop_that_told_nothing_is_not_made_up() -> None:
    with Gate("http://127.0.0.1:9") as gate, pytest.raises(Unmeasurable, match="told nothing"):
        measured(gate, for_s=0.0)


def test_the_shops_own_list_is_read_and_calls_nothing_but_the_shop() -> None:
    known = scenarios(SCENARIOS)

    commands = {
        tuple(words(command, 0.5, "/home of a shop")[:3])
        for one in known
        for command in (one.start, one.check, one.stop)
        if command
    }
    assert commands == {(sys.executable, "-m", "shop.breaks")}
    assert all(one.fault_free or one.truth.kind for one in known)
    assert len(plan_of(Options(quick=True), known).only) == 3


def test_a_list_that_cannot_be_read_is_no_measurement(tmp_path: Path) -> None:
    file = tmp_path / "scenarios.yaml"
    file.write_text("scenarios: []")

    with pytest.raises(Unmeasurable, match="no scenarios; list at least one"):
        scenarios(file)
