"""What every path that takes alerts answers over HTTP, in its protocol's own words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import gateways
from tests.alert_doors import (
    AWAY,
    FULL,
    PATHS,
    Doors,
    Spoken,
    doors,
    ended_at,
    form_at,
    one_each,
)
from watchkeeper.api.auth import AuthConfig
from watchkeeper.api.door_table import DOORS, door_at, route_of
from watchkeeper.model.alert import AlertStatus
from watchkeeper.model.principal import Role, Scope

LIMIT = 4000
"""Bytes of a body."""
NONSENSE = (b"", b"{", b"\xff\xfe", b"null", b"[[[[1]]]]", b'{"alerts": "none"}')
EVERY = pytest.mark.parametrize("path", PATHS)
EACH = pytest.mark.parametrize("path", one_each())
"""One path for each receiver."""
SPOKEN = pytest.mark.parametrize(
    "path", list({type(DOORS[route_of(path)].words): path for path in PATHS}.values())
)
"""One for each way to answer."""
LISTS = pytest.mark.parametrize("path", [one for one in one_each() if one != "/v2/enqueue"])


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Doors]:
    async with doors(tmp_path, body_bytes=LIMIT) as opened:
        yield opened


@pytest.fixture
async def away(tmp_path: Path) -> AsyncIterator[Doors]:
    """Asked from another machine, where only who shows a key is known."""
    async with doors(tmp_path, peer=AWAY, auth=AuthConfig(anonymous="never")) as opened:
        yield opened


def ending(path: str) -> Any:
    return form_at(path).listed([ended_at(path)])


def told(spoken: Spoken, answer: httpx.Response) -> str:
    """What a refusal says, in the place where its protocol has that."""
    found = answer.json()
    if not spoken.wrong:
        assert isinstance(found, str)
        return found
    said = found["detail" if spoken.wrong == "title" else spoken.wrong]
    return said[0] if isinstance(said, list) else str(said)


def test_every_door_of_alerts_is_tried_here() -> None:
    tried = {route_of(path) for path in PATHS}
    beats = {path for path, door in DOORS.items() if door.receiver == "heartbeat"}

    known = {path for path in DOORS if _takes_alerts(path)}
    assert known - beats == tried


def _takes_alerts(path: str) -> bool:
    forms = {spoken.form for spoken in PATHS.values()} | {"heartbeat"}
    return DOORS[path].receiver in forms


@EVERY
async def test_what_was_taken_is_read_back_as_it_was_said(one: Doors, path: str) -> None:
    form = form_at(path)

    answer = await one.say(path, form.fires)

    assert answer.status_code == PATHS[path].taken
    (alert,) = one.alerts()
    (read,) = await one.firing()
    assert (read["labels"]["alertname"], read["labels"]["service"]) == ("HighLatency", "shop")
    assert (read["fingerprint"], read["status"]["state"]) == (alert.fingerprint, "active")
    assert alert.started_ns == form.started_ns


@EACH
async def test_a_firing_and_its_end_are_one_alert_with_one_start(one: Doors, path: str) -> None:
    await one.say(path, form_at(path).fires)
    await one.pass_s(60)

    answer = await one.post(path, ending(path))

    fired, ended = one.alerts()
    assert answer.status_code == PATHS[path].taken
    assert (fired.status, ended.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert (ended.fingerprint, ended.source) == (fired.fingerprint, fired.source)
    assert (ended.started_ns, ended.rule) == (fired.started_ns, fired.rule)
    assert ended.ended_ns is not None
    assert await one.firing() == []


@EACH
async def test_the_same_body_again_is_taken_and_is_no_second_alert(one: Doors, path: str) -> None:
    first = await one.say(path, form_at(path).fires)
    await one.pass_s(5)

    again = await one.say(path, form_at(path).fires)

    assert again.status_code == first.status_code
    assert len(await one.firing()) == 1
    assert len({alert.started_ns for alert in one.alerts()}) == 1


@LISTS
async def test_of_a_body_that_is_half_bad_the_good_half_is_kept(one: Doors, path: str) -> None:
    form = form_at(path)

    answer = await one.say(path, form.bad, form.fires)

    assert answer.status_code == PATHS[path].half
    assert [alert.rule for alert in one.alerts()] == ["HighLatency"]
    assert len(await one.firing()) == 1


@EACH
async def test_a_body_of_which_nothing_is_good_is_400_and_says_why(one: Doors, path: str) -> None:
    answer = await one.say(path, form_at(path).bad)

    assert answer.status_code == 400
    assert told(PATHS[path], answer)
    assert (one.alerts(), await one.firing()) == ([], [])


@EACH
async def test_nonsense_is_400_and_leaves_nothing_behind(one: Doors, path: str) -> None:
    answers = [await one.post(path, body) for body in NONSENSE]

    assert [answer.status_code for answer in answers] == [400] * len(NONSENSE)
    assert all(told(PATHS[path], answer) for answer in answers)
    assert (one.alerts(), await one.firing()) == ([], [])


@EACH
async def test_a_form_of_body_that_is_not_spoken_is_415_and_named(one: Doors, path: str) -> None:
    media = await one.post(path, b"[]", {"content-type": "image/png"})
    encoding = await one.post(path, b"[]", {"content-encoding": "br"})

    assert (media.status_code, encoding.status_code) == (415, 415)
    assert "'image/png'" in told(PATHS[path], media)
    assert "'br'" in told(PATHS[path], encoding)


@SPOKEN
async def test_a_body_that_is_too_large_is_413_and_the_limit_is_named(
    one: Doors, path: str
) -> None:
    answer = await one.post(path, b" " * (LIMIT + 1))

    assert answer.status_code == 413
    assert f"{LIMIT} bytes (server.body_bytes)" in told(PATHS[path], answer)
    assert one.alerts() == []


@EACH
async def test_a_full_log_is_503_and_what_is_sent_again_is_taken(one: Doors, path: str) -> None:
    one.full = True
    refused = await one.say(path, form_at(path).fires)
    before = await one.firing()
    one.full = False

    again = await one.say(path, form_at(path).fires)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert told(PATHS[path], refused) == FULL
    assert before == []
    assert again.status_code == PATHS[path].taken
    assert len(await one.firing()) == 1


@SPOKEN
async def test_an_end_that_the_log_refused_has_not_ended_anything(one: Doors, path: str) -> None:
    await one.say(path, form_at(path).fires)
    await one.pass_s(30)
    one.full = True
    await one.post(path, ending(path))
    one.full = False
    still = await one.firing()

    await one.post(path, ending(path))

    assert len(still) == 1
    assert await one.firing() == []


@SPOKEN
async def test_another_method_is_405_and_says_which_there_are(one: Doors, path: str) -> None:
    answer = await one.post(path, form_at(path).listed([form_at(path).fires]), method="PATCH")

    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
    assert one.alerts() == []


@EVERY
def test_a_door_is_at_its_own_path_alone(path: str) -> None:
    found = door_at(path)

    assert found is not None
    assert found[0].receiver == PATHS[path].form
    assert door_at(path, "GET") is None
    assert door_at(f"{path}/one/more") is None


@EACH
async def test_alerts_of_one_tenant_are_not_anothers(one: Doors, path: str) -> None:
    await one.say(path, form_at(path).fires, **{"x-scope-orgid": "alpha"})

    other = await one.firing(**{"x-scope-orgid": "beta"})

    mine = await one.firing(**{"x-scope-orgid": "alpha"})
    assert [alert.tenant for alert in one.alerts()] == ["alpha"]
    assert (len(mine), other) == (1, [])


@SPOKEN
async def test_an_end_of_another_tenant_ends_nothing_of_this_one(one: Doors, path: str) -> None:
    await one.say(path, form_at(path).fires, **{"x-scope-orgid": "alpha"})
    await one.pass_s(30)

    await one.post(path, ending(path), {"x-scope-orgid": "beta"})

    assert len(await one.firing(**{"x-scope-orgid": "alpha"})) == 1


@SPOKEN
async def test_who_shows_no_key_or_a_wrong_one_is_401(away: Doors, path: str) -> None:
    nobody = await away.say(path, form_at(path).fires)
    stranger = await away.say(path, form_at(path).fires, **gateways.bearer(gateways.WRONG))

    assert (nobody.status_code, stranger.status_code) == (401, 401)
    assert away.alerts() == []


@SPOKEN
async def test_a_key_opens_a_door_if_it_may_write_alerts_of_that_tenant(
    away: Doors, path: str
) -> None:
    reader = await gateways.key(away.api, 1, role=Role.VIEWER)
    logs = await gateways.scoped(away.api, Scope.WRITE_LOGS, 2)
    alerts = await gateways.scoped(away.api, Scope.WRITE_ALERTS, 3, tenants=["alpha"])
    other = {**alerts.header, "x-scope-orgid": "beta"}

    refused = [
        await away.say(path, form_at(path).fires, **shown)
        for shown in (reader.header, logs.header, other)
    ]
    taken = await away.say(path, form_at(path).fires, **alerts.header)

    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert taken.status_code == PATHS[path].taken
    assert [alert.tenant for alert in away.alerts()] == ["alpha"]


@SPOKEN
async def test_no_credential_is_handed_on_to_a_receiver(away: Doors, path: str) -> None:
    key = await gateways.scoped(away.api, Scope.WRITE_ALERTS)

    await away.say(path, form_at(path).fires, **key.header)

    (request,) = away.api.door.came
    assert "authorization" not in request.headers
    assert key.text not in json.dumps(dict(request.headers))
