"""Servers under measurement: started pinned to one core, paused between turns, stopped by pid."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from bench import client

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 120.0
QUIET_FRACTION = 0.03
"""A server that uses less than this of a core is at rest."""
QUIET_S = 0.75
MAX_SETTLE_S = 15.0
PORTS = range(12_000, 32_000)
"""Below those that outgoing connections get."""
_ports = itertools.cycle(PORTS[(os.getpid() * 997 + i) % len(PORTS)] for i in range(len(PORTS)))
"""Each process begins somewhere else."""


class Unmeasurable(Exception):
    """The suite cannot run on this machine; the message says what to install or change."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to start a server."""

    name: str
    command: Sequence[str]
    port: int
    ready_path: str
    environment: Mapping[str, str]


def cores() -> tuple[set[int], set[int]]:
    """The core for servers and those for the client; the same one where there is but one."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[0]}, set(mine[1:]) or {mine[0]}


def free_port() -> int:
    """One that nobody has, and that the system gives to no connection while its server starts."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((client.HOST, port))
            return port
    raise AssertionError("a cycle has no end")


def binary(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unmeasurable(f"{name} is not installed: apt-get install {package}")
    return found


def version(package: str) -> str:
    """Of the package as it is installed; binaries of distributions often do not know theirs."""
    query = [binary("dpkg-query", "dpkg"), "-W", "-f", "${Package} ${Version}", package]
    told = subprocess.run(query, capture_output=True, text=True, check=False)
    return told.stdout or f"{package} (not from a package)"


def victoria_metrics(folder: Path) -> Recipe:
    port = free_port()
    command = [
        binary("victoria-metrics", "victoria-metrics"),
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr={client.HOST}:{port}",
        "-retentionPeriod=3",  # months; the default of one could drop a run near its border
        "-search.maxQueryDuration=5m",  # reading everything back is one large query
    ]
    return Recipe("victoria-metrics", command, port, "/health", {})


def prometheus(folder: Path) -> Recipe:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "prometheus.yml"
    settings.write_text("global: {}\n")
    command = [
        binary("prometheus", "prometheus"),
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={client.HOST}:{port}",
        "--web.enable-remote-write-receiver",
        "--log.level=warn",
    ]
    return Recipe("prometheus", command, port, "/-/ready", {})


def watchkeeper(
    folder: Path, settings: Mapping[str, Any] | None = None, *, name: str = "watchkeeper"
) -> Recipe:
    """Ourselves, by the same command an operator uses."""
    port, given = free_port(), dict(settings or {})
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "watchkeeper.yaml"
    whole: dict[str, object] = {
        "data_dir": str(folder / "data"),
        "server": {"host": client.HOST, "port": port, **given.pop("server", {})},
        **given,
    }
    file.write_text(yaml.safe_dump(whole))
    command = [sys.executable, "-m", "watchkeeper", "run", "--config", str(file)]
    return Recipe(name, command, port, "/health", {})


class Server:
    """A running server. Leaving the `with` block stops it, whatever happened inside."""

    def __init__(self, recipe: Recipe, folder: Path, *, core: set[int] | None) -> None:
        self.name = recipe.name
        self.port = recipe.port
        self.paused = False
        self._recipe = recipe
        self._core = core
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"{recipe.name}.log"
        self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = list(self._recipe.command)
        if self._core is not None:
            # taskset execs the server: same pid, and every thread of it inherits the core.
            cpus = ",".join(map(str, sorted(self._core)))
            command = [binary("taskset", "util-linux"), "-c", cpus, *command]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._recipe.environment},
            )

    def restart(self) -> None:
        """Stop gracefully, and go on in the same place."""
        self.stop()
        self._process = self._spawn()
        self.wait_ready()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> Self:
        if not client.wait_until(self._answers, timeout_s=timeout_s, every_s=0.02):
            raise Unmeasurable(f"{self.name} was not ready after {timeout_s:g} s: {self.tail()}")
        return self

    def _answers(self) -> bool:
        if not self.running:
            raise Unmeasurable(f"{self.name} ended with {self._process.returncode}: {self.tail()}")
        try:
            client.get(self.port, self._recipe.ready_path)
        except (OSError, client.Refused):
            return False
        return True

    def tail(self, n: int = 2000) -> str:
        """The end of what the server wrote to its log."""
        return self._log.read_text(errors="replace")[-n:]

    def door(self, path: str, headers: Mapping[str, str]) -> client.Door:
        return client.Door(self.port, path, headers)

    def cpu_s(self) -> float:
        """CPU seconds of the process, its threads (also those that ended) and its children."""
        return sum(process_cpu_s(pid) for pid in _tree(self.pid))

    def rss_bytes(self) -> int:
        return sum(rss_bytes(pid) for pid in _tree(self.pid))

    def settle(self, limit_s: float = MAX_SETTLE_S, *, quiet_s: float = QUIET_S) -> float:
        """Wait until the server is at rest for so long; seconds waited."""
        started = time.perf_counter()
        while time.perf_counter() - started < limit_s:
            before = self.cpu_s()
            time.sleep(quiet_s)
            if self.cpu_s() - before < QUIET_FRACTION * quiet_s:
                break
        return time.perf_counter() - started

    def pause(self) -> None:
        """Stop the clockwork: what the server puts off, it does in its own next turn."""
        self._signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self.paused = False

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> float:
        """End gracefully; CPU seconds over the whole life, the end included. Safe twice."""
        if not self.running:
            return 0.0
        if self.paused:
            self.resume()
        self._signal(signal.SIGTERM)
        if not client.wait_until(self._ended, timeout_s=STOP_TIMEOUT_S):
            self.kill()
            raise Unmeasurable(f"{self.name} did not stop in {STOP_TIMEOUT_S:g} s: {self.tail()}")
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime

    def _ended(self) -> bool:
        """Ended, but not yet waited for, so that its usage can still be read."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _signal(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()
            return
        if self.running:
            self.kill()


def process_cpu_s(pid: int) -> float:
    """The process' CPU clock, to the nanosecond, with what its reaped children had used."""
    clock = (~pid) << 3 | 2  # clock_getcpuclockid(3): the scheduler's clock of another process
    try:
        own = time.clock_gettime(clock)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0  # ended between two looks; then its parent counts it as reaped
    reaped = int(fields[13]) + int(fields[14])
    return own + reaped / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    out = [pid]
    for parent in out:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                out += [int(child) for child in children.read_text().split()]
            except OSError:
                continue  # a thread that has just ended
    return out


def rss_bytes(pid: int | None = None) -> int:
    """Resident bytes of a process; of this one unless told."""
    try:
        resident = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1])
    except OSError:
        return 0
    return resident * os.sysconf("SC_PAGE_SIZE")
