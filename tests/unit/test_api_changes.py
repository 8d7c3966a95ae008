"""Changes over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.model.change import Change
from watchkeeper.model.series import Entity, TenantId

PATH = "/api/v1/changes"
S = make.NS_PER_S


def change(at_s: int, **fields: Any) -> Change:
    usual: dict[str, Any] = {
        "id": f"c{at_s}",
        "kind": "deployment",
        "time_ns": make.START_NS + at_s * S,
        "service": "shop",
        "entity": Entity("shop", "prod"),
        "position": 1,
    }
    return Change(**{**usual, **fields})


@pytest.fixture(params=["memory", "sqlite"])
async def one(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    async with api(tmp_path, store=request.param) as found:
        await found.store.save(
            [
                change(10, version="1.4", status="success", actor="ci", details={"sha": "abc"}),
                change(20, kind="config"),
                change(30, service="bank", entity=Entity()),
                change(40, tenant=TenantId("acme")),
            ]
        )
        yield found


async def ids(one: Api, **asked: str) -> list[str]:
    return [item["id"] for item in (await one.get(PATH, **asked))["items"]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["c30", "c20", "c10"]),
        ({"service": "shop"}, ["c20", "c10"]),
        ({"service": "bank"}, ["c30"]),
        ({"kind": "deployment"}, ["c30", "c10"]),
        ({"since": str(make.START_NS // S + 20)}, ["c30", "c20"]),
        ({"until": str(make.START_NS // S + 20)}, ["c10"]),
        ({"limit": "1"}, ["c30"]),
    ],
)
async def test_a_listing_is_newest_first_and_of_ones_own_tenant(
    one: Api, asked: dict[str, str], found: list[str]
) -> None:
    listed = await ids(one, **asked)

    assert listed == found


async def test_a_change_is_told_with_all_that_is_known_of_it(one: Api) -> None:
    answer = await one.get(PATH, until=str(make.START_NS // S + 11))

    assert answer["items"] == [
        {
            "id": "c10",
            "tenant": "default",
            "kind": "deployment",
            "time": "2023-11-14T22:13:30Z",
            "service": "shop",
            "environment": "prod",
            "version": "1.4",
            "status": "success",
            "actor": "ci",
            "summary": "",
            "details": {"sha": "abc"},
            "position": 1,
        }
    ]


async def test_a_page_goes_on_behind_the_one_before(one: Api) -> None:
    first = await one.get(PATH, limit="2")

    second = await ids(one, limit="2", cursor=first["cursor"])

    assert second == ["c10"]


async def test_a_change_told_again_has_its_newest_status(one: Api) -> None:
    await one.store.save([change(10, status="rolled_back", position=2)])

    await one.store.save([change(10, status="started", position=1)])

    listed = (await one.get(PATH, service="shop"))["items"]
    assert [item["status"] for item in listed if item["id"] == "c10"] == ["rolled_back"]


async def test_changes_are_no_news_of_anomalies(one: Api) -> None:
    events = await one.store.events(0, 100)

    assert list(events) == []
