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

from shop.plan import Plan, answers
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


def test_a_service_comes_again_after_a_crash_and_nothing_of_a_shop_is_left() -> None:
    with running(["shipping"], Plan(load=False)) as plan:
        (port,) = plan.ports.values()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/shipping/7", method="POST")
        with urllib.request.urlopen(request) as response:
            sent = response.read()
        (crashing,) = [
            pid
            for pid in processes(plan.folder)
            if b"shop.serve" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(crashing, signal.SIGKILL)
        until = time.monotonic() + 60
        while answers(port) is False or crashing in processes(plan.folder):
            assert time.monotonic() < until
            time.sleep(0.1)

    assert b'"parcel":"P7"' in sent
    assert processes(plan.folder) == []
    assert not Path(plan.folder).exists()
