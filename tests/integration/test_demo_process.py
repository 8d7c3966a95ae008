"""What the demo starts: children that end, and a shop that opens, is broken, and is gone."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from watchkeeper.cli import demo
from watchkeeper.cli.child import Child
from watchkeeper.cli.demo import remains, shop
from watchkeeper.cli.demo.shop import Shop
from watchkeeper.cli.exits import Exit
from watchkeeper.errors import ConfigError, Permanent
from watchkeeper.evaluate.scenarios import read

OPENS = """
import json, os, pathlib, sys, time
home = pathlib.Path(sys.argv[sys.argv.index("--home") + 1])
home.mkdir()
told = {"pid": os.getpid(), "gateway": "http://127.0.0.1:1", "services": {}}
draft = home / "draft"
draft.write_text(json.dumps({**told, "options": sys.argv[3:]}))
draft.rename(home / "shop.json")
time.sleep(60)
"""
BREAKS = """
import pathlib, sys
pathlib.Path("asked").open("a").write(" ".join(sys.argv[1:4]) + "\\n")
"""
SCENARIOS = """
scenarios:
  - name: broken
    truth: {service: payment, kind: file}
    start: "{python} -m shop.breaks start broken"
    stop: "{python} -m shop.breaks stop broken"
"""


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a shop of one process, that writes down how it is broken."""
    module = tmp_path / "shop"
    module.mkdir()
    (module / "__init__.py").touch()
    (module / "__main__.py").write_text(OPENS)
    (module / "breaks.py").write_text(BREAKS)
    (module / "scenarios.yaml").write_text(SCENARIOS)
    return tmp_path


# Children


def test_a_child_is_stopped_gracefully_and_any_number_of_times(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye', flush=True)))\n"
        "print('here', flush=True)\n"
        "time.sleep(60)"
    )
    one = Child(["-c", code], tmp_path / "log")
    wait_for(lambda: one.last_words == "here")
    was_over = one.is_over

    one.stop()
    one.stop()

    assert (was_over, one.is_over) == (False, True)
    assert one.last_words == "here\nbye"


def test_the_last_words_of_a_child_are_its_last_lines(tmp_path: Path) -> None:
    one = Child(["-c", "for number in range(20): print(number)"], tmp_path / "log", tmp_path)

    wait_for(lambda: one.is_over)

    assert one.last_words.splitlines() == [str(number) for number in range(12, 20)]


def test_a_child_hears_no_ctrl_c(tmp_path: Path) -> None:
    one = Child(["-c", "import time; time.sleep(60)"], tmp_path / "log")

    own, its = os.getpgid(0), os.getpgid(one.pid)

    one.stop()
    assert own != its == one.pid


# The shop


def test_a_shop_opens_with_its_options_and_is_gone_with_what_it_was_broken_by(root: Path) -> None:
    (broken,) = read(SCENARIOS, "scenarios")
    with Shop(root, root / "home", {"per-second": "7", "cache": "memory"}) as one:
        there = one.wait_until_open()
        done = one.perform(one.command(broken, "start", 0.6), lambda: None)
        told = (root / "home" / "shop.json").read_text()
        was_there = Path(f"/proc/{there.pid}").exists()

    assert (there.gateway, done.status, was_there) == ("http://127.0.0.1:1", 0, True)
    assert '["--per-second", "7", "--cache", "memory"]' in told
    assert (root / "asked").read_text() == "start broken\nstop --all --home\n"
    assert remains.remains(root, [there.pid]) == []


def test_a_shop_that_does_not_open_is_told_with_its_last_words(root: Path) -> None:
    (root / "shop" / "__main__.py").write_text("import sys; sys.exit('no room for a socket')")

    with Shop(root, root / "home", {}) as one, pytest.raises(Permanent, match="no room for a sock"):
        one.wait_until_open()


def test_scenarios_are_those_of_the_shop_that_was_found(root: Path) -> None:
    assert [one.name for one in shop.listed(shop.found(root))] == ["broken"]
    with pytest.raises(ConfigError, match=f"no shop in {root}/home; it is a part"):
        shop.found(root / "home")


# What is left


def test_what_is_left_behind_is_a_failure_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "remains_in_the_end", lambda folder, pids: ["process 7"])

    with (
        pytest.raises(Permanent, match="left behind, end it by hand: process 7"),
        demo.emptied() as (folder, _),
    ):
        (folder / "file").touch()

    assert not folder.exists()


def test_whoever_says_no_starts_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "agreed", lambda output: False)
    monkeypatch.setattr(shop, "NEEDED", ())
    monkeypatch.setattr(shop, "check", lambda: None)
    given = argparse.Namespace(json=False, yes=False, shop=root, scenario="broken")

    assert demo.run(given) == Exit.NO
    assert capsys.readouterr() == ("", "")
