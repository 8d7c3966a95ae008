"""What the shop's processes and its machine use, as `/proc` says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("flask")
pytest.importorskip("supervisor")

from shop.host import Machine, Usage, Watcher, machine, usage
from shop.plan import Plan

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CORES = os.cpu_count() or 1
MEMINFO = """MemTotal:  1000 kB
MemFree:    300 kB
MemAvailable: 500 kB
Buffers:     50 kB
Cached:     150 kB
"""


def process(proc: Path, pid: int, seconds: int, children: str = "") -> None:
    """As the kernel writes it: fields 14, 15, 20, 23 and 24 are what counts."""
    fields = ["0"] * 50
    fields[11] = fields[12] = str(seconds * TICKS // 2)
    fields[17], fields[20], fields[21] = "3", "4096", "7"
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True, exist_ok=True)
    (folder / "stat").write_text(f"{pid} (a (b) c) " + " ".join(fields))
    for name in ("0", "1"):
        (folder / "fd" / name).touch()
    (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
    (folder / "task" / str(pid) / "children").write_text(children)


def a_machine(proc: Path, busy_s: int) -> None:
    ticks = busy_s * TICKS // 2
    (proc / "stat").write_text(f"cpu  {ticks} 0 {ticks} 900 100 0 0 0 0 0\ncpu0 1 1 1 1\n")
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "loadavg").write_text("0.10 0.20 0.30 2/345 6789\n")
    (proc / "sys" / "fs").mkdir(parents=True, exist_ok=True)
    (proc / "sys" / "fs" / "file-nr").write_text("1024\t0\t99999\n")


def test_a_process_is_told_with_those_that_it_started(tmp_path: Path) -> None:
    process(tmp_path, 7, 10, children="8 9 ")
    process(tmp_path, 8, 4)

    found = usage(7, tmp_path)

    assert found == Usage(14.0, 14 * PAGE, 8192, n_threads=6, n_files=4)
    assert usage(8, tmp_path) == Usage(4.0, 7 * PAGE, 4096, n_threads=3, n_files=2)
    assert usage(9, tmp_path) is None


def test_a_machine_is_told(tmp_path: Path) -> None:
    a_machine(tmp_path, busy_s=20)
    process(tmp_path, 7, 1)

    memory = {"free": 300 << 10, "cached": 150 << 10, "buffers": 50 << 10, "used": 500 << 10}
    assert machine(tmp_path) == Machine(20.0, memory, n_processes=1, n_threads=345, n_files=1024)


def test_shares_of_time_are_known_from_the_second_look_on(tmp_path: Path) -> None:
    plan = Plan(ports={"payment": 8001, "bank": 8002, "cart": 8003}, stores={"redis": 8004})
    watcher = Watcher(plan, tmp_path)
    running = {"payment": 7, "bank": 8, "redis": 9, "load": 10}

    def look(seconds: int, now_s: float) -> dict[tuple[str, str], float]:
        a_machine(tmp_path, seconds)
        for pid in running.values():
            process(tmp_path, pid, seconds)
        found = watcher.look(running, now_s)
        return {(one.labels.get("service", ""), one.name): one.value for one in found}

    first, second = look(10, 100.0), look(12, 104.0)

    ratio = "process_cpu_utilization_ratio"
    assert ("payment", ratio) not in first
    assert second["payment", ratio] == second["redis", ratio] == pytest.approx(0.5 / CORES)
    assert second["", "system_cpu_utilization_ratio"] == pytest.approx(0.5 / CORES)
    assert second["payment", "process_memory_usage_bytes"] == 7 * PAGE
    assert {service for service, _ in second} == {"", "payment", "redis"}


def test_a_process_that_began_anew_has_no_share_yet(tmp_path: Path) -> None:
    watcher = Watcher(Plan(ports={"payment": 8001}), tmp_path)
    a_machine(tmp_path, 1)
    process(tmp_path, 7, 100)
    process(tmp_path, 8, 1)

    watcher.look({"payment": 7}, 1.0)
    names = {one.name for one in watcher.look({"payment": 8}, 2.0)}

    assert "process_thread_count" in names
    assert "process_cpu_utilization_ratio" not in names


def test_series_say_of_whom_they_speak(tmp_path: Path) -> None:
    a_machine(tmp_path, 1)
    process(tmp_path, 7, 1)

    watcher = Watcher(Plan(ports={"payment": 8001}, host="10.1.2.3"), tmp_path)
    found = watcher.look({"payment": 7}, 1.0)
    labels = next(one.labels for one in found if one.name == "process_thread_count")

    assert (labels["service"], labels["instance"]) == ("payment", "10.1.2.3:8001")
    assert labels["environment"] == "shop"
