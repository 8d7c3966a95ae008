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
    notes,
    plan_of,
    scenarios,
    settings,
)
from bench.peers import Unmeasurable
from bench.suite import Options
from tests.evaluating import attempt, page, run
from watchkeeper.analyze.watchers.budget import BudgetConfig
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.config.loading import load
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
    assert whole.warm_up_s > whole.learning_s == Symptoms.Config().learning_s


def test_its_settings_are_taken_and_leave_alone_how_strange_something_has_to_be(
    tmp_path: Path,
) -> None:
    file = tmp_path / "watchkeeper.yaml"
    file.write_text(str(dict(settings(plan_of(Options(), LISTED)))))

    config = load(file, environment={}).config

    (symptoms, _) = config.detection.watchers
    assert symptoms["use"] == "symptoms"
    assert symptoms["budget"] == BudgetConfig(per_subject_and_day=60, rearm_s=60.0)
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


def test_the_shops_own_list_is_read_and_calls_nothing_but_the_shop() -> None:
    listed = scenarios(SCENARIOS)

    commands = {
        tuple(words(command, 0.5, "/home of a shop")[:3])
        for one in listed
        for command in (one.start, one.check, one.stop)
        if command
    }
    assert commands == {(sys.executable, "-m", "shop.breaks")}
    assert all(one.fault_free or one.truth.kind for one in listed)
    assert len(plan_of(Options(quick=True), listed).only) == 3


def test_a_list_that_cannot_be_read_is_no_measurement(tmp_path: Path) -> None:
    file = tmp_path / "scenarios.yaml"
    file.write_text("scenarios: []")

    with pytest.raises(Unmeasurable, match="no scenarios; list at least one"):
        scenarios(file)
