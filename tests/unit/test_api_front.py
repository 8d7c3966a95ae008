"""The HTTP front: which way a request goes, whose it is, and the one shape of what is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status

from tests import make
from tests.fronts import Api, api
from watchkeeper import __version__
from watchkeeper.api.door_table import DOORS
from watchkeeper.api.services import Check
from watchkeeper.errors import BadInput, Permanent, Retryable, TooLarge
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import Reject

BY_RECEIVER = {door.receiver: path for path, door in DOORS.items()}
EVERY_DOOR = pytest.mark.parametrize("path", sorted(BY_RECEIVER.values()))
"""One of each receiver."""
JSON = {"content-type": "application/json"}


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        yield found


def is_problem(answer: httpx.Response, status: int) -> bool:
    body = answer.json()
    return (
        answer.status_code == status
        and answer.headers["content-type"] == "application/problem+json"
        and body["status"] == status
        and bool(body["title"])
        and bool(body["detail"])
    )


# Doors


@EVERY_DOOR
async def test_a_body_comes_to_its_receiver_as_it_was_sent(one: Api, path: str) -> None:
    answer = await one.http.post(path, content=b"\x00\xffbody", headers={"X-Some": "thing"})

    assert answer.is_success
    (request,) = one.door.came
    assert request.protocol == DOORS[path].receiver
    assert request.body == b"\x00\xffbody"
    assert request.headers["x-some"] == "thing"
    assert request.tenant == "default"


@EVERY_DOOR
@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
async def test_a_door_opens_to_its_methods_alone(one: Api, path: str, method: str) -> None:
    answer = await one.http.request(method, path)

    opens = DOORS[path].methods
    assert (answer.status_code == 405) == (method not in opens)
    if method not in opens:
        assert set(opens) <= set(answer.headers["allow"].split(", ")) <= {"GET", *opens}
    assert len(one.door.came) == (method in opens)


@EVERY_DOOR
async def test_a_body_belongs_to_the_tenant_that_its_header_names(one: Api, path: str) -> None:
    await one.http.post(path, content=b"x", headers={"X-Scope-OrgID": "them"})

    assert one.door.came[0].tenant == "them"


@pytest.mark.parametrize("header", ["x-tenant", "X-Tenant", "X-TENANT"])
async def test_writing_and_reading_find_the_same_tenant(tmp_path: Path, header: str) -> None:
    """The names of headers have no case; a setting with capitals must not split a tenant in two."""
    async with api(tmp_path, tenant_header=header) as one:
        theirs = {"X-Tenant": "them"}
        await one.http.post("/api/v1/write", content=b"x", headers=theirs)
        await one.http.get("/api/v1/metrics/query", params={"query": "up"}, headers=theirs)

        assert one.door.came[0].tenant == one.lake.asked[0].tenant == "them"


async def test_who_names_no_tenant_is_the_one_that_is_set(tmp_path: Path) -> None:
    async with api(tmp_path, default_tenant="us") as one:
        await one.http.post("/api/v1/write", content=b"x", headers={"x-scope-orgid": ""})
        await one.save(make.anomaly(id="ours", tenant=TenantId("us")))

        assert one.door.came[0].tenant == "us"
        assert (await one.get("/api/v1/anomalies"))["items"][0]["id"] == "ours"


@EVERY_DOOR
@pytest.mark.parametrize(("size", "fits"), [(10, True), (11, False)])
async def test_a_body_may_be_as_large_as_the_limit_and_no_larger(
    tmp_path: Path, path: str, size: int, fits: bool
) -> None:
    async with api(tmp_path, body_bytes=10) as one:
        answer = await one.http.post(path, content=bytes(size))

        assert answer.is_success is fits
        assert len(one.door.came) == fits
        if not fits:
            assert answer.status_code == 413
            assert b"larger than 10 bytes (server.body_bytes); send smaller" in answer.content


@EVERY_DOOR
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("no body of ours"), 400),
        (BadInput("not this encoding", status=415), 415),
        (TooLarge("beyond a limit"), 413),
        (Retryable("the log is full"), 503),
        (Permanent("never"), 409),
    ],
    ids=lambda part: type(part).__name__,
)
async def test_a_refusal_has_the_status_of_its_kind_at_every_door(
    one: Api, path: str, error: Exception, status: int
) -> None:
    one.door.answer = error

    answer = await one.http.post(path, content=b"x")

    assert answer.status_code == status
    assert str(error).encode() in answer.content


@EVERY_DOOR
@pytest.mark.parametrize(("after_s", "header"), [(0.05, "1"), (1.0, "1"), (1.01, "2"), (30, "30")])
async def test_not_now_says_when_in_whole_seconds(
    one: Api, path: str, after_s: float, header: str
) -> None:
    one.door.answer = Retryable("not now", after_s=after_s)

    answer = await one.http.post(path, content=b"x")

    assert answer.headers["retry-after"] == header


async def test_what_will_never_be_taken_asks_nobody_to_come_again(one: Api) -> None:
    one.door.answer = BadInput("no")

    answers = [await one.http.post(path, content=b"x") for path in DOORS]

    assert not any("retry-after" in answer.headers for answer in answers)


async def test_otlp_says_it_in_the_words_that_it_was_asked_in(one: Api) -> None:
    one.door.answer = Retryable("not now")

    told = await one.http.post("/v1/metrics", content=b"x")
    as_json = await one.http.post("/v1/metrics", content=b"{}", headers=JSON)

    assert Status.FromString(told.content).message == as_json.json()["message"] == "not now"
    assert Status.FromString(told.content).code == as_json.json()["code"] == 14


async def test_a_part_that_was_not_taken_is_told_with_the_rest(one: Api) -> None:
    rejects = (Reject("future", 2, "check the clock"), Reject("conflict", 1, ""))
    one.door.answer = Accepted(5, rejects)

    told = await one.http.post("/api/v1/metrics/write", content=b"{}", headers=JSON)

    assert told.status_code == 200
    assert told.json() == {
        "status": "partial",
        "accepted": 5,
        "rejected": [
            {"reason": "future", "count": 2, "detail": "check the clock"},
            {"reason": "conflict", "count": 1, "detail": ""},
        ],
    }


async def test_an_empty_body_is_for_the_receiver_to_judge(one: Api) -> None:
    await one.http.post("/v1/metrics", content=b"")

    assert one.door.came[0].body == b""


# Everything else


async def test_a_path_that_leads_nowhere_is_a_problem(one: Api) -> None:
    assert is_problem(await one.http.get("/api/v1/nothing"), 404)


async def test_a_method_that_is_not_offered_is_a_problem_that_names_those_that_are(
    one: Api,
) -> None:
    answer = await one.http.delete("/api/v1/anomalies")

    assert is_problem(answer, 405)
    assert answer.headers["allow"] == "GET"


async def test_a_missing_parameter_is_a_problem_that_names_it(one: Api) -> None:
    answer = await one.http.get("/api/v1/metrics/query")

    assert is_problem(answer, 422)
    assert answer.json()["detail"] == "query.query: Field required"


async def test_every_wrong_parameter_is_named_at_once(one: Api) -> None:
    asked = {"query": "up", "limit": "x", "over_time": "median"}

    answer = await one.http.get("/api/v1/metrics/query", params=asked)

    assert is_problem(answer, 422)
    assert {said.split(":")[0] for said in answer.json()["detail"].split("; ")} >= {
        "query.limit",
        "query.over_time",
    }


async def test_a_closed_store_is_a_problem_and_no_mistake(one: Api) -> None:
    await one.store.close()

    answer = await one.http.get("/api/v1/anomalies")

    assert is_problem(answer, 409)
    assert "store: is closed" in answer.json()["detail"]


async def test_a_mistake_of_ours_is_a_problem_that_gives_nothing_away(one: Api) -> None:
    one.checks.append(None)  # type: ignore[arg-type]  # so that something breaks inside

    answer = await one.http.get("/health")

    assert is_problem(answer, 500)
    assert "NoneType" not in answer.text


# Health, metrics, description


async def test_health_is_200_while_every_check_holds(one: Api) -> None:
    one.checks += [Check("disk", ok=True, detail="much"), Check("log", ok=True)]

    health = await one.get("/health")

    assert health == {
        "status": "ok",
        "checks": {
            "disk": {"ok": True, "detail": "much"},
            "log": {"ok": True, "detail": ""},
        },
        "time_ns": make.START_NS,
    }


async def test_one_check_that_fails_makes_it_503_and_all_are_named(one: Api) -> None:
    one.checks += [Check("disk", ok=True), Check("log", ok=False, detail="2 damaged")]

    answer = await one.http.get("/health")

    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"
    assert answer.json()["checks"]["disk"]["ok"] is True
    assert answer.json()["checks"]["log"] == {"ok": False, "detail": "2 damaged"}


SAMPLE = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (NaN|[+-]Inf|[-+0-9.e]+)')


async def test_metrics_are_prometheus_text_line_by_line(one: Api) -> None:
    answer = await one.http.get("/metrics")

    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.text.endswith("\n")
    assert [
        line for line in lines if not line.startswith("# ") and not SAMPLE.fullmatch(line)
    ] == []
    assert any(line.startswith("watchkeeper_ingest_waiting_bytes ") for line in lines)


async def test_the_description_holds_every_route_and_door(one: Api) -> None:
    described = await one.get("/openapi.json")

    assert described["info"]["version"] == __version__
    assert set(DOORS) < set(described["paths"])
    for path, door in DOORS.items():
        assert described["paths"][path]["post"]["summary"] == door.says
    assert {
        "/api/v1/anomalies",
        "/api/v1/anomalies/stream",
        "/api/v1/metrics/query",
        "/health",
    } < set(described["paths"])


async def test_the_description_is_the_same_however_often_it_is_asked_for(one: Api) -> None:
    assert await one.get("/openapi.json") == await one.get("/openapi.json")


async def test_a_websocket_is_nobodys_mistake(one: Api) -> None:
    """What is no request goes the way of everything that is no door."""
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/api/v1/write", "headers": [], "query_string": b"",
             "subprotocols": [], "asgi": {"version": "3.0"}}  # fmt: skip
    await one.front(scope, receive, send)

    assert sent == ["websocket.close"]
