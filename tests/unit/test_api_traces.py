"""Traces over HTTP: one as a whole, and many by what one of their spans is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import Entity, TenantId

PATH = "/api/v1/traces"
NOW = make.START_NS
S = make.NS_PER_S
MS = 1_000_000
WEB = Origin((("host", "a"),), Entity("web", "prod"))
DB = Origin((("host", "b"),), Entity("db"))
FIRST, SECOND = f"{7:032x}", f"{8:032x}"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    """A trace of three spans that failed, and one of a single span that did not."""
    async with api(tmp_path) as found:
        batch = make.spans(
            (NOW - 60 * S, 500 * MS, b"GET /cart"),
            (NOW - 60 * S + 10 * MS, 300 * MS, b"SELECT"),
            (NOW - 60 * S + 400 * MS, 200 * MS, b"render"),
            (NOW - 30 * S, 20 * MS, b"GET /health"),
            origins=(WEB, DB),
        )
        found.tables.spans.append(
            replace(
                batch,
                origin=np.array([0, 1, 0, 0], np.int32),
                trace=np.array([(0, 7), (0, 7), (0, 7), (0, 8)], np.uint64),
                parent=np.array([0, 1, 1, 0], np.uint64),
                kind=np.array([2, 3, 1, 99], np.uint8),
                status=np.array([2, 2, 1, 0], np.uint8),
                message=texts([b"", b"no such table", b"", b""]),
                attributes=texts([b"", b'{"db.system":"postgres"}', b"{broken", b""]),
                events=texts(
                    [
                        b"",
                        b'[{"time_ns":%d,"name":"exception","attributes":{}}]' % NOW,
                        b"",
                        b"",
                    ]
                ),
            ),
            1,
        )
        yield found


async def ids(one: Api, **asked: str) -> list[str]:
    return [item["trace_id"] for item in (await one.get(PATH, **asked))["items"]]


async def test_a_trace_is_told_as_a_whole(one: Api) -> None:
    answer = await one.get(f"{PATH}/{FIRST}")

    spans = answer.pop("spans")
    assert answer == {
        "trace_id": FIRST,
        "root": {"service": "web", "name": "GET /cart"},
        "start": "2023-11-14T22:12:20Z",
        "duration_ms": 600.0,
        "n_spans": 3,
        "n_errors": 2,
        "services": ["db", "web"],
        "complete": True,
    }
    assert [span["name"] for span in spans] == ["GET /cart", "SELECT", "render"]


async def test_a_span_is_told_with_all_that_is_known_of_it(one: Api) -> None:
    answer = await one.get(f"{PATH}/{FIRST}")

    assert answer["spans"][1] == {
        "span_id": f"{2:016x}",
        "parent_id": f"{1:016x}",
        "service": "db",
        "environment": "",
        "node": "",
        "owner": "",
        "name": "SELECT",
        "kind": "client",
        "status": "error",
        "message": "no such table",
        "start": "2023-11-14T22:12:20.01Z",
        "duration_ms": 300.0,
        "labels": {"host": "b"},
        "attributes": {"db.system": "postgres"},
        "events": [{"name": "exception", "attributes": {}, "time": "2023-11-14T22:13:20Z"}],
        "links": [],
    }


async def test_what_a_sender_wrote_wrongly_is_left_out_of_a_span(one: Api) -> None:
    first = await one.get(f"{PATH}/{FIRST}")
    second = await one.get(f"{PATH}/{SECOND}")

    assert first["spans"][2]["attributes"] == {}
    assert second["spans"][0]["kind"] == "unknown"


@pytest.mark.parametrize("text", [FIRST, "7", FIRST.upper()])
async def test_an_id_may_be_short_or_in_capitals(one: Api, text: str) -> None:
    answer = await one.get(f"{PATH}/{text}")

    assert answer["trace_id"] == FIRST


@pytest.mark.parametrize(
    ("text", "status"), [("9", 404), ("xyz", 400), ("0", 400), ("1" * 33, 400)]
)
async def test_a_trace_that_is_not_there_is_a_problem(one: Api, text: str, status: int) -> None:
    answer = await one.http.get(f"{PATH}/{text}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_tenants_trace_is_not_there(one: Api) -> None:
    batch = replace(make.spans((NOW - S, 1, b"theirs")), tenant=TenantId("acme"))
    one.tables.spans.append(replace(batch, trace=np.array([(0, 9)], np.uint64)), 2)

    answer = await one.http.get(f"{PATH}/9")

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [SECOND, FIRST]),
        ({"service": "db"}, [FIRST]),
        ({"service": "cache"}, []),
        ({"name": "GET /health"}, [SECOND]),
        ({"name": "GET"}, []),
        ({"min_duration": "300ms"}, [FIRST]),
        ({"max_duration": "100ms"}, [SECOND]),
        ({"min_duration": "250ms", "max_duration": "300ms", "service": "web"}, []),
        ({"status": "error"}, [FIRST]),
        ({"status": "ok"}, [FIRST]),
        ({"status": "unset"}, [SECOND]),
        ({"query": '{host="b"}'}, [FIRST]),
        ({"query": '{"db.system"="postgres"}'}, [FIRST]),
        ({"limit": "1"}, [SECOND]),
        ({"start": str(NOW // S - 40)}, [SECOND]),
        ({"end": str(NOW // S - 40)}, [FIRST]),
    ],
)
async def test_a_listing_holds_traces_with_such_a_span(
    one: Api, asked: dict[str, str], found: list[str]
) -> None:
    listed = await ids(one, **asked)

    assert listed == found


async def test_a_listed_trace_counts_all_of_its_spans(one: Api) -> None:
    answer = await one.get(PATH, service="db")

    assert answer["items"] == [
        {
            "trace_id": FIRST,
            "root": {"service": "web", "name": "GET /cart"},
            "start": "2023-11-14T22:12:20Z",
            "duration_ms": 600.0,
            "n_spans": 3,
            "n_errors": 2,
            "services": ["db", "web"],
        }
    ]


async def test_a_trace_of_many_spans_hides_no_other(one: Api) -> None:
    """A page of spans may all be of one trace."""
    n = 2500
    batch = make.spans(*((NOW - S + i, 1, b"loop") for i in range(n)))
    one.tables.spans.append(replace(batch, trace=np.full((n, 2), 9, np.uint64)), 2)

    listed = await ids(one, limit="3")

    assert listed == [f"{9:016x}{9:016x}", SECOND, FIRST]


async def test_a_trace_without_its_root_is_told_by_its_first_span(one: Api) -> None:
    batch = replace(make.spans((NOW - 2 * S, MS, b"first"), (NOW - S, MS, b"second")))
    orphans: Any = {
        "trace": np.array([(0, 9), (0, 9)], np.uint64),
        "parent": np.array([5, 6], np.uint64),
    }
    one.tables.spans.append(replace(batch, **orphans), 2)

    answer = await one.get(PATH, name="second")

    assert answer["items"][0]["root"]["name"] == "first"


async def test_one_reads_ones_own_spans(one: Api) -> None:
    one.door.position = 42

    await one.get(PATH)

    assert one.waited_for[0] == 42
