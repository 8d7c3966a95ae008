"""`POST /api/v3/aiops/analyze/rca`: what is asked, and how it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.api.times import iso
from watchkeeper.model.cause import Answer, Cause, Confidence, Evidence, Ranking
from watchkeeper.model.examination import Examination
from watchkeeper.model.series import DEFAULT_TENANT, TenantId

PATH = "/api/v3/aiops/analyze/rca"
S = make.NS_PER_S
AT = make.START_NS - 300 * S
SLOW = Evidence("excess_time", "payment", "payment takes 90 ms", 90.0, 4.0, "ms", 40, "e1")
SOUND = Evidence("first_failure", "stock", "stock answered", 0.0, 0.0)
NAMED = Answer(
    Ranking(
        (Cause("payment", 0.9, 2.5, {"excess_time": 2.5}, (SLOW,)),),
        unknown=0.1,
        abstains=False,
        confidence=Confidence.HIGH,
        quality=1.0,
        ruled_out=(SOUND,),
        missing=("error_lines: log lines of now",),
    ),
    onset_ns=AT,
    window_ns=(AT - 30 * S, AT + 60 * S),
    baseline_ns=(AT - 630 * S, AT - 30 * S),
    healthy_s=600.0,
    entry="gateway",
    affected=("gateway", "payment"),
    kinds={"payment": "service"},
    counts={"spans": 40},
)
NOBODY = replace(NAMED, ranking=replace(NAMED.ranking, abstains=True))


@dataclass
class Told:
    """Answers, and writes down what it was asked."""

    answer: Answer = NAMED
    asked: list[tuple[TenantId, list[str], int, int]] = field(default_factory=list)

    async def onset_of(self, tenant: TenantId, nodes: Sequence[str], now_ns: int) -> int:
        return now_ns - 120 * S

    async def causes_of(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Answer:
        self.asked.append((tenant, list(nodes), onset_ns, now_ns))
        return self.answer

    async def examine(
        self, tenant: TenantId, nodes: Sequence[str], onset_ns: int, now_ns: int
    ) -> Examination:
        return Examination(onset_ns, (onset_ns, now_ns), (0, onset_ns), 0.0)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def one(tmp_path: Path, told: Told) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        found.front.state["services"] = replace(found.front.services, causes=told)
        yield found


async def ask(one: Api, **question: Any) -> dict[str, Any]:
    answer = await one.http.post(PATH, json=question)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_cause_is_told_with_its_evidence_and_how_far_to_believe_it(one: Api) -> None:
    found = await ask(one, service="gateway", at=str(AT // S))

    assert found["root_cause"] == found["causes"][0]
    assert found["root_cause"]["node"] == "payment"
    assert found["root_cause"]["kind"] == "service"
    assert found["root_cause"]["evidence"] == [
        {
            "id": "e1",
            "explainer": "excess_time",
            "node": "payment",
            "text": "payment takes 90 ms",
            "observed": 90.0,
            "expected": 4.0,
            "unit": "ms",
            "n": 40,
        }
    ]
    assert (found["confidence"], found["confidence_word"]) == (0.9, "high")
    assert found["affected"] == ["gateway", "payment"]
    assert [one["text"] for one in found["ruled_out"]] == ["stock answered"]
    assert found["missing"] == ["error_lines: log lines of now"]
    assert found["baseline"] == [iso(AT - 630 * S), iso(AT - 30 * S)]
    assert found["read"] == {"spans": 40}


async def test_where_the_evidence_carries_no_name_none_is_told_and_all_are_shown(
    one: Api, told: Told
) -> None:
    told.answer = NOBODY

    found = await ask(one)

    assert (found["root_cause"], found["confidence"]) == (None, 0.0)
    assert [cause["node"] for cause in found["causes"]] == ["payment"]
    assert found["unknown"] == 0.1


async def test_it_is_asked_of_the_services_that_are_named_each_once(one: Api, told: Told) -> None:
    await ask(one, service="gateway", services=["order", "gateway"], at=str(AT // S))

    assert told.asked == [(DEFAULT_TENANT, ["gateway", "order"], AT, one.clock.now_ns())]


async def test_without_a_word_it_is_asked_of_all_from_when_it_began_until_now(
    one: Api, told: Told
) -> None:
    await ask(one)

    now_ns = one.clock.now_ns()
    assert told.asked == [(DEFAULT_TENANT, [], now_ns - 120 * S, now_ns)]


async def test_it_can_be_asked_as_of_an_earlier_time(one: Api, told: Told) -> None:
    await ask(one, at=iso(AT), until=iso(AT + 60 * S))

    assert told.asked[0][2:] == (AT, AT + 60 * S)


async def test_an_answer_waits_until_all_can_be_read_that_was_accepted(one: Api) -> None:
    one.door.position = 42

    await ask(one)

    assert one.waited_for == [42] * 4


@pytest.mark.parametrize(
    ("question", "status", "says"),
    [
        ({"at": "soon"}, 400, "at: 'soon' is no time"),
        ({"at": "9000000000", "until": "1000"}, 400, "say when it began"),
        ({"servicename": "gateway"}, 422, "servicename"),
        ({"service": ""}, 422, "service"),
        ({"services": ["a"] * 101}, 422, "services"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_with_the_remedy(
    one: Api, told: Told, question: dict[str, Any], status: int, says: str
) -> None:
    answer = await one.http.post(PATH, json=question)

    assert answer.status_code == status
    assert says in answer.text
    assert told.asked == []
