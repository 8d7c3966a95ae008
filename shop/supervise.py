"""All processes of a shop under supervisord, started and stopped together."""

from __future__ import annotations

import ctypes
import getpass
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shop.plan import Plan, answers, free_ports, write

READY_S = 60.0
STOP_S = 20.0
ROOT = Path(__file__).parents[1]
LOAD = "load"
_SET_PDEATHSIG = 1


class NotReady(Exception):
    """A service did not come up."""


def configuration(plan: Plan, names: Sequence[str], *, load: bool) -> str:
    """supervisord's, for so many services; nothing of it listens anywhere."""
    folder = Path(plan.folder)
    plan_file = folder / "plan.json"
    programs = {name: f"-m shop.serve {name} {plan_file}" for name in names}
    if load:
        programs[LOAD] = f"-m shop.load {plan_file}"
    parts = [
        "[supervisord]\nnodaemon=true\n"
        f"user={getpass.getuser()}\nlogfile={folder}/supervisord.log\n"
        f"pidfile={folder}/supervisord.pid\nchildlogdir={folder}\n"
    ]
    for name, arguments in programs.items():
        parts.append(
            f"[program:{name}]\ncommand={sys.executable} {arguments}\ndirectory={ROOT}\n"
            "autorestart=true\nstartsecs=0\nstopwaitsecs=5\nstopasgroup=true\nkillasgroup=true\n"
            f"redirect_stderr=true\nstdout_logfile={folder}/{name}.log\n"
            "stdout_logfile_maxbytes=10MB\nstdout_logfile_backups=1\n"
        )
    return "\n".join(parts)


@contextmanager
def running(
    names: Sequence[str], *, watchkeeper: str = "", per_s: float = 2.0, load: bool = True
) -> Iterator[Plan]:
    """A shop that answers; when the block ends, nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeeper-shop-"))
    try:
        plan = Plan(
            folder=str(folder), ports=free_ports(names), watchkeeper=watchkeeper, per_s=per_s
        )
        write(plan, folder / "plan.json")
        (folder / "supervisord.conf").write_text(configuration(plan, names, load=load))
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", folder / "supervisord.conf"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us: we stop it ...
            preexec_fn=_end_with_parent,  # ... and where we cannot any more, the system does
        )
        try:
            _wait(plan, supervisor)
            yield plan
        finally:
            _stop(supervisor)
    finally:
        shutil.rmtree(folder)


def _end_with_parent() -> None:
    """Linux sends SIGTERM to a supervisor whose starter is gone, even if that was killed."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_SET_PDEATHSIG, signal.SIGTERM)


def _wait(plan: Plan, supervisor: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_S
    for name, port in plan.ports.items():
        while not answers(port):
            if time.monotonic() > until or supervisor.poll() is not None:
                log = Path(plan.folder) / f"{name}.log"
                said = log.read_text()[-2000:] if log.exists() else "nothing"
                raise NotReady(f"{name} does not answer at {port}; it said: {said}")
            time.sleep(0.1)


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    """It stops what it started, the stubborn by force; then it ends."""
    if supervisor.poll() is None:
        supervisor.send_signal(signal.SIGTERM)
    try:
        supervisor.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
