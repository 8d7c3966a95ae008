"""Questions for causes, asked badly, late, by strangers, or of a process that cannot know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests import gateways, make
from tests.fronts import Api, api
from tests.gateways import AWAY
from watchkeeper.api.times import iso
from watchkeeper.model.cause import Answer, Ranking
from watchkeeper.model.examination import Examination, NodeState
from watchkeeper.model.series import TenantId

S = make.NS_PER_S
ANALYZE = "/api/v3/aiops/analyze"
WHAT = ("rca", "anomaly", "performance")
EVERY = pytest.mark.parametrize("what", WHAT)


@dataclass
class Asked:
    """Knows nothing, and writes down of whom it was asked."""

    asked: list[tuple[TenantId, tuple[str, ...], int, int]] = field(default_factory=list)
    strangeness: float = 0.0

    async def onset_of(self, tenant: TenantId, nodes: Sequence[str], now_ns: int) -> int:
        return now_ns - 60 * S

    async def causes_of(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Answer:
        self.asked.append((tenant, tuple(nodes), onset_ns, now_ns))
        return Answer(Ranking(), onset_ns, (onset_ns, now_ns), (0, onset_ns), 0.0)

    async def examine(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Examination:
        self.asked.append((tenant, tuple(nodes), onset_ns, now_ns))
        states = (NodeState("order", "service", self.strangeness),)
        return Examination(onset_ns, (onset_ns, now_ns), (0, onset_ns), 0.0, nodes=states)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def one(tmp_path: Path, asked: Asked) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        found.front.state["services"] = replace(found.front.services, causes=asked)
        yield found


@pytest.mark.parametrize(
    ("question", "status", "says"),
    [
        ({"at": "soon"}, 400, "write 2026-01-05T10:00:00Z or epoch seconds"),
        ({"at": "inf"}, 400, "at: inf is out of range"),
        ({"until": "nan"}, 400, "until: nan is out of range"),
        ({"at": "2026-13-01"}, 400, "at: '2026-13-01' is no time"),
        ({"at": "-99999999999"}, 400, "a date from 1700 to 2200"),
        ({"at": 5}, 422, "at"),
        ({"service": "x" * 501}, 422, "service"),
        ({"services": [""]}, 422, "services"),
        ({"services": "order"}, 422, "services"),
        ({"tenant": "acme"}, 422, "tenant"),
        ([], 422, "body"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_remedy_and_asks_nobody(
    one: Api, asked: Asked, question: Any, status: int, says: str
) -> None:
    answers = [await one.http.post(f"{ANALYZE}/{what}", json=question) for what in WHAT]

    assert [answer.status_code for answer in answers] == [status] * len(WHAT)
    assert all(says in answer.text for answer in answers)
    assert asked.asked == []


@EVERY
async def test_a_trouble_that_began_behind_its_end_is_refused_and_one_that_begins_there_is_not(
    one: Api, what: str
) -> None:
    until_ns = make.START_NS
    answers = [
        await one.http.post(
            f"{ANALYZE}/{what}", json={"at": iso(until_ns + late), "until": iso(until_ns)}
        )
        for late in (0, 1_000)
    ]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert "say when it began" in answers[1].json()["detail"]


@EVERY
async def test_without_an_onset_it_is_asked_since_when_as_of_the_end(
    one: Api, asked: Asked, what: str
) -> None:
    until_ns = make.START_NS - 3_600 * S

    await one.http.post(f"{ANALYZE}/{what}", json={"until": iso(until_ns)})

    assert [each[2:] for each in asked.asked] == [(until_ns - 60 * S, until_ns)]


@EVERY
async def test_a_process_that_keeps_no_telemetry_says_whom_to_ask(one: Api, what: str) -> None:
    one.front.state["services"] = replace(one.front.services, causes=None)

    answer = await one.http.post(f"{ANALYZE}/{what}", json={})

    assert answer.status_code == 501
    assert "ask one that keeps it" in answer.json()["detail"]


@EVERY
async def test_every_tenant_is_asked_of_its_own_and_of_no_other(
    tmp_path: Path, asked: Asked, what: str
) -> None:
    async with api(tmp_path, peer=AWAY) as one:
        one.front.state["services"] = replace(one.front.services, causes=asked)
        theirs = (await gateways.key(one, tenants=["acme"])).header
        path = f"{ANALYZE}/{what}"

        answers = [
            await one.http.post(path, json={}, headers=headers)
            for headers in ({}, theirs, {**theirs, "x-scope-orgid": "default"})
        ]

    assert [answer.status_code for answer in answers] == [401, 200, 403]
    assert [each[0] for each in asked.asked] == [TenantId("acme")]


@pytest.mark.parametrize(("strangeness", "is_anomalous"), [(0.5, False), (0.51, True)])
async def test_a_system_is_anomalous_once_one_node_is_more_likely_strange_than_not(
    one: Api, asked: Asked, strangeness: float, is_anomalous: bool
) -> None:
    asked.strangeness = strangeness

    told = (await one.http.post(f"{ANALYZE}/anomaly", json={})).json()

    assert told["is_anomalous"] is is_anomalous
    assert told["nodes"] == [{"node": "order", "kind": "service", "strangeness": strangeness}]


async def test_nothing_known_is_told_as_that_and_not_as_a_cause(one: Api) -> None:
    told = (await one.http.post(f"{ANALYZE}/rca", json={})).json()

    assert (told["root_cause"], told["confidence"], told["causes"]) == (None, 0.0, [])
    assert (told["unknown"], told["confidence_word"]) == (1.0, "low")
