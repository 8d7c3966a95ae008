"""Both clients keep every promise of `sdk/client.py`: the blocking one, and the awaited one."""

from __future__ import annotations

import inspect
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from tests.unit.test_sdk import ANOMALY
from watchkeeper.errors import BadInput, Permanent, Retryable, TooLarge, WatchkeeperError
from watchkeeper.sdk import AsyncClient, Client, Retry, Sample, TimeSeries
from watchkeeper.sdk.answers import Change, Health, Rejected, Written

URL = "http://watchkeeper.test"
Answer = httpx.Response | httpx.TransportError
AWAY = httpx.ConnectError("nobody there")


class Even(random.Random):
    """Chance that always says the same."""

    def random(self) -> float:
        return 0.0


RETRY = Retry(attempts=4, first_s=1.0, longest_s=8.0, chance=Even())


class Talk:
    """A client of either kind, against a server that answers from a script."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.asked: list[httpx.Request] = []
        self.waits: list[float] = []
        self.script: list[Answer] = []
        self.client: Any = None

    def open(self, *answers: Answer, url: str = URL, **settings: Any) -> Talk:
        async def later(seconds: float) -> None:
            self.waits.append(seconds)

        self.script = list(answers)
        transport = httpx.MockTransport(self._answer)
        given = {"retry": RETRY, "transport": transport, **settings}
        self.client = (
            Client(url, sleep=self.waits.append, **given)
            if self.kind == "blocking"
            else AsyncClient(url, sleep=later, **given)
        )
        return self

    async def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """A method's answer, waited for where it must be."""
        answer = getattr(self.client, name)(*arguments, **named)
        return await answer if inspect.isawaitable(answer) else answer

    async def each(self, name: str, n: int, *arguments: Any, **named: Any) -> list[Any]:
        """The first `n` that a method yields."""
        found: list[Any] = []
        items = getattr(self.client, name)(*arguments, **named)
        async for item in _all(items):
            found.append(item)
            if len(found) == n:
                break
        return found

    async def close(self) -> None:
        if self.client is not None:
            await self.call("close")

    @property
    def n_left(self) -> int:
        return len(self.script)

    def params(self, n: int = -1) -> dict[str, str]:
        return dict(self.asked[n].url.params)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


async def _all(items: Any) -> AsyncIterator[Any]:
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


@pytest.fixture(params=["blocking", "awaited"])
async def talk(request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    one = Talk(request.param)
    yield one
    await one.close()


def problem(status: int, detail: str, **headers: str) -> httpx.Response:
    return httpx.Response(
        status,
        json={"title": "A title", "status": status, "detail": detail},
        headers={"content-type": "application/problem+json", **headers},
    )


def page(*ids: str, cursor: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"items": [ANOMALY | {"id": i} for i in ids], "cursor": cursor})


def stream(*ids: str, last: bytes = b"") -> httpx.Response:
    """Changes of anomalies under positions 1, 2 ...; then perhaps something that is cut off."""
    blocks = [
        b"id: %s\nevent: anomaly\ndata: %s\n\n"
        % (position.encode(), msgspec.json.encode(ANOMALY | {"id": f"at-{position}"}))
        for position in ids
    ]
    return httpx.Response(200, content=b": connected\n\n" + b"".join(blocks) + last)


def series(*values: float) -> list[TimeSeries]:
    time_ms = 1_700_000_000_000 + 1000 * np.arange(len(values), dtype=np.int64)
    return [TimeSeries({"__name__": "up"}, time_ms, np.array(values, np.float64))]


# Writing


async def test_what_was_written_is_counted_by_what_was_sent(talk: Talk) -> None:
    talk.open(httpx.Response(204))

    assert await talk.call("write", series(1.0, 2.0, 3.0)) == Written(3)


