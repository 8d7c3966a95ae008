"""What a quality suite counts, and what it answers where it cannot count."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import numpy as np
import pytest

from quality import __main__ as driver
from quality import nulls, tiers
from quality.nulls import Plan
from quality.suite import Options, Unmeasurable
from watchkeeper.model.series import F64

HOUR_NS = 3600 * 10**9


def noise(n: int, seed: int = 1) -> F64:
    return 100.0 + np.random.default_rng(seed).standard_normal(n)


def test_nothing_is_opened_where_nothing_moves() -> None:
    samples, grid, evidence = tiers.opened(np.full(20_000, 5.0), 60.0)

    assert (len(samples), len(grid), len(evidence)) == (0, 0, 0)


def test_a_wild_hour_is_opened_when_it_begins_by_the_tier_of_samples() -> None:
    values = noise(6 * 1440)
    values[5 * 1440 : 5 * 1440 + 60] += 60.0

    samples, _, _ = tiers.opened(values, 60.0)

    began_ns = 5 * 1440 * 60 * 10**9
    assert any(0 <= when - began_ns <= HOUR_NS for when in samples.tolist())


def test_evidence_is_a_part_of_what_the_grid_opens() -> None:
    values = noise(20 * 1440)
    values[18 * 1440 : 18 * 1440 + 120] += 60.0

    _, grid, evidence = tiers.opened(values, 60.0)

    assert len(evidence) >= 1
    assert set(evidence.tolist()) <= set(grid.tolist())


def test_times_are_those_of_the_series_whatever_its_step() -> None:
    """The same hour, at 15 s and at 60 s."""
    for step_s in (15.0, 60.0):
        per_day = round(86_400 / step_s)
        values = noise(4 * per_day)
        values[3 * per_day : 3 * per_day + per_day // 24] += 60.0

        samples, _, _ = tiers.opened(values, step_s)

        assert any(0 <= when - 3 * 24 * HOUR_NS <= HOUR_NS for when in samples.tolist())


def test_what_is_opened_does_not_hang_on_where_batches_end() -> None:
    """A series longer than a batch begins as a shorter one of the same values does."""
    values = noise(tiers.BATCH + 3_000)
    values[50_000:50_060] += 60.0
    values[tiers.BATCH - 30 : tiers.BATCH + 30] += 60.0

    whole = tiers.opened(values, 60.0)
    part = tiers.opened(values[: tiers.BATCH - 100], 60.0)

    for long, short in zip(whole, part, strict=True):
        assert long[: len(short)].tolist() == short.tolist()
    assert any(abs(when // (60 * 10**9) - tiers.BATCH) < 100 for when in whole[0].tolist())


def test_the_first_week_is_for_learning_and_is_not_counted() -> None:
    """A walk starts many episodes; none of a week that is all there is counts."""
    plan = Plan(step_s=60.0, weeks=1.0 + 1e-9, n_draws=1)

    told = nulls.rates("random_walk", plan, seed=1)

    assert told.t1 * (plan.weeks - 1.0) == 0
    assert told.evidence * (plan.weeks - 1.0) == 0


def test_a_constant_family_has_no_false_alarm() -> None:
    told = nulls.rates("constant", Plan(step_s=60.0, weeks=2.0, n_draws=2), seed=1)

    assert (told.t1, told.grid, told.evidence, told.evidence_of_worst_draw) == (0, 0, 0, 0)
    assert (told.family, told.step_s) == ("constant", 60.0)


def test_the_worst_draw_is_no_better_than_the_mean() -> None:
    told = nulls.rates("random_walk", Plan(step_s=60.0, weeks=2.5, n_draws=3), seed=1)

    assert told.evidence_of_worst_draw >= told.evidence
    assert told.grid >= told.evidence


def suite(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "quality.nulls", module)


def test_a_suite_that_lacks_its_data_says_what_would_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(options: Options) -> None:
        raise Unmeasurable(f"no series in {options.data}: give --data a folder")

    fake = ModuleType("quality.nulls")
    fake.__dict__.update(run=run, TARGETS={"f1": (">=", 0.5)})
    suite(fake, monkeypatch)

    status = driver.main(["nulls"])

    out = capsys.readouterr().out
    assert status == 1
    assert "give --data a folder" in out
    assert json.loads(out.splitlines()[-1])["met"] is False


def test_the_command_line_reaches_the_suite_and_its_figures_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(options: Options) -> tuple[dict[str, float], list[str]]:
        return {"f1": options.seed / 10, "quick": float(options.quick)}, []

    fake = ModuleType("quality.nulls")
    fake.__dict__.update(run=run, TARGETS={"f1": (">=", 0.5)})
    suite(fake, monkeypatch)

    assert driver.main(["nulls", "--seed", "7", "--quick"]) == 0
    assert driver.main(["nulls", "--seed", "4"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [json.loads(line)["figures"] for line in lines] == [
        {"f1": 0.7, "quick": 1.0},
        {"f1": 0.4, "quick": 0.0},
    ]


@pytest.mark.parametrize("name", sorted(driver.SUITES))
def test_every_suite_that_is_offered_has_targets_and_runs_by_its_name(name: str) -> None:
    module = __import__(f"quality.{name}", fromlist=["run"])

    assert callable(module.run)
    assert all(relation in (">=", "<=") for relation, _ in module.TARGETS.values())


def test_an_unknown_suite_is_refused_with_those_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        driver.main(["guesses"])

    assert "nulls" in capsys.readouterr().err
