"""Two processes over Redis, one that takes samples in and one that judges, find what one finds."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.servers import redis_server
from tests.integration.judging import judge, send
from tests.integration.ports import catalog
from watchkeeper import plugins
from watchkeeper.bus.ports import Ports
from watchkeeper.clock import SystemClock
from watchkeeper.lake.files import Files
from watchkeeper.lake.wal import WriteAheadLog

ROOT = Path(__file__).parents[2]
LIMIT_S = 120
EPISODES = 4
"""Two services, and each of the two detectors."""


async def embedded(folder: Path) -> object:
    known = catalog()
    log = WriteAheadLog(folder / "log")
    ports = Ports(clock=SystemClock(), data_dir=folder, disk=Files(), log=log, catalog=known)
    bus = plugins.build("bus", {"use": "memory"}, ports=ports)
    await send(bus, known)
    found = await judge(bus, known, EPISODES)
    await bus.close()
    log.close()
    return json.loads(json.dumps(found))


def test_two_processes_find_the_anomalies_that_one_finds(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    with redis_server(program("redis-server"), tmp_path / "redis") as url:
        rest = [url, f"test-{secrets.token_hex(6)}", str(tmp_path), str(EPISODES)]
        command = [sys.executable, "-m", "tests.integration.judging"]
        judging = subprocess.Popen(
            [*command, "judge", *rest], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            sending = subprocess.run([*command, "send", *rest], cwd=ROOT, timeout=LIMIT_S)
            output, _ = judging.communicate(timeout=LIMIT_S)
        finally:
            judging.kill()

    found = json.loads(output)
    assert sending.returncode == 0
    assert len(found) == EPISODES
    assert found == asyncio.run(embedded(tmp_path / "alone"))
