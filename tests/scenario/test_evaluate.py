"""A small service that is broken by a file, under load; a whole app judges it, and is scored."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.evaluating import Hurry
from tests.scenario.shop import Shop, clock_at, shop
from tests.unit.stub import Asked as Question
from tests.unit.stub import Reply, serving
from watchkeeper.clock import NS_PER_S
from watchkeeper.evaluate.causes import EARLIEST, LARGEST
from watchkeeper.evaluate.commands_stage import Interrupts
from watchkeeper.evaluate.course_stage import Asked, Course
from watchkeeper.evaluate.figures import figures
from watchkeeper.evaluate.matching import judge
from watchkeeper.evaluate.records import Run
from watchkeeper.evaluate.scenarios import Scenario, Truth, read
from watchkeeper.evaluate.watch_stage import Watch
from watchkeeper.sdk import Client, Span, TimeSeries, remote_write, spans

MINUTES = 100
"""That are known: a little more than a page needs."""
SYMPTOMS = {"detectors": [{"use": "basic"}], "watchers": [{"use": "symptoms"}]}
STEP_S = 10
PER_STEP = 500.0
ASK = (
    "import sys, urllib.request, urllib.error\n"
    "try: urllib.request.urlopen(sys.argv[1])\n"
    "except urllib.error.HTTPError: sys.exit(0)\n"
    "sys.exit(1)"
)
"""Whether a user's request fails."""
SCENARIOS = """
scenarios:
  - name: broken
    truth: {service: tiny, kind: errors}
    start: touch {home}/broken
    check: PYTHON -I {home}/ask URL
    stop: rm -f {home}/broken
    hold_s: 40
  - {name: calm, fault_free: true, hold_s: 10}
"""


class Bridge(httpx.BaseTransport):
    """The app, asked by a client that waits in another thread."""

    def __init__(self, one: Shop, loop: asyncio.AbstractEventLoop) -> None:
        self._one = one
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = self._one.http.request(
            request.method,
            request.url.raw_path.decode(),
            content=request.read(),
            headers={"content-type": request.headers.get("content-type", "")},
        )
        answer = asyncio.run_coroutine_threadsafe(asked, self._loop).result(60)
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)


@dataclass
class Load:
    """Users of the service, and the app that hears of them, second by second."""

    one: Shop
    url: str
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    counted: dict[str, float] = field(default_factory=lambda: {"200": 0.0, "500": 0.0})
    said: list[str] = field(default_factory=list)

    async def learn(self) -> None:
        """Hours in which nothing was wrong, up to now."""
        n, now_s = MINUTES * 60 // STEP_S, self.one.clock.now_ns() // NS_PER_S
        for first in range(0, n, 90):
            steps = range(first, min(first + 90, n))
            rows = [(now_s - (n - step) * STEP_S, *self._count(0.01)) for step in steps]
            await self._write(np.array(rows))
        await self.one.settled()

    async def second(self) -> None:
        await self.one.tick()
        now_s = self.one.clock.now_ns() // NS_PER_S
        if now_s % STEP_S == 0:
            is_well = (await asyncio.to_thread(httpx.get, self.url)).is_success
            await self._write(np.array([(now_s, *self._count(0.01 if is_well else 0.5))]))
            if not is_well:
                await self._fail(float(now_s))
            await self.one.settled()

    def _count(self, share: float) -> tuple[float, float]:
        asked = int(self.chance.poisson(PER_STEP))
        failed = int(self.chance.binomial(asked, share))
        self.counted["200"] += asked - failed
        self.counted["500"] += failed
        return self.counted["200"], self.counted["500"]

    async def _write(self, rows: Any) -> None:
        series = [
            TimeSeries(
                {"__name__": "http_requests_total", "service": "tiny", "code": code},
                (rows[:, 0] * 1000).astype(np.int64),
                rows[:, column].astype(np.float64),
            )
            for column, code in ((1, "200"), (2, "500"))
        ]
        await self._post("/api/v1/write", remote_write.encode(series), remote_write.HEADERS)

    async def _fail(self, now_s: float) -> None:
        span = Span(trace_id=f"{int(now_s):032x}", span_id="1" * 16, name="GET /", service="tiny",
                    start=now_s, duration_s=0.01, kind="server", status="error")  # fmt: skip
        await self._post("/v1/traces", spans.encode([span]), {"content-type": "application/json"})

    async def _post(self, path: str, body: bytes, headers: Any) -> None:
        answer = await self.one.http.post(path, content=body, headers=headers)
        assert answer.is_success, answer.text


@asynccontextmanager
async def under_load(tmp_path: Path) -> AsyncIterator[Load]:
    broken = tmp_path / "broken"

    def answer(_: Question) -> Reply:
        return Reply(500 if broken.exists() else 200)

    with serving({"/": answer}) as tiny:
        async with shop(tmp_path / "data", clock=clock_at(MINUTES), detection=SYMPTOMS) as one:
            load = Load(one, f"{tiny.url}/")
            await load.learn()
            yield load


async def evaluated(load: Load, scenarios: tuple[Scenario, ...], home: Path) -> Run:
    """A run, in a thread as a command's; each of its seconds passes in the app."""
    loop = asyncio.get_running_loop()

    def wait(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(60)

    pace = Hurry(load.one.clock.now_ns() / NS_PER_S, lambda _: wait(load.second()))
    with Client("http://127.0.0.1", transport=Bridge(load.one, loop)) as client:
        course = Course(
            Asked(scenarios, seed=1, home=str(home), warm_up_s=10.0, cool_down_s=40.0),
            Watch(client, pace, load.said.append),
            pace,
            Interrupts(),
            load.said.append,
        )
        return await asyncio.to_thread(course.run, 1)


async def test_a_service_that_fails_is_told_in_time_and_named_and_its_calm_is_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "ask").write_text(ASK)
    async with under_load(tmp_path) as load:
        text = SCENARIOS.replace("PYTHON", sys.executable).replace("URL", load.url)
        listed = read(text, "scenarios.yaml")

        run = await evaluated(load, listed, tmp_path)

    (match,) = judge(run).matches
    summary = figures([run])
    assert listed[0].truth == Truth("tiny", "errors")
    assert match.page is not None, load.said
    assert (match.page.service, match.page.metric) == ("tiny", "errors")
    assert match.took_s is not None
    assert 10 <= match.took_s <= 80
    assert match.attempt.causes == {EARLIEST: ("tiny",), LARGEST: ("tiny",)}
    assert (summary.false.n, summary.stretches.n, summary.stretches.of) == (0, 0, 1)
    assert summary.resident_bytes is not None
    assert summary.resident_bytes > 1e7
    assert run.unheard == 0
    assert not (tmp_path / "broken").exists()
