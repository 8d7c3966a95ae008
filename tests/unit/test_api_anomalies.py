"""Anomalies over HTTP: listed by choice and page by page, one by one, and as they come."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.bus.base import ANOMALIES
from watchkeeper.model.anomaly import Anomaly, AnomalyStatus, InfoReason, Severity
from watchkeeper.model.event import Event
from watchkeeper.model.metric_class import MetricClass
from watchkeeper.model.series import Entity, TenantId

PATH = "/api/v1/anomalies"
S = make.NS_PER_S


@pytest.fixture(params=["memory", "sqlite"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path, store=request.param) as one:
        yield one


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        yield found


def episode(minute: int, **fields: Any) -> Anomaly:
    """An episode that began so many minutes after the start of everything."""
    service = fields.pop("service", "checkout")
    return make.anomaly(
        id=f"at-{minute}",
        started_ns=make.START_NS + minute * 60 * S,
        entity=Entity(service=service),
        **fields,
    )


def ended(anomaly: Anomaly, minute: int) -> Anomaly:
    end_ns = make.START_NS + minute * 60 * S
    return replace(anomaly, status=AnomalyStatus.CLOSED, ended_ns=end_ns, position=1)


def at(minute: int) -> str:
    """A minute as a query names it."""
    return str(make.START_NS // S + minute * 60)


async def ids(server: Api, **asked: str) -> list[str]:
    return [item["id"] for item in (await server.get(PATH, **asked))["items"]]


async def test_an_empty_store_lists_nothing_and_has_no_next_page(server: Api) -> None:
    assert await server.get(PATH) == {"items": [], "cursor": None}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, ["at-30", "at-20", "at-10"]),
        ({"status": "open"}, ["at-30", "at-20"]),
        ({"status": "closed"}, ["at-10"]),
        ({"service": "cart"}, ["at-20"]),
        ({"service": "Cart"}, []),
        ({"detector": "basic"}, ["at-30"]),
        ({"status": "open", "detector": "fk"}, ["at-20"]),
        # since: not ended before; an episode that ends at that very time is still of it
        ({"since": at(15)}, ["at-30", "at-20", "at-10"]),
        ({"since": at(16)}, ["at-30", "at-20"]),
        # until: started before; one that starts at that very time is not of it
        ({"until": at(20)}, ["at-10"]),
        ({"until": at(21)}, ["at-20", "at-10"]),
        ({"since": at(16), "until": at(30)}, ["at-20"]),
        ({"limit": "1"}, ["at-30"]),
    ],
    ids=str,
)
async def test_a_listing_is_newest_first_and_holds_what_was_chosen(
    server: Api, asked: dict[str, str], wanted: list[str]
) -> None:
    await server.save(
        episode(20, service="cart"), ended(episode(10), 15), episode(30, detector="basic")
    )

    assert await ids(server, **asked) == wanted


async def test_pages_follow_each_other_to_the_end(server: Api) -> None:
    await server.save(*(episode(minute) for minute in range(5)))

    first = await server.get(PATH, limit="2")
    second = await server.get(PATH, limit="2", cursor=first["cursor"])
    third = await server.get(PATH, limit="2", cursor=second["cursor"])

    pages = [[item["id"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [["at-4", "at-3"], ["at-2", "at-1"], ["at-0"]]
    assert third["cursor"] is None


async def test_a_page_goes_on_behind_the_one_before_whatever_came_meanwhile(server: Api) -> None:
    await server.save(*(episode(minute) for minute in range(3)))
    first = await server.get(PATH, limit="2")

    await server.save(episode(9))

    second = await server.get(PATH, limit="2", cursor=first["cursor"])
    assert [item["id"] for item in second["items"]] == ["at-0"]


async def test_a_tenant_lists_and_reads_its_own_alone(server: Api) -> None:
    await server.save(episode(1), episode(2, tenant=TenantId("other")))
    theirs = {"x-scope-orgid": "other"}

    listed = await server.http.get(PATH, headers=theirs)
    stranger = await server.http.get(f"{PATH}/at-1", headers=theirs)

    assert await ids(server) == ["at-1"]
    assert [item["id"] for item in listed.json()["items"]] == ["at-2"]
    assert stranger.status_code == 404


async def test_an_anomaly_is_told_with_all_that_is_known_of_it(server: Api) -> None:
    entity = Entity(service="checkout", environment="prod", node="n1", owner="team-a")
    await server.save(
        replace(
            ended(episode(1, evidence={"level": 3.5}, value=2.5, p_value=1e-6), 3),
            entity=entity,
            tier="T2",
            version=1,
            metric_class=MetricClass.LATENCY,
            n_learned=20_160,
        )
    )

    told = await server.get(f"{PATH}/at-1")

    assert told == {
        "id": "at-1",
        "tenant": "default",
        "series": "00" * 16,
        "metric": "latency_seconds",
        "labels": {"__name__": "latency_seconds", "service": "checkout"},
        "service": "checkout",
        "environment": "prod",
        "node": "n1",
        "owner": "team-a",
        "detector": "fk",
        "detector_version": 1,
        "tier": "T2",
        "class": "latency",
        "severity": "evidence",
        "info_reason": None,
        "confidence": 0.5,
        "status": "closed",
        "started_at": "2023-11-14T22:14:20Z",
        "peak_at": "2023-11-14T22:14:20Z",
        "ended_at": "2023-11-14T22:16:20Z",
        "gone": None,
        "value": 2.5,
        "expected": {"low": 0.1, "high": 0.4},
        "residual": 2.25,
        "p_value": 1e-6,
        "points_learned": 20_160,
        "learning_s": 0.0,
        "evidence": {"level": 3.5},
        "loudest": "level",
        "explanation": "latency_seconds of checkout 2.5 s, expected 100 ms to 400 ms; "
        "loudest: level (+3.5); p 1e-6 by 20,160 points of its own",
        "muted": "",
        "lines": None,
        "position": 1,
    }


async def test_who_only_informs_says_why_and_for_how_long(server: Api) -> None:
    young = {"info_reason": InfoReason.LEARNING, "learning_s": 7200.0, "n_learned": 300}
    await server.save(episode(1, severity=Severity.INFO, **young))

    told = await server.get(f"{PATH}/at-1")

    assert (told["info_reason"], told["learning_s"]) == ("learning", 7200.0)
    assert told["explanation"].endswith("the series is learning, for another 2 h")


async def test_what_json_cannot_say_is_null(server: Api) -> None:
    await server.save(
        episode(1, expected_low=-math.inf, value=math.nan, evidence={"level": math.inf})
    )

    told = await server.get(f"{PATH}/at-1")

    assert told["expected"] == {"low": None, "high": 0.4}
    assert told["value"] is None
    assert told["evidence"] == {"level": None}


async def test_an_unknown_anomaly_is_404_with_where_they_are(server: Api) -> None:
    answer = await server.http.get(f"{PATH}/none")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == (
        "there is no anomaly 'none'; GET /api/v1/anomalies lists them"
    )


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"status": "shut"}, 422, "open"),
        ({"limit": "0"}, 422, "limit"),
        ({"limit": "1001"}, 422, "1000"),
        ({"limit": "many"}, 422, "limit"),
        ({"since": "yesterday"}, 400, "since: 'yesterday' is no time"),
        ({"until": "nan"}, 400, "until: nan is out of range"),
        ({"since": "9999-01-01T00:00:00Z"}, 400, "since: 9999-01-01T00:00:00Z is out of range"),
        ({"until": "0001-01-01T00:00:00Z"}, 400, "until: 0001-01-01T00:00:00Z is out of range"),
        ({"cursor": "%%%"}, 400, "start again without a cursor"),
        ({"cursor": "bm9uZQ"}, 400, "start again without a cursor"),
        # 10**30/x: no time that a record could have
        ({"cursor": "MTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMC94"}, 400, "without a cursor"),
    ],
    ids=str,
)
async def test_a_wrong_question_is_a_problem_that_names_it(
    server: Api, asked: dict[str, str], status: int, said: str
) -> None:
    answer = await server.http.get(PATH, params=asked)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


# The stream


async def test_a_stream_begins_at_once_and_may_not_be_kept_by_a_proxy(one: Api) -> None:
    async with one.streaming() as stream:
        await stream.until(lambda text: ": connected\n\n" in text)

        headers = dict(stream.head["headers"])
        assert headers[b"content-type"].startswith(b"text/event-stream")
        assert headers[b"cache-control"] == b"no-store"
        assert headers[b"x-accel-buffering"] == b"no"


async def test_every_change_is_an_event_under_its_position(one: Api) -> None:
    async with one.streaming() as stream:
        await stream.until(lambda text: "connected" in text)
        await one.save(episode(1))
        await one.save(ended(episode(1), 2))

        opened, closed = await stream.events(2)

        assert (opened["id"], opened["event"]) == ("1", "anomaly")
        assert json.loads(opened["data"])["status"] == "open"
        assert json.loads(closed["data"]) == await one.get(f"{PATH}/at-1")


async def test_a_reader_that_comes_back_goes_on_behind_its_last_event(one: Api) -> None:
    await one.save(*(episode(minute) for minute in range(3)))

    async with one.streaming(last_event_id="1") as stream:
        events = await stream.events(2)

    assert [event["id"] for event in events] == ["2", "3"]


async def test_a_new_reader_is_not_told_of_what_was_before(one: Api) -> None:
    await one.save(episode(1))

    async with one.streaming() as stream:
        await stream.until(lambda text: "connected" in text)
        await one.save(episode(2))
        (event,) = await stream.events(1)

    assert json.loads(event["data"])["id"] == "at-2"


async def test_a_reader_is_told_of_its_own_tenant_alone(one: Api) -> None:
    async with one.streaming(x_scope_orgid="other") as stream:
        await stream.until(lambda text: "connected" in text)
        await one.save(episode(1), episode(2, tenant=TenantId("other")), episode(3))
        await one.save(episode(4, tenant=TenantId("other")))
        events = await stream.events(2)

    assert [json.loads(event["data"])["id"] for event in events] == ["at-2", "at-4"]


async def test_a_reader_of_another_life_is_told_to_start_over(one: Api) -> None:
    await one.save(episode(1))

    async with one.streaming(last_event_id="99") as stream:
        (reset,) = await stream.events(1)

    assert reset == {"event": "reset", "data": "{}"}


async def test_after_a_reset_changes_go_on(one: Api) -> None:
    await one.save(episode(1))

    async with one.streaming(last_event_id="99") as stream:
        await stream.events(1)
        await one.save(episode(2))
        _, change = await stream.events(2)

    assert json.loads(change["data"])["id"] == "at-2"


@pytest.mark.parametrize(
    "sent", ["abc", "-1", "1.5", "²", "9" * 5000, ""], ids=lambda text: text[:8]
)
async def test_an_id_that_we_never_gave_out_follows_from_now_on(one: Api, sent: str) -> None:
    await one.save(episode(1))

    async with one.streaming(last_event_id=sent) as stream:
        await stream.until(lambda text: "connected" in text)
        await one.save(episode(2))
        (event,) = await stream.events(1)

    assert json.loads(event["data"])["id"] == "at-2"


async def test_a_stream_ends_with_the_bus_and_without_a_mistake(one: Api) -> None:
    async with one.streaming() as stream:
        await stream.until(lambda text: "connected" in text)
        assert stream.serving is not None

        await one.bus.close()

        await stream.serving
        assert stream.serving.exception() is None


async def test_a_stream_ends_when_the_server_is_to_stop_and_is_resumed_behind_it(
    one: Api,
) -> None:
    """It would hold the stop up to its limit, and then end as an error."""
    async with one.streaming() as stream:
        await stream.until(lambda text: "connected" in text)
        await one.save(episode(1))
        (last,) = await stream.events(1)
        assert stream.serving is not None

        one.front.services.stopping.set()

        await stream.serving
        assert stream.serving.exception() is None
    one.front.services.stopping.clear()
    await one.save(episode(2))
    async with one.streaming(last_event_id=last["id"]) as resumed:
        (event,) = await resumed.events(1)
        assert json.loads(event["data"])["id"] == "at-2"


async def test_many_readers_hear_the_same(one: Api) -> None:
    async with one.streaming() as first, one.streaming() as second:
        for stream in (first, second):
            await stream.until(lambda text: "connected" in text)
        await one.save(episode(1), episode(2))

        assert await first.events(2) == await second.events(2)


async def test_a_reader_that_leaves_is_in_nobodys_way(one: Api) -> None:
    async with one.streaming() as leaving:
        await leaving.until(lambda text: "connected" in text)
    async with one.streaming() as staying:
        await staying.until(lambda text: "connected" in text)
        last = await one.bus.publish(ANOMALIES, [Event(7, episode(1))])
        (event,) = await staying.events(1)

    assert event["id"] == str(last)
