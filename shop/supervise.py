"""All processes of a shop under supervisord, started and stopped together."""

from __future__ import annotations

import ctypes
import getpass
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from shop import directory
from shop.control import LONGEST, SOCKET
from shop.plan import Plan, answers, free_ports, write
from shop.stores import Program, prepared

READY_S = 60.0
STOP_S = 20.0
ROOT = Path(__file__).parents[1]
LOAD, HOST = "load", "host"
_SET_PDEATHSIG = 1


class NotReady(Exception):
    """A service did not come up."""


def configuration(plan: Plan, stores: Sequence[Program] = ()) -> str:
    """supervisord's, for all there is to run; it listens at a socket in its folder alone."""
    folder = plan.folder.replace("%", "%%")
    plan_file = f"{folder}/plan.json"
    commands = {name: f"-m shop.skew shop.serve {name} {plan_file}" for name in plan.ports}
    if plan.load:
        commands[LOAD] = f"-m shop.load {plan_file}"
    if plan.watchkeeper:
        commands[HOST] = f"-m shop.host {plan_file}"
    ours = [Program(name, f"{sys.executable} {one}", ROOT) for name, one in commands.items()]
    parts = [
        f"[unix_http_server]\nfile={folder}/{SOCKET}\nchmod=0700\n",
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
        "[supervisord]\nnodaemon=true\n"
        f"user={getpass.getuser()}\nlogfile={folder}/supervisord.log\n"
        f"pidfile={folder}/supervisord.pid\nchildlogdir={folder}\n",
    ]
    # The members of a group are stopped at once; the group that was started first, last.
    for priority, (group, members) in enumerate({"stores": stores, "services": ours}.items()):
        if members:
            names = ",".join(one.name for one in members)
            parts.append(f"[group:{group}]\nprograms={names}\npriority={priority}\n")
    return "\n".join([*parts, *(_section(one, folder) for one in (*stores, *ours))])


def _section(program: Program, folder: str) -> str:
    """Servers of stores end their children in order themselves."""
    user = f"user={program.user}\n" if program.user else ""
    asgroup = "true" if program.folder == ROOT else "false"
    command, place = (str(one).replace("%", "%%") for one in (program.command, program.folder))
    return (
        f"[program:{program.name}]\ncommand={command}\ndirectory={place}\n{user}"
        f"autorestart=true\nstartsecs=0\nstopsignal={program.stop}\nstopwaitsecs=5\n"
        f"stopasgroup={asgroup}\nkillasgroup=true\n"
        f"redirect_stderr=true\nstdout_logfile={folder}/{program.name}.log\n"
        "stdout_logfile_maxbytes=10MB\nstdout_logfile_backups=1\n"
    )


@contextmanager
def running(
    names: Sequence[str], wanted: Plan | None = None, stores: Sequence[str] = ()
) -> Iterator[Plan]:
    """A shop that answers, with these servers beside it; when the block ends, no process of it is
    left, and its home only if it was given."""
    wanted = wanted or Plan()
    with ExitStack() as stack:
        home = stack.enter_context(_home(wanted.folder))
        found = free_ports((*names, *stores), wanted.host)
        plan = msgspec.structs.replace(
            wanted,
            folder=str(home),
            ports={name: found[name] for name in names},
            stores={name: found[name] for name in stores},
        )
        write(plan, home / "plan.json")
        programs = stack.enter_context(prepared(plan))
        (home / "supervisord.conf").write_text(configuration(plan, programs))
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", home / "supervisord.conf"],
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


@contextmanager
def _home(given: str) -> Iterator[Path]:
    if not given:
        with tempfile.TemporaryDirectory(prefix="watchkeeper-shop-") as made:
            Path(made).chmod(0o711)  # a database that is of another account passes through it
            yield Path(made)
        return
    home = Path(given).resolve()
    if len(os.fsencode(home / SOCKET)) > LONGEST:
        raise NotReady(f"{home} is too long for the path of a socket; give a shorter home")
    home.mkdir(parents=True, exist_ok=True)
    try:
        found = directory.read(home)
    except directory.NotRunning:
        yield home
        return
    raise NotReady(f"a shop runs in {home} as process {found.pid}; stop it, or give another home")


def _end_with_parent() -> None:
    """Linux sends SIGTERM to a supervisor whose starter is gone, even if that was killed."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_SET_PDEATHSIG, signal.SIGTERM)


def _wait(plan: Plan, supervisor: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_S
    for name, port in plan.ports.items():
        while not answers(port, plan.host):
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
        started = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text()
        for group in (supervisor.pid, *map(int, started.split())):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        supervisor.wait()
