"""Who may decide what about detection, of whose tenant, and what of it happens at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import gateways, make
from tests.conftest import Golden
from tests.fronts import Api, api
from tests.gateways import AWAY
from watchkeeper.api.times import iso, parse_duration, parse_time
from watchkeeper.errors import BadInput
from watchkeeper.model.principal import Role, Scope
from watchkeeper.model.ruling import Word
from watchkeeper.model.series import Kind, Series, SeriesId

ANOMALY = make.anomaly()
SERIES = SeriesId(bytes.fromhex(ANOMALY.series))
SETTINGS = "/api/v1/config/detection"
WINDOWS = "/api/v1/maintenance"
VERDICT = f"/api/v1/anomalies/{ANOMALY.id}/verdict"
NONE: dict[str, Any] = {"detectors": []}
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", SETTINGS, None),
    ("GET", f"{SETTINGS}/versions", None),
    ("GET", f"{SETTINGS}/versions/0", None),
    ("PUT", f"{SETTINGS}?dry_run=true", NONE),
    ("PUT", SETTINGS, NONE),
    ("POST", f"{SETTINGS}/versions/0/restore", None),
    ("GET", WINDOWS, None),
    ("POST", WINDOWS, {"duration": "1h"}),
    ("DELETE", f"{WINDOWS}/none", None),
    ("GET", VERDICT, None),
    ("POST", VERDICT, {"verdict": "real"}),
    ("DELETE", VERDICT, None),
    ("GET", f"/api/v1/anomalies/{ANOMALY.id}/traces", None),
    ("GET", f"/api/v1/detection/series/{ANOMALY.series}", None),
    ("GET", "/api/v1/detection/band?match=up", None),
]


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        await found.save(ANOMALY)
        yield found


def judged(one: Api) -> None:
    """The series of the anomaly has sent lately."""
    one.deciding.known[SERIES] = Series(
        SERIES, ANOMALY.tenant, ANOMALY.labels, Kind.GAUGE, ANOMALY.entity
    )


# Who may


async def test_who_may_do_what_is_a_table(tmp_path: Path, golden: Golden) -> None:
    """Read it when it changes: a status in the wrong place is somebody who may what they should
    not."""
    async with api(tmp_path, peer=AWAY) as one:
        await one.save(ANOMALY)
        judged(one)
        who: dict[str, dict[str, str]] = {"nobody": {}}
        who["stranger"] = gateways.bearer(gateways.WRONG)
        who["sender"] = (await gateways.scoped(one, Scope.WRITE_METRICS, 1)).header
        who["judge"] = (await gateways.scoped(one, Scope.JUDGE, 2)).header
        for number, role in enumerate((Role.VIEWER, Role.OPERATOR, Role.ADMIN), start=3):
            who[role] = (await gateways.key(one, number, role=role)).header
            theirs = await gateways.key(one, 10 + number, role=role, tenants=["default"])
            who[f"{role} of one"] = theirs.header
        lines = []
        for method, path, body in ROUTES:
            answers = [
                await one.http.request(method, path, json=body, headers=header)
                for header in who.values()
            ]
            cells = " ".join(
                f"{name}={answer.status_code}" for name, answer in zip(who, answers, strict=True)
            )
            lines.append(f"{method} {path.replace(ANOMALY.id, 'A')}\n    {cells}")

    golden.check("ruling/who", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for method, path, _ in ROUTES if "anomalies/" in path or "series/" in path],
)
async def test_of_another_tenant_nothing_is_there(tmp_path: Path, method: str, path: str) -> None:
    """Nor does the answer tell that it is somebody else's."""
    async with api(tmp_path, peer=AWAY) as one:
        await one.save(ANOMALY)
        judged(one)
        await one.store.save([make.verdict(anomaly=ANOMALY.id, principal="key:000000000001")])
        theirs = await gateways.key(one, 1, role=Role.OPERATOR, tenants=["theirs"])

        answer = await one.http.request(
            method, path, json={"verdict": "real"}, headers=theirs.header
        )

    assert answer.status_code == 404
    assert "checkout" not in answer.text
    assert "default" not in answer.json()["detail"]
    assert one.deciding.logged == []


