"""A door in a process of its own: `python -m tests.integration.doorkeeping URL PREFIX FOLDER`.

It is sent the same bodies as every other one, in order, and prints a line for each it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.integration.ports import catalog, redis_bus
from tests.rhythm import BEGIN_S, STEP_S, body
from watchkeeper import plugins
from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.ingest.admit import Admission, AdmitConfig
from watchkeeper.ingest.admit_rows import AdmitRowsConfig, RowAdmission
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.ingest.prepare import Preparer, Request
from watchkeeper.ingest.stage import Ingest, IngestConfig
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.sdk import remote_write

N_BODIES: Final = 120
SERVICES: Final = 5
NOW_NS: Final = (BEGIN_S + N_BODIES * STEP_S) * NS_PER_S
JSON: Final = {"content-type": "application/json"}


def bodies() -> Iterator[Request]:
    """In turns a minute of samples and some lines, each as its sender would send it again."""
    for number in range(N_BODIES):
        if number % 2:
            rows = [
                ({"__name__": "up", "service": f"s{one}"}, number, float(number))
                for one in range(SERVICES)
            ]
            yield Request("remote_write", body(rows), remote_write.HEADERS, DEFAULT_TENANT)
        else:
            streams = [
                {"stream": {"service": f"s{one}"}, "values": [[str(NOW_NS), f"{number} of s{one}"]]}
                for one in range(SERVICES)
            ]
            lines = json.dumps({"streams": streams}).encode()
            yield Request("loki", lines, JSON, DEFAULT_TENANT)


async def main(url: str, prefix: str, folder: str) -> None:
    known = catalog()
    bus = redis_bus(url, prefix, Path(folder), known)
    await bus.open()
    receivers = {
        name: plugins.build("receiver", {"use": name}) for name in ("remote_write", "loki")
    }
    rows = RowAdmission(AdmitRowsConfig(), Enrich())
    preparer = Preparer(receivers, known, Admission(AdmitConfig(), 1010), rows)
    with ThreadPoolExecutor(1) as executor:
        clock = FakeClock(NOW_NS)
        ingest = Ingest(IngestConfig(), preparer, bus=bus, clock=clock, executor=executor)
        running = asyncio.create_task(ingest.run())
        for request in bodies():
            await ingest.accept(request)
            print("took one", flush=True)
        ingest.close()
        await running
    await bus.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
