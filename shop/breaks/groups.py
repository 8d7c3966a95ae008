"""Control groups: limits on CPU and memory that the system keeps. Version 1 and 2 of them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from shop.breaks.processes import Failed

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
PREFIX = "watchkeeper-breaks-"
PROCESSES = "cgroup.procs"
END_S = 5.0


def lacks(controller: str, root: Path = ROOT) -> str:
    """What keeps this machine from limiting that; empty if nothing does."""
    try:
        parent = root / controller if (root / controller).is_dir() else root
        one = parent / f"{PREFIX}try-{os.getpid()}"
        one.mkdir()
        try:
            files = {file.name for file in one.iterdir()}
        finally:
            one.rmdir()
    except OSError as error:
        return f"a writable cgroup for {controller}: {error}"
    known = {name for pair in _FILES.values() for name in pair.values()}
    if not any(name.startswith(f"{controller}.") for name in files & known):
        return f"the controller {controller} in cgroups below {parent}"
    return ""


class Place(NamedTuple):
    folder: Path
    """Of a group for a process, ..."""
    back: Path
    """... and of the group that the process is in."""


def place(controller: str, pid: int, name: str, root: Path = ROOT, proc: Path = PROC) -> Place:
    """Below the group it is in, or beside it in version 2, where a group that has processes may
    have no others below."""
    for line in (proc / f"{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            back = root / controller / path.lstrip("/")
            return Place(back / (PREFIX + name), back)
        if not controllers and not (root / controller).is_dir():
            back = root / path.lstrip("/")
            return Place((root if back == root else back.parent) / (PREFIX + name), back)
    raise Failed(f"process {pid} is in no cgroup for {controller}")


_FILES = {
    1: {
        "cpu_quota": "cpu.cfs_quota_us",
        "cpu_period": "cpu.cfs_period_us",
        "memory": "memory.limit_in_bytes",
    },
    2: {"cpu_quota": "cpu.max", "memory": "memory.max"},
}


def make(at: Path, limits: Mapping[str, str]) -> None:
    """Raises Failed where a limit cannot be set."""
    try:
        at.mkdir(exist_ok=True)
        version = 1 if (at / "cgroup.clone_children").exists() else 2
        for what, value in limits.items():
            (at / _FILES[version][what]).write_text(value)
    except (OSError, KeyError) as error:
        raise Failed(f"{at}: {error}") from error


def enter(at: Path, pid: int) -> None:
    (at / PROCESSES).write_text(str(pid))


def remove(at: Path, back: Path) -> None:
    """Whoever is in it is where it came from, and nothing of it is left."""
    until = time.monotonic() + END_S
    while at.exists():
        for pid in (at / PROCESSES).read_text().split():
            try:
                enter(back, int(pid))
            except ProcessLookupError:
                continue  # it ended just now
        try:
            at.rmdir()
        except OSError as error:
            if time.monotonic() > until:
                raise Failed(f"{at} cannot be removed: {error}") from error
            time.sleep(0.05)
