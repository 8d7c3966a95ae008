"""Spans from a Python program: what is sent, and what is told of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from tests.span_senders import attributes_of, batches, trace_of
from tests.unit.test_sdk import Server
from tests.unit.test_sdk_rows import call
from watchkeeper.api.doors import OtlpWords
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.ingest.receivers.otlp_traces import OtlpTraces
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import Reject, SpanBatch
from watchkeeper.sdk import Rejected, Span, SpanEvent, Written
from watchkeeper.sdk.spans import encode

AT = datetime(2026, 1, 5, 10, 0, 0, 250_000, UTC)
AT_NS = 1_767_607_200_250_000_000
JSON = {"content-type": "application/json"}
WORDS = OtlpWords("spans")
EITHER = pytest.mark.parametrize("kind", ["client", "async_client"])


def span(**fields: Any) -> Span:
    usual = {
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "span_id": "eee19b7ec3c1b174",
        "name": "GET /stock",
        "service": "stock",
        "start": AT,
        "duration_s": 0.0015,
    }
    return Span(**{**usual, **fields})


def received(*spans: Span) -> SpanBatch:
    """As the server reads what the client writes."""
    wire = OtlpTraces().decode(encode(spans), JSON, now_ns=0)
    assert wire.rejects == ()
    (batch,) = batches(wire)
    return batch


def told(accepted: Accepted) -> httpx.Response:
    answer = WORDS.accepted(accepted, JSON)
    return httpx.Response(answer.status, content=answer.body)


@EITHER
async def test_spans_arrive_by_otlp_and_are_counted(kind: str) -> None:
    server = Server(told(Accepted(2)))

    written = await call(server, kind, "write_spans", [span(), span(span_id="1" * 16)])

    assert written == Written(2)
    (asked,) = server.asked
    assert (asked.url.path, asked.headers["content-type"]) == ("/v1/traces", "application/json")
    (batch,) = batches(OtlpTraces().decode(asked.content, dict(asked.headers), now_ns=0))
    assert batch.span.tolist() == [0xEEE19B7EC3C1B174, 0x1111111111111111]


@EITHER
async def test_no_spans_are_written_as_none(kind: str) -> None:
    server = Server(told(Accepted(0)))

    assert await call(server, kind, "write_spans", []) == Written(0)


def test_all_that_a_span_says_arrives() -> None:
    batch = received(
        span(
            parent_id="ffdc9bb9a6453df3",
            kind="server",
            status="error",
            message="größe",
            environment="production",
            labels={"host.name": "node-1"},
            attributes={"text": "a", "yes": True, "whole": 2**40, "part": 0.5},
            events=[SpanEvent(name="retry", at=AT, attributes={"n": 1})],
        )
    )

    assert trace_of(batch, 0) == "5b8efff798038103d269b633813fc60c"
    assert (batch.start_ns[0], batch.duration_ns[0]) == (AT_NS, 1_500_000)
    assert batch.parent[0] == 0xFFDC9BB9A6453DF3
    assert (batch.kind[0], batch.status[0]) == (SpanKind.SERVER, SpanStatus.ERROR)
    assert (batch.name.text(0), batch.message.text(0)) == ("GET /stock", "größe")
    assert dict(batch.origins[0].labels) == {
        "service.name": "stock",
        "deployment.environment.name": "production",
        "host.name": "node-1",
    }
    assert attributes_of(batch) == {
        "text": "a",
        "yes": "true",
        "whole": "1099511627776",
        "part": "0.5",
    }
    assert json.loads(batch.events.text(0)) == [
        {"time_ns": AT_NS, "name": "retry", "attributes": {"n": "1"}}
    ]


def test_a_span_that_says_little_is_internal_and_a_root() -> None:
    batch = received(span())

    assert (batch.parent[0], batch.kind[0], batch.status[0]) == (
        0,
        SpanKind.INTERNAL,
        SpanStatus.UNSET,
    )


@pytest.mark.parametrize(
    "start",
    [
        AT.timestamp(),
        AT.replace(tzinfo=None),
        AT.astimezone(timezone(timedelta(hours=2))),
    ],
)
def test_a_time_is_seconds_or_a_date_which_without_a_zone_is_utc(start: Any) -> None:
    assert received(span(start=start)).start_ns[0] == AT_NS


def test_a_date_without_a_zone_is_utc_wherever_the_program_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        batch = received(span(start=AT.replace(tzinfo=None)))
    time.tzset()

    assert batch.start_ns[0] == AT_NS


def test_spans_of_one_place_are_told_together() -> None:
    spans = [span(), span(service="other"), span()]

    body = json.loads(encode(spans))

    assert len(body["resourceSpans"]) == 2
    assert len(received(*spans).origins) == 2


@EITHER
async def test_spans_that_were_not_taken_are_told_and_not_raised(kind: str) -> None:
    rejects = (Reject("too_old", 2, "older than 30 (days)"), Reject("bad_id", 1))
    server = Server(told(Accepted(1, rejects)))

    written = await call(server, kind, "write_spans", [span()] * 4)

    assert written == Written(
        1, (Rejected("too_old", 2, "older than 30 (days)"), Rejected("bad_id", 1))
    )


@EITHER
@pytest.mark.parametrize("error", [BadInput("not a trace"), Retryable("the log is full")])
async def test_a_refusal_is_an_error_in_the_servers_words(
    kind: str, error: BadInput | Retryable
) -> None:
    answer = WORDS.refused(error, JSON)
    headers = {name.decode(): text.decode() for name, text in answer.headers}
    server = Server(
        *(httpx.Response(answer.status, content=answer.body, headers=headers) for _ in range(4))
    )

    with pytest.raises(type(error), match=str(error)):
        await call(server, kind, "write_spans", [span()])


@EITHER
async def test_what_is_sent_again_is_the_same(kind: str) -> None:
    """So that the server knows the body, and takes it once."""
    server = Server(httpx.Response(503), told(Accepted(1)))

    assert await call(server, kind, "write_spans", [span()]) == Written(1)

    first, again = server.asked
    assert first.content == again.content
