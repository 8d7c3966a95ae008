"""Samples over HTTP: what a question means to the lake, and how its answer is told."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.api.times import parse_duration, parse_time
from watchkeeper.errors import BadInput
from watchkeeper.lake.base import Fold, Frame, SampleQuery
from watchkeeper.model.series import Matcher, MatchOp, TenantId

PATH = "/api/v1/metrics/query"
S = make.NS_PER_S
NOW_S = make.START_NS // S


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        yield found


def frame(*rows: tuple[int, float, float], labels: tuple[dict[str, str], ...]) -> Frame:
    """An answer of (series, seconds, value)."""
    series, time_s, value = zip(*rows, strict=True) if rows else ((), (), ())
    return Frame(
        labels,
        np.array(series, np.int32),
        np.array([round(time * S) for time in time_s], np.int64),
        np.array(value, np.float64),
    )


async def asked(one: Api, **params: str) -> SampleQuery:
    """What the lake is asked for a question."""
    await one.get(PATH, **{"query": "up", **params})
    return one.lake.asked[-1]


async def refused(one: Api, **params: str) -> str:
    answer = await one.http.get(PATH, params={"query": "up", **params})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert one.lake.asked == []
    return str(answer.json()["detail"])


async def test_the_last_hour_is_asked_for_where_nothing_else_is(one: Api) -> None:
    query = await asked(one)

    assert query == SampleQuery(
        tenant=TenantId("default"),
        matchers=(Matcher("__name__", MatchOp.EQUAL, "up"),),
        start_ns=make.START_NS + 1 - 3600 * S,
        end_ns=make.START_NS + 1,  # what is of this very moment is read, too
    )


async def test_without_a_start_it_is_an_hour_before_the_end(one: Api) -> None:
    query = await asked(one, end=str(NOW_S - 600))

    assert (query.start_ns, query.end_ns) == ((NOW_S - 4200) * S, (NOW_S - 600) * S)


async def test_every_word_of_a_question_reaches_the_lake(one: Api) -> None:
    query = await asked(
        one,
        query='up{job="a", host!~"x.*"}',
        start="2026-01-05T09:00:00Z",
        end="2026-01-05T11:00:00+01:00",
        step="90s",
        over_time="rate",
        across="max",
        by=" host , code ,, ",
        limit="7",
    )

    nine_ns = parse_time("2026-01-05T09:00:00Z", "start")
    assert query == SampleQuery(
        tenant=TenantId("default"),
        matchers=(
            Matcher("__name__", MatchOp.EQUAL, "up"),
            Matcher("job", MatchOp.EQUAL, "a"),
            Matcher("host", MatchOp.NOT_REGEX, "x.*"),
        ),
        start_ns=nine_ns,
        end_ns=nine_ns + 3600 * S,
        step_ns=90 * S,
        over_time=Fold.RATE,
        across=Fold.MAX,
        by=("host", "code"),
        limit=7,
    )


@pytest.mark.parametrize("fold", list(Fold))
async def test_every_fold_may_be_over_time(one: Api, fold: Fold) -> None:
    assert (await asked(one, over_time=fold)).over_time is fold


@pytest.mark.parametrize("fold", [one for one in Fold if one not in (Fold.LAST, Fold.RATE)])
async def test_every_fold_but_those_of_time_may_be_across_series(one: Api, fold: Fold) -> None:
    assert (await asked(one, across=fold, step="1m")).across is fold


@pytest.mark.parametrize("fold", [Fold.LAST, Fold.RATE])
async def test_a_fold_of_time_is_refused_across_series(one: Api, fold: Fold) -> None:
    said = await refused(one, across=fold, step="1m")

    assert said == f"across: '{fold}' is over time only; use avg, min, max, sum or count"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"start": "5", "end": "5"}, "start: 5 is not before end: 5"),
        ({"start": "6", "end": "5"}, "start: 6 is not before end: 5"),
        ({"start": str(NOW_S + 1)}, f"start: {NOW_S + 1} is not before end: None"),
        ({"across": "sum"}, "across: needs a step"),
        ({"query": "up["}, "query: 'up[' is no selector"),
        ({"query": "sum(up)"}, "query: 'sum(up)' is an expression"),
        ({"query": "up offset 5m"}, "query: 'up offset 5m' shifts time"),
        ({"start": "monday"}, "start: 'monday' is no time"),
        ({"end": "inf"}, "end: inf is out of range"),
        ({"end": "9000000001"}, "end: 9000000001 is out of range"),
        ({"start": "1500-01-01"}, "start: 1500-01-01 is out of range"),
        ({"step": "1y"}, "step: '1y' is no duration; write 15s, 5m, 1h or 7d"),
        ({"step": "0"}, "step: 0 must be longer than nothing"),
        ({"step": "-1m"}, "step: -1m must be longer than nothing"),
        ({"step": "1e-12"}, "step: 1e-12 must be longer than nothing"),
        ({"step": "367d"}, "step: 367d must be longer than nothing and at most 366d"),
        ({"step": "nan"}, "step: nan must be longer than nothing"),
        ({"limit": "0"}, "limit"),
        ({"limit": "5000001"}, "5000000"),
        ({"over_time": "median"}, "over_time"),
    ],
    ids=lambda part: str(part) if isinstance(part, dict) else "",
)
async def test_what_cannot_be_meant_is_named_and_asks_nothing(
    one: Api, params: dict[str, str], said: str
) -> None:
    assert said in await refused(one, **params)


@pytest.mark.parametrize(
    ("text", "ns"),
    [("1ms", S // 1000), ("1s", S), ("90", 90 * S), ("2m", 120 * S), ("1h", 3600 * S),
     ("366d", 366 * 86400 * S), ("1w", 7 * 86400 * S), ("0.000000001s", 1)],
)  # fmt: skip
def test_a_step_is_a_whole_number_of_nanoseconds(text: str, ns: int) -> None:
    assert parse_duration(text, "step") == ns


@pytest.mark.parametrize("text", ["2300-01-01T00:00:00Z", "1600-01-01", "-9000000001"])
def test_a_time_that_64_bits_do_not_hold_is_refused(text: str) -> None:
    """It could be neither compared nor handed to a store."""
    with pytest.raises(BadInput, match=r"start: .* is out of range"):
        parse_time(text, "start")


@pytest.mark.parametrize("text", ["2255-01-01T00:00:00Z", "1700-01-01", "-9e9", "9e9"])
def test_the_times_at_the_edge_are_taken_and_fit(text: str) -> None:
    assert abs(parse_time(text, "start")) < 2**63


async def test_a_tenant_reads_its_own(one: Api) -> None:
    await one.http.get(PATH, params={"query": "up"}, headers={"X-Scope-OrgID": "them"})

    assert one.lake.asked[-1].tenant == "them"


async def test_an_answer_waits_for_what_was_accepted_before_it(one: Api) -> None:
    one.door.position = 41

    await asked(one)

    assert one.waited_for == [41]


async def test_points_are_seconds_and_values_by_series(one: Api) -> None:
    one.lake.frame = frame(
        (0, 10.0, 1.5), (0, 11.25, -2.0), (1, 10.0, 7.0), labels=({"a": "1"}, {"a": "2"})
    )

    assert await one.get(PATH, query="up") == {
        "series": [
            {"labels": {"a": "1"}, "points": [[10.0, 1.5], [11.25, -2.0]]},
            {"labels": {"a": "2"}, "points": [[10.0, 7.0]]},
        ]
    }


async def test_what_json_cannot_say_is_text(one: Api) -> None:
    one.lake.frame = frame(
        (0, 1.0, math.nan), (0, 2.0, math.inf), (0, 3.0, -math.inf), (0, 4.0, 0.0), labels=({},)
    )

    (series,) = (await one.get(PATH, query="up"))["series"]

    assert series["points"] == [[1.0, "NaN"], [2.0, "+Inf"], [3.0, "-Inf"], [4.0, 0.0]]


async def test_a_series_without_points_is_still_told(one: Api) -> None:
    one.lake.frame = frame(labels=({"a": "1"},))

    assert await one.get(PATH, query="up") == {"series": [{"labels": {"a": "1"}, "points": []}]}


@pytest.mark.parametrize("time_ns", [make.START_NS, make.START_NS + 123_456_000, 1_000, 0])
async def test_a_time_is_exact_to_the_microsecond(one: Api, time_ns: int) -> None:
    one.lake.frame = Frame(
        ({},), np.zeros(1, np.int32), np.array([time_ns], np.int64), np.array([1.0])
    )

    (series,) = (await one.get(PATH, query="up"))["series"]

    ((time_s, _),) = series["points"]
    assert round(time_s * 1e6) * 1000 == time_ns


async def test_a_value_travels_to_the_last_bit(one: Api) -> None:
    values = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 2.0**53 + 2]
    one.lake.frame = frame(*((0, float(n), v) for n, v in enumerate(values)), labels=({},))

    (series,) = (await one.get(PATH, query="up"))["series"]

    got: list[Any] = [value for _, value in series["points"]]
    assert np.array(got, np.float64).tobytes() == np.array(values).tobytes()
