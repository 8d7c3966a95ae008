"""Verdicts on anomalies, and maintenance windows, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import gateways, make
from tests.fronts import Api, api
from tests.gateways import AWAY
from watchkeeper.model.principal import Role, Scope
from watchkeeper.model.ruling import Maintenance, Verdict, Word

ANOMALY = make.anomaly()
PATH = f"/api/v1/anomalies/{ANOMALY.id}/verdict"
WINDOWS = "/api/v1/maintenance"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        await found.save(ANOMALY)
        yield found


async def say(one: Api, word: str, **more: str) -> Any:
    answer = await one.http.post(PATH, json={"verdict": word, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_verdict_tells_what_it_changes(one: Api) -> None:
    document = {"detectors": [{"use": "basic"}, {"use": "fk", "budget_per_week": 0.1}]}
    await one.http.put("/api/v1/config/detection", json=document)

    told = await say(one, "not_useful", comment="nightly backup")

    assert (told["verdict"], told["by"], told["comment"]) == (
        "not_useful",
        "local",
        "nightly backup",
    )
    assert told["changes"]["limit_before"] == 1.0
    assert told["changes"]["limit_after"] == pytest.approx(0.316, rel=1e-3)
    assert told["changes"]["says"] == "the limit of this series, from p < 9.9e-06 to p < 3.1e-06"


async def test_where_nobody_set_a_limit_a_verdict_tells_by_how_much_it_changes(one: Api) -> None:
    await one.save(make.anomaly(id="w1", detector="no_data"))

    answer = await one.http.post("/api/v1/anomalies/w1/verdict", json={"verdict": "real"})

    says = answer.json()["changes"]["says"]
    assert says == "the limit of this series, from times 1 to times 1.78"


async def test_a_verdict_is_logged_with_all_that_is_needed_to_act_on_it(one: Api) -> None:
    await say(one, "real")

    (record,) = one.deciding.logged
    assert isinstance(record, Verdict)
    assert (record.subject, record.detector, record.started_ns, record.partition) == (
        ANOMALY.series,
        "fk",
        ANOMALY.started_ns,
        7,
    )
    assert record.entity == ANOMALY.entity


async def test_a_principals_new_verdict_replaces_the_one_before(one: Api) -> None:
    await say(one, "not_useful")
    await say(one, "real")

    items = (await one.get(PATH))["items"]

    assert [item["verdict"] for item in items] == ["real"]
    assert items[0]["changes"]["limit_before"] == 1.0


async def test_a_withdrawn_verdict_is_gone_and_so_is_what_it_changed(one: Api) -> None:
    await say(one, "not_useful")

    withdrawn = await one.http.delete(PATH)

    assert withdrawn.status_code == 200
    assert withdrawn.json()["changes"]["limit_after"] == 1.0
    assert (await one.get(PATH))["items"] == []
    assert [record.word for record in one.deciding.logged if isinstance(record, Verdict)] == [
        Word.NOT_USEFUL,
        Word.WITHDRAWN,
    ]


async def test_who_has_said_nothing_has_nothing_to_withdraw(one: Api) -> None:
    answer = await one.http.delete(PATH)

    assert answer.status_code == 404
    assert "no verdict of local" in answer.json()["detail"]


async def test_what_is_expected_says_when_the_like_is_muted(one: Api) -> None:
    told = await say(one, "expected")

    assert told["changes"]["limit_after"] == 1.0
    assert "this time of the week" in told["changes"]["says"]


@pytest.mark.parametrize("body", [{}, {"verdict": "withdrawn"}, {"verdict": "real", "x": 1}])
async def test_what_is_no_verdict_is_refused(one: Api, body: dict[str, Any]) -> None:
    answer = await one.http.post(PATH, json=body)

    assert answer.status_code == 422
    assert one.deciding.logged == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_of_an_anomaly_that_is_not_there_nothing_can_be_said(one: Api, method: str) -> None:
    answer = await one.http.request(
        method, "/api/v1/anomalies/none/verdict", json={"verdict": "real"}
    )

    assert answer.status_code == 404


async def test_each_principal_has_one_verdict_and_the_trail_knows_them(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        await one.save(ANOMALY)
        ops = await gateways.key(one, 1, role=Role.OPERATOR)
        judge = await gateways.scoped(one, Scope.JUDGE, 2)
        viewer = await gateways.key(one, 3)
        boss = await gateways.admin(one)

        said = [
            await one.http.post(PATH, json={"verdict": "not_useful"}, headers=who.header)
            for who in (ops, judge, viewer)
        ]
        items = (await one.http.get(PATH, headers=boss.header)).json()["items"]
        trail = (await one.http.get("/api/v1/audit", headers=boss.header)).json()["items"]

    assert [answer.status_code for answer in said] == [200, 200, 403]
    assert {item["by"] for item in items} == {f"key:{ops.id}", f"key:{judge.id}"}
    assert all(item["changes"]["limit_after"] == pytest.approx(0.1) for item in items)
    assert [entry["action"] for entry in trail] == ["verdict.give"] * 2


async def test_another_tenants_anomaly_is_not_there(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        await one.save(ANOMALY)
        theirs = await gateways.key(one, role=Role.OPERATOR, tenants=["other"])

        answer = await one.http.post(PATH, json={"verdict": "real"}, headers=theirs.header)

    assert answer.status_code == 404


async def add(one: Api, **fields: Any) -> httpx.Response:
    return await one.http.post(WINDOWS, json={"duration": "2h", **fields})


async def test_a_window_begins_now_and_lasts_as_long_as_is_said(one: Api) -> None:
    answer = await add(one, match={"service": "shop"}, reason="disks")

    told = answer.json()
    assert answer.status_code == 201, answer.text
    assert (told["from"], told["to"]) == ("2023-11-14T22:13:20Z", "2023-11-15T00:13:20Z")
    assert (told["holds"], told["reason"], told["by"]) == (True, "disks", "local")
    assert isinstance(one.deciding.logged[0], Maintenance)


async def test_a_window_may_begin_later(one: Api) -> None:
    told = (await add(one, start="2023-11-15T10:00:00Z")).json()

    assert (told["from"], told["holds"]) == ("2023-11-15T10:00:00Z", False)


async def test_a_window_that_is_ended_early_is_over(one: Api) -> None:
    identity = (await add(one)).json()["id"]
    one.clock.advance(60)

    ended = await one.http.delete(f"{WINDOWS}/{identity}")

    assert ended.json()["to"] == "2023-11-14T22:14:20Z"
    assert (await one.get(WINDOWS))["items"] == []
    assert [item["id"] for item in (await one.get(WINDOWS, over="true"))["items"]] == [identity]


async def test_a_window_that_has_not_begun_never_does_when_it_is_ended(one: Api) -> None:
    identity = (await add(one, start="2023-11-15T10:00:00Z")).json()["id"]

    told = (await one.http.delete(f"{WINDOWS}/{identity}")).json()

    assert told["from"] == told["to"] == "2023-11-15T10:00:00Z"


async def test_to_end_what_is_over_changes_nothing(one: Api) -> None:
    identity = (await add(one)).json()["id"]
    one.clock.advance(3 * 3600)

    answer = await one.http.delete(f"{WINDOWS}/{identity}")

    assert answer.json()["to"] == "2023-11-15T00:13:20Z"
    assert len(one.deciding.logged) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"duration": "0s"}, 400),
        ({"duration": "for ever"}, 400),
        ({"duration": "400d"}, 400),
        ({"start": "soon"}, 400),
        ({"match": {"tenant": "other"}}, 400),
        ({"reason": ""}, 422),
        ({"until": "2h"}, 422),
    ],
)
async def test_what_is_no_window_is_refused(one: Api, fields: dict[str, Any], status: int) -> None:
    answer = await add(one, **fields)

    assert answer.status_code == status
    assert one.deciding.logged == []


async def test_a_window_that_is_not_there_cannot_be_ended(one: Api) -> None:
    assert (await one.http.delete(f"{WINDOWS}/none")).status_code == 404


async def test_windows_are_their_tenants_own(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        ours = await gateways.key(one, 1, role=Role.OPERATOR, tenants=["ours"])
        theirs = await gateways.key(one, 2, role=Role.OPERATOR, tenants=["theirs"])
        made = await one.http.post(WINDOWS, json={"duration": "2h"}, headers=ours.header)

        listed = (await one.http.get(WINDOWS, headers=theirs.header)).json()["items"]
        ended = await one.http.delete(f"{WINDOWS}/{made.json()['id']}", headers=theirs.header)

    assert listed == []
    assert ended.status_code == 404
