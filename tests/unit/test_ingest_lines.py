"""Log lines and deployments through the door: what is let in, logged, known again and told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.doors import House, house
from tests.log_senders import Sent, write_loki_json, write_otlp
from tests.make import NS_PER_S, START_NS
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.model.change import Change
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import LogBatch, Logged, Tick

DAY_S = 86_400
JSON = {"content-type": "application/json"}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as one:
        yield one


def line(after_s: float = 0.0, **fields: Any) -> dict[str, Any]:
    at_ns = START_NS + round(after_s * NS_PER_S)
    return {"message": "hello", "timestamp": at_ns, "service": "shop", **fields}


async def send(home: House, *lines: dict[str, Any], **how: Any) -> Accepted:
    body = json.dumps({"logs": lines}).encode()
    return await home.send(body, protocol="logs_json", headers=JSON, **how)


def logged(home: House) -> list[Logged]:
    """What came through the door."""
    return [record for record in home.records() if not isinstance(record, Tick)]


def batches(home: House) -> list[LogBatch]:
    return [record for record in home.records() if isinstance(record, LogBatch)]


def bodies(home: House) -> list[str]:
    """What all lines of the log say, in their order."""
    return [batch.body.text(row) for batch in batches(home) for row in range(len(batch))]


def reasons(accepted: Accepted) -> dict[str, int]:
    return {reject.reason: reject.count for reject in accepted.rejects}


async def test_lines_are_durable_when_they_are_answered(home: House) -> None:
    accepted = await send(home, line(message="one"), line(message="two"))

    assert accepted == Accepted(2)
    assert bodies(home) == ["one", "two"]


@pytest.mark.parametrize(
    ("protocol", "body", "headers"),
    [
        ("loki", write_loki_json([Sent(time_ns=START_NS)]), JSON),
        ("otlp_logs", write_otlp([Sent(time_ns=START_NS)]), {}),
    ],
)
async def test_a_line_is_of_the_service_that_its_labels_name(
    home: House, protocol: str, body: bytes, headers: dict[str, str]
) -> None:
    await home.send(body, protocol=protocol, headers=headers, tenant=TenantId("team"))

    (batch,) = batches(home)
    assert batch.tenant == "team"
    assert batch.origins[0].entity.service == "checkout"


async def test_a_body_of_lines_that_comes_again_is_logged_once(home: House) -> None:
    first = await send(home, line())
    again = await send(home, line())

    assert (first.repeated, again.repeated) == (False, True)
    assert bodies(home) == ["hello"]


async def test_a_body_is_known_again_after_a_crash(tmp_path: Path) -> None:
    async with house(tmp_path) as before:
        await send(before, line())

    async with house(tmp_path) as after:
        assert (await send(after, line())).repeated
        assert bodies(after) == ["hello"]


async def test_lines_without_a_time_are_never_taken_for_a_retry(home: House) -> None:
    for _ in range(2):
        accepted = await send(home, {"message": "now"})
        assert not accepted.repeated

    assert bodies(home) == ["now", "now"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line(601.0), "future"),
        (line(-30 * DAY_S - 1.0), "too_old"),
        (line(message="x" * (256 << 10) + "x"), "too_large"),
        ({"level": "info"}, "bad_item"),
    ],
)
async def test_a_line_that_is_not_let_in_costs_itself(
    home: House, bad: dict[str, Any], reason: str
) -> None:
    accepted = await send(home, line(message="a"), bad, line(message="b"))

    assert accepted.n_accepted == 2
    assert reasons(accepted) == {reason: 1}
    assert bodies(home) == ["a", "b"]


@pytest.mark.parametrize("after_s", [600.0, -30.0 * DAY_S])
async def test_a_line_at_the_edge_of_time_is_let_in(home: House, after_s: float) -> None:
    assert await send(home, line(after_s)) == Accepted(1)


async def test_lines_of_one_stream_may_come_in_any_order(home: House) -> None:
    for after_s in (10.0, -3600.0, 5.0):
        await send(home, line(after_s, message=f"at {after_s}"))

    assert bodies(home) == ["at 10.0", "at -3600.0", "at 5.0"]


async def test_of_a_body_without_a_sound_line_nothing_is_logged(home: House) -> None:
    accepted = await send(home, line(-40 * DAY_S), line(-41 * DAY_S))

    assert accepted.n_accepted == 0
    assert reasons(accepted) == {"too_old": 2}
    assert batches(home) == []


async def test_lines_that_the_log_refused_can_come_again(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.gate.full = True
        with pytest.raises(Retryable, match="no space left"):
            await send(home, line())
        home.gate.full = False
        home.clock.advance(1)

        again = await send(home, line())

        assert (again.n_accepted, again.repeated) == (1, False)
        assert bodies(home) == ["hello"]


async def test_a_body_that_cannot_be_read_is_logged_nowhere(home: House) -> None:
    with pytest.raises(BadInput):
        await home.send(b"{", protocol="logs_json", headers=JSON)

    assert logged(home) == []


async def test_samples_and_lines_share_one_log_in_the_order_of_their_coming(home: House) -> None:
    metric = {"name": "up", "value": 1, "timestamp": START_NS}

    await send(home, line())
    await home.send(json.dumps({"metrics": [metric]}).encode())
    await send(home, line(message="behind"))

    kinds = [type(record).__name__ for record in logged(home)]
    assert kinds == ["LogBatch", "NewSeries", "SampleBatch", "LogBatch"]


def deployment(after_s: float = 0.0, **fields: Any) -> bytes:
    at_s = START_NS / NS_PER_S + after_s
    return json.dumps({"service": "shop", "version": "1", "timestamp": at_s, **fields}).encode()


async def test_a_deployment_is_logged_with_whom_it_concerns(home: House) -> None:
    metadata = {"commit": "abc", "deployed_by": "ci", "environment": "production"}

    accepted = await home.send(
        deployment(metadata=metadata), protocol="deployment", headers=JSON, tenant=TenantId("team")
    )

    assert accepted == Accepted(1)
    (change,) = logged(home)
    assert isinstance(change, Change)
    assert (change.tenant, change.actor) == ("team", "ci")
    assert (change.entity.service, change.entity.environment) == ("shop", "production")
    assert change.details == {"commit": "abc", "environment": "production"}


@pytest.mark.parametrize(("after_s", "reason"), [(601.0, "future"), (-31.0 * DAY_S, "too_old")])
async def test_a_deployment_out_of_time_is_not_let_in(
    home: House, after_s: float, reason: str
) -> None:
    accepted = await home.send(deployment(after_s), protocol="deployment", headers=JSON)

    assert reasons(accepted) == {reason: 1}
    assert logged(home) == []
