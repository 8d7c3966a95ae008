"""Processes that do harm, as long as their fault and their shop are there."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask")
pytest.importorskip("werkzeug")

from shop.breaks import record
from shop.breaks.agent import May
from shop.breaks.processes import Failed, agents, start_agent, stop_agents
from shop.breaks.record import Record
from tests.house import House, open_house, sleeping, told


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as house:
        yield house


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with sleeping() as process:
        yield process


def test_whoever_does_harm_is_found_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    told(tmp_path, {})
    file = record.file_of(tmp_path, "database-lock")
    record.write(Record(name="database-lock", intensity=1.0), tmp_path)

    def is_locked() -> bool:
        with closing(sqlite3.connect(tmp_path / "shop.db", timeout=0.0)) as db:
            try:
                db.execute("CREATE TABLE IF NOT EXISTS t (x)")
            except sqlite3.OperationalError:
                return True
        return False

    start_agent(file, "locker", {"table": "stock", "on_s": 600.0, "off_s": 0.2})
    found, was_locked = agents(file), is_locked()
    stop_agents(file)

    assert len(found) == 1
    assert was_locked
    assert (agents(file), is_locked()) == ([], False)


def test_a_fault_that_comes_and_goes_is_gone_with_whoever_brings_it(house: House) -> None:
    def errors() -> Any:
        asked = "/simulate/error?endpoint=/nothing&rate=0"
        return house.street.call("user", "POST", asked).value["error_rate"]

    begun = house.run("start", "intermittent", "--intensity", "1")
    names, during = record.names(house.home), errors()
    stopped = house.run("stop", "intermittent")

    assert (begun, stopped) == (0, 0)
    assert (names, during) == (["intermittent", "intermittent.pulse"], {"/user": 1.0})
    assert (record.names(house.home), errors()) == ([], {})
    assert agents(record.file_of(house.home, "intermittent")) == []


def test_what_grows_grows_step_by_step_and_stays_at_its_worst(house: House) -> None:
    record.write(Record(name="slow-ramp", intensity=1.0), house.home)
    file = record.file_of(house.home, "slow-ramp")
    path = "/simulate/delay?endpoint=/user&duration="
    given = {"service": "user", "path": path, "amounts": [1.0, 20.0, 400.0], "every_s": 0.0}

    start_agent(file, "ramp", given)
    while agents(file):
        continue

    asked = "/simulate/delay?endpoint=/nothing&duration=0"
    assert house.street.call("user", "POST", asked).value["delay_s"] == {"/user": 0.4}


def test_harm_is_done_only_as_long_as_its_file_and_its_shop_are_there(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    told(tmp_path, {}, pid=sleeper.pid)
    record.write(Record(name="quiet", intensity=1.0), tmp_path)
    may = May(record.file_of(tmp_path, "quiet"))
    at_first = bool(may)

    may.file.rename(tmp_path / "kept")
    without_file = bool(may)
    (tmp_path / "kept").rename(may.file)
    sleeper.kill()
    sleeper.wait()

    assert (at_first, without_file, bool(may)) == (True, False, False)


def test_what_keeps_one_from_doing_harm_is_told(tmp_path: Path) -> None:
    file = record.file_of(tmp_path, "quiet")

    with pytest.raises(Failed, match="nobody_knows"):
        start_agent(file, "nobody_knows", {})
