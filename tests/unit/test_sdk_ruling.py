"""Settings, verdicts and maintenance through the clients, against the API itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from tests import make
from tests.fronts import Api, api
from tests.unit.test_sdk_found import Talk
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.sdk import AsyncClient, SettingChange

ANOMALY = make.anomaly()
NONE: dict[str, Any] = {"detectors": []}
AT = "2026-01-05T10:00:00Z"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        await found.save(ANOMALY)
        yield found


@pytest.fixture
async def client(one: Api) -> AsyncIterator[AsyncClient]:
    transport = httpx.ASGITransport(app=cast(Any, one.front))
    found = AsyncClient("http://127.0.0.1", transport=transport)
    yield found
    await found.close()


async def test_settings_are_set_read_and_taken_back(client: AsyncClient) -> None:
    first = await client.detection()
    second = await client.set_detection(NONE, expected=0)
    back = await client.restore_detection(0)

    assert (first.version, first.source, first.since) == (0, "file", None)
    assert (second.version, second.by, second.is_in_force) == (1, "local", True)
    assert second.since == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert [change.path for change in second.changed] == ["detectors"]
    assert back.document == first.document
    assert [entry.version for entry in await client.detection_versions()] == [2, 1, 0]
    assert (await client.detection(1)).document == second.document


async def test_settings_are_tried_without_being_set(client: AsyncClient) -> None:
    tried = await client.set_detection("detectors: []", dry_run=True)

    assert (tried.dry_run, tried.version) == (True, 0)
    assert tried.changed[0] == SettingChange("detectors", tried.changed[0].before, [])
    assert (await client.detection()).version == 0


async def test_a_refusal_is_told_in_the_servers_words(client: AsyncClient) -> None:
    await client.set_detection(NONE)

    with pytest.raises(BadInput, match="did you mean 'detectors'") as wrong:
        await client.set_detection("detector: []")
    with pytest.raises(BadInput, match="version 0 is not in force") as late:
        await client.set_detection("detectors: [{use: basic}]", expected=0)
    with pytest.raises(Permanent, match="there is no version 9"):
        await client.restore_detection(9)

    assert (wrong.value.status, late.value.status) == (422, 412)


async def test_a_verdict_is_given_read_and_withdrawn(client: AsyncClient) -> None:
    given = await client.give_verdict(ANOMALY.id, "not_useful", comment="backup")
    listed = await client.verdicts(ANOMALY.id)
    withdrawn = await client.withdraw_verdict(ANOMALY.id)

    assert (given.verdict, given.comment) == ("not_useful", "backup")
    assert listed == (given,)
    assert (withdrawn.verdict, withdrawn.changes.says) == ("withdrawn", "nothing")
    assert await client.verdicts(ANOMALY.id) == ()


async def test_a_window_is_added_listed_and_ended(client: AsyncClient) -> None:
    added = await client.add_maintenance({"service": "shop"}, "2h", reason="disks")
    listed = await client.maintenance()
    ended = await client.end_maintenance(added.id or "")

    assert listed == (added,)
    assert (added.from_, added.holds) == ("2023-11-14T22:13:20Z", True)
    assert ended.to == added.from_
    assert await client.maintenance() == ()
    assert await client.maintenance(over=True) == (ended,)


SETTINGS = {"version": 3, "document": {}}
VERDICT = {
    "anomaly": "a/1",
    "verdict": "real",
    "by": "local",
    "at": AT,
    "changes": {"limit_before": 1, "limit_after": 1.8},
}
WINDOW = {"id": "m1", "match": {}, "reason": "x", "holds": True}


@pytest.mark.parametrize("kind", ["blocking", "async"])
@pytest.mark.parametrize(
    ("name", "given", "asked", "answer", "want"),
    [
        ("detection", (), {}, SETTINGS, "GET /api/v1/config/detection"),
        ("detection", (2,), {}, SETTINGS, "GET /api/v1/config/detection/versions/2"),
        ("detection_versions", (), {}, {"items": [SETTINGS]},
         "GET /api/v1/config/detection/versions"),
        ("set_detection", (NONE,), {"expected": 2, "dry_run": True}, SETTINGS,
         "PUT /api/v1/config/detection?expected=2&dry_run=true"),
        ("restore_detection", (1,), {"expected": 3}, SETTINGS,
         "POST /api/v1/config/detection/versions/1/restore?expected=3"),
        ("verdicts", ("a/1",), {}, {"items": [VERDICT]}, "GET /api/v1/anomalies/a%2F1/verdict"),
        ("give_verdict", ("a/1", "real"), {}, VERDICT, "POST /api/v1/anomalies/a%2F1/verdict"),
        ("withdraw_verdict", ("a/1",), {}, VERDICT, "DELETE /api/v1/anomalies/a%2F1/verdict"),
        ("maintenance", (), {"over": True}, {"items": [WINDOW]},
         "GET /api/v1/maintenance?over=true"),
        ("add_maintenance", ({}, "2h"), {}, WINDOW, "POST /api/v1/maintenance"),
        ("end_maintenance", ("m/1",), {}, WINDOW, "DELETE /api/v1/maintenance/m%2F1"),
    ],
)  # fmt: skip
async def test_both_clients_ask_the_same(
    kind: str, name: str, given: tuple[Any, ...], asked: dict[str, Any], answer: Any, want: str
) -> None:
    talk = Talk(kind)
    talk.answer = httpx.Response(200, json=answer)

    await talk.call(name, *given, **asked)

    (request,) = talk.asked
    assert f"{request.method} {request.url.raw_path.decode()}" == want
