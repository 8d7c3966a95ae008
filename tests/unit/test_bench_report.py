"""What a suite answers, and when it counts as met."""

from __future__ import annotations

import json
import math
import sys
from types import ModuleType

import pytest

from bench import __main__ as driver
from bench.peers import Unmeasurable
from bench.report import Result, holds, print_result, round_figure
from bench.suite import Options


def test_a_result_is_met_only_if_every_target_holds() -> None:
    targets = {"ratio": (">=", 2.0), "overhead": ("<=", 0.2)}

    assert Result("ingest", {"ratio": 2.0, "overhead": 0.2}, targets).met
    assert not Result("ingest", {"ratio": 1.99, "overhead": 0.2}, targets).met
    assert not Result("ingest", {"ratio": 2.0, "overhead": 0.21}, targets).met


def test_a_missing_figure_is_not_met() -> None:
    assert not Result("ingest", {}, {"ratio": (">=", 2.0)}).met
    assert not holds(None, ("<=", 1.0))


def test_a_figure_that_is_no_number_is_not_met_and_is_left_out_of_the_line() -> None:
    result = Result("lake", {"ms": math.nan}, {"ms": ("<=", 10.0)})

    assert not result.met
    assert json.loads(result.line())["figures"] == {}


def test_the_last_line_is_json_with_figures_and_targets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_result(Result("ingest", {"ratio": 2.34567891, "more": 1.0}, {"ratio": (">=", 2.0)}))

    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {
        "suite": "ingest",
        "figures": {"ratio": 2.3457, "more": 1.0},
        "targets": {"ratio": [">=", 2.0]},
        "met": True,
    }


def test_figures_keep_five_digits_whatever_their_size() -> None:
    assert round_figure(123456.7) == 123460
    assert round_figure(0.000123456) == 0.00012346


def test_a_suite_that_cannot_run_says_why_and_is_not_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(options: Options) -> None:
        raise Unmeasurable("prometheus is not installed: apt-get install prometheus")

    module = ModuleType("bench.fake")
    module.__dict__.update(run=run, TARGETS={"ratio": (">=", 2.0)})
    monkeypatch.setitem(sys.modules, "bench.fake", module)

    result = driver.measure("fake", Options())

    assert not result.met
    assert "apt-get install prometheus" in result.notes[0]
