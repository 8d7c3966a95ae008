"""A service of the shop as a process under its supervisor: it comes, it comes again, it goes."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("supervisor")

from shop import directory, release
from shop.control import pids
from shop.plan import Plan, answers
from shop.stores import chosen
from shop.supervise import running


def processes(folder: str) -> list[int]:
    """Whoever was started with something of that folder."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                command = (place / "cmdline").read_bytes()
            except OSError:
                continue  # gone meanwhile
            if folder.encode() in command:
                found.append(int(place.name))
    return found


def asked(method: str, port: int, path: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request) as response:
        answer: bytes = response.read()
        return answer


def test_a_service_comes_again_after_a_crash_and_as_another_version_and_nothing_is_left() -> None:
    """On PostgreSQL and Redis where they are installed."""
    with running(["inventory"], Plan(load=False), chosen("auto", "auto")) as plan:
        home, port = Path(plan.folder), plan.ports["inventory"]
        directory.write(directory.of(plan, pids(home)), home / directory.FILE)
        for _ in range(2):
            asked("POST", port, "/inventory/7/take")
        crashing = pids(home)["inventory"]
        os.kill(crashing, signal.SIGKILL)
        until = time.monotonic() + 60
        while pids(home).get("inventory", crashing) == crashing or not answers(port):
            assert time.monotonic() < until
            time.sleep(0.1)
        left = [asked("GET", port, "/inventory/7") for _ in range(2)]
        deployed = release.main(["deploy", "inventory", "v2.0.0", "--home", plan.folder])
        well = asked("GET", port, "/health")
        ran = pids(home)

    assert left == [b'{"item":7,"left":999998}\n'] * 2
    assert (deployed, b'"version":"v2.0.0"' in well) == (0, True)
    assert set(ran) == {"inventory", *plan.stores}
    assert [pid for pid in ran.values() if Path(f"/proc/{pid}").exists()] == []
    assert processes(plan.folder) == []
    assert not home.exists()
