"""What the shop's processes and its machine use, told every second: `python -m shop.host PLAN`.

Names are OpenTelemetry's for processes and systems, written as Prometheus writes them.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from shop.control import NoAnswer, pids
from shop.instrument import ENVIRONMENT
from shop.plan import Plan, read
from shop.services import THIRD_PARTIES
from watchkeeper.errors import Permanent, Retryable
from watchkeeper.sdk.client import Client
from watchkeeper.sdk.retry import Retry
from watchkeeper.sdk.series import Sample

PROC = Path("/proc")
EVERY_S = 1.0
TIMEOUT_S = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CORES = os.cpu_count() or 1
_STATES = {"used": None, "free": "MemFree", "cached": "Cached", "buffers": "Buffers"}


class Usage(NamedTuple):
    """Of a process and those that it started."""

    cpu_s: float = 0.0
    memory: int = 0
    virtual: int = 0
    n_threads: int = 0
    n_files: int = 0

    def plus(self, other: Usage) -> Usage:
        return Usage(
            self.cpu_s + other.cpu_s,
            self.memory + other.memory,
            self.virtual + other.virtual,
            self.n_threads + other.n_threads,
            self.n_files + other.n_files,
        )


class Machine(NamedTuple):
    busy_s: float
    memory: Mapping[str, int]
    """Bytes by their state, which together are all."""
    n_processes: int
    n_threads: int
    n_files: int


def usage(pid: int, proc: Path = PROC) -> Usage | None:
    """None where it is gone."""
    try:
        total = _of(proc / str(pid))
    except (OSError, ValueError):
        return None
    for child in _children(pid, proc):
        with suppress(OSError, ValueError):
            total = total.plus(_of(proc / str(child)))
    return total


def machine(proc: Path = PROC) -> Machine:
    busy = [int(part) for part in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = busy[3] + busy[4]
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    known = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}
    memory = {state: known[name] for state, name in _STATES.items() if name is not None}
    memory["used"] = known["MemTotal"] - sum(memory.values())
    threads = (proc / "loadavg").read_text().split()[3].split("/")[1]
    return Machine(
        busy_s=(sum(busy) - idle) / _TICKS,
        memory=memory,
        n_processes=sum(one.name.isdecimal() for one in proc.iterdir()),
        n_threads=int(threads),
        n_files=int((proc / "sys/fs/file-nr").read_text().split()[0]),
    )


class Watcher:
    """Two looks make a share of time."""

    def __init__(self, plan: Plan, proc: Path = PROC) -> None:
        self._plan, self._proc = plan, proc
        self._host = {"host_name": socket.gethostname(), "environment": ENVIRONMENT}
        self._before: dict[str, tuple[int, float, float]] = {}

    def look(self, running: Mapping[str, int], now_s: float) -> list[Sample]:
        """Everything that is known by now of whoever runs now."""
        found = list(self._machine(now_s))
        ports = {**self._plan.ports, **self._plan.stores}
        for name, port in ports.items():
            pid = running.get(name)
            used = None if pid is None or name in THIRD_PARTIES else usage(pid, self._proc)
            if pid is not None and used is not None:
                labels = {
                    **self._host, "service": name, "instance": f"{self._plan.host}:{port}"
                }  # fmt: skip
                found += self._process((name, pid), used, labels, now_s)
        return found

    def _process(
        self, which: tuple[str, int], used: Usage, labels: Mapping[str, str], now_s: float
    ) -> Iterator[Sample]:
        share = self._share(*which, used.cpu_s, now_s)
        if share is not None:
            yield Sample("process_cpu_utilization_ratio", share, now_s, labels)
        yield Sample("process_memory_usage_bytes", used.memory, now_s, labels)
        yield Sample("process_memory_virtual_bytes", used.virtual, now_s, labels)
        yield Sample("process_thread_count", used.n_threads, now_s, labels)
        yield Sample("process_unix_file_descriptor_count", used.n_files, now_s, labels)

    def _machine(self, now_s: float) -> Iterator[Sample]:
        seen = machine(self._proc)
        share = self._share("", 0, seen.busy_s, now_s)
        if share is not None:
            yield Sample("system_cpu_utilization_ratio", share, now_s, self._host)
        total = sum(seen.memory.values())
        for state, size in seen.memory.items():
            labels = {**self._host, "system_memory_state": state}
            yield Sample("system_memory_usage_bytes", size, now_s, labels)
            yield Sample("system_memory_utilization_ratio", size / total, now_s, labels)
        yield Sample("system_process_count", seen.n_processes, now_s, self._host)
        yield Sample("system_thread_count", seen.n_threads, now_s, self._host)
        yield Sample("system_file_descriptor_count", seen.n_files, now_s, self._host)

    def _share(self, name: str, pid: int, cpu_s: float, now_s: float) -> float | None:
        """Of all cores since the last look; None for whoever was not there then."""
        before = self._before.get(name)
        self._before[name] = pid, cpu_s, now_s
        if before is None or before[0] != pid or now_s <= before[2]:
            return None
        return max(0.0, cpu_s - before[1]) / (now_s - before[2]) / _CORES


def _of(folder: Path) -> Usage:
    """A name may hold blanks and brackets; what follows the last one does not."""
    told = (folder / "stat").read_text().rpartition(")")[2].split()
    return Usage(
        cpu_s=(int(told[11]) + int(told[12])) / _TICKS,
        memory=int(told[21]) * _PAGE,
        virtual=int(told[20]),
        n_threads=int(told[17]),
        n_files=sum(1 for _ in (folder / "fd").iterdir()),
    )


def _children(pid: int, proc: Path) -> list[int]:
    try:
        return [int(one) for one in (proc / f"{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def main(plan_file: str) -> None:
    plan = read(Path(plan_file))
    watcher = Watcher(plan)
    said = ""
    with Client(plan.watchkeeper, retry=Retry(attempts=1, timeout_s=TIMEOUT_S)) as client:
        while True:
            time.sleep(EVERY_S - time.time() % EVERY_S)
            try:
                client.send(watcher.look(pids(Path(plan.folder)), time.time()))
                why = ""
            except (NoAnswer, Retryable, Permanent) as error:
                why = str(error)
            if why and why != said:
                print(f"this second is not told: {why}", flush=True)
            said = why


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(0)
