"""A shop of real processes to break, and the look for what is left of a fault."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

from shop import directory
from shop.breaks import groups, record
from shop.breaks.processes import ROOT, agents
from shop.control import pids
from shop.plan import Plan
from shop.supervise import running


@contextmanager
def open_shop(home: Path, names: Sequence[str], stores: Sequence[str] = ()) -> Iterator[Path]:
    """With `shop.json` as fresh as a shop keeps it; without buyers."""
    with running(names, Plan(folder=str(home), load=False), stores) as plan:
        file, closed = home / directory.FILE, threading.Event()

        def tell() -> None:
            while not closed.wait(0.3):
                directory.write(directory.of(plan, pids(home)), file)

        directory.write(directory.of(plan, pids(home)), file)
        telling = threading.Thread(target=tell)
        telling.start()
        try:
            yield home
        finally:
            closed.set()
            telling.join()
            file.unlink()


def left_of(home: Path, name: str) -> list[str]:
    """Files, processes, namespaces and groups of a fault, and services that stand still, which are
    to be none after its end."""
    file = record.file_of(home, name)
    found = [str(one) for one in file.parent.glob(f"{name}*")]
    found += [f"process {pid}" for pid, _ in agents(file)]
    found += [str(one) for one in directory.NAMESPACES.glob(f"{groups.PREFIX}*")]
    found += [str(one) for one in groups.ROOT.glob(f"**/{groups.PREFIX}{name}-*")]
    stood = (name for name, pid in pids(home).items() if _stands(pid))
    return found + [f"{name} stands still" for name in stood]


def _stands(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


def interrupted(home: Path, name: str, number: int, after_s: float) -> int:
    """The status of a `start` that got that signal so long after it had begun to do anything."""
    command = [sys.executable, "-m", "shop.breaks", "start", name, "--home", str(home)]
    file = record.file_of(home, name)
    with subprocess.Popen([*command, "--intensity", "1"], cwd=ROOT, stderr=PIPE) as process:
        while not file.exists() and not _ended(process, 0.005):
            continue
        if not _ended(process, after_s):
            process.send_signal(number)
        process.communicate()
    return process.returncode


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True
