"""The band over HTTP: what is asked, what it costs at most, and how it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests import make
from tests.detecting import noise
from tests.fronts import Api, api
from watchkeeper.lake.base import Frame

PATH = "/api/v1/detection/band"
MINUTE_NS = 60 * make.NS_PER_S
N = 600


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    """A series of ten hours up to now."""
    async with api(tmp_path) as found:
        time_ns = make.START_NS - np.arange(N, 0, -1, dtype=np.int64) * MINUTE_NS
        labels = {"__name__": "cpu_usage", "service": "shop"}
        found.lake.frame = Frame((labels,), np.zeros(N, np.int32), time_ns, noise(N))
        yield found


async def test_a_band_is_told_in_columns(one: Api) -> None:
    [told] = (await one.get(PATH, match="cpu_usage"))["series"]

    assert told["labels"] == {"__name__": "cpu_usage", "service": "shop"}
    assert told["detector"] == "fk"
    columns = [told[name] for name in ("times", "values", "low", "high", "p_values")]
    assert {len(column) for column in columns} == {58}
    assert all(low < high for low, high in zip(told["low"], told["high"], strict=True))


async def test_a_week_before_is_read_unless_something_else_is_said(one: Api) -> None:
    await one.get(PATH, match="cpu_usage")
    await one.get(PATH, match="cpu_usage", warm_up="1h")

    starts = [asked.end_ns - asked.start_ns for asked in one.lake.asked]
    assert starts == [(7 * 24 + 1) * 60 * MINUTE_NS + 0, 2 * 60 * MINUTE_NS]


async def test_what_has_no_history_has_no_band(one: Api) -> None:
    [told] = (await one.get(PATH, match="cpu_usage", start="1699963000"))["series"]

    assert told["low"][0] is None
    assert told["p_values"][0] == 1.0


async def test_a_longer_step_has_fewer_points(one: Api) -> None:
    [told] = (await one.get(PATH, match="cpu_usage", step="10m"))["series"]

    assert len(told["times"]) in (6, 7)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "say either match, a selector, or series"),
        ({"match": "a", "series": "b"}, "say either"),
        ({"series": "b"}, "is no id"),
        ({"match": "a", "start": "1690000000"}, "more than 30 days"),
        ({"match": "a", "step": "1ms"}, "more than 11000 points"),
        ({"match": "a", "warm_up": "60d"}, "which is the most"),
    ],
)
async def test_what_cannot_be_asked_is_a_problem(
    one: Api, asked: dict[str, str], says: str
) -> None:
    answer = await one.http.get(PATH, params=asked)

    assert answer.status_code == 400
    assert says in answer.json()["detail"]


async def test_a_series_that_is_not_known_is_not_there(one: Api) -> None:
    answer = await one.http.get(PATH, params={"series": "0" * 32})

    assert answer.status_code == 404


async def test_more_than_twenty_series_are_refused(one: Api) -> None:
    many = tuple({"__name__": "cpu_usage", "n": str(n)} for n in range(21))
    one.lake.frame = Frame(many, np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))

    answer = await one.http.get(PATH, params={"match": "cpu_usage"})

    assert answer.status_code == 400
    assert "fits 21 series" in answer.json()["detail"]
