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
