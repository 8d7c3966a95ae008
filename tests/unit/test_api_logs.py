"""Log lines over HTTP: what a question means, and how an answer is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import make
from tests.fronts import Api, api
from watchkeeper.model.row import Origin, texts
from watchkeeper.model.series import Entity

PATH = "/api/v1/logs/search"
NOW = make.START_NS
S = make.NS_PER_S
SHOP = Origin((("host", "a"), ("service", "shop")), Entity("shop", "prod", "n1", "team-a"))
BANK = Origin((("host", "b"), ("service", "bank")), Entity("bank"))


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path) as found:
        batch = make.logs(
            (NOW - 4 * S, 9, b"Payment accepted"),
            (NOW - 3 * S, 17, b"payment refused: card expired"),
            (NOW - 2 * S, 13, b"retrying order-4711"),
            (NOW - 1 * S, 9, b"unpaid \xff order"),
            origins=(BANK, SHOP),
        )
        found.tables.logs.append(
            replace(
                batch,
                trace=np.array([(0, 0), (1, 2), (0, 0), (0, 0)], np.uint64),
                span=np.array([0, 3, 0, 0], np.uint64),
                template=np.array([5, 6, 7, 8], np.uint64),
                attributes=texts([b"", b'{"code":"51"}', b'{"code":"7"}', b""]),
            ),
            1,
        )
        yield found


async def bodies(one: Api, **asked: str) -> list[str]:
    return [item["body"] for item in (await one.get(PATH, **asked))["items"]]


async def test_lines_of_the_last_hour_come_newest_first(one: Api) -> None:
    found = await bodies(one)

    assert found == [
        "unpaid \ufffd order",
        "retrying order-4711",
        "payment refused: card expired",
        "Payment accepted",
    ]


async def test_a_line_is_told_with_all_that_is_known_of_it(one: Api) -> None:
    answer = await one.get(PATH, text="refused")

    assert answer == {
        "items": [
            {
                "time": "2023-11-14T22:13:17Z",
                "severity": "error",
                "service": "shop",
                "environment": "prod",
                "node": "n1",
                "owner": "team-a",
                "labels": {"host": "a", "service": "shop"},
                "attributes": {"code": "51"},
                "body": "payment refused: card expired",
                "trace_id": f"{1:016x}{2:016x}",
                "span_id": f"{3:016x}",
                "template": f"{6:016x}",
            }
        ],
        "cursor": None,
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"text": "PAYMENT"}, 2),
        ({"text": "pay"}, 0),
        ({"text": "payment card"}, 1),
        ({"text": '"refused: card"'}, 1),
        ({"text": '"card refused"'}, 0),
        ({"contains": "pai"}, 1),
        ({"contains": "4711", "text": "order"}, 1),
        ({"level": "warn"}, 2),
        ({"query": '{service="shop"}'}, 4),
        ({"query": '{service="bank"}'}, 0),
        ({"query": '{code=~"5.*"}'}, 1),
        ({"query": '{code!=""}'}, 2),
        ({"template": f"{7:x}"}, 1),
        ({"trace_id": f"1{2:016x}"}, 1),
        ({"start": str(NOW // S - 2)}, 2),
        ({"end": str(NOW // S - 3)}, 1),
    ],
)
async def test_each_condition_leaves_what_fits(one: Api, asked: dict[str, str], found: int) -> None:
    lines = await bodies(one, **asked)

    assert len(lines) == found


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"text": "!!!"}, "holds no word"),
        ({"text": '"open'}, "does not close it"),
        ({"level": "loud"}, "level: 'loud'"),
        ({"template": "xyz"}, "template: 'xyz'"),
        ({"template": "1" * 17}, "no id of one"),
        ({"trace_id": "0"}, "no trace id"),
        ({"query": 'up{service="shop"}'}, "names a metric"),
        ({"query": "{"}, "no selector"),
        ({"query": '{a=~"("}'}, "illegal regex"),
        ({"cursor": "yesterday"}, "without a cursor"),
        ({"cursor": "9" * 19 + "-1"}, "without a cursor"),
        ({"start": "2", "end": "1"}, "not before"),
        ({"start": "soon"}, "start: 'soon'"),
        ({"limit": "0"}, "limit"),
        ({"limit": "5001"}, "limit"),
    ],
)
async def test_a_wrong_question_is_a_problem_that_names_it(
    one: Api, asked: dict[str, str], says: str
) -> None:
    answer = await one.http.get(PATH, params=asked)

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


async def test_pages_lead_through_all_lines_once(one: Api) -> None:
    first = await one.get(PATH, limit="3")
    second = await one.get(PATH, limit="3", cursor=first["cursor"])

    found = [item["body"] for item in (*first["items"], *second["items"])]
    assert found == await bodies(one)
    assert second["cursor"] is None


async def test_lines_that_came_between_two_pages_move_none(one: Api) -> None:
    first = await one.get(PATH, limit="2")
    one.tables.logs.append(make.logs((NOW - S, 9, b"late"), origins=(SHOP,)), 2)
    one.tables.logs.maintain(NOW, everything=True)

    second = await bodies(one, limit="9", cursor=first["cursor"])

    assert second == ["payment refused: card expired", "Payment accepted"]


async def test_lines_of_a_page_are_of_ones_own_tenant(one: Api) -> None:
    answer = await one.http.get(PATH, headers={"x-scope-orgid": "acme"})

    assert answer.json() == {"items": [], "cursor": None}


async def test_one_reads_ones_own_lines(one: Api) -> None:
    one.door.position = 42

    await one.get(PATH)

    assert one.waited_for == [42]
