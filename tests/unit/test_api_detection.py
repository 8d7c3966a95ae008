"""Settings of detection over HTTP: read, checked, set, refused, and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import gateways, make
from tests.fronts import Api, api
from tests.gateways import AWAY
from watchkeeper.model.principal import Role
from watchkeeper.model.ruling import DetectionSet
from watchkeeper.model.series import Kind, Series, SeriesId, TenantId

PATH = "/api/v1/config/detection"
NONE: dict[str, Any] = {"detectors": []}
BASIC: dict[str, Any] = {"detectors": [{"use": "basic"}]}


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        yield found


async def put(one: Api, document: Any, **asked: str) -> httpx.Response:
    return await one.http.put(PATH, json=document, params=asked)


async def in_force(one: Api) -> tuple[int, list[str]]:
    told = await one.get(PATH)
    return told["version"], [detector["use"] for detector in told["document"]["detectors"]]


async def test_until_something_is_set_the_file_counts(one: Api) -> None:
    told = await one.get(PATH)

    assert (told["version"], told["source"], told["by"]) == (0, "file", "file")
    assert told["document"]["detectors"][0] == {"use": "basic"}
    assert told["is_in_force"]


async def test_what_is_set_is_in_force_with_who_and_since_when(one: Api) -> None:
    answer = await put(one, BASIC)

    told = await one.get(PATH)
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"1"'
    assert (told["version"], told["source"], told["by"]) == (1, "run time", "local")
    assert told["since"] == "2023-11-14T22:13:20Z"
    assert told["document"]["detectors"] == [{"use": "basic"}]
    assert told["position"] > 0


async def test_settings_may_come_as_yaml(one: Api) -> None:
    body = b"detectors:\n  - use: basic\n"
    headers = {"content-type": "application/yaml; charset=utf-8"}

    answer = await one.http.put(PATH, content=body, headers=headers)

    assert answer.status_code == 200, answer.text
    assert await in_force(one) == (1, ["basic"])


async def test_an_answer_tells_setting_by_setting_what_changed(one: Api) -> None:
    changed = (await put(one, BASIC)).json()["changed"]

    assert [entry["path"] for entry in changed] == ["detectors"]
    assert changed[0]["after"] == [{"use": "basic"}]


async def test_setting_the_same_again_makes_no_new_version(one: Api) -> None:
    await put(one, BASIC)

    again = await put(one, BASIC)

    assert again.json()["version"] == 1
    assert len(one.deciding.logged) == 1


async def test_all_faults_are_told_at_once_and_nothing_changes(one: Api) -> None:
    wrong = {"detectors": [{"use": "nobody"}, {"use": "fk", "rearm": 7}], "detector": 1}

    answer = await put(one, wrong)

    errors = answer.json()["errors"]
    assert answer.status_code == 422
    assert [error.split(":")[0] for error in errors] == [
        "detectors[0].use",
        "detectors[1].rearm",
        "detector",
    ]
    assert "did you mean 'detectors'" in answer.json()["detail"]
    assert one.deciding.logged == []


@pytest.mark.parametrize(
    ("body", "media", "word"),
    [
        (b"{", "application/json", "is no JSON"),
        (b"\xff", "application/json", "is no JSON"),
        (b"[" * 100_000, "application/json", "is no JSON"),
        (b"a: b: c", "application/yaml", "is no YAML"),
        (b"a: &x [1]\nb: *x", "application/yaml", "alias"),
        (b"detectors: ${HOME}", "application/yaml", "HOME is not set"),
        (b"[]", "application/json", "is no mapping"),
        (b" " * 300_000, "application/yaml", "at most"),
        (b"", "application/yaml", "is empty; write {}"),
        (b"# nothing yet\n", "application/yaml", "is empty; write {}"),
        (b"", "application/json", "is no JSON"),
        (b"\xff", "application/yaml", "is not UTF-8 (byte 0)"),
        (b"null", "application/json", "is no mapping"),
        (b"a: " + b"[" * 100_000, "application/yaml", "is nested more than 32 deep"),
        (b"{" * 40 + b"}" * 40, "application/yaml", "is nested more than 32 deep"),
    ],
    ids=[
        *("cut", "binary", "deep", "yaml", "alias", "variable", "list", "long"),
        *("empty", "comment", "empty JSON", "binary YAML", "null", "deep YAML", "deep mapping"),
    ],
)
async def test_what_is_no_document_is_refused_in_words(
    one: Api, body: bytes, media: str, word: str
) -> None:
    answer = await one.http.put(PATH, content=body, headers={"content-type": media})

    assert answer.status_code == 422
    assert word in answer.json()["detail"]


async def test_another_kind_of_content_is_not_spoken(one: Api) -> None:
    answer = await one.http.put(PATH, content=b"<x/>", headers={"content-type": "text/xml"})

    assert answer.status_code == 415


async def test_whoever_read_an_older_version_is_told_so(one: Api) -> None:
    tag = (await one.http.get(PATH)).headers["etag"]
    await put(one, BASIC)

    stale = await one.http.put(PATH, json=NONE, headers={"if-match": tag})
    late = await put(one, NONE, expected="0")
    fresh = await one.http.put(PATH, json=NONE, headers={"if-match": '"1"'})

    assert [stale.status_code, late.status_code, fresh.status_code] == [412, 412, 200]
    assert "version 0 is not in force, 1 is" in stale.json()["detail"]
    assert await in_force(one) == (2, [])


async def test_of_two_at_once_who_read_the_same_one_wins(one: Api) -> None:
    answers = await asyncio.gather(put(one, BASIC, expected="0"), put(one, NONE, expected="0"))

    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert (await one.get(PATH))["version"] == 1


async def test_a_word_that_is_no_version_is_refused(one: Api) -> None:
    answer = await one.http.put(PATH, json=NONE, headers={"if-match": '"abc"'})

    assert answer.status_code == 400


async def test_a_dry_run_checks_and_tells_and_changes_nothing(one: Api) -> None:
    told = (await put(one, BASIC, dry_run="true")).json()
    wrong = await put(one, {"detectors": 7}, dry_run="true")

    assert (told["dry_run"], told["version"]) == (True, 0)
    assert [entry["path"] for entry in told["changed"]] == ["detectors"]
    assert wrong.status_code == 422
    assert one.deciding.logged == []


async def test_the_version_before_is_one_call_away(one: Api) -> None:
    await put(one, BASIC)
    await put(one, NONE)

    answer = await one.http.post(f"{PATH}/versions/1/restore")

    assert answer.json()["action"] == "detection.restore"
    assert await in_force(one) == (3, ["basic"])
    listed = (await one.get(f"{PATH}/versions"))["items"]
    assert [entry["version"] for entry in listed] == [3, 2, 1, 0]
    assert (await one.get(f"{PATH}/versions/2"))["document"]["detectors"] == []


async def test_after_a_restore_of_the_files_version_the_file_counts_again(one: Api) -> None:
    await put(one, BASIC)
    await one.http.post(f"{PATH}/versions/0/restore")
    one.deciding.file = '{"detectors": []}'

    told = await one.get(PATH)

    assert (told["version"], told["source"]) == (2, "file")
    assert told["document"] == NONE


@pytest.mark.parametrize("version", ["7", "none", "99999999999999999999"])
async def test_a_version_that_is_not_there_is_not_found(one: Api, version: str) -> None:
    read = await one.http.get(f"{PATH}/versions/{version}")
    restored = await one.http.post(f"{PATH}/versions/{version}/restore")

    assert [read.status_code, restored.status_code] == [404, 404]


async def test_who_may_not_enter_every_tenant_may_not_change_what_counts_for_all(
    tmp_path: Path,
) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        theirs = (await gateways.admin(one, tenants=["default"])).header
        operator = (await gateways.key(one, 5, role=Role.OPERATOR)).header
        boss = (await gateways.admin(one, 7)).header

        answers = [
            await one.http.put(PATH, json=BASIC, headers=headers)
            for headers in (theirs, operator, boss)
        ]
        trail = await one.http.get("/api/v1/audit", headers=boss)

    assert [answer.status_code for answer in answers] == [403, 403, 200]
    assert [(entry["action"], entry["after"]["version"]) for entry in trail.json()["items"]] == [
        ("detection.set", "1")
    ]


async def test_what_was_wanted_lies_in_the_log_as_it_was_wanted(one: Api) -> None:
    await put(one, BASIC, expected="0")

    (record,) = one.deciding.logged
    assert isinstance(record, DetectionSet)
    assert (record.version, record.expected, record.principal) == (0, 0, "local")


RULED: dict[str, Any] = {
    "detectors": [{"use": "basic"}, {"use": "fk"}, {"use": "rex"}],
    "sensitivity": "low",
    "rules": [
        {"match": {"service": "other"}, "muted": True},
        {"match": {"service": "check*"}, "class": "business", "sensitivity": "high"},
    ],
}
ANOMALY = make.anomaly()
SERIES = SeriesId(bytes.fromhex(ANOMALY.series))


def judged(one: Api) -> str:
    """The path of the series that the anomaly is of."""
    series = Series(SERIES, ANOMALY.tenant, ANOMALY.labels, Kind.GAUGE, ANOMALY.entity)
    one.deciding.known[SERIES] = series
    return f"/api/v1/detection/series/{ANOMALY.series}"


async def test_a_series_tells_how_it_is_judged_and_why(one: Api) -> None:
    path = judged(one)
    plain = await one.get(path)
    await put(one, RULED)

    ruled = await one.get(path)

    assert (plain["class"], plain["direction"], plain["rules"]) == ("latency", "up", [])
    assert (ruled["class"], ruled["rules"], ruled["settings_version"]) == ("business", [1], 1)
    assert ruled["detectors"] == ["basic", "fk", "rex"]
    assert (ruled["seasonality"], ruled["time_zone"]) == ("daily", "UTC")
    assert ruled["limit"]["by_settings"] == pytest.approx(10**0.5)


async def test_a_series_tells_what_verdicts_have_changed(one: Api) -> None:
    path = judged(one)
    await one.save(ANOMALY)
    said = await one.http.post(
        f"/api/v1/anomalies/{ANOMALY.id}/verdict", json={"verdict": "not_useful"}
    )

    told = await one.get(path)

    assert said.status_code == 200
    assert told["limit"]["by_verdicts"] == pytest.approx(10**-0.5)
    assert told["limit"]["together"] == pytest.approx(10**-0.5)
    assert told["verdicts"] == [{"anomaly": ANOMALY.id, "verdict": "not_useful", "by": "local"}]


@pytest.mark.parametrize("series", ["none", "0" * 31, "ab" * 16, "G" * 32])
async def test_a_series_that_is_not_known_is_not_there(one: Api, series: str) -> None:
    assert (await one.http.get(f"/api/v1/detection/series/{series}")).status_code == 404


async def test_another_tenants_series_is_not_there(one: Api) -> None:
    path = judged(one)
    one.deciding.known[SERIES] = replace(one.deciding.known[SERIES], tenant=TenantId("other"))

    assert (await one.http.get(path)).status_code == 404
