"""Alertmanager's API v2: its shapes, its filters, its silences, and how it says no."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.model.alert import Alert
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.store.base import Filter

S = make.NS_PER_S
SLOW = make.alert("Slow", "shop", labels={"zone": "eu"}, annotations={"summary": "p99"})
DOWN = make.alert("Down", "pay", links={"rule": "http://prom/graph"})


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        found.clock.advance((make.START_NS - found.clock.now_ns()) / S + 60)
        yield found


async def say(one: Api, *alerts: Alert) -> None:
    for record in (make.tick(60), *alerts):
        await one.deciding.log(record)


async def alerts(one: Api, **asked: Any) -> list[str]:
    answer = await one.http.get("/api/v2/alerts", params=asked)
    assert answer.status_code == 200, answer.text
    return [alert["labels"]["alertname"] for alert in answer.json()]


def wanted(*matchers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "matchers": matchers or [{"name": "service", "value": "shop", "isRegex": False}],
        "startsAt": "2023-11-14T22:13:20Z",
        "endsAt": "2023-11-14T23:13:20Z",
        "createdBy": "ann",
        "comment": "disks",
        **fields,
    }


async def silence(one: Api, *matchers: dict[str, Any], **fields: Any) -> httpx.Response:
    return await one.http.post("/api/v2/silences", json=wanted(*matchers, **fields))


async def silenced(one: Api, *matchers: dict[str, Any], **fields: Any) -> str:
    answer = await silence(one, *matchers, **fields)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["silenceID"]
    return found


async def test_an_alert_has_alertmanagers_shape(one: Api) -> None:
    await say(one, replace(DOWN, ended_ns=make.START_NS + 300 * S, annotations={"summary": "x"}))

    (alert,) = (await one.http.get("/api/v2/alerts")).json()

    assert alert == {
        "annotations": {"summary": "x"},
        "endsAt": "2023-11-14T22:18:20Z",
        "fingerprint": DOWN.fingerprint,
        "receivers": [{"name": "watchkeeper"}],
        "startsAt": "2023-11-14T22:13:20Z",
        "status": {"inhibitedBy": [], "silencedBy": [], "state": "active"},
        "updatedAt": "2023-11-14T22:14:20Z",
        "generatorURL": "http://prom/graph",
        "labels": {"alertname": "Down", "service": "pay"},
    }


async def test_what_is_over_or_was_not_said_again_in_time_is_not_listed(one: Api) -> None:
    late = replace(SLOW, ended_ns=make.START_NS + 30 * S)
    await say(one, make.resolved(DOWN, after_s=10), late)

    assert await alerts(one) == []


async def test_an_alert_said_again_is_one_and_lasts_longer(one: Api) -> None:
    await say(one, replace(SLOW, ended_ns=make.START_NS + 30 * S))

    await say(one, replace(SLOW, ended_ns=make.START_NS + 300 * S))

    assert await alerts(one) == ["Slow"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], {"Down", "Slow"}),
        (['alertname="Slow"'], {"Slow"}),
        (["alertname=Slow"], {"Slow"}),
        (['alertname!="Slow"'], {"Down"}),
        (['service=~"sh.*"'], {"Slow"}),
        (['service=~"sh"'], set()),
        (['service!~"sh.*"'], {"Down"}),
        (['zone=""'], {"Down"}),
        (['zone="eu"', 'service="shop"'], {"Slow"}),
        (['zone="eu"', 'service="pay"'], set()),
    ],
)
async def test_filters_are_matchers_that_all_must_take(
    one: Api, filters: list[str], found: set[str]
) -> None:
    await say(one, SLOW, DOWN)

    assert set(await alerts(one, filter=filters)) == found


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/api/v2/alerts", {"filter": "nothing"}),
        ("/api/v2/alerts", {"filter": 'a="b'}),
        ("/api/v2/alerts", {"filter": 'a=~"("'}),
        ("/api/v2/alerts", {"receiver": "("}),
        ("/api/v2/silences", {"filter": "="}),
    ],
)
async def test_a_filter_that_is_none_is_400_with_a_json_string(
    one: Api, path: str, params: dict[str, str]
) -> None:
    answer = await one.http.get(path, params=params)

    assert answer.status_code == 400
    assert isinstance(answer.json(), str)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {"Down", "Slow"}),
        ({"silenced": "false"}, {"Down"}),
        ({"active": "false"}, {"Slow"}),
        ({"active": "false", "silenced": "false"}, set()),
        ({"inhibited": "false", "unprocessed": "false"}, {"Down", "Slow"}),
        ({"receiver": "watch.*"}, {"Down", "Slow"}),
        ({"receiver": "watch"}, set()),
    ],
)
async def test_what_is_silenced_is_listed_as_it_is_asked_for(
    one: Api, asked: dict[str, str], found: set[str]
) -> None:
    await say(one, SLOW, DOWN)
    await silenced(one)

    assert set(await alerts(one, **asked)) == found


async def test_a_silenced_alert_is_suppressed_by_its_silence_until_that_is_over(one: Api) -> None:
    await say(one, SLOW)
    by = await silenced(one)
    (during,) = (await one.http.get("/api/v2/alerts")).json()

    await one.http.delete(f"/api/v2/silence/{by}")

    (after,) = (await one.http.get("/api/v2/alerts")).json()
    assert during["status"] == {"inhibitedBy": [], "silencedBy": [by], "state": "suppressed"}
    assert after["status"]["state"] == "active"


@pytest.mark.parametrize(
    ("matcher", "is_silenced"),
    [
        ({"name": "service", "value": "sh.p", "isRegex": True}, True),
        ({"name": "service", "value": "sh", "isRegex": True}, False),
        ({"name": "service", "value": "pay", "isRegex": False, "isEqual": False}, True),
        ({"name": "service", "value": "sh.*", "isRegex": True, "isEqual": False}, False),
    ],
)
async def test_a_silence_takes_what_its_matchers_say(
    one: Api, matcher: dict[str, Any], is_silenced: bool
) -> None:
    await say(one, SLOW)
    await silenced(one, {"name": "alertname", "value": "Slow", "isRegex": False}, matcher)

    (alert,) = (await one.http.get("/api/v2/alerts")).json()

    assert (alert["status"]["state"] == "suppressed") == is_silenced


async def test_alerts_of_one_name_are_a_group(one: Api) -> None:
    other = make.alert("Slow", "bank")
    await say(one, SLOW, DOWN, other)

    groups = (await one.http.get("/api/v2/alerts/groups")).json()

    assert [(group["labels"], len(group["alerts"])) for group in groups] == [
        ({"alertname": "Down"}, 1),
        ({"alertname": "Slow"}, 2),
    ]
    assert {group["receiver"]["name"] for group in groups} == {"watchkeeper"}


async def test_a_silence_has_alertmanagers_shape(one: Api) -> None:
    by = await silenced(one)

    told = (await one.http.get(f"/api/v2/silence/{by}")).json()

    assert told == {
        "id": by,
        "status": {"state": "active"},
        "updatedAt": "2023-11-14T22:14:20Z",
        "comment": "disks",
        "createdBy": "ann",
        "endsAt": "2023-11-14T23:13:20Z",
        "matchers": [{"isEqual": True, "isRegex": False, "name": "service", "value": "shop"}],
        "startsAt": "2023-11-14T22:14:20Z",
    }


async def test_silences_are_listed_by_how_they_stand(one: Api) -> None:
    over = await silenced(one)
    await one.http.delete(f"/api/v2/silence/{over}")
    later = await silenced(one, startsAt="2023-11-14T22:50:00Z")
    now = await silenced(one)

    listed = (await one.http.get("/api/v2/silences")).json()

    assert [(told["id"], told["status"]["state"]) for told in listed] == [
        (now, "active"),
        (later, "pending"),
        (over, "expired"),
    ]


async def test_silences_are_filtered_by_what_their_matchers_name(one: Api) -> None:
    await silenced(one)
    pay = await silenced(one, {"name": "service", "value": "pay", "isRegex": False})

    listed = await one.http.get("/api/v2/silences", params={"filter": 'service="pay"'})

    assert [told["id"] for told in listed.json()] == [pay]


async def test_a_silence_that_only_lasts_longer_stays_the_same(one: Api) -> None:
    by = await silenced(one)
    told = (await one.http.get(f"/api/v2/silence/{by}")).json()

    again = await silenced(one, startsAt=told["startsAt"], endsAt="2023-11-14T23:50:00Z", id=by)

    assert again == by
    assert (await one.http.get(f"/api/v2/silence/{by}")).json()["endsAt"] == "2023-11-14T23:50:00Z"


async def test_a_silence_of_something_else_takes_the_place_of_the_one_that_was(one: Api) -> None:
    by = await silenced(one)

    other = await silenced(one, {"name": "service", "value": "pay", "isRegex": False}, id=by)

    assert other != by
    assert (await one.http.get(f"/api/v2/silence/{by}")).json()["status"]["state"] == "expired"


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"endsAt": "2023-11-14T22:13:20Z"}, 400, "start time must be before end time"),
        (
            {"startsAt": "2023-11-14T21:00:00Z", "endsAt": "2023-11-14T22:00:00Z"},
            400,
            "end time can't be in the past",
        ),
        ({"id": "nobody"}, 404, "silence nobody not found"),
        ({"startsAt": "soon"}, 400, "startsAt"),
    ],
)
async def test_a_silence_that_cannot_be_is_refused_in_alertmanagers_words(
    one: Api, fields: dict[str, str], status: int, says: str
) -> None:
    answer = await silence(one, **fields)

    assert answer.status_code == status
    assert says in answer.json()


async def test_a_silence_over_everything_is_refused(one: Api) -> None:
    answer = await silence(one, {"name": "service", "value": ".*", "isRegex": True})

    assert answer.status_code == 400
    assert "must not match the empty string" in answer.json()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_silence_that_is_not_there_is_404(one: Api, method: str) -> None:
    answer = await one.http.request(method, "/api/v2/silence/nobody")

    assert answer.status_code == 404
    assert answer.json() == "silence nobody not found"


async def test_a_silence_is_a_decision_with_its_entries_in_the_audit_trail(one: Api) -> None:
    by = await silenced(one)
    await one.http.delete(f"/api/v2/silence/{by}")

    trail = await one.store.list(AuditEntry, Filter(INSTALLATION))

    acts = [entry.act for entry in trail.items]
    assert [(act.action, act.target) for act in acts] == [
        ("silence.change", f"silence:{by}"),
        ("silence.add", f"silence:{by}"),
    ]
    assert acts[1].after["matchers"] == "service=shop"


async def test_status_and_receivers_are_what_amtool_reads(one: Api) -> None:
    status = await one.get("/api/v2/status")
    receivers = await one.get("/api/v2/receivers")

    assert status["versionInfo"]["version"] == "0.25.0"
    assert status["cluster"] == {"peers": [], "status": "disabled"}
    assert "receiver: watchkeeper" in status["config"]["original"]
    assert receivers == [{"name": "watchkeeper"}]


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_whoever_asks_is_told_that_it_answers(one: Api, path: str) -> None:
    answer = await one.http.get(path)

    assert (answer.status_code, answer.text) == (200, "OK")
