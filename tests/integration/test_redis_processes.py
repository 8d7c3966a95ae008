"""Two processes over Redis give what one process gives by itself."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buses import MemoryWorld
from tests.integration.processes import consume, traffic
from watchkeeper.bus.base import SAMPLES

ROOT = Path(__file__).parents[2]
LIMIT_S = 60


def kill(process: subprocess.Popen[str]) -> None:
    """With no chance to put anything in order."""
    process.kill()
    process.wait(LIMIT_S)
    if process.stdout is not None:
        process.stdout.close()


class Processes:
    """Starts them, and ends by number whatever is left."""

    def __init__(self, url: str, folder: Path) -> None:
        self._arguments = [url, f"test-{secrets.token_hex(6)}", str(folder)]
        self._started: list[subprocess.Popen[str]] = []

    def start(self, role: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.integration.processes", role, *self._arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            kill(process)


@pytest.fixture
def processes(redis_url: str, tmp_path: Path) -> Iterator[Processes]:
    started = Processes(redis_url, tmp_path)
    yield started
    started.end()


async def embedded(folder: Path) -> dict[str, str]:
    """What one process computes over its own log."""
    world = MemoryWorld(folder)
    bus = await world.start()
    for group in traffic(world.catalog):
        await bus.publish(SAMPLES, group)
    result = await consume(bus, world.catalog)
    await world.stop()
    return result


def result_of(consumer: subprocess.Popen[str]) -> dict[str, str]:
    output, _ = consumer.communicate(timeout=LIMIT_S)
    assert consumer.returncode == 0
    found: dict[str, str] = json.loads(output.splitlines()[-1])
    return found


def wait_for_progress(consumer: subprocess.Popen[str], n_lines: int) -> None:
    assert consumer.stdout is not None
    for _ in range(n_lines):
        assert consumer.stdout.readline().startswith("at "), "it ended before it was to be killed"


async def test_two_processes_compute_what_one_does(processes: Processes, tmp_path: Path) -> None:
    consumer = processes.start("consume")
    publisher = processes.start("publish")

    assert publisher.wait(LIMIT_S) == 0
    assert result_of(consumer) == await embedded(tmp_path / "alone")


async def test_a_consumer_that_is_killed_again_and_again_computes_the_same(
    processes: Processes, tmp_path: Path
) -> None:
    publisher = processes.start("publish")
    for n_lines in (3, 8, 5):
        consumer = processes.start("consume")
        wait_for_progress(consumer, n_lines)
        kill(consumer)

    last = processes.start("consume")

    assert publisher.wait(LIMIT_S) == 0
    assert result_of(last) == await embedded(tmp_path / "alone")