async def test_single_samples_and_columns_are_the_same_body(talk: Talk) -> None:
    talk.open(httpx.Response(204), httpx.Response(204))

    await talk.call("send", [Sample("up", 1.0, 1_700_000_000.0)])
    await talk.call("write", series(1.0))

    first, second = (request.content for request in talk.asked)
    assert first == second


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("0 samples accepted; not accepted: 4 samples: future (set the clock)",
         Written(0, (Rejected("future", 4, "set the clock"),))),
        ("2 samples accepted; not accepted: 1 samples: conflict",
         Written(2, (Rejected("conflict", 1),))),
        # Whatever a label holds, what was not accepted is still counted.
        ('1 samples accepted; not accepted: 2 samples: too_old (up{a="(("}: late)',
         Written(1, (Rejected("too_old", 2),))),
    ],
    ids=["detail", "bare", "odd label"],
)  # fmt: skip
async def test_what_was_not_accepted_is_told(talk: Talk, told: str, wanted: Written) -> None:
    talk.open(httpx.Response(400, text=told))

    assert await talk.call("write", series(1.0)) == wanted


async def test_a_body_that_was_sent_again_is_the_same_to_the_byte(talk: Talk) -> None:
    """By that the server knows that it has taken it already."""
    talk.open(AWAY, httpx.Response(503), httpx.Response(204))

    await talk.call("write", series(1.0, 2.0))

    assert len({request.content for request in talk.asked}) == 1
    assert len({str(request.headers) for request in talk.asked}) == 1


# Errors


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (problem(400, "start: 'x' is no time"), BadInput, "start: 'x' is no time"),
        (problem(413, "too long; send less"), TooLarge, "too long; send less"),
        (problem(422, "limit: wrong"), BadInput, "limit: wrong"),
        (problem(404, "there is no anomaly 'x'"), Permanent, "there is no anomaly 'x'"),
        (problem(409, "store: is closed"), Permanent, "store: is closed"),
        (problem(500, "a mistake"), Permanent, "a mistake"),
        (problem(400, ""), BadInput, "A title"),
        (httpx.Response(401, text="  who are you?  "), BadInput, "who are you?"),
        (httpx.Response(418), BadInput, "the server answered 418"),
        (httpx.Response(400, content=b"{", headers={"content-type": "application/json"}),
         BadInput, "{"),
        (httpx.Response(404, text="nginx"), Permanent, "there is no Watchkeeper (404)"),
    ],
    ids=lambda part: str(part.status_code) if isinstance(part, httpx.Response) else "",
)  # fmt: skip
async def test_a_refusal_is_raised_at_once_in_the_servers_words(
    talk: Talk, answer: httpx.Response, kind: type[WatchkeeperError], said: str
) -> None:
    talk.open(answer)

    with pytest.raises(kind) as refused:
        await talk.call("anomaly_page")

    assert type(refused.value) is kind
    assert said in str(refused.value)
    assert talk.waits == []


async def test_the_status_of_a_refusal_is_kept(talk: Talk) -> None:
    talk.open(httpx.Response(415, text="not this encoding"))

    with pytest.raises(BadInput) as refused:
        await talk.call("anomaly_page")

    assert refused.value.status == 415


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_is_not_now_is_asked_again_and_then_answered(talk: Talk, status: int) -> None:
    talk.open(httpx.Response(status), AWAY, page("a1"))

    found = await talk.call("anomaly_page")

    assert [item.id for item in found.items] == ["a1"]
    assert talk.waits == [1.0, 2.0]


async def test_after_the_last_attempt_it_is_raised_with_when_to_come_again(talk: Talk) -> None:
    talk.open(*(problem(503, "the log is full", **{"retry-after": "7"}) for _ in range(4)))

    with pytest.raises(Retryable, match="the log is full") as refused:
        await talk.call("anomaly_page")

    assert refused.value.after_s == 7.0
    assert talk.waits == [7.0, 7.0, 7.0]
    assert talk.n_left == 0


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("0", 1.0), ("0.2", 1.0), ("5", 5.0), ("32", 32.0), ("33", 32.0), ("999999", 32.0),
     ("-5", 1.0), ("nan", 1.0), ("inf", 1.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0)],
)  # fmt: skip
async def test_the_server_may_ask_for_a_longer_wait_within_bounds(
    talk: Talk, header: str, wait_s: float
) -> None:
    talk.open(httpx.Response(503, headers={"retry-after": header}), page())

    await talk.call("anomaly_page")

    assert talk.waits == [wait_s]


async def test_a_server_that_is_away_is_named_with_the_remedy_and_the_cause(talk: Talk) -> None:
    talk.open(*[AWAY] * 4)

    with pytest.raises(Retryable) as refused:
        await talk.call("anomaly_page")

    assert str(refused.value) == (
        f"cannot reach {URL} (nobody there); start it with `watchkeeper run`, or name another --url"
    )
    assert refused.value.__cause__ is AWAY


