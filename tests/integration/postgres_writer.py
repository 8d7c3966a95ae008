"""A process that saves until it is killed: `python -m tests.integration.postgres_writer URL ...`.

It prints each id once its save has returned, so whoever reads knows what was promised.
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from tests import make
from watchkeeper.store.postgres.server import PostgresConfig
from watchkeeper.store.postgres.store import PostgresStore
from watchkeeper.telemetry import Secret

AT_ONCE = 20


async def main(url: str, schema: str, name: str) -> None:
    store = PostgresStore(PostgresConfig(url=Secret(url), schema=schema))
    for n in itertools.count():
        ids = [f"{name}-{n:06}-{k:02}" for k in range(AT_ONCE)]
        await store.save([make.anomaly(id=one, started_ns=n) for one in ids])
        print(*ids, sep="\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
