"""Incidents over HTTP: listed, counted, shown whole, and what people do about them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.alerting import cascade
from tests.fronts import Api, api
from watchkeeper.bus.base import ANOMALIES
from watchkeeper.model.alert import Alert
from watchkeeper.model.signal import Tick

PATH = "/api/v1/incidents"
S = make.NS_PER_S


async def hear(one: Api, *records: Alert | Tick) -> None:
    for record in records:
        await one.deciding.log(record)


async def tick(one: Api, at_s: float) -> None:
    await hear(one, Tick(make.START_NS + round(at_s * S)))


@pytest.fixture(params=["memory", "sqlite"])
async def one(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """With a cascade of four alerts, and another alert that is alone and over."""
    async with api(tmp_path, store=request.param) as found:
        await tick(found, 0)
        search = make.alert("Slow", "search", summary="search answers late", at_s=5)
        for alert in [*cascade()[:1], search, *cascade()[1:]]:
            await hear(found, alert, Tick(alert.started_ns))
        await hear(found, make.resolved(search, after_s=60))
        await tick(found, 90)
        yield found


async def named(one: Api) -> dict[str, str]:
    """Incidents by the service in front."""
    return {item["service"]: item["id"] for item in (await one.get(PATH))["items"]}


async def do(one: Api, incident: str, verb: str, **said: Any) -> tuple[int, dict[str, Any]]:
    headers = said.pop("headers", {})
    answer = await one.http.post(f"{PATH}/{incident}/{verb}", json=said, headers=headers)
    body: dict[str, Any] = answer.json()
    return answer.status_code, body


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        ({}, ["bank", "search"]),
        ({"status": "active"}, ["bank"]),
        ({"status": "resolved"}, ["search"]),
        ({"status": "open"}, ["bank"]),
        ({"service": "web"}, ["bank"]),
        ({"rule": "Slow"}, ["search"]),
        ({"urgency": "warning"}, ["bank", "search"]),
        ({"urgency": "critical"}, []),
        ({"text": "ANSWERS late"}, ["search"]),
        ({"assignee": "ann"}, []),
        ({"limit": "1"}, ["bank"]),
        ({"until": str(make.START_NS // S + 10)}, ["search"]),
        ({"since": str(make.START_NS // S + 300)}, ["bank"]),
    ],
)
async def test_incidents_are_listed_newest_first_by_what_is_asked(
    one: Api, asked: dict[str, str], want: list[str]
) -> None:
    answer = await one.get(PATH, **asked)

    assert [item["service"] for item in answer["items"]] == want
    assert "facets" not in answer


async def test_facets_say_how_many_there_are_of_each(one: Api) -> None:
    answer = await one.get(PATH, facets="true")

    assert answer["facets"]["status"] == {"open": 1, "resolved": 1}
    assert answer["facets"]["rule"] == {"ErrorRate": 1, "Slow": 1}
    assert set(answer["facets"]["service"]) == {"bank", "payment", "checkout", "web", "search"}
    assert "shown" not in answer["facets"]
    assert answer["counted"] == {"incidents": 2, "all": True}


async def test_a_page_goes_on_behind_the_one_before(one: Api) -> None:
    first = await one.get(PATH, limit="1")

    second = await one.get(PATH, limit="1", cursor=first["cursor"])

    assert [item["service"] for item in second["items"]] == ["search"]
    assert second["cursor"] is None


async def test_an_incident_is_shown_whole_with_why_each_alert_joined(one: Api) -> None:
    incident = (await named(one))["bank"]

    answer = await one.http.get(f"{PATH}/{incident}")

    told = answer.json()
    assert answer.headers["etag"] == f'"{told["version"]}"'
    assert [member["service"] for member in told["members"]] == [
        "bank", "payment", "checkout", "web",
    ]  # fmt: skip
    assert (told["status"], told["alerts"], told["firing"]) == ("open", 4, 4)
    first, second, *_ = told["members"]
    assert first["is_representative"]
    assert first["id"] == told["representative"] == second["joined"]["because_of"]
    assert second["silence"] == "explained"
    assert second["joined"]["hops"] == 1
    assert second["joined"]["odds"] == pytest.approx(
        sum(second["joined"][name] for name in ("time", "topology", "text", "labels"))
    )
    assert second["source"] == "alertmanager"


async def test_what_we_found_ourselves_is_linked_by_name(one: Api) -> None:
    alert = make.alert(
        "errors", "host9", source="watchkeeper", annotations={"anomaly": "a1"}, at_s=85
    )

    await hear(one, alert)
    await tick(one, 91)

    incident = (await named(one))["host9"]
    (member,) = (await one.get(f"{PATH}/{incident}"))["members"]
    assert (member["source"], member["anomalies"]) == ("watchkeeper", ["a1"])


async def test_the_timeline_is_newest_first_and_pages(one: Api) -> None:
    incident = (await named(one))["search"]

    whole = await one.get(f"{PATH}/{incident}/timeline")
    first = await one.get(f"{PATH}/{incident}/timeline", limit="3")
    second = await one.get(f"{PATH}/{incident}/timeline", limit="3", cursor=first["cursor"])

    told = [entry["what"] for entry in whole["items"]]
    assert told[:2] == ["resolved", "ended"]
    assert set(told[2:]) == {"joined", "opened"}
    assert [*first["items"], *second["items"]] == whole["items"]


@pytest.mark.parametrize("path", ["INC-1-99", "INC-1-99/timeline", "%00"])
async def test_what_is_not_there_is_not_found(one: Api, path: str) -> None:
    answer = await one.http.get(f"{PATH}/{path}")

    assert answer.status_code == 404
    assert "GET /api/v1/incidents lists them" in answer.json()["detail"]


async def test_a_verb_answers_with_the_incident_as_it_is_then(one: Api) -> None:
    incident = (await named(one))["bank"]

    status, told = await do(one, incident, "acknowledge", comment="mine")

    assert (status, told["status"]) == (200, "acknowledged")
    entries = (await one.get(f"{PATH}/{incident}/timeline"))["items"]
    (entry,) = [entry for entry in entries if entry["what"] == "acknowledged"]
    assert (entry["text"], entry["by"]) == ("mine", "local")
    (act, *_) = (await one.get("/api/v1/audit"))["items"]
    assert (act["action"], act["target"]) == ("incident.acknowledge", f"incident:{incident}")


@pytest.mark.parametrize(
    ("verb", "said", "name", "value"),
    [
        ("assign", {"assignee": "bob"}, "assignee", "bob"),
        ("comment", {"comment": "hm"}, "comments", 1),
        ("mitigate", {}, "status", "mitigating"),
        ("resolve", {}, "status", "resolved"),
        ("snooze", {"duration": "30m"}, "snoozed_until", None),
        ("snooze", {"until": "2040-01-01T00:00:00Z"}, "snoozed_until", "2040-01-01T00:00:00Z"),
    ],
)
async def test_each_verb_does_what_it_says(
    one: Api, verb: str, said: dict[str, Any], name: str, value: object
) -> None:
    incident = (await named(one))["bank"]

    status, told = await do(one, incident, verb, **said)

    assert status == 200
    assert told[name] == value if value is not None else told[name]


async def test_a_comment_may_speak_of_an_earlier_time(one: Api) -> None:
    incident = (await named(one))["bank"]

    await do(one, incident, "comment", comment="seen first", at="2023-11-14T22:13:22Z")

    entries = (await one.get(f"{PATH}/{incident}/timeline"))["items"]
    assert [entry["time"] for entry in entries if entry["what"] == "commented"] == [
        "2023-11-14T22:13:22Z"
    ]


@pytest.mark.parametrize(
    ("verb", "said", "status", "detail"),
    [
        ("close", {}, 409, "is open; resolve it before you close it"),
        ("comment", {}, 400, "says nothing"),
        ("snooze", {"duration": "soon"}, 400, "'soon' is no duration"),
        ("merge", {}, 400, "say in `into` which incident"),
        ("merge", {"into": "INC-1-99"}, 404, "there is no incident 'INC-1-99'"),
        ("split", {}, 400, "say in `alerts` which"),
        ("unlink", {"alerts": ["ff"]}, 400, "has no alert 'ff'; `members` lists them"),
        ("acknowledge", {"expected": 99}, 412, "was decided on since version 99"),
        ("acknowledge", {"colour": "red"}, 422, "colour"),
        ("explode", {}, 422, "acknowledge"),
    ],
)
async def test_what_cannot_be_done_says_why_and_what_can(
    one: Api, verb: str, said: dict[str, Any], status: int, detail: str
) -> None:
    incident = (await named(one))["bank"]
    n_logged = len(one.deciding.logged)

    answered, told = await do(one, incident, verb, **said)

    assert (answered, detail in told["detail"]) == (status, True), told
    assert len(one.deciding.logged) == n_logged


async def test_nothing_is_merged_into_what_is_over(one: Api) -> None:
    incidents = await named(one)

    status, told = await do(one, incidents["bank"], "merge", into=incidents["search"])

    assert status == 409
    assert "is resolved; reopen it before" in told["detail"]


async def test_alerts_go_where_a_person_says(one: Api) -> None:
    incident = (await named(one))["bank"]
    members = (await one.get(f"{PATH}/{incident}"))["members"]
    web = [member["id"] for member in members if member["service"] == "web"]

    status, told = await do(one, incident, "unlink", alerts=web)
    parted = (await named(one))["web"]
    merged, home = await do(one, parted, "merge", into=incident)

    assert (status, len(told["members"])) == (200, 3)
    assert (merged, home["status"], home["merged_into"]) == (200, "merged", incident)
    assert len((await one.get(f"{PATH}/{incident}"))["members"]) == 4
    assert parted in [item["id"] for item in (await one.get(PATH, status="merged"))["items"]]


async def test_all_alerts_of_an_incident_are_the_incident(one: Api) -> None:
    incident = (await named(one))["bank"]
    members = (await one.get(f"{PATH}/{incident}"))["members"]

    status, told = await do(one, incident, "split", alerts=[one["id"] for one in members])

    assert status == 400
    assert "leave at least one" in told["detail"]


async def test_who_saw_an_older_state_decides_nothing(one: Api) -> None:
    incident = (await named(one))["bank"]
    etag = (await one.http.get(f"{PATH}/{incident}")).headers["etag"]

    first, _ = await do(one, incident, "assign", assignee="ann", headers={"if-match": etag})
    second, told = await do(one, incident, "assign", assignee="bob", headers={"if-match": etag})

    assert (first, second) == (200, 412)
    assert "read it, and say it again if it is still wanted" in told["detail"]
    assert (await one.get(f"{PATH}/{incident}"))["assignee"] == "ann"


@pytest.mark.parametrize("given", ["*", None])
async def test_who_does_not_mind_what_it_was_always_decides(one: Api, given: str | None) -> None:
    incident = (await named(one))["bank"]
    headers = {} if given is None else {"if-match": given}

    status, _ = await do(one, incident, "acknowledge", headers=headers)

    assert status == 200


@pytest.mark.parametrize(
    ("name", "value"), [("if-match", "yesterday"), ("idempotency-key", "a key")]
)
async def test_a_header_that_means_nothing_is_refused(one: Api, name: str, value: str) -> None:
    incident = (await named(one))["bank"]

    status, told = await do(one, incident, "acknowledge", headers={name: value})

    assert status == 400
    assert told["detail"].startswith(name)


async def test_a_request_that_comes_again_has_one_effect(one: Api) -> None:
    incident = (await named(one))["bank"]
    key = {"idempotency-key": "4711"}

    answers = [await do(one, incident, "comment", comment="hm", headers=key) for _ in range(2)]

    assert [(status, told["comments"]) for status, told in answers] == [(200, 1)] * 2


async def test_what_is_so_already_is_no_fault(one: Api) -> None:
    incident = (await named(one))["bank"]

    answers = [await do(one, incident, "resolve") for _ in range(2)]

    assert [status for status, _ in answers] == [200, 200]
    assert answers[0][1]["version"] == answers[1][1]["version"]


async def test_the_same_is_done_about_many(one: Api) -> None:
    incidents = await named(one)
    wanted = [incidents["bank"], "INC-1-99", incidents["search"], incidents["bank"]]

    answer = await one.http.post(f"{PATH}/bulk", json={"verb": "close", "incidents": wanted})

    told = answer.json()
    assert [(one["id"], one["status"]) for one in told["results"]] == [
        (incidents["bank"], 409),
        ("INC-1-99", 404),
        (incidents["search"], 200),
    ]
    assert told["results"][2]["incident"]["status"] == "closed"
    assert (told["done"], told["refused"]) == (1, 2)


@pytest.mark.parametrize(
    "said",
    [
        {"verb": "close", "incidents": []},
        {"verb": "close", "incidents": ["x"] * 501},
        {"incidents": ["x"]},
        {"verb": "burn", "incidents": ["x"]},
    ],
)
async def test_a_bulk_that_says_too_little_or_too_much_is_refused(
    one: Api, said: dict[str, Any]
) -> None:
    answer = await one.http.post(f"{PATH}/bulk", json=said)

    assert answer.status_code == 422


async def test_changes_are_streamed_and_are_none_of_anomalies(one: Api) -> None:
    incident = (await named(one))["bank"]
    before = await one.store.save([])
    async with one.streaming(path=f"{PATH}/stream") as stream, one.streaming() as others:
        await stream.until(lambda text: "connected" in text)
        await others.until(lambda text: "connected" in text)
        await do(one, incident, "acknowledge")

        await one.bus.publish(ANOMALIES, await one.store.events(before, 100))
        (event,) = await stream.events(1)
        await one.save(make.anomaly())
        (anomaly,) = await others.events(1)

    assert event["event"] == "incident"
    assert json.loads(event["data"])["status"] == "acknowledged"
    assert anomaly["event"] == "anomaly"


async def test_one_tenant_sees_and_handles_nothing_of_another(one: Api) -> None:
    incident = (await named(one))["bank"]
    acme = {"x-scope-orgid": "acme"}

    listed = await one.http.get(PATH, headers=acme)
    read = await one.http.get(f"{PATH}/{incident}", headers=acme)
    done, _ = await do(one, incident, "resolve", headers=acme)

    assert listed.json()["items"] == []
    assert (read.status_code, done) == (404, 404)


async def test_what_has_not_taken_effect_yet_is_only_accepted(tmp_path: Path) -> None:
    async with api(tmp_path, stored_to=0) as one:
        await hear(one, make.alert(service="bank"), Tick(make.START_NS))
        incident = (await named(one))["bank"]

        status, _ = await do(one, incident, "acknowledge")

    assert status == 202
