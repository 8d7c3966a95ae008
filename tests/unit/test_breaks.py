"""Faults of a shop: what users feel, what is written down, and what is undone."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

pytest.importorskip("flask")
pytest.importorskip("werkzeug")

from shop import directory
from shop.breaks import groups, record, users
from shop.breaks.__main__ import main, scenarios
from shop.breaks.agent import May
from shop.breaks.catalogue import FAULTS, fault
from shop.breaks.fault import between
from shop.breaks.hands import Hands
from shop.breaks.processes import Failed, agents, born, signalled, start_agent, stop_agents
from shop.breaks.record import Record, Undo
from shop.breaks.undo import stop
from shop.breaks.users import Saw, Usual
from shop.directory import Directory, Found
from shop.services import NAMES, THIRD_PARTIES
from shop.stores import POSTGRES, REDIS
from tests.street import Street

ROOT = Path(__file__).parents[2]


class House(NamedTuple):
    """A shop whose services all live in this process; two of them can be asked from outside."""

    home: Path
    street: Street


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    street = Street(tmp_path)
    with street.open(["gateway", "user"]) as ports:
        told(tmp_path, ports)
        yield House(home=tmp_path, street=street)


def told(home: Path, ports: dict[str, int], pid: int | None = None) -> Directory:
    """What a shop tells of itself, here with this process as the one whose end is that of all."""
    place = Directory(
        pid=pid or os.getpid(),
        services={n: Found(port=p, pid=None, host="127.0.0.1") for n, p in ports.items()},
        gateway=f"http://127.0.0.1:{ports['gateway']}" if "gateway" in ports else None,
        database="sqlite",
        cache="memory",
    )
    directory.write(place, home / directory.FILE)
    return place


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def run(verb: str, name: str, house: House, *more: str) -> int:
    return main([verb, name, "--home", str(house.home), *more])


# What users feel


@pytest.mark.parametrize(
    ("saw", "is_bad"),
    [
        (Saw(False, 0.05), False),
        (Saw(True, 0.0), True),
        (Saw(False, 0.15), False),
        (Saw(False, 0.17), True),
    ],
)
def test_an_answer_is_bad_that_is_an_error_or_plainly_slower_than_any_before(
    saw: Saw, is_bad: bool
) -> None:
    assert users.is_bad(saw, Usual(0, 0.06)) == is_bad


def test_what_is_slow_anyway_has_to_take_twice_as_long() -> None:
    before = Usual(0, 1.0)

    assert not users.is_bad(Saw(False, 1.9), before)
    assert users.is_bad(Saw(False, 2.1), before)


def test_a_few_bad_answers_are_chance_and_more_are_not() -> None:
    well, ill = Saw(False, 0.01), Saw(True, 0.01)

    assert not users.is_felt([ill] * 3 + [well] * 21, Usual())
    assert users.is_felt([ill] * 4 + [well] * 20, Usual())


def test_errors_that_were_usual_before_are_no_sign() -> None:
    seen = [Saw(True, 0.01)] * 12 + [Saw(False, 0.01)] * 12

    assert not users.is_felt(seen, Usual(n_errors=6))
    assert users.is_felt(seen, Usual(n_errors=3))


@pytest.mark.parametrize(("intensity", "amount"), [(0.0, 3.0), (0.5, 2.0), (1.0, 1.0)])
def test_an_intensity_lies_between_two_ends_whichever_is_larger(
    intensity: float, amount: float
) -> None:
    assert between(3.0, 1.0, intensity) == amount


# Begin, look, end


def test_a_fault_is_felt_by_users_until_it_is_stopped(house: House) -> None:
    begun = run("start", "errors-leaf", house, "--intensity", "1")
    felt = run("check", "errors-leaf", house)
    told_then = house.street.call("user", "POST", "/simulate/error?endpoint=/x&rate=0").value
    stopped = [run("stop", "errors-leaf", house) for _ in range(2)]

    assert (begun, felt, stopped) == (0, 0, [0, 0])
    assert told_then["error_rate"] == {"/user": 1.0}
    assert house.street.call("user", "GET", "/user/7").status == 200
    assert list((house.home / "breaks").iterdir()) == []


def test_what_does_not_run_cannot_be_looked_at(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", "quiet", house) == 1
    assert "quiet does not run; start it" in capsys.readouterr().err


def test_what_users_felt_for_a_moment_is_nothing_and_what_they_feel_in_the_end_is(
    house: House,
) -> None:
    url, before = directory.read(house.home).gateway or "", Usual(0, 10.0)

    well = [look(url, users.LOOK, before, 0.0) for look in (users.feel, users.still_feel)]
    house.street.call("inventory", "POST", "/simulate/error?endpoint=/inventory&rate=1")
    ill = [look(url, users.LOOK, before, 0.0) for look in (users.feel, users.still_feel)]

    assert (well, ill) == ([False, False], [True, True])


def test_a_fault_that_runs_does_not_begin_again(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    record.write(Record(name="quiet", intensity=1.0), house.home)

    assert run("start", "quiet", house) == 1
    assert "quiet runs already; stop it" in capsys.readouterr().err


def test_what_begins_only_half_is_undone_at_once(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = {n: at.port for n, at in directory.read(house.home).services.items()}
    told(house.home, {**ports, "inventory": ports["user"], "payment": 1})

    begun = run("start", "two-at-once", house, "--intensity", "0")

    assert begun == 1
    assert "payment cannot be told" in capsys.readouterr().err
    assert house.street.call("user", "POST", "/simulate/delay?endpoint=/x&duration=0").value == {
        "delay_s": {},
        "error_rate": {},
    }
    assert record.names(house.home) == []


def test_a_means_that_is_missing_is_named_with_a_status_of_its_own(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("start", "cache-slow", house) == 3
    assert "cache-slow: this needs a shop that runs redis" in capsys.readouterr().err
    assert run("stop", "cache-slow", house) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["start", "flood"], "no fault is called 'flood'"),
        (["stop"], "name one fault to stop, or give --all"),
        (["stop", "quiet", "--all"], "name one fault to stop, or give --all"),
        (["start", "quiet", "--intensity", "2"], "intensity is 2; give 0 to 1"),
        (["start", "quiet"], "no shop runs in"),
    ],
)
def test_what_cannot_be_is_told(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--home", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err


def test_everything_that_runs_is_stopped_at_once_and_what_does_not_end_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck = Undo("group", {"folder": str(tmp_path), "back": str(tmp_path)})
    record.write(Record(name="hang", intensity=1.0, undo=[stuck]), tmp_path)
    record.write(Record(name="quiet", intensity=1.0), tmp_path)

    status = main(["stop", "--all", "--home", str(tmp_path)])

    assert status == 1
    assert "hang has not ended: group:" in capsys.readouterr().err
    assert record.names(tmp_path) == ["hang"]


# What is undone


def test_only_what_could_not_be_undone_is_kept_to_be_tried_again(tmp_path: Path) -> None:
    stuck = Undo("group", {"folder": str(tmp_path), "back": str(tmp_path)})
    done = Undo("continue", {"pid": 1, "born": -1})
    record.write(Record(name="hang", intensity=1.0, undo=[done, stuck, done]), tmp_path)

    with pytest.raises(Failed):
        stop(tmp_path, "hang")
    kept = record.read(tmp_path, "hang")
    (tmp_path / "x").mkdir()
    (tmp_path / "breaks" / "hang.json").write_bytes(
        msgspec.json.encode(
            Record(name="hang", intensity=1.0, undo=[Undo("group", {"folder": "/no", "back": ""})])
        )
    )
    stop(tmp_path, "hang")

    assert kept is not None
    assert kept.undo == [stuck]
    assert record.read(tmp_path, "hang") is None


def test_a_process_that_stands_still_goes_on(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    born_at = born(sleeper.pid)
    assert born_at is not None
    assert signalled(sleeper.pid, born_at, signal.SIGSTOP)
    _, stood = os.waitpid(sleeper.pid, os.WUNTRACED)
    given = {"pid": sleeper.pid, "born": born_at}
    record.write(Record(name="hang", intensity=1.0, undo=[Undo("continue", given)]), tmp_path)

    stop(tmp_path, "hang")

    _, went_on = os.waitpid(sleeper.pid, os.WCONTINUED)
    assert os.WIFSTOPPED(stood)
    assert os.WIFCONTINUED(went_on)


def test_another_process_of_the_same_number_is_left_alone(
    sleeper: subprocess.Popen[bytes],
) -> None:
    born_at = born(sleeper.pid)
    assert born_at is not None

    assert not signalled(sleeper.pid, born_at + 1, signal.SIGKILL)
    assert sleeper.poll() is None
    assert born(2**22 + 1) is None


def test_a_service_that_has_ended_needs_not_be_told(tmp_path: Path) -> None:
    told(tmp_path, {"user": 1})
    given = {"service": "user", "path": "/simulate/leak?megabytes=0"}
    record.write(Record(name="memory-leak", intensity=1.0, undo=[Undo("tell", given)]), tmp_path)

    stop(tmp_path, "memory-leak")

    assert record.names(tmp_path) == []


def test_a_fault_within_another_ends_with_it(tmp_path: Path) -> None:
    inner = Undo("fault", {"name": "intermittent.pulse"})
    record.write(Record(name="intermittent", intensity=1.0, undo=[inner]), tmp_path)
    record.write(Record(name="intermittent.pulse", intensity=0.1), tmp_path)

    stop(tmp_path, "intermittent")

    assert record.names(tmp_path) == []


def test_an_index_is_gone_and_comes_again(tmp_path: Path) -> None:
    told(tmp_path, {"payment": 1})
    file = tmp_path / "shop.db"

    def indices() -> list[Any]:
        with closing(sqlite3.connect(file)) as db:
            return db.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()

    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE payments (customer INTEGER, cents INTEGER, at_s REAL)")
        db.execute("CREATE INDEX payments_of ON payments (customer, at_s)")
        db.execute("INSERT INTO payments VALUES (7, 100, 1.0)")
    begun = Record(name="index-dropped", intensity=0.0)
    fault("index-dropped").start(Hands(tmp_path, begun), 0.0)
    during = indices()
    stop(tmp_path, "index-dropped")

    assert (during, indices()) == ([], [("payments_of",)])
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT * FROM payments").fetchall() == [(7, 100, 1.0)]


# Those who do harm


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

    begun = run("start", "intermittent", house, "--intensity", "1")
    names, during = record.names(house.home), errors()
    stopped = run("stop", "intermittent", house)

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


# The list


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
        "start": "python -m shop.breaks start hang --home {home} --intensity {intensity}",
        "check": "python -m shop.breaks check hang --home {home}",
        "stop": "python -m shop.breaks stop hang --home {home}",
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


# Control groups


def test_a_machine_without_a_controller_says_what_is_missing(tmp_path: Path) -> None:
    assert "the controller cpu" in groups.lacks("cpu", tmp_path)
    assert "a writable cgroup for cpu" in groups.lacks("cpu", tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_group_limits_whom_it_holds_and_leaves_nothing(
    sleeper: subprocess.Popen[bytes],
) -> None:
    if missing := groups.lacks("cpu"):
        pytest.skip(missing)
    folder = groups.folder("cpu", sleeper.pid, f"test-{os.getpid()}")

    groups.make(folder, {"cpu_quota": "5000"})
    groups.enter(folder, sleeper.pid)
    held = (folder / "cgroup.procs").read_text().split()
    groups.remove(folder, folder.parent)
    groups.remove(folder, folder.parent)

    assert held == [str(sleeper.pid)]
    assert not folder.exists()
    assert str(sleeper.pid) in (folder.parent / "cgroup.procs").read_text().split()


def test_a_limit_that_cannot_be_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cgroup"):
        groups.make(tmp_path / "cgroup" / "deep", {"cpu_quota": "5000"})
