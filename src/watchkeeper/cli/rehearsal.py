"""A server that nobody reaches does everything once, in a folder that is thrown away.

What serves is compiled then, and nobody's first request waits for it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from watchkeeper import app
from watchkeeper.api.app import Front, described
from watchkeeper.api.examples import BODIES, JSON, Body, asked
from watchkeeper.clock import NS_PER_S, FakeClock
from watchkeeper.config.loading import load

_EXAMPLES_S: Final = 1_767_607_200
"""What the examples tell is of that time."""
_MORE: Final[Sequence[tuple[str, Mapping[str, str]]]] = (
    ("/api/v1/logs/search", {"text": 'Database "base time"'}),
    ("/api/v1/logs/search", {"contains": "tabase t"}),
    ("/prometheus/api/v1/query", {"query": "topk(1, avg_over_time(queue_length[5m]))"}),
    ("/prometheus/api/v1/query", {"query": "quantile(0.9, rate(queue_length[5m]))"}),
)
"""What people ask, beside the examples."""
_MINUTES: Final = 5
_STEP_S: Final = 15
PAST_MINUTES: Final = 750
FILLED_MINUTES: Final = 620
_STRANGE_MINUTE: Final = 600


def rehearse() -> None:
    """Everything that may have to be compiled, once."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_rehearse(Path(folder)))


async def _rehearse(folder: Path) -> None:
    """A server that is written to and stopped, and started again to be asked: what it knows is on
    disk then, as most of it is at work."""
    clock = FakeClock(_EXAMPLES_S * NS_PER_S)
    file = folder / "watchkeeper.yaml"
    file.write_text(json.dumps({"data_dir": str(folder / "data")}))
    async with _served(file, clock) as http:
        for path, body in BODIES.items():
            await _post(http, path, body)
        for minutes in (range(FILLED_MINUTES), range(FILLED_MINUTES, PAST_MINUTES)):
            await _post(http, "/api/v1/metrics/write", past(minutes))
            clock.advance(_STEP_S)
        for at_s in range(0, 60 * _MINUTES, _STEP_S):
            await _post(http, "/api/v1/metrics/write", _samples(_EXAMPLES_S + at_s))
            clock.advance(_STEP_S)
    async with _served(file, clock) as http:
        for place, parameters in (*map(asked, _questions()), *_MORE):
            await http.get(place, params=parameters)


@asynccontextmanager
async def _served(file: Path, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    async with app.running(load(file, environment={}).config, clock) as running:
        way = httpx.ASGITransport(Front(running.services))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=way, base_url="http://localhost") as http:
            yield http


async def _post(http: httpx.AsyncClient, path: str, body: Body) -> None:
    content = base64.b64decode(body.value) if body.is_binary else json.dumps(body.value).encode()
    await http.post(path, content=content, headers={"content-type": body.media, **body.headers})


def _samples(at_s: int) -> Body:
    sample = {"name": "queue_length", "timestamp": at_s, "labels": {"service": "shop"}}
    return Body({"metrics": [{**sample, "value": at_s % 60}]}, JSON)


def past(minutes: range) -> Body:
    """Of a service whose memory fills up for ten hours, and whose queue is strange at their end:
    enough for all that looks at hours, or at several series together."""
    metrics = []
    for minute in minutes:
        at_s = _EXAMPLES_S - 60 * (PAST_MINUTES - minute)
        full = 0.1 + 0.75 * min(1.0, minute / FILLED_MINUTES)
        queue = 20.0 + minute * 7 % 11 + 5_000.0 * (minute >= _STRANGE_MINUTE)
        values = {"memory_utilization": full, "queue_depth": queue, "threads": 40 + minute * 5 % 7}
        metrics += [
            {"name": name, "timestamp": at_s, "value": value, "labels": {"service": "past"}}
            for name, value in values.items()
        ]
    return Body({"metrics": metrics}, JSON)


def _questions() -> list[str]:
    paths = described().openapi()["paths"]
    return [path for path in paths if "get" in paths[path] and "stream" not in path]
