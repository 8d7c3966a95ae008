"""A lake and tables in another process: what is asked, what is answered, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest

from tests import make
from tests.fronts import Api, api
from tests.gateways import AWAY, Shown, key, scoped
from tests.tables import CASES, DETAILS, NOON, everything, rows
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.lake.base import Fold, Frame, SampleQuery, TooManyRows
from watchkeeper.lake.remote import Owner, RemoteLake, RemoteTable
from watchkeeper.lake.remote_config import RemoteConfig
from watchkeeper.lake.remote_form import read_found, read_frame, write_found, write_frame
from watchkeeper.lake.tables.base import RowQuery
from watchkeeper.lake.tables.definition import LOGS
from watchkeeper.model.principal import Role, Scope
from watchkeeper.model.series import Matcher, MatchOp, TenantId
from watchkeeper.telemetry import Secret

T = TypeVar("T")
TENANT = TenantId("shop")
QUERY = SampleQuery(
    TENANT,
    (Matcher("__name__", MatchOp.EQUAL, "up"), Matcher("pod", MatchOp.REGEX, "a.*")),
    start_ns=-5,
    end_ns=make.START_NS,
    step_ns=60,
    over_time=Fold.RATE,
    across=Fold.SUM,
    by=("service",),
)
FRAME = Frame(
    ({"__name__": "up", "pod": "ä"}, {}),
    np.array([0, 0, 1], np.int32),
    np.array([-1, 2, 2**62], np.int64),
    np.array([np.inf, -0.0, np.nan]),
)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Api]:
    """The process that keeps telemetry, on another machine."""
    async with api(tmp_path, peer=AWAY) as found:
        yield found


def owner(one: Api, shown: Shown | None) -> Owner:
    """As another process asks it, from a thread."""
    loop = asyncio.get_running_loop()

    def carry(request: httpx.Request) -> httpx.Response:
        asking = one.http.request(
            request.method, request.url.path, content=request.read(), headers=request.headers
        )
        answer = asyncio.run_coroutine_threadsafe(asking, loop).result(10)
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    config = RemoteConfig(url="http://127.0.0.1", key=None if shown is None else Secret(shown.text))
    return Owner(config, "x-scope-orgid", httpx.MockTransport(carry))


async def asked(work: Callable[..., T], *given: Any) -> T:
    return await asyncio.to_thread(work, *given)


def same(one: Frame, other: Frame) -> bool:
    def told(frame: Frame) -> list[object]:
        columns: tuple[np.ndarray[Any, Any], ...] = (frame.row, frame.time_ns, frame.value)
        return [*frame.labels, *((column.dtype, column.tobytes()) for column in columns)]

    return told(one) == told(other)


async def test_samples_are_asked_and_answered_to_the_last_bit(one: Api) -> None:
    one.lake.frame = FRAME
    lake = RemoteLake(owner(one, await scoped(one, Scope.INTERNAL, tenants=("*",))))

    found = await asked(lake.query, QUERY)

    assert one.lake.asked == [QUERY]
    assert same(found, FRAME)


async def test_rows_are_answered_with_all_that_they_say(one: Api) -> None:
    said = ((make.START_NS, 9, "größer".encode()), (make.START_NS + 1, 17, b"\xff"))
    one.tables.logs.append(make.logs(*said), 1)
    table = RemoteTable(owner(one, await scoped(one, Scope.INTERNAL, tenants=("*",))), LOGS)
    query = RowQuery(make.logs().tenant, 0, 2 * make.START_NS, limit=1)

    found = await asked(table.search, query)

    there = one.tables.logs.search(query)
    assert found.batch.body[0] == b"\xff"
    assert (found.cursor, found.number.tolist()) == (there.cursor, there.number.tolist())
    assert rows(found.batch) == rows(there.batch)


async def test_a_reader_waits_for_its_own_writes_in_the_other_process(one: Api) -> None:
    asking = owner(one, await scoped(one, Scope.INTERNAL, tenants=("*",)))

    for what in ("samples", "logs", "spans", "changes"):
        await asked(asking.ask, f"caught-up/{what}", 7)

    assert one.waited_for == [7, 7, 7, 7]


@pytest.mark.parametrize("what", ["samples", "logs"])
async def test_who_asks_for_more_than_is_stored_is_told_to_wait(tmp_path: Path, what: str) -> None:
    """Not with a part of it: as after a start, when the other process has much to catch up on."""
    async with api(tmp_path, stored_to=6) as one:
        asking = owner(one, await scoped(one, Scope.INTERNAL, tenants=("*",)))

        await asked(asking.ask, f"caught-up/{what}", 6)
        with pytest.raises(Retryable, match=rf"{what}: not stored up to position 7 yet"):
            await asked(asking.ask, f"caught-up/{what}", 7)


async def test_a_key_of_one_tenant_asks_for_no_other(one: Api) -> None:
    """Whatever the question says, the gateway decides."""
    lake = RemoteLake(owner(one, await scoped(one, Scope.INTERNAL, tenants=("bank",))))

    with pytest.raises(Retryable, match="may not enter tenant 'shop'"):
        await asked(lake.query, QUERY)

    assert one.lake.asked == []


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.OPERATOR])
async def test_who_may_not_ask_inside_is_no_reader_of_a_wrong_answer(
    one: Api, role: Role | None
) -> None:
    lake = RemoteLake(owner(one, None if role is None else await key(one, role=role)))

    with pytest.raises(Retryable, match=r"answered 40[13].*remote\.key"):
        await asked(lake.query, QUERY)


@pytest.mark.parametrize(
    "refusal",
    [TooManyRows("too many"), BadInput("not so", status=422), BadInput("no")],
    ids=lambda one: type(one).__name__ + str(one.status),
)
async def test_what_the_keeper_refuses_is_refused_in_its_words(one: Api, refusal: BadInput) -> None:
    one.lake.refusal = refusal
    lake = RemoteLake(owner(one, await scoped(one, Scope.INTERNAL, tenants=("*",))))

    with pytest.raises(BadInput) as told:
        await asked(lake.query, QUERY)

    assert (type(told.value), str(told.value)) == (type(refusal), str(refusal))
    assert told.value.status == refusal.status


@pytest.mark.parametrize(
    ("path", "content"),
    [("samples", b"\xc1"), ("rows/cellar", b"\x80"), ("caught-up/logs", b"\xa1a")],
)
async def test_a_question_of_another_version_is_told_as_such(
    one: Api, path: str, content: bytes
) -> None:
    mine = await scoped(one, Scope.INTERNAL, tenants=("*",))

    answer = await one.http.post(f"/internal/v1/{path}", content=content, headers=mine.header)

    assert answer.status_code == 400
    assert "internal: " in answer.json()["detail"]


def test_a_keeper_that_is_away_is_told_with_the_setting_that_names_it() -> None:
    def break_off(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("")

    config = RemoteConfig(url="http://store:8100", key=Secret("hunter2"))
    lake = RemoteLake(Owner(config, "x-scope-orgid", httpx.MockTransport(break_off)))

    with pytest.raises(Retryable, match=r"http://store:8100: ReadTimeout.*remote\.url") as told:
        lake.query(QUERY)

    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("frame", [FRAME, read_frame(write_frame(FRAME))], ids=["once", "twice"])
def test_a_frame_survives_the_way(frame: Frame) -> None:
    assert same(read_frame(write_frame(frame)), FRAME)


@pytest.mark.parametrize("case", [*CASES, *DETAILS], ids=lambda case: case.name)
def test_every_table_survives_the_way(case: Any, tmp_path: Path) -> None:
    table = case.open(tmp_path)
    table.append(case.batch(*range(NOON, NOON + 20)), 1)
    batch = table.search(everything(limit=15))

    found = read_found(write_found(batch), case.definition)

    assert len(found.batch) == 15
    assert rows(found.batch) == rows(batch.batch)
    assert (found.cursor, found.number.tolist()) == (batch.cursor, batch.number.tolist())
