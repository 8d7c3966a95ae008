"""The whole App behind its gateway: every example works, and tenants never see each other."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import gateways, make
from tests.fronts import Api
from tests.rhythm import BEGIN_S
from tests.scenario.shop import Shop, shop
from watchkeeper.api.app import described
from watchkeeper.api.door_table import DOORS
from watchkeeper.api.examples import BODIES, Body, asked
from watchkeeper.bus.base import ANOMALIES
from watchkeeper.model.principal import Role
from watchkeeper.model.series import TenantId

AT_10 = 10 * 60
"""Minutes into the day of the examples."""
MARKS = {"alpha": "seen-by-alpha-alone", "beta": "seen-by-beta-alone"}
SAME_TRACE = "5b8efff798038103d269b633813fc60c"


def content(body: Body) -> bytes:
    if body.is_binary:
        return base64.b64decode(body.value)
    return json.dumps(body.value).encode()


async def post(one: Shop, path: str, body: Body, **headers: str) -> httpx.Response:
    told = {"content-type": body.media, **body.headers, **headers}
    return await one.http.post(path, content=content(body), headers=told)


def test_every_door_has_an_example() -> None:
    assert set(BODIES) == set(DOORS)


async def test_every_example_is_taken_whole_and_every_question_is_answered(tmp_path: Path) -> None:
    paths = described().openapi()["paths"]
    gets = [path for path in paths if "get" in paths[path] and "stream" not in path]
    async with shop(tmp_path / "data", minute=AT_10) as one:
        posted = {path: await post(one, path, body) for path, body in BODIES.items()}
        known = {"nodes": [{"name": "payment"}]}  # what is asked about is seen minutes later
        said = await one.http.put("/api/v1/config/topology", json=known)
        answers = {}
        for path in gets:
            place, parameters = asked(path)
            answers[path] = await one.http.get(place, params=parameters)

    assert said.status_code == 200, said.text
    told = {path: answer.text for path, answer in posted.items() if not answer.is_success}
    partial = {path for path, answer in posted.items() if b"ejected" in answer.content[:2000]}
    assert {path for path in told if "heartbeat" not in path} == set()
    assert {posted[path].status_code for path in told} == {404}  # nobody waits for them
    assert {path for path in partial if '"rejected": []' not in posted[path].text} == set()
    ids = {path for path in gets if "{" in path}
    assert {path for path in gets if answers[path].status_code != 200} <= ids
    assert {answers[path].status_code for path in ids} <= {200, 404}


async def test_the_example_of_a_key_makes_one(tmp_path: Path) -> None:
    schema = described().openapi()["components"]["schemas"]["NewKey"]
    async with shop(tmp_path / "data") as one:
        answer = await one.http.post("/api/v1/keys", json=schema["example"])

    assert answer.status_code == 201


# Tenants


def _marked(tenant: str) -> dict[str, Body]:
    """The examples, each with a word that only this tenant may ever read."""
    mark = MARKS[tenant]

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: told(one) for name, one in value.items()}
        if isinstance(value, list):
            return [told(one) for one in value]
        return mark if value == "payment" else value

    return {
        path: Body(told(body.value), body.media, body.headers)
        for path, body in BODIES.items()
        if not body.is_binary
    }


async def _fill(one: Shop, tenant: str, show: dict[str, str]) -> None:
    for path, body in _marked(tenant).items():
        answer = await post(one, path, body, **show)
        assert answer.is_success or "heartbeat" in path, (path, answer.text)
    labels = {"service": "shop", "only": MARKS[tenant], "__name__": "up"}
    rows = [{"name": "up", "value": 1, "timestamp": 1767607200 + n, "labels": labels}
            for n in range(3)]  # fmt: skip
    answer = await one.http.post("/api/v1/metrics/write", json={"metrics": rows}, headers=show)
    assert answer.is_success, answer.text
    services = one.app.services
    before = await services.store.save([])
    anomaly = make.anomaly(
        id="same", tenant=TenantId(tenant), labels=labels, started_ns=BEGIN_S * make.NS_PER_S
    )
    await services.store.save([anomaly])
    await services.bus.publish(ANOMALIES, await services.store.events(before, 10))


QUERIES = ["up", '{service="shop"}', '{only=~".+"}', '{__name__=~".+"}', "sum by (only) (up)"]
TIMES = {"start": "1767600000", "end": "1767610000"}

ASKS: list[Callable[[random.Random], tuple[str, dict[str, str]]]] = [
    lambda chance: ("/api/v1/metrics/query", {"query": chance.choice(QUERIES), **TIMES}),
    lambda chance: ("/api/v1/anomalies", {"limit": str(chance.randint(1, 5))}),
    lambda chance: ("/api/v1/anomalies/same", {}),
    lambda chance: ("/api/v1/logs/search", {"text": chance.choice(["", "timeout"]), **TIMES}),
    lambda chance: ("/api/v1/traces", {**TIMES, "limit": "5"}),
    lambda chance: (f"/api/v1/traces/{SAME_TRACE}", {}),
    lambda chance: ("/api/v1/changes", {}),
    lambda chance: ("/api/v1/sources", {}),
    lambda chance: ("/api/v1/audit", {}),
    lambda chance: ("/api/v1/keys", {}),
    lambda chance: ("/prometheus/api/v1/query",
                    {"query": chance.choice(QUERIES), "time": "1767607210"}),
    lambda chance: ("/prometheus/api/v1/query_range",
                    {"query": chance.choice(QUERIES), **TIMES, "step": "600"}),
    lambda chance: ("/prometheus/api/v1/series", {"match[]": '{__name__=~".+"}', **TIMES}),
    lambda chance: ("/prometheus/api/v1/labels", dict(TIMES)),
    lambda chance: (f"/prometheus/api/v1/label/{chance.choice(['only', 'service'])}/values", {}),
    lambda chance: ("/prometheus/api/v1/metadata", {}),
]  # fmt: skip


async def test_of_many_questions_none_is_answered_with_anothers_data(tmp_path: Path) -> None:
    told = await ask_at_random(tmp_path, n=1_000)

    assert told.foreign == set()
    assert told.n_refused > 1_000 / 10
    assert len(told.own) >= 8  # or it would have proven nothing


@dataclass(slots=True)
class Told:
    """Where a tenant's own data was found, and where another's; and how often nothing was told."""

    own: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    n_refused: int = 0


async def ask_at_random(folder: Path, *, n: int) -> Told:
    """Questions of two tenants, each with its own key and the name of either."""
    chance, told = random.Random(20260105), Told()
    async with shop(folder / "data", minute=AT_10) as one:
        mine = {}
        for number, tenant in enumerate(MARKS, start=1):
            key = await gateways.key(_api(one), number, role=Role.ADMIN, tenants=[tenant])
            mine[tenant] = key.header
            await _fill(one, tenant, key.header)
        await one.settled()
        for _ in range(n):
            tenant = chance.choice(list(MARKS))
            other = MARKS["beta" if tenant == "alpha" else "alpha"]
            path, params = chance.choice(ASKS)(chance)
            named = chance.choice([{}, {"x-scope-orgid": tenant}, {"x-scope-orgid": "beta"}])
            answer = await one.http.get(path, params=params, headers={**mine[tenant], **named})
            told.n_refused += answer.status_code == 403
            if MARKS[tenant] in answer.text:
                told.own.add(path)
            if other in answer.text:
                told.foreign.add(path)
    return told


async def test_a_stream_tells_a_tenant_of_its_own_alone(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=AT_10) as one:
        keys = [await gateways.key(_api(one), n, tenants=[t]) for n, t in enumerate(MARKS, 1)]
        api = _api(one)
        async with (
            api.streaming(**keys[0].header) as alpha,
            api.streaming(**keys[1].header) as beta,
        ):
            for stream in (alpha, beta):
                await stream.until(lambda text: "connected" in text)
            for number, tenant in enumerate(MARKS, start=11):
                writer = await gateways.key(api, number, role=Role.OPERATOR, tenants=[tenant])
                await _fill(one, tenant, writer.header)
            texts = [await stream.until(lambda text: "data: " in text) for stream in (alpha, beta)]

    for text, tenant in zip(texts, MARKS, strict=True):
        assert MARKS[tenant] in text
        assert not any(mark in text for name, mark in MARKS.items() if name != tenant)


def _api(one: Shop) -> Api:
    """As the helpers of the gateway's tests know it."""
    services = one.app.services
    rest: Any = None
    return Api(
        http=one.http, front=one.front, clock=one.clock, store=services.store, bus=services.bus,
        door=rest, lake=rest, tables=rest, templates=rest, checks=[], waited_for=[],
        deciding=rest,
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/api/v1/keys", "/api/v1/audit"])
async def test_who_asks_from_this_machine_is_the_admin_of_all(tmp_path: Path, path: str) -> None:
    async with shop(tmp_path / "data") as one:
        assert (await one.http.get(path)).status_code == 200
