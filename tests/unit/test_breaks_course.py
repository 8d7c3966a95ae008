"""A fault begins, is looked at and ends: all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("werkzeug")

from shop import directory
from shop.breaks import record, users
from shop.breaks.__main__ import main
from shop.breaks.record import Record, Undo
from shop.breaks.users import Usual
from shop.stock import PRICE_CENTS
from tests.house import House, open_house, told


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as house:
        yield house


def test_a_fault_is_felt_by_users_until_it_is_stopped(house: House) -> None:
    begun = house.run("start", "errors-leaf", "--intensity", "1")
    felt = house.run("check", "errors-leaf")
    told_then = house.street.call("user", "POST", "/simulate/error?endpoint=/x&rate=0").value
    stopped = [house.run("stop", "errors-leaf") for _ in range(2)]

    assert (begun, felt, stopped) == (0, 0, [0, 0])
    assert told_then["error_rate"] == {"/user": 1.0}
    assert house.street.call("user", "GET", "/user/7").status == 200
    assert list((house.home / "breaks").iterdir()) == []


def test_buyers_are_charged_wrongly_and_nothing_fails_until_it_is_stopped(tmp_path: Path) -> None:
    with open_house(tmp_path, "gateway", "payment") as house:
        url = f"http://127.0.0.1:{directory.read(tmp_path).services['gateway'].port}"
        begun = house.run("start", "wrong-answers", "--intensity", "1")
        during = house.street.call("gateway", "POST", "/checkout/7"), users.cents(url, 7)
        felt = house.run("check", "wrong-answers")
        stopped = house.run("stop", "wrong-answers")

        assert (begun, felt, stopped) == (0, 0, 0)
        assert (during[0].status, during[0].value["paid"], during[1]) == (200, True, 0)
        assert users.cents(url, 7) == PRICE_CENTS
        assert not users.are_charged_wrongly(url, PRICE_CENTS, 0.0)


def test_a_purchase_that_fails_is_not_charged_wrongly(house: House) -> None:
    url = directory.read(house.home).gateway or ""
    house.street.call("payment", "POST", "/simulate/error?endpoint=/payment&rate=1")

    assert users.cents(url, 7) is None
    assert not users.are_charged_wrongly(url, PRICE_CENTS, 0.0)


def test_what_does_not_run_cannot_be_looked_at(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert house.run("check", "quiet") == 1
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

    assert house.run("start", "quiet") == 1
    assert "quiet runs already; stop it" in capsys.readouterr().err


def test_what_begins_only_half_is_undone_at_once(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = {n: at.port for n, at in directory.read(house.home).services.items()}
    told(house.home, {**ports, "inventory": ports["user"], "payment": 1})

    begun = house.run("start", "two-at-once", "--intensity", "0")

    assert begun == 1
    assert "payment cannot be told" in capsys.readouterr().err
    assert house.street.call("user", "POST", "/simulate/delay?endpoint=/x&duration=0").value == {
        "delay_s": {},
        "error_rate": {},
        "wrong_rate": {},
    }
    assert record.names(house.home) == []


def test_a_means_that_is_missing_is_named_with_a_status_of_its_own(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert house.run("start", "cache-slow") == 3
    assert "cache-slow: this needs a shop that runs redis" in capsys.readouterr().err
    assert house.run("stop", "cache-slow") == 0


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
