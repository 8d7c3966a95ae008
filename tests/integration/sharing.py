"""One of several that share the work: `python -m tests.integration.sharing URL PREFIX FOLDER NAME`.

It writes a line of `<folder>/<name>` for every record before it is applied, and ends at SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.buses import RedisWorld
from tests.catalogs import ToyCatalog
from tests.integration.processes import Digest
from watchkeeper.bus.base import Delivery
from watchkeeper.clock import SystemClock
from watchkeeper.runtime import Loop, RuntimeConfig

LEASE_S: Final = 2.0
CONFIG: Final = RuntimeConfig(checkpoint_s=1.0, lease_s=LEASE_S, retry_s=0.05)


class Applied(NamedTuple):
    """A record as one process came to it; `at_ns` is of a clock that all of them have."""

    at_ns: int
    partition: int
    fence: int
    position: int


def journal(folder: Path, name: str) -> list[Applied]:
    lines = (folder / name).read_text().splitlines()
    return [Applied(*map(int, line.split())) for line in lines]


class Journalled(Digest):
    """Writes down what it is handed, in a way that outlives `kill -9`."""

    def __init__(self, catalog: ToyCatalog, path: Path) -> None:
        super().__init__(catalog)
        self.loop: Loop | None = None
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        assert self.loop is not None
        now_ns, fences = time.monotonic_ns(), self.loop._fences  # noqa: SLF001 - to write it down
        lines = (
            f"{now_ns} {one.partition} {fences[one.partition]} {one.position}\n"
            for one in deliveries
        )
        os.write(self._file, "".join(lines).encode())
        await super().handle(deliveries)


async def main(url: str, prefix: str, folder: str, name: str) -> None:
    world = RedisWorld(url, Path(folder))
    world.prefix = prefix
    catalog = ToyCatalog(first_slot=300)
    bus = await world.another(catalog, take_limit=16)
    stage = Journalled(catalog, Path(folder) / name)
    stage.loop = loop = Loop(stage, bus, SystemClock(), CONFIG)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loop.stop)
    await loop.run()
    await world.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
