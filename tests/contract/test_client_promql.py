"""Both clients ask by PromQL, and read every kind of answer."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from tests.contract.test_client import Talk
from watchkeeper.errors import BadInput, Permanent, Retryable
from watchkeeper.sdk import QueriedSeries


@pytest.fixture(params=["blocking", "awaited"])
async def talk(request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    one = Talk(request.param)
    yield one
    await one.close()


def answer(kind: str, result: Any) -> httpx.Response:
    return httpx.Response(
        200, json={"status": "success", "data": {"resultType": kind, "result": result}}
    )


def form(talk: Talk) -> dict[str, list[str]]:
    return parse_qs(talk.asked[-1].content.decode())


async def test_a_moment_is_asked_for_by_a_form(talk: Talk) -> None:
    talk.open(answer("vector", []))

    await talk.call("promql", 'sum(up{a="b"}) + 1', at=datetime(2026, 1, 5, tzinfo=UTC))

    assert talk.asked[0].method == "POST"
    assert talk.asked[0].url.path == "/prometheus/api/v1/query"
    assert form(talk) == {"query": ['sum(up{a="b"}) + 1'], "time": ["2026-01-05T00:00:00+00:00"]}


async def test_without_a_moment_none_is_named(talk: Talk) -> None:
    talk.open(answer("vector", []))

    await talk.call("promql", "up")

    assert form(talk) == {"query": ["up"]}


async def test_a_range_is_asked_for_with_its_step(talk: Talk) -> None:
    talk.open(answer("matrix", []))

    found = await talk.call("promql_range", "up", start=0, end=60.5, step="15s")

    assert found == ()
    assert talk.asked[0].url.path == "/prometheus/api/v1/query_range"
    assert form(talk) == {"query": ["up"], "start": ["0"], "end": ["60.5"], "step": ["15s"]}


@pytest.mark.parametrize(
    ("kind", "one"),
    [
        ("vector", {"metric": {}, "histogram": [1, {"count": "0", "sum": "0"}]}),
        ("matrix", {"metric": {}, "histograms": [[1, {"count": "0", "sum": "0"}]]}),
    ],
)
async def test_a_native_histogram_is_no_number(talk: Talk, kind: str, one: Any) -> None:
    talk.open(answer(kind, [one]))

    with pytest.raises(BadInput, match=r"ask for histogram_quantile"):
        await talk.call("promql", "request_seconds")


@pytest.mark.parametrize(
    ("kind", "result", "wanted"),
    [
        ("scalar", [1, "2.5"], QueriedSeries({}, ((1.0, 2.5),))),
        (
            "vector",
            [{"metric": {"a": "b"}, "value": [1.5, "+Inf"]}],
            QueriedSeries({"a": "b"}, ((1.5, math.inf),)),
        ),
        (
            "matrix",
            [{"metric": {"a": "b"}, "values": [[1, "1"], [2, "-Inf"]]}],
            QueriedSeries({"a": "b"}, ((1.0, 1.0), (2.0, -math.inf))),
        ),
    ],
)
async def test_every_kind_of_answer_is_series(
    talk: Talk, kind: str, result: Any, wanted: QueriedSeries
) -> None:
    talk.open(answer(kind, result))

    assert await talk.call("promql", "x") == (wanted,)


async def test_a_value_that_is_no_number_comes_as_such(talk: Talk) -> None:
    talk.open(answer("scalar", [1, "NaN"]))

    (found,) = await talk.call("promql", "x")

    assert math.isnan(found.points[0][1])


async def test_a_text_has_no_values(talk: Talk) -> None:
    talk.open(answer("string", [1, "words"]))

    with pytest.raises(BadInput, match="a text has no values"):
        await talk.call("promql", '"words"')


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadInput), (422, BadInput), (503, Retryable), (500, Permanent)]
)
async def test_a_refusal_is_told_in_the_servers_words(
    talk: Talk, status: int, kind: type[Exception]
) -> None:
    said = {"status": "error", "errorType": "any", "error": "promql: it cannot be"}
    talk.open(*[httpx.Response(status, json=said)] * 4)

    with pytest.raises(kind, match=r"^promql: it cannot be$"):
        await talk.call("promql", "x")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"status": "success"}',
        b'{"data": {"resultType": "table", "result": []}}',
        b'{"data": {"resultType": "vector", "result": [{"value": [1, "1"]}]}}',
        b'{"data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "much"]}]}}',
        b'{"data": {"resultType": "matrix", "result": [{"metric": {}, "values": [1]}]}}',
        b'{"data": {"resultType": "scalar", "result": [1]}}',
    ],
)
async def test_an_answer_that_is_not_ours_is_told_to_be_foreign(talk: Talk, body: bytes) -> None:
    talk.open(httpx.Response(200, content=body))

    with pytest.raises(Permanent, match="the answer is not Watchkeeper's"):
        await talk.call("promql", "x")
