"""Processes: whether it is still the same, and those that do harm for us."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shop.control import NoAnswer, pids

ROOT = Path(__file__).parents[2]
AGENT = "shop.breaks.agent"
END_S = 5.0


class Failed(Exception):
    """A fault could not begin, or not end; the message says what to do."""


def born(pid: int) -> int | None:
    """When it began, in ticks of the system: tells it from a later one of the same number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] == b"Z" else int(fields[19])


def signalled(pid: int, born_at: int, number: int) -> bool:
    """Whether it is still there, and was sent that."""
    if born(pid) != born_at:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def running(home: Path, service: str) -> tuple[int, int] | None:
    """Of a service of the shop: its process and when that began; None while there is none, or the
    supervisor is busy."""
    try:
        pid = pids(home).get(service)
    except NoAnswer:
        return None
    born_at = None if pid is None else born(pid)
    return None if pid is None or born_at is None else (pid, born_at)


def start_agent(file: Path, kind: str, given: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Returns once it does harm, and leaves it alone then: it outlives whoever started it, and ends
    by itself soon after `file` or the shop is gone."""
    command = [sys.executable, "-m", AGENT, str(file), kind, json.dumps(given)]
    for fd in fds:
        os.set_inheritable(fd, True)
    listen, talk = os.pipe()
    try:
        pid = os.posix_spawn(
            sys.executable,
            command,
            {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, talk, 1),
                (os.POSIX_SPAWN_DUP2, talk, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(talk)
    with os.fdopen(listen, errors="replace") as said:
        lines = []
        for line in said:
            if line.strip() == "ready":
                return
            lines.append(line.strip())
    os.waitpid(pid, 0)
    raise Failed(f"{kind}: {lines[-1] if lines else 'it ended without a word'}")


def agents(file: Path) -> list[tuple[int, int]]:
    """All that do harm for that fault, as (pid, born), found by what they were started as."""
    wanted = [AGENT.encode(), os.fsencode(file)]
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                command = (place / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # gone meanwhile
            born_at = born(int(place.name))
            if command[2:4] == wanted and born_at is not None:
                found.append((int(place.name), born_at))
    return found


def stop_agents(file: Path) -> None:
    """All of them have ended when this returns."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = agents(file)
        for pid, born_at in left:
            signalled(pid, born_at, number)
        until = time.monotonic() + END_S
        while any(born(pid) == born_at for pid, born_at in left) and time.monotonic() < until:
            _reap(left)
            time.sleep(0.02)
    if left := agents(file):
        raise Failed(f"processes {[pid for pid, _ in left]} do not end; kill them")


def _reap(children: Sequence[tuple[int, int]]) -> None:
    """Whoever is our own child is gone only when we have asked for it."""
    for pid, _ in children:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
