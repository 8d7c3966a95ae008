"""Prometheus' API at its edges: times, forms, limits, tenants, and how it says no."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.grafana import END_S, Grafana, grafana
from watchkeeper.errors import BadInput

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUERY = "/api/v1/query"
RANGE = "/api/v1/query_range"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def source(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Grafana]:
    """One for all: nobody writes."""
    async with grafana(tmp_path_factory.mktemp("grafana")) as found:
        yield found


async def test_without_a_time_it_is_now(source: Grafana) -> None:
    found = await source.data(QUERY, query="time()")

    assert found == {"resultType": "scalar", "result": [END_S, str(END_S)]}


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("1700000000.1234", 1700000000.123),
        ("1.7e9", 1700000000),
        ("2023-11-14T22:13:20Z", 1700000000),
        ("2023-11-14T23:13:20.5+01:00", 1700000000.5),
    ],
)
async def test_a_time_is_a_number_or_a_date(source: Grafana, time: str, seconds: float) -> None:
    found = await source.data(QUERY, query="1", time=time)

    assert found["result"] == [seconds, "1"]


@pytest.mark.parametrize(
    ("step", "n"), [("60", 3), ("1m", 3), ("0.5m", None), ("1m30s", 2), ("60000ms", 3), ("6e1", 3)]
)
async def test_a_step_is_seconds_or_a_duration(source: Grafana, step: str, n: int | None) -> None:
    answer = await source.ask(RANGE, query="1", start=END_S - 120, end=END_S, step=step)

    if n is None:
        assert answer.status_code == 400
        assert 'invalid parameter "step"' in answer.json()["error"]
    else:
        assert len(answer.json()["data"]["result"][0]["values"]) == n


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"query": "up", "time": "yesterday"}, "time"),
        ({"query": "up", "limit": "-1"}, "limit"),
        ({"query": "up", "limit": "many"}, "limit"),
        ({"query": "up", "timeout": "soon"}, "timeout"),
        ({"query": ""}, "no expression"),
        ({}, "no expression"),
    ],
)
async def test_a_question_that_cannot_be_understood_is_bad_data(
    source: Grafana, params: dict[str, str], said: str
) -> None:
    status, kind, text = await source.refused(QUERY, **params)

    assert (status, kind) == (400, "bad_data")
    assert said in text


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"start": END_S, "end": END_S - 1, "step": 1}, "must not be before start"),
        ({"start": 0, "end": 1, "step": 0}, "zero or negative"),
        ({"start": 0, "end": 1, "step": -1}, "zero or negative"),
        ({"start": 0, "end": 1, "step": 1e300}, "too long"),
        ({"start": 0, "end": 11_001, "step": 1}, "11,000 points"),
        ({"end": 1, "step": 1}, '"start"'),
        ({"start": 1, "step": 1}, '"end"'),
        ({"start": 0, "end": 1}, '"step"'),
    ],
)
async def test_a_range_that_is_none_is_bad_data(
    source: Grafana, params: dict[str, Any], said: str
) -> None:
    status, kind, text = await source.refused(RANGE, query="1", **params)

    assert (status, kind) == (400, "bad_data")
    assert said in text


async def test_eleven_thousand_steps_and_one_are_answered(source: Grafana) -> None:
    found = await source.data(RANGE, query="1", start=0, end=11_000, step=1)

    assert len(found["result"][0]["values"]) == 11_001


async def test_a_form_and_an_address_are_one_question(source: Grafana) -> None:
    answer = await source.http.post(
        "/prometheus/api/v1/query?time=5", data={"query": "time()", "time": "7"}
    )

    assert answer.json()["data"]["result"] == [7, "7"]


async def test_a_body_that_is_no_form_is_left_alone(source: Grafana) -> None:
    answer = await source.http.post(
        "/prometheus/api/v1/query?query=1&time=5",
        content=b"query=2",
        headers={"content-type": "text/plain"},
    )

    assert answer.json()["data"]["result"] == [5, "1"]


@pytest.mark.parametrize(
    ("body", "said"), [(b"query=\xff", "cannot be read"), (b"query=" + b"1" * (1 << 20), "split")]
)
async def test_a_form_that_cannot_be_read_is_refused(
    source: Grafana, body: bytes, said: str
) -> None:
    answer = await source.http.post(
        "/prometheus/api/v1/query",
        content=body,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 400
    assert said in answer.json()["error"]


async def test_a_limit_cuts_and_says_so(source: Grafana) -> None:
    answer = (await source.ask(QUERY, query="http_requests_total", limit=2)).json()

    assert len(answer["data"]["result"]) == 2
    assert answer["warnings"] == ["results truncated due to limit"]


@pytest.mark.parametrize("limit", ["0", "3", "100"])
async def test_a_limit_that_cuts_nothing_says_nothing(source: Grafana, limit: str) -> None:
    answer = (await source.ask(QUERY, query="http_requests_total", limit=limit)).json()

    assert len(answer["data"]["result"]) == 3
    assert "warnings" not in answer


async def test_too_many_samples_are_refused_by_the_settings_name(tmp_path: Path) -> None:
    async with grafana(tmp_path, query_samples=100) as source:
        status, kind, text = await source.refused(QUERY, query="sum_over_time(up[1h])")

    assert (status, kind) == (422, "execution")
    assert "server.query_samples (100)" in text


@pytest.mark.parametrize(
    ("path", "name", "status"), [(QUERY, "query", 422), ("/api/v1/series", "match[]", 400)]
)
async def test_what_the_lake_refuses_is_told_in_its_words(
    tmp_path: Path, path: str, name: str, status: int
) -> None:
    def refuse(_: Any) -> Any:
        raise BadInput("query: 60 matchers; at most 50 are taken")

    async with grafana(tmp_path) as source:
        lake = source.front.front.state["services"].lake
        lake.query = lake.series = refuse

        found = await source.refused(path, **{name: "up"})

    assert (found[0], found[2]) == (status, "query: 60 matchers; at most 50 are taken")


async def test_a_question_that_takes_too_long_is_answered_all_the_same(tmp_path: Path) -> None:
    async with grafana(tmp_path, query_timeout_s=0.05) as source:
        go_on = threading.Event()
        source.front.front.services.queries.submit(go_on.wait)

        status, kind, text = await source.refused(QUERY, query="up")
        go_on.set()

    assert (status, kind) == (503, "timeout")
    assert "server.query_timeout_s" in text


async def test_a_question_may_ask_for_less_time_and_not_for_more(tmp_path: Path) -> None:
    async with grafana(tmp_path, query_timeout_s=60) as source:
        go_on = threading.Event()
        source.front.front.services.queries.submit(go_on.wait)

        asked = await source.refused(QUERY, query="up", timeout="10ms")
        go_on.set()

    assert asked[:2] == (503, "timeout")
    assert "0.01 s" in asked[2]


async def test_an_answer_waits_for_what_was_written_before(source: Grafana) -> None:
    source.front.door.position = 17

    await source.data(QUERY, query="up")

    assert source.front.waited_for[-1] == 17


@pytest.mark.parametrize(
    ("path", "mine"),
    [
        ("/api/v1/label/job/values", ["api", "native", "node"]),
        ("/api/v1/labels", ["__name__", "code", "instance", "job", "room"]),
    ],
)
async def test_a_tenant_sees_its_own_alone(source: Grafana, path: str, mine: list[str]) -> None:
    other = await source.http.get(f"/prometheus{path}", headers={"x-scope-orgid": "other"})

    assert await source.data(path) == mine
    assert set(other.json()["data"]) <= {"theirs", "__name__", "job"}


async def test_an_expression_reads_the_tenants_samples_alone(source: Grafana) -> None:
    params = {"query": '{job=~".+"}'}
    other = await source.http.get(
        f"/prometheus{QUERY}", params=params, headers={"x-scope-orgid": "other"}
    )

    assert [one["metric"]["__name__"] for one in other.json()["data"]["result"]] == ["secret"]


@pytest.mark.parametrize(
    ("params", "n"),
    [
        ({"start": END_S - 60}, 7),
        ({"end": END_S - 3 * 86_400}, 0),
        ({"start": END_S + 3 * 86_400}, 0),
        ({"match[]": ["up", "load", "up"]}, 3),
        ({"match[]": "nothing"}, 0),
    ],
)
async def test_series_are_those_of_the_time_and_the_selectors(
    source: Grafana, params: dict[str, Any], n: int
) -> None:
    found = await source.data("/api/v1/series", **{"match[]": '{job=~".+"}', **params})

    assert len(found) == n


@pytest.mark.parametrize(
    ("path", "params", "said"),
    [
        ("/api/v1/series", {}, "no match[] parameter"),
        ("/api/v1/series", {"match[]": "sum(up)"}, "no selector"),
        ("/api/v1/series", {"match[]": "up["}, "promql"),
        ("/api/v1/labels", {"match[]": "{}"}, "promql"),
        ("/api/v1/label/1x/values", {}, 'invalid label name: "1x"'),
        ("/api/v1/query_exemplars", {"query": "sum("}, "promql"),
    ],
)
async def test_names_that_are_none_are_bad_data(
    source: Grafana, path: str, params: dict[str, str], said: str
) -> None:
    status, kind, text = await source.refused(path, **params)

    assert (status, kind) == (400, "bad_data")
    assert said in text


async def test_a_computation_ends_at_the_next_node_when_time_is_over(source: Grafana) -> None:
    """A question whose answer nobody waits for any more is not computed to its end."""
    asked: list[Callable[[], None]] = []
    lake = source.front.front.state["services"].lake
    plain = lake.query

    def slow(query: Any) -> Any:
        asked.append(query)
        threading.Event().wait(0.1)
        return plain(query)

    lake.query = slow
    await source.refused(QUERY, query="up + up offset 1m + up offset 2m", timeout="50ms")
    lake.query = plain
    await source.data(QUERY, query="1")

    assert len(asked) == 1
