"""Two doors over one Redis: what one of them took, the other takes for taken."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.servers import redis_server
from tests.buses import take_all
from tests.integration.doorkeeping import N_BODIES, SERVICES
from tests.integration.ports import catalog, redis_bus
from watchkeeper.bus.base import SAMPLES
from watchkeeper.model.signal import LogBatch, SampleBatch

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
EVERY_LINE = {f"{n} of s{k}": 1 for n in range(0, N_BODIES, 2) for k in range(SERVICES)}
N_SAMPLES = N_BODIES // 2 * SERVICES


class Doors:
    """Starts them, and ends by number whatever is left."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.prefix, self.folder = url, f"test-{secrets.token_hex(6)}", folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.integration.doorkeeping"]
        rest = [self.url, self.prefix, str(self.folder)]
        door = subprocess.Popen([*command, *rest], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._started.append(door)
        return door

    def end(self) -> None:
        for door in self._started:
            door.kill()
            door.communicate(timeout=LIMIT_S)

    async def kept(self) -> tuple[Counter[str], Counter[Any]]:
        """How often each line and each sample is in the log."""
        known = catalog()
        bus = redis_bus(self.url, self.prefix, self.folder, known)
        lines: Counter[str] = Counter()
        samples: Counter[Any] = Counter()
        for delivery in await take_all(bus, SAMPLES):
            if isinstance(one := delivery.record, LogBatch):
                lines.update(one.body.text(row) for row in range(len(one)))
            elif isinstance(one, SampleBatch):
                names = (known.identity[slot].tobytes() for slot in one.slot)
                samples.update(zip(names, one.time_ns.tolist(), one.value.tolist(), strict=True))
        await bus.close()
        return lines, samples


@pytest.fixture
def doors(program: Callable[[str], Path], tmp_path: Path) -> Iterator[Doors]:
    with redis_server(program("redis-server"), tmp_path / "redis") as url:
        some = Doors(url, tmp_path)
        yield some
        some.end()


async def test_a_retry_at_another_door_after_the_first_was_killed_doubles_nothing(
    doors: Doors,
) -> None:
    """The sender does not know what became of its last bodies, and sends them all again."""
    first = doors.start()
    assert first.stdout is not None
    for _ in range(40):
        assert first.stdout.readline() == "took one\n"
    first.kill()

    output, _ = doors.start().communicate(timeout=LIMIT_S)

    lines, samples = await doors.kept()
    assert output.count("took one") == N_BODIES
    assert lines == EVERY_LINE
    assert len(samples) == N_SAMPLES
    assert set(samples.values()) == {1}


async def test_bodies_that_come_to_two_doors_at_the_same_time_are_kept_once(doors: Doors) -> None:
    both = [doors.start(), doors.start()]

    for door in both:
        output, _ = door.communicate(timeout=LIMIT_S)
        assert output.count("took one") == N_BODIES

    lines, samples = await doors.kept()
    assert lines == EVERY_LINE
    assert len(samples) == N_SAMPLES
    assert set(samples.values()) == {1}
