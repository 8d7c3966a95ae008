"""Histograms, exemplars and descriptions, from remote write to whoever reads and judges them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cramjam
import pytest

from tests import histograms
from tests.rhythm import BEGIN_S, STEP_S
from tests.scenario.shop import Shop, shop
from watchkeeper.ingest.receivers import schema

HEADERS = {"content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
BOUNDS = (0.1, 0.5, 2.0, math.inf)
NATIVE = "0.7071067811865475"
Rows = Sequence[tuple[dict[str, str], int, Any]]


class Body:
    """A remote write 2.0 body, put together piece by piece."""

    def __init__(self) -> None:
        self._request = schema.remote_write_2()["Request"](symbols=[b""])
        self._number = {"": 0}

    def add(self, labels: dict[str, str], *, kind: int = 0, about: str = "") -> Any:
        series = self._request.timeseries.add(labels_refs=self._refs(labels))
        series.metadata.type, series.metadata.help_ref = kind, self._ref(about)
        return series

    def exemplar(self, labels: dict[str, str], value: float, minute: int) -> bytes:
        kind = schema.remote_write_2()["Exemplar"]
        one = kind(labels_refs=self._refs(labels), value=value, timestamp=at_ms(minute))
        raw: bytes = one.SerializeToString()
        return raw

    @property
    def content(self) -> bytes:
        return bytes(cramjam.snappy.compress_raw(self._request.SerializeToString()))

    def _refs(self, labels: dict[str, str]) -> list[int]:
        return [self._ref(text) for pair in sorted(labels.items()) for text in pair]

    def _ref(self, text: str) -> int:
        if text not in self._number:
            self._number[text] = len(self._request.symbols)
            self._request.symbols.append(text.encode())
        return self._number[text]


def at_ms(minute: int) -> int:
    return (BEGIN_S + minute * STEP_S) * 1000


def told(minute: int, *, slow: int = 0) -> bytes:
    """What a service says every minute: 60 requests more, of which some are slow."""
    body = Body()
    n = minute + 1
    totals = (20 * n, 50 * n, 60 * n - slow, 60 * n)
    for labels, total in zip(histograms.buckets("rpc", BOUNDS, job="shop"), totals, strict=True):
        series = body.add(labels, kind=3, about="How long calls take.")
        series.samples.add(value=total, timestamp=at_ms(minute))
        if labels["le"] == "0.5":
            series.exemplars.append(body.exemplar({"trace_id": TRACE}, 0.3, minute))
    raw = histograms.payload({0: 30 * n, 1: 30 * n})
    one = schema.histogram().FromString(raw)
    one.timestamp = at_ms(minute)
    body.add({"__name__": "work", "job": "shop"}, kind=3).histograms.append(one.SerializeToString())
    return body.content


async def send(one: Shop, content: bytes) -> Any:
    return await one.http.post("/api/v1/write", content=content, headers=HEADERS)


async def points(one: Shop, query: str, n_minutes: int = 10) -> list[float]:
    found = await one.get(
        "/api/v1/metrics/query",
        query=query,
        start=str(BEGIN_S),
        end=str(BEGIN_S + n_minutes * STEP_S),
    )
    return [float(value) for series in found["series"] for _, value in series["points"]]


async def test_what_is_derived_of_histograms_can_be_read(tmp_path: Path) -> None:
    async with shop(tmp_path / "data") as one:
        for minute in range(4):
            answer = await send(one, told(minute))
            assert answer.status_code == 204, answer.text

        assert await points(one, 'rpc:p50{job="shop",derived="buckets"}') == pytest.approx(
            [0.1 + 0.4 / 3] * 3
        )
        assert await points(one, "rpc:p99") == pytest.approx([0.5 + 1.5 * 0.94] * 3)
        assert await points(one, 'work:rate{derived="native"}') == pytest.approx([1.0] * 3)
        assert await points(one, "work:p50") == pytest.approx([1.0] * 3)
        assert await points(one, 'rpc_bucket{le="0.5"}') == [50.0, 100.0, 150.0, 200.0]


async def test_senders_are_told_how_much_of_a_body_was_written(tmp_path: Path) -> None:
    async with shop(tmp_path / "data") as one:
        first = await send(one, told(0))
        again = await send(one, told(0))

    for answer in (first, again):
        counts = [
            answer.headers[f"x-prometheus-remote-write-{noun}-written"]
            for noun in ("samples", "histograms", "exemplars")
        ]
        assert counts == ["4", "1", "1"]


async def test_exemplars_and_descriptions_are_there_after_a_restart(tmp_path: Path) -> None:
    async with shop(tmp_path / "data") as one:
        for minute in range(2):
            await send(one, told(minute))

    async with shop(tmp_path / "data", minute=2) as one:
        described = await one.get("/prometheus/api/v1/metadata", metric="rpc")
        found = await one.get(
            "/prometheus/api/v1/query_exemplars", query="histogram_quantile(0.9, rpc_bucket)"
        )

    assert described["data"] == {
        "rpc": [{"type": "histogram", "help": "How long calls take.", "unit": ""}]
    }
    (series,) = found["data"]
    assert series["seriesLabels"] == {"__name__": "rpc_bucket", "job": "shop", "le": "0.5"}
    assert series["exemplars"] == [
        {"labels": {"trace_id": TRACE}, "value": "0.3", "timestamp": float(BEGIN_S + m * STEP_S)}
        for m in range(2)
    ]


async def test_a_restart_costs_what_is_read_one_value_and_what_is_sent_none(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path / "data") as one:
        for minute in range(3):
            await send(one, told(minute))
    async with shop(tmp_path / "data", minute=3) as one:
        for minute in range(3, 6):
            await send(one, told(minute))

        assert len(await points(one, "rpc:p95")) == 4
        assert len(await points(one, 'rpc_bucket{le="2"}')) == 6


async def test_a_slow_tail_of_a_histogram_becomes_an_anomaly(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=300) as one:
        for minute in range(300):
            await send(one, told(minute, slow=5 if minute > 290 else 0))
        await one.settled()

        found = [anomaly["metric"] for anomaly in await one.anomalies()]

    assert any(metric.startswith("rpc:p9") for metric in found), found
