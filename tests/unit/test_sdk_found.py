"""Searching with either client: what is asked, and what its answer becomes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from watchkeeper.errors import BadInput, Permanent
from watchkeeper.sdk import AsyncClient, Client, Retry

URL = "http://watchkeeper.test"
LINE = {
    "time": "2026-01-05T10:00:00.5Z",
    "severity": "error",
    "service": "shop",
    "labels": {"host": "a"},
    "attributes": {"code": "51"},
    "body": "refused",
    "trace_id": "7" * 32,
    "of_a_newer_server": 1,
}
SUMMARY: dict[str, Any] = {
    "trace_id": "7" * 32,
    "root": {"service": "web", "name": "GET /"},
    "start": "2026-01-05T10:00:00Z",
    "duration_ms": 12.5,
    "n_spans": 1,
    "services": ["web"],
}
SPAN = {"name": "GET /", "start": "2026-01-05T10:00:00Z", "duration_ms": 12.5, "kind": "server"}


class Talk:
    """A client of either kind, against a server with one answer."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.asked: list[httpx.Request] = []
        self.answer = httpx.Response(200, json={})

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer

    async def call(self, name: str, *given: Any, **asked: Any) -> Any:
        kind: Callable[..., Any] = Client if self.kind == "blocking" else AsyncClient
        client = kind(URL, transport=httpx.MockTransport(self._answer), retry=Retry(attempts=1))
        result = getattr(client, name)(*given, **asked)
        return await result if inspect.isawaitable(result) else result

    @property
    def params(self) -> dict[str, str]:
        return dict(self.asked[-1].url.params)


@pytest.fixture(params=["blocking", "awaited"])
def talk(request: pytest.FixtureRequest) -> Talk:
    return Talk(request.param)


async def test_lines_come_with_their_types(talk: Talk) -> None:
    talk.answer = httpx.Response(200, json={"items": [LINE], "cursor": "1-2"})

    page = await talk.call("logs", text="refused", level="warn")

    (line,) = page.items
    assert page.cursor == "1-2"
    assert line.time == datetime(2026, 1, 5, 10, 0, 0, 500_000, UTC)
    assert (line.service, line.labels, line.attributes) == ("shop", {"host": "a"}, {"code": "51"})
    assert line.span_id is None


async def test_what_is_asked_of_lines_is_sent_and_nothing_else(talk: Talk) -> None:
    talk.answer = httpx.Response(200, json={"items": []})

    await talk.call(
        "logs", limit=5, cursor="1-2", start=datetime(2026, 1, 5, tzinfo=UTC), contains=None
    )

    assert talk.asked[0].url.path == "/api/v1/logs/search"
    assert talk.params == {"limit": "5", "cursor": "1-2", "start": "2026-01-05T00:00:00+00:00"}


async def test_traces_come_in_a_few_words(talk: Talk) -> None:
    talk.answer = httpx.Response(200, json={"items": [SUMMARY]})

    (trace,) = await talk.call("traces", service="web", min_duration="10ms")

    assert (trace.root.name, trace.duration_ms, trace.services) == ("GET /", 12.5, ("web",))
    assert talk.params == {"limit": "20", "service": "web", "min_duration": "10ms"}


async def test_one_trace_comes_with_its_spans(talk: Talk) -> None:
    talk.answer = httpx.Response(200, json={**SUMMARY, "spans": [SPAN], "complete": False})

    trace = await talk.call("trace", "7" * 32)

    assert [(span.name, span.kind, span.parent_id) for span in trace.spans] == [
        ("GET /", "server", None)
    ]
    assert not trace.complete


async def test_an_id_with_signs_in_it_leads_nowhere_else(talk: Talk) -> None:
    talk.answer = httpx.Response(400, json={"detail": "no trace id"})

    with pytest.raises(BadInput, match="no trace id"):
        await talk.call("trace", "../anomalies")

    assert talk.asked[0].url.raw_path == b"/api/v1/traces/..%2Fanomalies"


@pytest.mark.parametrize(
    ("name", "given"),
    [("logs", ()), ("log_templates", ()), ("traces", ()), ("trace", ("7",))],
    ids=str,
)
async def test_an_answer_of_somebody_else_is_told(
    talk: Talk, name: str, given: tuple[str, ...]
) -> None:
    talk.answer = httpx.Response(200, text="<html>")

    with pytest.raises(Permanent, match="--url"):
        await talk.call(name, *given)


async def test_templates_are_asked_for_by_service_and_text(talk: Talk) -> None:
    told = {"id": "ab", "text": "user <*>", "lines": 3, "service": "shop", "of_a_newer_server": 1}
    talk.answer = httpx.Response(200, json={"items": [told], "more": True})

    found = await talk.call("log_templates", service="shop", text="user", limit=1)

    assert talk.params == {"service": "shop", "text": "user", "limit": "1"}
    assert (found.items[0].id, found.items[0].lines, found.more) == ("ab", 3, True)