@pytest.mark.parametrize(
    ("name", "arguments", "body"),
    [
        ("anomaly_page", (), b"<html>"),
        ("anomaly_page", (), b'{"items": 7}'),
        ("anomaly", ("a1",), b"[]"),
        ("query", ("up",), b'{"series": [{"labels": {}, "points": [[1, "much"]]}]}'),
        ("query", ("up",), b'{"series": null}'),
        ("health", (), b"ok"),
        ("health", (), b'{"status": "\xff"}'),
        ("anomaly_page", (), b'{"items": %s' % (b"[" * 10_000)),
    ],
    ids=lambda part: str(part)[:30],
)
async def test_an_answer_that_is_not_ours_is_told_to_be_somebody_elses(
    talk: Talk, name: str, arguments: tuple[str, ...], body: bytes
) -> None:
    talk.open(httpx.Response(200, content=body))

    with pytest.raises(Permanent, match=r"the answer is not Watchkeeper's \(.*\); check --url"):
        await talk.call(name, *arguments)


async def test_a_stream_that_is_not_ours_is_told_to_be_somebody_elses(talk: Talk) -> None:
    talk.open(httpx.Response(200, content=b"event: anomaly\ndata: {}\n\n"))

    with pytest.raises(Permanent, match="the answer is not Watchkeeper's"):
        await talk.each("follow", 1)


# Reading


async def test_a_question_is_asked_in_the_words_of_the_route(talk: Talk) -> None:
    talk.open(httpx.Response(200, json={"series": []}))

    await talk.call(
        "query", 'up{a="1"}', start=1.5, end=datetime(2026, 1, 5, tzinfo=UTC), step="1m", by="a,b"
    )

    assert talk.asked[0].url.path == "/api/v1/metrics/query"
    assert talk.params() == {
        "query": 'up{a="1"}',
        "start": "1.5",
        "end": "2026-01-05T00:00:00+00:00",
        "step": "1m",
        "by": "a,b",
    }


@pytest.mark.parametrize("identity", ["../metrics/query", "a/b", "a?limit=1", "a#b", "é", "%2e"])
async def test_an_identity_leads_to_an_anomaly_and_nowhere_else(talk: Talk, identity: str) -> None:
    talk.open(problem(404, "none"))

    with pytest.raises(Permanent):
        await talk.call("anomaly", identity)

    path, _, rest = talk.asked[0].url.raw_path.partition(b"/api/v1/anomalies/")
    assert (path, rest.count(b"/"), rest.count(b"?")) == (b"", 0, 0)
    assert httpx.URL(f"http://x/{rest.decode()}").path == f"/{identity}"


async def test_pages_are_asked_for_one_behind_the_other(talk: Talk) -> None:
    talk.open(page("a", "b", cursor="next"), page("c"))

    found = await talk.each("anomalies", 9, status="open")

    assert [one.id for one in found] == ["a", "b", "c"]
    assert [talk.params(n) for n in (0, 1)] == [
        {"limit": "1000", "status": "open"},
        {"limit": "1000", "status": "open", "cursor": "next"},
    ]


@pytest.mark.parametrize(
    ("limit", "asked"), [(1, ["1"]), (2, ["2"]), (3, ["3", "1"]), (2500, ["1000", "1000"])]
)
async def test_no_more_is_asked_for_than_is_wanted(
    talk: Talk, limit: int, asked: list[str]
) -> None:
    first = page("a", "b", cursor="next") if limit > 1 else page("a", cursor="next")
    talk.open(first, page("c"))

    found = await talk.each("anomalies", 9, limit=limit)

    assert len(found) == min(limit, 3)
    assert [talk.params(n)["limit"] for n in range(len(talk.asked))] == asked


async def test_whoever_wants_none_asks_for_none(talk: Talk) -> None:
    talk.open()

    assert await talk.each("anomalies", 9, limit=0) == []


async def test_a_page_is_fetched_when_it_is_come_to_and_not_before(talk: Talk) -> None:
    talk.open(page("a", "b", cursor="next"))

    assert [one.id for one in await talk.each("anomalies", 2)] == ["a", "b"]
    assert len(talk.asked) == 1


