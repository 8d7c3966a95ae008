"""An app and what it is fed, so that a scenario reads as a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.rhythm import BEGIN_S, STEP_S, body
from watchkeeper.api.app import Front
from watchkeeper.app import App, running
from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.config.loading import load
from watchkeeper.sdk import remote_write


@dataclass
class Shop:
    """A running app, spoken to over HTTP."""

    app: App
    clock: FakeClock
    http: httpx.AsyncClient
    front: Front = field(repr=False)

    async def write(self, rows: Sequence[tuple[Mapping[str, str], int, float]]) -> httpx.Response:
        """Samples as (labels, minute, value), in one remote-write body."""
        return await self.http.post(
            "/api/v1/write",
            content=body(rows),
            headers=remote_write.HEADERS,
        )

    async def get(self, path: str, **asked: str) -> Any:
        answer = await self.http.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def anomalies(self, **asked: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get("/api/v1/anomalies", **asked))["items"]
        return found

    async def tick(self) -> None:
        """A second passes, and the log says so."""
        self.clock.advance(1.0)
        await self.app.services.ingest.between_groups(lambda: None)

    async def settled(self) -> None:
        """Every stage is done with what was accepted."""
        ingest = self.app.services.ingest
        async with asyncio.timeout(30):
            loops = self.app.loops.values()
            while any(loop.position < ingest.position for loop in loops):  # noqa: ASYNC110
                await asyncio.sleep(0.002)


def settings(data_dir: Path, **more: Any) -> Any:
    file = data_dir.parent / f"{data_dir.name}.yaml"
    file.write_text(
        json.dumps({"data_dir": str(data_dir), "catalog": {"max_series": 1000}, **more})
    )
    return load(file, environment={}).config


def clock_at(minute: int) -> FakeClock:
    return FakeClock((BEGIN_S + minute * STEP_S) * NS_PER_S)


@asynccontextmanager
async def shop(
    data_dir: Path, *, minute: int = 0, clock: FakeClock | None = None, **more: Any
) -> AsyncIterator[Shop]:
    """An app whose clock stands at a minute and ticks by itself, ten times as fast as it says; or
    by a clock that the scenario moves on."""
    is_own = clock is None
    clock = clock or clock_at(minute)
    ticking = asyncio.create_task(_tick(clock, is_own=is_own))
    try:
        async with running(settings(data_dir, **more), clock) as app:
            front = Front(app.services)
            transport = httpx.ASGITransport(app=front)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                yield Shop(app, clock, http, front)
    finally:
        ticking.cancel()


async def _tick(clock: FakeClock, *, is_own: bool) -> None:
    while is_own:
        await asyncio.sleep(0.01)
        clock.advance(0.1)
