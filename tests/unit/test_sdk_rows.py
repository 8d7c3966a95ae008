"""Log lines and changes from a Python program: what is sent, and what is told of it."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.unit.test_sdk import Server
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.receivers.changes_json import ChangesJson
from watchkeeper.ingest.receivers.logs_json import LogsJson
from watchkeeper.model.change import Change
from watchkeeper.model.signal import LogBatch
from watchkeeper.sdk import ChangeNote, LogLine, Rejected, Written

AT = datetime(2026, 1, 5, 10, 0, 0, 250_000, UTC)
AT_NS = 1_767_607_200_250_000_000
LINE = LogLine(message="hello", timestamp=AT, level="warn", service="shop", attributes={"n": 1})
NOTE = ChangeNote(service="shop", timestamp=AT.timestamp(), kind="config", details={"n": 2})
TAKEN = {"status": "ok", "accepted": 1, "rejected": []}
JSON = {"content-type": "application/json"}

EITHER = pytest.mark.parametrize("kind", ["client", "async_client"])


async def call(server: Server, kind: str, name: str, *given: Any, **named: Any) -> Any:
    """By either client."""
    found = getattr(getattr(server, kind)(), name)(*given, **named)
    return await found if inspect.isawaitable(found) else found


@EITHER
async def test_lines_arrive_as_they_were_written(kind: str) -> None:
    server = Server(httpx.Response(200, json=TAKEN))

    written = await call(server, kind, "write_logs", [LINE])

    assert written == Written(1)
    (asked,) = server.asked
    assert asked.url.path == "/api/v1/logs/write"
    (batch,) = LogsJson().decode(asked.content, dict(asked.headers), now_ns=0).records
    assert isinstance(batch, LogBatch)
    assert (batch.body.text(0), batch.time_ns[0], batch.severity[0]) == ("hello", AT_NS, 13)
    assert batch.origins[0].labels == (("service", "shop"),)
    assert json.loads(batch.attributes.text(0)) == {"n": "1"}


@EITHER
async def test_changes_arrive_as_they_were_told(kind: str) -> None:
    server = Server(httpx.Response(200, json=TAKEN))

    written = await call(server, kind, "write_changes", [NOTE])

    assert written == Written(1)
    (asked,) = server.asked
    assert asked.url.path == "/api/v1/changes"
    (change,) = ChangesJson().decode(asked.content, dict(asked.headers), now_ns=0).records
    assert isinstance(change, Change)
    assert (change.kind, change.service, change.time_ns) == ("config", "shop", AT_NS)
    assert change.details == {"n": "2"}


@EITHER
async def test_a_deployment_is_a_change_of_its_kind(kind: str) -> None:
    server = Server(httpx.Response(200, json=TAKEN))

    await call(server, kind, "write_deployment", "shop", "1.2", at=AT, actor="ci", commit="abc")

    (sent,) = json.loads(server.asked[0].content)
    assert sent == {
        "service": "shop",
        "timestamp": "2026-01-05T10:00:00.250000Z",
        "version": "1.2",
        "status": "success",
        "actor": "ci",
        "details": {"commit": "abc"},
    }


@EITHER
async def test_the_same_lines_are_sent_again_when_the_server_is_busy(kind: str) -> None:
    """Byte by byte, so that the server knows what it has already taken."""
    server = Server(httpx.Response(503, text="full"), httpx.Response(200, json=TAKEN))

    assert await call(server, kind, "write_logs", [LINE]) == Written(1)

    first, again = server.asked
    assert first.content == again.content
    assert server.waits == [1.0]


@EITHER
async def test_lines_that_were_not_taken_are_told_and_not_raised(kind: str) -> None:
    rejected = [{"reason": "too_old", "count": 2, "detail": "older than 30 days"}]
    answer = {"status": 400, "title": "x", "accepted": 0, "rejected": rejected}
    server = Server(httpx.Response(400, json=answer))

    written = await call(server, kind, "write_logs", [LINE, LINE])

    assert written == Written(0, (Rejected("too_old", 2, "older than 30 days"),))


@EITHER
@pytest.mark.parametrize(("status", "error"), [(400, BadInput), (503, Retryable)])
async def test_what_was_refused_whole_is_an_error(
    kind: str, status: int, error: type[Exception]
) -> None:
    server = Server(*(httpx.Response(status, text="no") for _ in range(4)))

    with pytest.raises(error, match="no"):
        await call(server, kind, "write_changes", [NOTE])