async def test_bad_health_is_an_answer_and_no_error(talk: Talk) -> None:
    body = {"status": "unhealthy", "checks": {"log": {"ok": False, "detail": "full"}}}
    talk.open(httpx.Response(503, json=body))

    health: Health = await talk.call("health")

    assert not health.is_well
    assert health.checks["log"].detail == "full"


async def test_health_is_asked_once(talk: Talk) -> None:
    talk.open(AWAY, page())

    with pytest.raises(Retryable):
        await talk.call("health")

    assert (len(talk.asked), talk.waits) == (1, [])


# Following


async def test_a_broken_stream_goes_on_behind_the_last_whole_event(talk: Talk) -> None:
    cut = b"id: 3\nevent: anomaly\ndata: {"
    talk.open(stream("1", "2", last=cut), stream("3"))

    found = await talk.each("follow", 3)

    assert [change.anomaly.id for change in found] == ["at-1", "at-2", "at-3"]
    assert "last-event-id" not in talk.asked[0].headers
    assert talk.asked[1].headers["accept"] == "text/event-stream"


async def test_a_stream_begins_behind_a_position_that_is_given(talk: Talk) -> None:
    talk.open(stream("8"))

    (change,) = await talk.each("follow", 1, "7")

    assert talk.asked[0].headers["last-event-id"] == "7"
    assert change.position == "8"


async def test_nothing_of_a_cut_event_is_told(talk: Talk) -> None:
    talk.open(stream("1", last=b"event: reset\n"), stream("2"))

    found = await talk.each("follow", 2)

    assert [change.anomaly.id for change in found] == ["at-1", "at-2"]


async def test_a_break_before_any_event_is_told_as_a_reset(talk: Talk) -> None:
    talk.open(stream(), stream("5"))

    found = await talk.each("follow", 2)

    assert found[0] == Change(None)
    assert found[1].position == "5"


async def test_a_break_is_waited_out_longer_each_time_until_something_comes(talk: Talk) -> None:
    talk.open(stream("1"), AWAY, problem(503, "stopping"), stream("2"), AWAY, stream("3"))

    await talk.each("follow", 3)

    assert talk.waits == [1.0, 2.0, 4.0, 1.0, 2.0]


async def test_a_stream_that_stays_away_is_given_up(talk: Talk) -> None:
    talk.open(stream("1"), *[AWAY] * 3)

    with pytest.raises(Retryable, match="nobody there"):
        await talk.each("follow", 2)

    assert talk.n_left == 0


async def test_a_stream_that_is_refused_is_not_asked_for_again(talk: Talk) -> None:
    talk.open(problem(404, "there is no stream"))

    with pytest.raises(Permanent, match="there is no stream"):
        await talk.each("follow", 1)

    assert talk.waits == []


# Whoever it is


async def test_a_tenant_goes_with_every_request(talk: Talk) -> None:
    talk.open(page(), stream("1"), tenant="shop")

    await talk.call("anomaly_page")
    await talk.each("follow", 1)

    assert [request.headers["x-scope-orgid"] for request in talk.asked] == ["shop", "shop"]


async def test_without_a_tenant_none_is_named(talk: Talk) -> None:
    talk.open(page())

    await talk.call("anomaly_page")

    assert "x-scope-orgid" not in talk.asked[0].headers


async def test_credentials_are_sent_and_in_no_error(talk: Talk) -> None:
    talk.open(*[AWAY] * 4, url="http://name:pass-word@watchkeeper.test/base/")

    with pytest.raises(Retryable) as refused:
        await talk.call("anomaly_page")

    assert talk.asked[0].headers["authorization"].startswith("Basic ")
    assert talk.asked[0].url.path == "/base/api/v1/anomalies"
    assert "pass-word" not in str(refused.value) + repr(talk.client.url)


async def test_closing_twice_is_safe_and_ends_use(talk: Talk) -> None:
    talk.open(page())

    await talk.call("close")
    await talk.call("close")

    with pytest.raises(RuntimeError, match="closed"):
        await talk.call("anomaly_page")


async def test_leaving_the_with_closes(talk: Talk) -> None:
    client = talk.open(page()).client

    if isinstance(client, Client):
        with client as entered:
            assert entered is client
    else:
        async with client as entered:
            assert entered is client

    with pytest.raises(RuntimeError, match="closed"):
        await talk.call("anomaly_page")
