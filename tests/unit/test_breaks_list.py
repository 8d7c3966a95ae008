"""The list of faults, and the file of scenarios that is written from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("flask")
pytest.importorskip("werkzeug")

from shop.breaks.__main__ import main, scenarios
from shop.breaks.catalogue import FAULTS
from shop.services import NAMES, THIRD_PARTIES
from shop.stores import POSTGRES, REDIS
from tests.house import told

ROOT = Path(__file__).parents[2]


def test_there_are_many_faults_each_with_a_name_of_its_own_and_some_stretches_without() -> None:
    names = [one.name for one in FAULTS]

    assert len(set(names)) == len(names) >= 30
    assert sum(one.fault_free for one in FAULTS) >= 4
    assert all(name.replace("-", "").isalpha() and name.islower() for name in names)


@pytest.mark.parametrize("one", FAULTS, ids=lambda one: one.name)
def test_the_truth_of_a_fault_names_who_is_there_to_be_blamed(one: Any) -> None:
    known = {*NAMES, *THIRD_PARTIES, POSTGRES, REDIS}

    assert set(one.services) <= known
    assert one.kind == "none" if one.fault_free else one.kind != "none"
    assert not (one.fault_free and one.services)


def test_the_file_of_scenarios_is_what_the_list_says() -> None:
    file = ROOT / "shop" / "scenarios.yaml"

    assert file.read_text() == scenarios(), "python -m shop.breaks scenarios > shop/scenarios.yaml"


def test_a_scenario_says_how_to_begin_look_and_end() -> None:
    listed = {one["name"]: one for one in yaml.safe_load(scenarios())["scenarios"]}

    assert listed["hang"] == {
        "name": "hang",
        "says": "inventory stands still and keeps its connections open (SIGSTOP)",
        "truth": {"service": "inventory", "kind": "hang"},
        "start": "{python} -m shop.breaks start hang --home {home} --intensity {intensity}",
        "check": "{python} -m shop.breaks check hang --home {home}",
        "stop": "{python} -m shop.breaks stop hang --home {home}",
        "fault_free": False,
        "hold_s": 60.0,
        "intensity": [0.0, 1.0],
    }
    assert listed["two-at-once"]["truth"]["service"] == ["inventory", "payment"]
    assert listed["surge"]["truth"]["service"] == []
    assert listed["quiet"]["fault_free"]


def test_the_list_names_what_a_shop_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(tmp_path, {})

    main(["list", "--home", str(tmp_path)])
    plain = capsys.readouterr().out
    main(["list", "--json", "--home", str(tmp_path)])
    lacking = {one["name"]: one["lacks"] for one in json.loads(capsys.readouterr().out)}

    assert "this needs a shop that runs redis" in plain
    assert lacking["cache-slow"] == "a shop that runs redis; this one has it embedded"
    assert lacking["hang"] == ""
