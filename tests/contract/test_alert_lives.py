"""Alerts and silences from their beginning to their end, over HTTP, where a protocol has its own
way to tell of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.alert_doors import Doors, doors, form_at
from tests.contract.test_alert_receiver import START_NS

ENQUEUE = "/v2/enqueue"
EVENTS = "/webhooks/cloudevents"
POSTED = "/api/v2/alerts"
FORMATTED = "/integrations/v1/formatted_webhook/team/"
PAGE: Mapping[str, Any] = form_at(ENQUEUE).fires
EVENT: Mapping[str, Any] = form_at(EVENTS).fires
ONE = {"content-type": "application/cloudevents+json"}
BINARY = {
    "content-type": "application/json",
    **{f"ce-{name}": str(text) for name, text in EVENT.items()},
}
DEPLOYED = {
    "deployment_status": {"state": "success", "updated_at": "2026-01-05T09:55:00Z"},
    "deployment": {"id": 7, "sha": "abc123", "environment": "production"},
    "repository": {"name": "shop"},
}
TEN = "2026-01-05T10:00:00Z"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Doors]:
    async with doors(tmp_path) as opened:
        yield opened


def amended(name: str, start: str = TEN, **fields: Any) -> dict[str, Any]:
    """An alert as Prometheus posts it."""
    return {"labels": {"alertname": name, "service": "shop"}, "startsAt": start, **fields}


def quiet(name: str, **fields: Any) -> dict[str, Any]:
    """A silence of an hour over what has this name."""
    return {
        "matchers": [{"name": "alertname", "value": name, "isRegex": False}],
        "startsAt": TEN,
        "endsAt": "2026-01-05T11:00:00Z",
        "createdBy": "ann",
        "comment": "",
        **fields,
    }


async def silence(one: Doors, **fields: Any) -> str:
    answer = await one.post(
        "/api/v2/silences", quiet("Slow", **fields), {"content-type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["silenceID"]
    return found


async def state_of(one: Doors, identity: str) -> str:
    found = await one.api.get(f"/api/v2/silence/{identity}")
    state: str = found["status"]["state"]
    return state


async def states(one: Doors) -> list[str]:
    return [alert["status"]["state"] for alert in await one.firing()]


async def test_a_page_is_answered_with_its_key_from_its_trigger_to_its_end(one: Doors) -> None:
    keys = []
    for action in ("trigger", "acknowledge", "resolve"):
        answer = await one.post(ENQUEUE, {**PAGE, "event_action": action})
        keys.append((answer.status_code, answer.json()["dedup_key"], len(await one.firing())))

    assert keys == [(202, "inc-42", 1), (202, "inc-42", 1), (202, "inc-42", 0)]


async def test_a_page_without_a_key_is_ended_by_the_one_it_was_answered_with(one: Doors) -> None:
    sent = {name: value for name, value in PAGE.items() if name != "dedup_key"}
    key = (await one.post(ENQUEUE, sent)).json()["dedup_key"]
    before = len(await one.firing())

    ended = {"routing_key": "r", "event_action": "resolve", "dedup_key": key}
    answer = await one.post(ENQUEUE, ended)

    assert (answer.status_code, before) == (202, 1)
    assert await one.firing() == []


async def test_a_page_that_is_sent_again_is_answered_with_the_same_key(one: Doors) -> None:
    first = await one.post(ENQUEUE, PAGE)

    again = await one.post(ENQUEUE, PAGE)

    assert first.json() == again.json()
    assert len(one.alerts()) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"routing_key": ""}, "routing_key"),
        ({"event_action": "shout"}, "event_action"),
        ({"payload": None}, "payload"),
        ({"payload": {"summary": "s", "source": "x", "severity": "bad"}}, "severity"),
        ({"dedup_key": "k" * 256}, "dedup_key"),
    ],
)
async def test_a_page_that_is_none_is_an_invalid_event_that_says_where(
    one: Doors, fields: dict[str, Any], says: str
) -> None:
    answer = await one.post(ENQUEUE, {**PAGE, **fields})

    assert (answer.status_code, answer.json()["status"]) == (400, "invalid event")
    assert says in answer.json()["errors"][0]
    assert one.alerts() == []


async def test_cloudevents_of_all_three_forms_are_one_alert(one: Doors) -> None:
    batch = await one.say(EVENTS, EVENT)
    single = await one.post(EVENTS, dict(EVENT), ONE)
    binary = await one.post(EVENTS, b"", BINARY)

    assert [answer.status_code for answer in (batch, single, binary)] == [202, 202, 202]
    assert [alert.started_ns for alert in one.alerts()] == [START_NS] * len(one.alerts())
    assert len(await one.firing()) == 1


async def test_a_binary_event_that_lacks_an_attribute_is_400_by_its_name(one: Doors) -> None:
    headers = {name: text for name, text in BINARY.items() if name != "ce-source"}

    answer = await one.post(EVENTS, b"{}", headers)

    assert answer.status_code == 400
    assert "has no source" in answer.json()["error"]


@pytest.mark.parametrize("name", ["mine", "other"])
async def test_a_mapping_is_read_by_the_name_in_the_path(one: Doors, name: str) -> None:
    said = {"what": "Full", "name": "Usual", "about": ["db"], "service": "web"}
    body = {"alerts": [said]} if name == "mine" else said

    await one.post(f"/webhooks/json/{name}", body, {"content-type": "application/json"})

    (alert,) = one.alerts()
    read = (alert.source, alert.rule, alert.labels["service"])
    assert read == ((name, "Full", "db") if name == "mine" else (name, "Usual", "web"))


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "path", ["/api/v1/heartbeats/backup", "/integrations/v1/webhook/team/heartbeat/"]
)
async def test_a_heartbeat_is_taken_whatever_its_body_is(
    one: Doors, path: str, method: str
) -> None:
    answer = await one.post(path, b"\xff{", {"content-type": "text/plain"}, method)

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert [alert.rule for alert in one.alerts()] == ["HeartbeatMissed"]
    assert await one.firing() == []


async def test_a_heartbeat_that_nobody_waits_for_is_404_with_those_that_are(one: Doors) -> None:
    answer = await one.post("/api/v1/heartbeats/nobody", b"")

    assert answer.status_code == 404
    assert "known: backup, team" in answer.json()["detail"]


async def test_grafana_is_heard_by_put_too(one: Doors) -> None:
    form = form_at("/webhooks/grafana")

    answer = await one.post("/webhooks/grafana", form.listed([form.fires]), method="PUT")

    assert (answer.status_code, len(await one.firing())) == (200, 1)


async def test_a_deployment_of_a_git_webhook_is_a_change_and_no_alert(one: Doors) -> None:
    told = {"content-type": "application/json", "x-github-event": "deployment_status"}

    answer = await one.post("/webhooks/git", DEPLOYED, told)

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert [(change.service, change.version) for change in one.changes()] == [("shop", "abc123")]
    assert one.alerts() == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"x-github-event": "ping"}, 200),
        ({"x-github-event": "push", "content-type": "text/plain"}, 415),
        ({"x-gitlab-event": "Deployment Hook"}, 400),
    ],
)
async def test_what_a_git_webhook_cannot_use_is_no_change(
    one: Doors, headers: dict[str, str], status: int
) -> None:
    sent = {"content-type": "application/json", **headers}

    answer = await one.post("/webhooks/git", {"zen": "x"}, sent)

    assert answer.status_code == status
    assert one.logged == []


async def test_an_alert_without_an_end_is_over_when_nobody_says_it_again(one: Doors) -> None:
    await one.say(POSTED, amended("Slow"))
    await one.pass_s(299)
    before = await states(one)

    await one.pass_s(2)

    assert (before, await states(one)) == (["active"], [])


async def test_an_alert_that_is_said_again_lasts_and_keeps_its_start(one: Doors) -> None:
    for _ in range(4):
        await one.say(POSTED, amended("Slow"))
        await one.pass_s(200)

    (alert,) = await one.firing()

    assert alert["startsAt"] == TEN


async def test_what_fires_anew_after_its_end_is_shown_with_its_new_start(one: Doors) -> None:
    await one.post(FORMATTED, {"title": "Slow"})
    await one.pass_s(60)
    await one.post(FORMATTED, {"title": "Slow", "state": "ok"})
    await one.pass_s(60)

    await one.post(FORMATTED, {"title": "Slow"})

    (alert,) = await one.firing()
    assert alert["startsAt"] == "2026-01-05T10:02:00Z"


async def test_a_silence_holds_for_its_hour_and_no_longer(one: Doors) -> None:
    ends = {"endsAt": "2026-01-05T12:00:00Z"}
    by = await silence(one)
    await one.say(POSTED, amended("Slow", **ends), amended("Down", **ends))
    during = await states(one)

    await one.pass_s(3600)

    assert sorted(during) == ["active", "suppressed"]
    assert await states(one) == ["active", "active"]
    assert await state_of(one, by) == "expired"


async def test_a_silence_that_is_to_come_is_over_nothing_until_it_does(one: Doors) -> None:
    by = await silence(one, startsAt="2026-01-05T10:02:00Z")
    await one.say(POSTED, amended("Slow"))
    before = await states(one), await state_of(one, by)

    await one.pass_s(120)

    assert before == (["active"], "pending")
    assert (await states(one), await state_of(one, by)) == (["suppressed"], "active")


async def test_a_silence_that_is_ended_before_it_began_never_holds(one: Doors) -> None:
    by = await silence(one, startsAt="2026-01-05T10:30:00Z")

    await one.api.http.delete(f"/api/v2/silence/{by}")

    await one.pass_s(2400)
    await one.say(POSTED, amended("Slow", start="2026-01-05T10:40:00Z"))
    assert (await states(one), await state_of(one, by)) == (["active"], "expired")


async def test_a_silence_that_is_ended_twice_ended_when_it_was_first(one: Doors) -> None:
    by = await silence(one)
    await one.pass_s(60)
    first = await one.api.http.delete(f"/api/v2/silence/{by}")
    ended = (await one.api.get(f"/api/v2/silence/{by}"))["endsAt"]
    await one.pass_s(60)

    again = await one.api.http.delete(f"/api/v2/silence/{by}")

    assert (first.status_code, again.status_code) == (200, 200)
    assert (await one.api.get(f"/api/v2/silence/{by}"))["endsAt"] == ended


async def test_a_silence_that_is_over_is_set_again_as_another_one(one: Doors) -> None:
    by = await silence(one)
    await one.api.http.delete(f"/api/v2/silence/{by}")

    again = await silence(one, id=by)

    assert again != by
    assert (await state_of(one, by), await state_of(one, again)) == ("expired", "active")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"matchers": []}, 422),
        ({"matchers": [{"name": "", "value": "x", "isRegex": False}]}, 422),
        ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, 400),
        ({"matchers": [{"name": "a", "value": "", "isRegex": False}]}, 400),
        ({"matchers": [{"name": "a", "value": "x", "isRegex": False, "isEqual": False}]}, 400),
        ({"endsAt": TEN}, 400),
        ({"endsAt": "never"}, 400),
        ({"comment": None}, 422),
    ],
)
async def test_a_silence_that_cannot_be_is_refused_and_not_kept(
    one: Doors, fields: dict[str, Any], status: int
) -> None:
    told = {"content-type": "application/json"}

    answer = await one.post("/api/v2/silences", quiet("Slow", **fields), told)

    assert answer.status_code == status
    assert await one.api.get("/api/v2/silences") == []


async def test_a_silence_of_another_tenant_is_over_nothing_here_and_unknown(one: Doors) -> None:
    by = await silence(one)
    other = {"x-scope-orgid": "beta"}
    await one.say(POSTED, amended("Slow"), **other)

    (alert,) = await one.firing(**other)

    found = await one.api.http.get(f"/api/v2/silence/{by}", headers=other)
    gone = await one.api.http.delete(f"/api/v2/silence/{by}", headers=other)
    assert alert["status"]["state"] == "active"
    assert (found.status_code, gone.status_code) == (404, 404)
    assert await state_of(one, by) == "active"


@pytest.mark.parametrize(
    ("asked", "groups"),
    [
        ({}, {"Down": 1, "Slow": 2}),
        ({"filter": "service=pay"}, {"Slow": 1}),
        ({"silenced": "false"}, {"Down": 1}),
        ({"active": "false"}, {"Slow": 2}),
        ({"receiver": "nobody"}, {}),
    ],
)
async def test_groups_are_of_what_is_asked_for(
    one: Doors, asked: dict[str, str], groups: dict[str, int]
) -> None:
    pay = {"labels": {"alertname": "Slow", "service": "pay"}, "startsAt": TEN}
    await one.say(POSTED, amended("Slow"), amended("Down"), pay)
    await silence(one)

    found = await one.api.get("/api/v2/alerts/groups", **asked)

    assert {group["labels"]["alertname"]: len(group["alerts"]) for group in found} == groups
