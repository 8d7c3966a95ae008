"""What this process takes of the machine, with the processes that it started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from watchkeeper.telemetry.metrics import counter, gauge

_CPU: Final = counter(
    "watchkeeper_telemetry_cpu_seconds_total", "CPU time of the process and of those it started."
)
_RESIDENT: Final = gauge(
    "watchkeeper_telemetry_resident_bytes",
    "Memory that the process and those it started hold; what they share counts in each.",
)
_TIMES: Final = slice(11, 15)
"""utime, stime, cutime and cstime of /proc/<pid>/stat, counted from behind the command's name."""


def measure_usage() -> None:
    """Bring both up to date. Without /proc, CPU is that of this process, and memory stays 0."""
    cpu_s, resident = 0.0, 0
    for pid in _tree(os.getpid()):
        spent_s, held = _taken(pid)
        cpu_s, resident = cpu_s + spent_s, resident + held
    if not cpu_s:
        cpu_s = sum(os.times()[:4])
    _CPU.add(max(0.0, cpu_s - _CPU.value()))
    _RESIDENT.set(resident)


def _tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # a thread that has just ended
    return found


def _taken(pid: int) -> tuple[float, int]:
    """CPU seconds, those of its ended children included, and resident bytes."""
    place = Path(f"/proc/{pid}")
    try:
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        pages = int((place / "statm").read_text().split()[1])
    except OSError:  # it has just ended, and its parent has its time
        return 0.0, 0
    ticks = sum(map(int, fields[_TIMES]))
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")
