"""An app and what it is fed, so that a scenario reads as a script."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from watchkeeper.api.app import Front
from watchkeeper.app import App, running
from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.config import load
from watchkeeper.sdk import remote_write
from watchkeeper.sdk.series import TimeSeries

BEGIN_S = 1_767_571_200
"""2026-01-05T00:00:00Z, a Monday."""
STEP_S = 60


def latency(minute: int, seed: int = 7) -> float:
    """Milliseconds: a day's rhythm and some noise, the same at every call."""
    noise = random.Random(seed * 1_000_003 + minute).gauss(0, 2.0)
    return 100.0 + 15.0 * math.sin(2 * math.pi * minute / 1440) + noise


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


def body(rows: Sequence[tuple[Mapping[str, str], int, float]]) -> bytes:
    by_series: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
    for labels, minute, value in rows:
        by_series.setdefault(tuple(sorted(labels.items())), []).append((minute, value))
    return remote_write.encode(
        [
            TimeSeries(
                labels=dict(labels),
                time_ms=np.array([(BEGIN_S + m * STEP_S) * 1000 for m, _ in points], np.int64),
                value=np.array([value for _, value in points], np.float64),
            )
            for labels, points in by_series.items()
        ]
    )


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


def minutes(first: int, last: int, step: int = 60) -> Iterator[range]:
    """A stretch of time in pieces, as a sender would send it."""
    for begin in range(first, last, step):
        yield range(begin, min(last, begin + step))
