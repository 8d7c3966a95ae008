"""Alerts through the door: what is let in, of whom they speak, and how they are logged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.doors import House, house
from tests.make import NS_PER_S, START_NS
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.model.alert import Alert, AlertStatus, Urgency
from watchkeeper.model.series import TenantId

DAY_S = 86_400
JSON = {"content-type": "application/json"}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as one:
        yield one


def alert(after_s: float = 0.0, **fields: Any) -> dict[str, Any]:
    at_ns = START_NS + round(after_s * NS_PER_S)
    return {"name": "Slow", "service": "shop", "started_at": at_ns, **fields}


async def send(home: House, *alerts: dict[str, Any], **how: Any) -> Accepted:
    body = json.dumps({"alerts": alerts}).encode()
    return await home.send(body, protocol="alerts_json", headers=JSON, **how)


def logged(home: House) -> list[Alert]:
    return [record for record in home.records() if isinstance(record, Alert)]


def reasons(accepted: Accepted) -> dict[str, int]:
    return {reject.reason: reject.count for reject in accepted.rejects}


async def test_an_alert_is_logged_with_whom_it_concerns(home: House) -> None:
    sent = alert(environment="production", severity="critical", summary="p99 1.5 s")

    accepted = await send(home, sent, tenant=TenantId("team"))

    assert accepted == Accepted(1)
    (found,) = logged(home)
    assert (found.tenant, found.rule, found.summary) == ("team", "Slow", "p99 1.5 s")
    assert (found.entity.service, found.entity.environment) == ("shop", "production")
    assert (found.status, found.urgency) == (AlertStatus.FIRING, Urgency.CRITICAL)


async def test_alerts_are_logged_one_by_one_in_their_order(home: House) -> None:
    accepted = await send(home, *(alert(name=f"Rule{k}") for k in range(3)))

    assert accepted == Accepted(3)
    assert [one.rule for one in logged(home)] == ["Rule0", "Rule1", "Rule2"]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (alert(601), "future"),
        (alert(-32 * DAY_S, ended_at=START_NS - 31 * DAY_S * NS_PER_S), "too_old"),
        (alert(summary="x" * (256 << 10)), "too_large"),
        (alert(annotations={"text": "ö" * (130 << 10)}), "too_large"),
    ],
    ids=["future", "over long ago", "summary", "annotation"],
)
async def test_an_alert_out_of_bounds_is_not_let_in(
    home: House, told: dict[str, Any], reason: str
) -> None:
    accepted = await send(home, alert(), told)

    assert accepted.n_accepted == 1
    assert reasons(accepted) == {reason: 1}
    assert len(logged(home)) == 1


async def test_what_fires_may_have_begun_long_ago(home: House) -> None:
    accepted = await send(home, alert(-90 * DAY_S))

    assert accepted == Accepted(1)


async def test_a_bad_alert_is_refused_by_its_number_and_the_others_kept(home: House) -> None:
    accepted = await send(home, alert(), {"service": "shop"}, alert(name="Other"))

    assert accepted.n_accepted == 2
    assert reasons(accepted) == {"bad_item": 1}
    assert accepted.rejects[0].detail.startswith("item 1: ")


async def test_the_same_body_again_is_a_retry(home: House) -> None:
    await send(home, alert())

    again = await send(home, alert())

    assert again.repeated
    assert len(logged(home)) == 1


async def test_the_same_body_without_a_time_is_said_anew(home: House) -> None:
    await send(home, alert(started_at=None))

    again = await send(home, alert(started_at=None))

    assert again == Accepted(1)
    assert len(logged(home)) == 2
