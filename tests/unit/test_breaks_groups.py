"""Control groups of both versions: their limits, and that nothing of them is left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("werkzeug")

from shop.breaks import groups
from shop.breaks.processes import Failed
from tests.house import sleeping


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with sleeping() as process:
        yield process


def test_a_machine_without_a_controller_says_what_is_missing(tmp_path: Path) -> None:
    assert "the controller cpu" in groups.lacks("cpu", tmp_path)
    assert "a writable cgroup for cpu" in groups.lacks("cpu", tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_group_limits_whom_it_holds_and_leaves_nothing(
    sleeper: subprocess.Popen[bytes],
) -> None:
    if missing := groups.lacks("cpu"):
        pytest.skip(missing)
    folder, back = groups.place("cpu", sleeper.pid, f"test-{os.getpid()}")

    groups.make(folder, {"cpu_quota": "5000"})
    groups.enter(folder, sleeper.pid)
    held = (folder / "cgroup.procs").read_text().split()
    groups.remove(folder, back)
    groups.remove(folder, back)

    assert held == [str(sleeper.pid)]
    assert not folder.exists()
    assert str(sleeper.pid) in (back / "cgroup.procs").read_text().split()


def test_a_limit_that_cannot_be_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cgroup"):
        groups.make(tmp_path / "cgroup" / "deep", {"cpu_quota": "5000"})


def is_in(proc: Path, pid: int, lines: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cgroup").write_text(lines)


@pytest.mark.parametrize(
    ("lines", "folder", "back"),
    [
        ("4:cpu,cpuacct:/shop\n0::/\n", "cpu/shop/{}", "cpu/shop"),
        ("4:cpu,cpuacct:/\n0::/\n", "cpu/{}", "cpu"),
    ],
)
def test_a_group_of_version_1_is_below_that_of_its_process(
    lines: str, folder: str, back: str, tmp_path: Path
) -> None:
    root, name = tmp_path / "groups", f"{groups.PREFIX}x"
    (root / "cpu").mkdir(parents=True)
    is_in(tmp_path / "proc", 7, lines)

    found = groups.place("cpu", 7, "x", root, tmp_path / "proc")

    assert found == (root / folder.format(name), root / back)


@pytest.mark.parametrize(
    ("lines", "folder", "back"),
    [("0::/a.slice/shop.service\n", "a.slice/{}", "a.slice/shop.service"), ("0::/\n", "{}", "")],
)
def test_a_group_of_version_2_is_beside_that_of_its_process_which_returns_there(
    lines: str, folder: str, back: str, tmp_path: Path
) -> None:
    root, name = tmp_path / "groups", f"{groups.PREFIX}x"
    root.mkdir()
    is_in(tmp_path / "proc", 7, lines)

    found = groups.place("cpu", 7, "x", root, tmp_path / "proc")

    assert found == (root / folder.format(name), root / back)


def test_the_limits_of_version_2_are_kept_in_files_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "limited"

    groups.make(folder, {"cpu_quota": "5000", "memory": "1048576"})
    groups.enter(folder, 7)

    assert {one.name: one.read_text() for one in folder.iterdir()} == {
        "cpu.max": "5000",
        "memory.max": "1048576",
        "cgroup.procs": "7",
    }


def test_a_process_that_is_in_no_group_is_told(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    is_in(tmp_path / "proc", 7, "3:memory:/\n0::/\n")

    with pytest.raises(Failed, match="process 7 is in no cgroup for cpu"):
        groups.place("cpu", 7, "x", tmp_path, tmp_path / "proc")