async def test_another_tenants_name_in_the_header_opens_nothing(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        await one.save(ANOMALY)
        theirs = await gateways.key(one, 1, role=Role.OPERATOR, tenants=["theirs"])
        header = {**theirs.header, "x-scope-orgid": "default"}

        answers = [
            await one.http.get(VERDICT, headers=header),
            await one.http.post(WINDOWS, json={"duration": "1h"}, headers=header),
            await one.http.get(WINDOWS, headers=header),
        ]

    assert {answer.status_code for answer in answers} == {403}
    assert one.deciding.logged == []


async def test_windows_of_the_settings_are_told_to_the_tenants_they_are_for(
    tmp_path: Path,
) -> None:
    listed = [
        {"match": {"tenant": "ours"}, "weekly": "sun 02:00-04:00", "reason": "ours alone"},
        {"match": {"service": "a"}, "weekly": "mon 02:00-04:00", "reason": "of all"},
    ]
    async with api(tmp_path, peer=AWAY) as one:
        boss = await gateways.admin(one)
        set_ = await one.http.put(SETTINGS, json={"maintenance": listed}, headers=boss.header)
        told = {}
        for number, tenant in enumerate(("ours", "theirs"), start=1):
            who = await gateways.key(one, number, tenants=[tenant])
            items = (await one.http.get(WINDOWS, headers=who.header)).json()["items"]
            told[tenant] = [item["reason"] for item in items]

    assert set_.status_code == 200, set_.text
    assert told == {"ours": ["ours alone", "of all"], "theirs": ["of all"]}


async def test_no_answer_has_a_secret_in_it(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        await one.save(ANOMALY)
        judged(one)
        boss = await gateways.admin(one)
        secret = boss.text.rpartition("_")[2]

        answers = [
            await one.http.request(method, path, json=body, headers=boss.header)
            for method, path, body in ROUTES
        ]
        trail = await one.http.get("/api/v1/audit", headers=boss.header)

    assert all(secret not in answer.text for answer in [*answers, trail])
    assert f"key:{boss.id}" in trail.text


# At once


async def test_all_that_set_at_once_have_versions_of_their_own(one: Api) -> None:
    wanted = [{"detectors": [], "sensitivity": word} for word in ("low", "high", "normal") * 2]

    answers = await asyncio.gather(*(one.http.put(SETTINGS, json=document) for document in wanted))

    versions = sorted(answer.json()["version"] for answer in answers)
    listed = (await one.get(f"{SETTINGS}/versions"))["items"]
    newest = await one.get(SETTINGS)
    assert {answer.status_code for answer in answers} == {200}
    assert versions == sorted(set(versions))
    assert [item["version"] for item in listed] == [*reversed(versions), 0]
    assert newest["version"] == versions[-1]


@pytest.mark.parametrize("n", [2, 5])
async def test_of_many_who_read_the_same_version_one_wins_and_the_others_are_told_who(
    one: Api, n: int
) -> None:
    documents = [{"detectors": [], "sensitivity": ("low", "high")[at % 2]} for at in range(n)]

    answers = await asyncio.gather(
        *(one.http.put(SETTINGS, json=document, params={"expected": "0"})
          for document in documents)
    )  # fmt: skip

    refused = [answer for answer in answers if answer.status_code == 412]
    assert len(refused) == n - 1
    assert all("1 is, set by local" in answer.json()["detail"] for answer in refused)
    assert (await one.get(SETTINGS))["version"] == 1


async def test_a_restore_that_comes_too_late_changes_nothing(one: Api) -> None:
    await one.http.put(SETTINGS, json=NONE)
    await one.http.put(SETTINGS, json={"sensitivity": "low"})

    late = await one.http.post(f"{SETTINGS}/versions/1/restore", params={"expected": "1"})

    assert late.status_code == 412
    assert (await one.get(SETTINGS))["version"] == 2


async def test_verdicts_of_one_principal_at_once_leave_one(one: Api) -> None:
    words = ("real", "not_useful", "expected")

    answers = await asyncio.gather(
        *(one.http.post(VERDICT, json={"verdict": word}) for word in words)
    )

    items = (await one.get(VERDICT))["items"]
    positions = [answer.json()["position"] for answer in answers]
    assert len(set(positions)) == 3
    assert [item["position"] for item in items] == [max(positions)]


async def test_windows_at_once_are_windows_each(one: Api) -> None:
    answers = await asyncio.gather(
        *(one.http.post(WINDOWS, json={"duration": "1h"}) for _ in range(5))
    )

    told = {answer.json()["id"] for answer in answers}
    assert len(told) == 5
    assert {item["id"] for item in (await one.get(WINDOWS))["items"]} == told


async def test_two_who_end_a_window_at_once_both_hear_that_it_is_over(one: Api) -> None:
    identity = (await one.http.post(WINDOWS, json={"duration": "1h"})).json()["id"]
    one.clock.advance(60)

    answers = await asyncio.gather(*(one.http.delete(f"{WINDOWS}/{identity}") for _ in range(2)))

    assert {answer.json()["to"] for answer in answers} == {"2023-11-14T22:14:20Z"}
    assert (await one.get(WINDOWS))["items"] == []


# Of anomalies that are gone


async def forgotten(one: Api, **fields: Any) -> None:
    """A verdict whose anomaly the store does not have any more."""
    said = {"anomaly": "gone", "principal": "local", "position": 0, **fields}
    await one.store.save([make.verdict(**said)])


async def test_a_verdict_on_an_anomaly_that_is_forgotten_still_counts_and_is_listed(
    one: Api,
) -> None:
    await forgotten(one)

    (item,) = (await one.get("/api/v1/anomalies/gone/verdict"))["items"]

    assert (item["anomaly"], item["verdict"], item["by"]) == ("gone", "not_useful", "local")
    assert item["changes"]["limit_after"] < item["changes"]["limit_before"]


async def test_a_verdict_on_an_anomaly_that_is_forgotten_can_be_taken_back(one: Api) -> None:
    """It answered that there was no such anomaly, and the limit of the series stayed moved."""
    await forgotten(one, comment="backup")
    before = await one.get("/api/v1/anomalies/gone/verdict")

    withdrawn = await one.http.delete("/api/v1/anomalies/gone/verdict")
    again = await one.http.delete("/api/v1/anomalies/gone/verdict")

    (record,) = one.deciding.logged
    assert withdrawn.status_code == 200, withdrawn.text
    assert withdrawn.json()["verdict"] == "withdrawn"
    assert withdrawn.json()["comment"] == ""
    assert withdrawn.json()["changes"]["limit_after"] == 1.0
    assert getattr(record, "word", None) is Word.WITHDRAWN
    assert before["items"]
    assert again.status_code == 404


async def test_nothing_new_is_said_of_an_anomaly_that_is_forgotten(one: Api) -> None:
    await forgotten(one)

    answer = await one.http.post("/api/v1/anomalies/gone/verdict", json={"verdict": "real"})

    assert answer.status_code == 404
    assert "GET /api/v1/anomalies lists them" in answer.json()["detail"]


async def test_only_ones_own_verdict_on_it_can_be_taken_back(one: Api) -> None:
    await forgotten(one, principal="user:ann")

    answer = await one.http.delete("/api/v1/anomalies/gone/verdict")

    assert answer.status_code == 404
    assert "it has those of user:ann" in answer.json()["detail"]


# What is sent


@pytest.mark.parametrize(
    "body",
    [
        {"verdict": None},
        {"verdict": 1},
        {"verdict": ["real"]},
        {"verdict": "REAL"},
        {"verdict": "real\n"},
        {"verdict": "real", "comment": "x" * 1001},
        {"verdict": "real", "comment": None},
        {"verdict": "real", "by": "user:boss"},
        [],
        "real",
        None,
    ],
    ids=str,
)
async def test_a_body_that_is_no_verdict_is_refused(one: Api, body: Any) -> None:
    answer = await one.http.post(VERDICT, json=body)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body")
    assert one.deciding.logged == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"duration": 3600},
        {"duration": "1h", "match": []},
        {"duration": "1h", "match": {"service": 1}},
        {"duration": "1h", "match": {f"l{n}": "x" for n in range(21)}},
        {"duration": "1h" * 11},
        {"duration": "1h", "start": 1893456000},
        {"duration": "1h", "tenant": "other"},
        {"duration": "1h", "id": "mine"},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_a_body_that_is_no_window_is_refused(one: Api, body: Any) -> None:
    answer = await one.http.post(WINDOWS, json=body)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body")
    assert one.deciding.logged == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 422),
        ("limit=1001", 422),
        ("limit=x", 422),
        ("limit=1", 200),
        ("limit=1000", 200),
    ],
)
async def test_versions_are_listed_in_portions(one: Api, query: str, status: int) -> None:
    await one.http.put(SETTINGS, json=NONE)

    answer = await one.http.get(f"{SETTINGS}/versions?{query}")

    assert answer.status_code == status
    if query == "limit=1":
        assert [item["version"] for item in answer.json()["items"]] == [1]


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ('"0"', 200),
        ('W/"0"', 200),
        ("0", 200),
        ("*", 200),
        (' "0" ', 200),
        ('"1"', 412),
        ('"0", "1"', 400),
        ('"-1"', 400),
        ('"1234567890"', 400),
        ("", 400),
    ],
)
async def test_an_etag_is_read_as_it_was_given_out(one: Api, tag: str, status: int) -> None:
    answer = await one.http.put(SETTINGS, json=NONE, headers={"if-match": tag})

    assert answer.status_code == status
    assert len(one.deciding.logged) == (status == 200)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"match": "up", "start": "2023-11-14T22:00:00Z", "end": "2023-11-14T21:00:00Z"}, 400),
        ({"match": "up", "start": "2023-11-14T22:00:00+01:00", "end": "2023-11-14T21:30Z"}, 200),
        ({"match": "up", "start": "2023-11-14T22:00:00+01:00", "end": "2023-11-14T21:00Z"}, 400),
        ({"match": "up", "start": "-9000000001"}, 400),
        ({"match": "up", "start": "-9000000000", "end": "-8999996400"}, 200),
        ({"match": "up", "end": "9000000000"}, 200),
        ({"match": "up", "end": "nan"}, 400),
        ({"match": "up", "step": "0"}, 400),
        ({"match": "up", "step": "-1m"}, 400),
        ({"match": "up", "step": "366d"}, 200),
        ({"match": "up", "step": "367d"}, 400),
        ({"match": "up", "warm_up": "0s"}, 400),
        ({"match": "up", "warm_up": "30d"}, 200),
        ({"match": "up{"}, 400),
        ({"match": ""}, 400),
        ({"match": '{__name__=~"("}'}, 400),
        ({"series": "g" * 32}, 400),
        ({"series": "ab" * 17}, 400),
        ({"series": ""}, 400),
    ],
    ids=str,
)
async def test_a_band_is_asked_within_its_bounds(
    one: Api, asked: dict[str, str], status: int
) -> None:
    """Of what nobody has sent there is none, which is no fault."""
    answer = await one.http.get("/api/v1/detection/band", params=asked)

    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json()["series"] == []
    else:
        assert answer.json()["detail"]


# Times


@given(st.integers(-9_000_000_000 * 10**6, 9_000_000_000 * 10**6))
def test_a_time_that_was_told_is_read_as_the_same_time(time_us: int) -> None:
    """To the microsecond, before 1970 as well."""
    assert parse_time(iso(time_us * 1000), "start") == time_us * 1000


@given(st.integers(1, 366 * 86400), st.sampled_from(["s", ""]))
def test_seconds_are_seconds(seconds: int, unit: str) -> None:
    assert parse_duration(f"{seconds}{unit}", "duration") == seconds * 10**9


@given(st.text("0123456789.eE+-msdhw infa", max_size=12))
def test_what_is_no_duration_is_a_fault_of_whoever_wrote_it(text: str) -> None:
    found, fault = 1, "duration: "
    try:
        found = parse_duration(text, "duration")
    except BadInput as error:
        fault = str(error)

    assert fault.startswith("duration: ")
    assert 1 <= found <= 366 * 86400 * 10**9
