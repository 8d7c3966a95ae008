"""Templates over HTTP: which there are, and how their lines are found by any of their ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import make
from tests.fronts import Api, api
from tests.gateways import AWAY, scoped
from tests.templating import batch
from tests.unit.test_remote import owner
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.lake.remote_templates import RemoteTemplates
from watchkeeper.model.principal import Scope
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.signal import Tick
from watchkeeper.model.template import template_id

PATH = "/api/v1/logs/templates"
NOW = make.START_NS
S = make.NS_PER_S
NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay")
WIDE = template_id("started <*>")


async def feed(one: Api) -> None:
    deliveries = [
        Delivery(MIXED, 1, batch([f"started {name}" for name in NAMES], time_ns=NOW - 2 * S)),
        Delivery(MIXED, 2, Tick(NOW)),
        Delivery(MIXED, 3, batch(["disk 7 is full"], service="bank", time_ns=NOW - S)),
    ]
    for delivery in deliveries:
        if not isinstance(delivery.record, Tick):
            one.tables.logs.append(delivery.record, delivery.position)
    await one.templates.handle(deliveries)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        await feed(found)
        yield found


async def test_templates_are_told_with_what_they_succeed(one: Api) -> None:
    answer = await one.get(PATH)

    assert answer["more"] is False
    assert [item["text"] for item in answer["items"]] == ["started <*>", "disk <*> is full"]
    first = answer["items"][0]
    assert len(first.pop("succeeds")) == 6
    assert first == {
        "id": f"{WIDE:016x}",
        "service": "shop",
        "text": "started <*>",
        "lines": 6,
        "patterns": 6,
        "first_seen": "2023-11-14T22:13:18Z",
        "last_seen": "2023-11-14T22:13:18Z",
    }


@pytest.mark.parametrize(
    ("asked", "found", "more"),
    [
        ({"service": "bank"}, ["disk <*> is full"], False),
        ({"service": "other"}, [], False),
        ({"text": "start"}, ["started <*>"], False),
        ({"limit": "1"}, ["started <*>"], True),
    ],
)
async def test_each_condition_leaves_what_fits(
    one: Api, asked: dict[str, str], found: list[str], *, more: bool
) -> None:
    answer = await one.get(PATH, **asked)

    assert [item["text"] for item in answer["items"]] == found
    assert answer["more"] is more


async def test_lines_are_found_by_the_template_that_has_them_now_and_by_each_former_one(
    one: Api,
) -> None:
    (template,) = (await one.get(PATH, service="shop"))["items"]

    now = await one.get("/api/v1/logs/search", template=template["id"])
    former = [
        (await one.get("/api/v1/logs/search", template=each))["items"]
        for each in template["succeeds"]
    ]

    assert len(now["items"]) == 6
    assert sorted(line["body"] for (line,) in former) == sorted(f"started {n}" for n in NAMES)


async def test_a_line_is_found_by_the_pattern_that_it_tells(one: Api) -> None:
    (line,) = (await one.get("/api/v1/logs/search", text="eve"))["items"]

    found = await one.get("/api/v1/logs/search", template=line["template"])

    assert found["items"] == [line]


async def test_another_process_is_told_the_same(tmp_path: Path) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        await feed(one)
        asking = owner(one, await scoped(one, Scope.INTERNAL, tenants=("*",)))
        with ThreadPoolExecutor(1) as executor:
            there = RemoteTemplates(asking, executor)

            await there.caught_up(3)
            templates = await there.templates(DEFAULT_TENANT, None)
            fingerprints = await there.fingerprints(DEFAULT_TENANT, WIDE)

        assert templates == await one.templates.templates(DEFAULT_TENANT, None)
        assert fingerprints == await one.templates.fingerprints(DEFAULT_TENANT, WIDE)
        assert len(fingerprints) == 6
