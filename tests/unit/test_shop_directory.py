"""What a shop tells of itself in `shop.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

pytest.importorskip("supervisor")

from shop import directory
from shop.directory import NotRunning
from shop.plan import Plan
from shop.supervise import NotReady, running

PLAN = Plan(
    folder="/tmp/x",
    ports={"gateway": 8001, "payment": 8002},
    stores={"postgresql": 8003},
    host="10.1.2.3",
)


def test_where_everything_is_stands_in_a_file_while_the_shop_runs(tmp_path: Path) -> None:
    with directory.kept(tmp_path) as file:
        directory.write(directory.of(PLAN, {"payment": 7}), file)
        told = json.loads((tmp_path / "shop.json").read_bytes())

    assert told == {
        "pid": os.getpid(),
        "services": {
            "gateway": {"port": 8001, "pid": None, "host": "10.1.2.3"},
            "payment": {"port": 8002, "pid": 7, "host": "10.1.2.3"},
        },
        "gateway": "http://10.1.2.3:8001",
        "database": "postgresql",
        "cache": "memory",
        "stores": {"postgresql": {"port": 8003, "pid": None, "host": "10.1.2.3"}},
        "namespace": directory.namespace(),
        "cgroup": None,
        "watchkeeper": None,
        "instrument": "sdk",
    }
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_shop_is_left_where_it_is(tmp_path: Path) -> None:
    other = replace(directory.of(PLAN, {}), pid=os.getppid())

    with directory.kept(tmp_path) as file:
        directory.write(other, file)

    assert directory.read(tmp_path) == other


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = replace(PLAN, stores={"redis": 1}, watchkeeper="http://x:1", instrument="otel")
    told = directory.of(plan, {"gateway": 1, "redis": 2})

    directory.write(told, tmp_path / "shop.json")

    assert directory.read(tmp_path) == told
    assert (told.database, told.cache) == ("sqlite", "redis")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no shop runs in"),
        (b"{}", "is none of ours"),
        (b"half", "is none of ours"),
        (json.dumps({"pid": 1 << 30, "services": {}, "gateway": None, "database": "", "cache": ""})
         .encode(), "has ended"),
    ],
)  # fmt: skip
def test_where_no_shop_runs_it_is_told_why(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "shop.json").write_bytes(content)

    with pytest.raises(NotRunning, match=why):
        directory.read(tmp_path)


def test_the_namespace_is_the_one_of_the_same_file(tmp_path: Path) -> None:
    own, names = tmp_path / "own", tmp_path / "names"
    names.mkdir()
    own.touch()
    (names / "other").touch()

    before = directory.namespace(names, own)
    (names / "shop").hardlink_to(own)

    assert (before, directory.namespace(names, own)) == (None, "shop")
    assert directory.namespace(tmp_path / "none", own) is None


def test_two_shops_cannot_live_in_one_home(tmp_path: Path) -> None:
    directory.write(directory.of(PLAN, {}), tmp_path / "shop.json")

    shop = running(["payment"], Plan(folder=str(tmp_path)))

    with pytest.raises(NotReady, match="stop it, or give another home"):
        shop.__enter__()


def test_a_home_has_to_be_short_enough_for_a_socket(tmp_path: Path) -> None:
    shop = running(["payment"], Plan(folder=str(tmp_path / ("x" * 100))))

    with pytest.raises(NotReady, match="give a shorter home"):
        shop.__enter__()
