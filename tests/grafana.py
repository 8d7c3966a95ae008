"""The API over a real lake with a few series, asked as Grafana asks a Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests import fronts, lakes, natives
from tests.natives import Shape
from watchkeeper.api.services import Readable
from watchkeeper.model.series import DEFAULT_TENANT, TenantId
from watchkeeper.model.signal import SampleBatch

END_S = 1_700_000_000
"""When the samples end, and what the clock says."""
LENGTH_S = 3600
STEP_S = 15
SERIES = (
    {"__name__": "up", "job": "api", "instance": "10.0.0.1:80"},
    {"__name__": "up", "job": "api", "instance": "10.0.0.2:80"},
    {"__name__": "http_requests_total", "job": "api", "instance": "10.0.0.1:80", "code": "200"},
    {"__name__": "http_requests_total", "job": "api", "instance": "10.0.0.1:80", "code": "500"},
    {"__name__": "http_requests_total", "job": "api", "instance": "10.0.0.2:80", "code": "200"},
    {"__name__": "load", "job": "node", "room": 'größer "A"\\\n'},
    {"__name__": "latency_seconds", "job": "native"},
)
OTHER = TenantId("other")


@dataclass
class Grafana:
    """A data source as Grafana has it: an address, and how to ask."""

    http: httpx.AsyncClient
    front: fronts.Api

    async def ask(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(f"/prometheus{path}", params=params)

    async def post(self, path: str, **form: Any) -> httpx.Response:
        return await self.http.post(f"/prometheus{path}", data=form)

    async def data(self, path: str, **params: Any) -> Any:
        answer = await self.ask(path, **params)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "success"
        return answer.json()["data"]

    async def refused(self, path: str, **params: Any) -> tuple[int, str, str]:
        """Status, kind and text of an error."""
        answer = await self.ask(path, **params)
        assert answer.json()["status"] == "error"
        return answer.status_code, answer.json()["errorType"], answer.json()["error"]


@asynccontextmanager
async def grafana(folder: Path, **server: Any) -> AsyncIterator[Grafana]:
    catalog = lakes.DictCatalog()
    for labels in SERIES:
        catalog.add(labels)
    catalog.add({"__name__": "secret", "job": "theirs"}, tenant=OTHER)
    lake = lakes.build("disk", folder / "lake", catalog, head_rows=4096, raw_retention_s=1e9)
    _fill(lake)
    histograms = _histograms(folder / "histograms")
    async with fronts.api(folder / "api", **server) as one:
        state = one.front.state
        state["services"] = replace(
            one.front.services, lake=lake, histograms=Readable(histograms, _at_once)
        )
        yield Grafana(one.http, one)
    histograms.close()
    lake.close()


async def _at_once(_position: int) -> bool:
    """Nobody writes, so there is nothing to wait for."""
    return True


def _histograms(folder: Path) -> Any:
    """A counter that grows by three a step, one of them below 0; its last sample is a number."""
    labels = {"__name__": "latency_seconds", "job": "native"}
    return natives.table(
        folder,
        [
            (
                labels,
                (END_S - 60 + STEP_S * at) * lakes.S,
                Shape({-4: at, 3: at}, {1: at}, zero=1, total=4.5 * at, scale=1),
            )
            for at in range(4)
        ],
    )


def _fill(lake: Any) -> None:
    """Counters that grow by ten a second, by one where it is errors; the rest is one."""
    n = LENGTH_S // STEP_S + 1
    times = (END_S - LENGTH_S + STEP_S * np.arange(n)) * lakes.S
    for slot, labels in enumerate(SERIES):
        value: Any = np.ones(n)
        if labels["__name__"] == "http_requests_total":
            value = np.arange(n) * (150.0 if labels["code"] == "200" else 15.0)
        slots = np.full(n, slot, np.int32)
        if labels["__name__"] == "latency_seconds":  # its other samples are histograms
            slots, times, value = slots[-1:], times[-1:], value[-1:]
        lake.append(SampleBatch(DEFAULT_TENANT, slots, times.astype(np.int64), value), slot + 1)
    theirs = np.array([len(SERIES)], np.int32)
    newest = np.array([END_S * lakes.S])
    lake.append(SampleBatch(OTHER, theirs, newest, np.ones(1)), len(SERIES) + 1)
