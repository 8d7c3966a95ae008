"""Versions of the shop's services: made, deployed, rolled back, and told."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask")
pytest.importorskip("supervisor")

from shop import directory, release, releases
from shop.cache import Memory
from shop.database import Sqlite
from shop.faults import Faults
from shop.plan import Plan
from shop.releases import FIRST, KEPT, BadRelease, Release
from shop.services import Answer, Place, build
from tests.listening import listening


def client_of(running: Release, folder: Path, waited: list[float] | None = None) -> Any:
    """A service as that release."""

    def nobody(service: str, method: str, path: str) -> Answer:
        raise AssertionError(f"{service} was asked {method} {path}")

    faults = Faults(random.Random(1))
    wait = (waited if waited is not None else []).append
    place = Place(nobody, Sqlite(folder / "shop.db"), Memory(), faults, wait, running)
    return build("shipping", place).test_client()


def test_what_is_other_in_a_version_is_read_from_a_command_line() -> None:
    made = releases.made("v2", ["delay_ms=400", "error_rate=0.5", "pool=1", "threads=2"])

    assert made == Release("v2", delay_ms=400.0, error_rate=0.5, pool=1, threads=2)
    assert (made.timeout_s, FIRST.version) == (10.0, "v1.0.0")


@pytest.mark.parametrize(
    ("version", "setting", "why"),
    [
        ("v2", "delay", "write NAME=VALUE with one of delay_ms, error_rate, threads"),
        ("v2", "speed=1", "'speed=1' sets nothing"),
        ("v2", "version=v3", "'version=v3' sets nothing"),
        ("v2", "pool=0", "v2: .*>= 1"),
        ("v2", "pool=many", "v2: Expected `int`"),
        ("v2", "error_rate=1.5", "v2: .*<= 1"),
        ("", "pool=1", "length"),
    ],
)
def test_a_version_that_cannot_be_is_told(version: str, setting: str, why: str) -> None:
    with pytest.raises(BadRelease, match=why):
        releases.made(version, [setting])


def test_a_version_runs_until_it_is_rolled_back(tmp_path: Path) -> None:
    second, third = Release("v2", pool=1), Release("v3")
    releases.deploy(tmp_path, "payment", second)
    releases.deploy(tmp_path, "payment", third)

    deployed = releases.current(tmp_path, "payment")
    back = [releases.rollback(tmp_path, "payment") for _ in range(2)]

    assert (deployed, back) == (third, [second, FIRST])
    assert releases.current(tmp_path, "payment") == FIRST
    assert releases.current(tmp_path, "cart") == FIRST


def test_before_the_first_version_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadRelease, match=r"payment has no version before v1\.0\.0 to go back to"):
        releases.rollback(tmp_path, "payment")


def test_versions_are_kept_so_many_back(tmp_path: Path) -> None:
    for k in range(KEPT + 5):
        releases.deploy(tmp_path, "payment", Release(f"v{k}"))

    found = releases.history(tmp_path, "payment")

    assert [one.version for one in found] == [f"v{k}" for k in range(5, KEPT + 5)]


def test_a_version_is_slower_for_every_answer_but_that_of_its_health(tmp_path: Path) -> None:
    waited: list[float] = []
    client = client_of(Release("v2", delay_ms=250), tmp_path, waited)

    client.post("/shipping/7")
    client.delete("/simulate")
    client.post("/shipping/7")
    well = client.get("/health")

    assert waited == [0.25, 0.25]
    assert well.get_json()["version"] == "v2"


def test_a_version_fails_as_often_as_it_does(tmp_path: Path) -> None:
    client = client_of(Release("v2", error_rate=0.5), tmp_path)

    statuses = [client.post("/shipping/7").status_code for _ in range(40)]

    assert set(statuses) == {200, 500}
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("what", [["deploy", "payment", "v2"], ["rollback", "payment"]])
def test_where_no_shop_runs_nothing_is_deployed(
    tmp_path: Path, what: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status = release.main([*what, "--home", str(tmp_path)])

    assert status == 1
    assert "no shop runs in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (["deploy", "till", "v2"], "no service is called 'till': payment"),
        (["deploy", "payment", "v2", "--set", "pool=0"], "v2: "),
        (["rollback", "payment"], "no version before"),
    ],
)
def test_what_cannot_be_deployed_is_told_and_changes_nothing(
    tmp_path: Path, what: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(folder=str(tmp_path), ports={"payment": 1})
    directory.write(directory.of(plan, {}), tmp_path / directory.FILE)

    status = release.main([*what, "--home", str(tmp_path)])

    assert status == 1
    assert why in capsys.readouterr().err
    assert releases.current(tmp_path, "payment") == FIRST


@pytest.mark.parametrize("status", [200, 503])
def test_a_deployment_is_told_where_the_shop_is_watched(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    event = {"service": "payment", "version": "v2"}

    with listening(status) as (url, came):
        release.tell(directory.of(Plan(watchkeeper=url + "/"), {}), event)
    release.tell(directory.of(Plan(), {}), event)

    assert [(path, json.loads(body)) for path, body in came] == [("/ingest/deployment", event)]
    assert ("it was not told to" in capsys.readouterr().err) == (status == 503)
