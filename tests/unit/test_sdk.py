"""The clients: what they send, how they try again, and how answers become types or errors."""

from __future__ import annotations

import inspect
import json
import random
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest

from watchkeeper.errors import BadInput, Permanent, Retryable, TooLarge
from watchkeeper.sdk import AsyncClient, Client, Retry, Sample, TimeSeries, Written, series_of
from watchkeeper.sdk.address import trusted
from watchkeeper.sdk.answers import Rejected

URL = "http://watchkeeper.test"
Answer = httpx.Response | httpx.TransportError

ANOMALY: dict[str, Any] = {
    "id": "a1",
    "tenant": "default",
    "series": "00",
    "metric": "latency_seconds",
    "labels": {"__name__": "latency_seconds", "service": "payment"},
    "service": "payment",
    "environment": "",
    "node": "",
    "owner": "",
    "detector": "fk",
    "severity": "evidence",
    "status": "open",
    "started_at": "2026-01-05T10:00:00Z",
    "peak_at": "2026-01-05T10:01:00.5Z",
    "ended_at": None,
    "value": 4.0,
    "expected": {"low": None, "high": 1.5},
    "p_value": 1e-6,
    "evidence": {"level": 3.5},
    "position": 17,
    "added_by_a_newer_server": True,
}


class Server:
    """Answers from a script, and remembers what it was asked and how long the client waited."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer

    def client(self, **settings: Any) -> Client:
        retry = Retry(attempts=4, first_s=1.0, longest_s=8.0, chance=_NoChance())
        given = {"retry": retry, "sleep": self.waits.append, **settings}
        return Client(URL, transport=httpx.MockTransport(self), **given)

    def async_client(self) -> AsyncClient:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        retry = Retry(attempts=4, first_s=1.0, longest_s=8.0, chance=_NoChance())
        return AsyncClient(URL, transport=httpx.MockTransport(self), retry=retry, sleep=sleep)


class _NoChance(random.Random):
    def random(self) -> float:
        return 0.0


def one_series() -> list[TimeSeries]:
    return [TimeSeries({"__name__": "up"}, np.array([1_700_000_000_000]), np.array([1.0]))]


def events(*changes: tuple[str, str, dict[str, Any]]) -> httpx.Response:
    text = ": connected\n\n" + "".join(
        f"id: {identity}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
        for identity, name, data in changes
    )
    return httpx.Response(200, text=text)


def test_a_write_is_remote_write_and_tells_what_was_taken() -> None:
    server = Server(httpx.Response(204))

    written = server.client(tenant="shop").write(one_series())

    (request,) = server.asked
    assert (request.method, request.url.path) == ("POST", "/api/v1/write")
    assert request.headers["content-encoding"] == "snappy"
    assert request.headers["x-scope-orgid"] == "shop"
    assert written == Written(1)


def test_single_samples_are_sorted_into_series() -> None:
    series = series_of(
        [
            Sample("b", 1.0, 20.0, {"x": "1"}),
            Sample("a", 2.0, 10.0),
            Sample("b", 3.0, 10.5, {"x": "1"}),
        ]
    )

    assert [dict(one.labels) for one in series] == [{"__name__": "b", "x": "1"}, {"__name__": "a"}]
    assert series[0].time_ms.tolist() == [10_500, 20_000]
    assert series[0].value.tolist() == [3.0, 1.0]


def test_what_was_not_accepted_is_told_and_not_raised() -> None:
    told = (
        '3 samples accepted; not accepted: 2 samples: too_old (up{a="(b)"}: an hour; send '
        "earlier); 1 samples: conflict"
    )
    server = Server(httpx.Response(400, text=told))

    written = server.client().write(one_series())

    assert written == Written(
        3,
        (
            Rejected("too_old", 2, 'up{a="(b)"}: an hour; send earlier'),
            Rejected("conflict", 1),
        ),
    )
    assert written.n_rejected == 3


def test_a_body_that_was_refused_as_a_whole_is_raised() -> None:
    server = Server(httpx.Response(400, text="remote_write: no snappy"))

    with pytest.raises(BadInput, match="remote_write: no snappy"):
        server.client().write(one_series())


def test_json_is_sent_as_it_is_and_its_answer_read() -> None:
    answer = {
        "status": "partial",
        "accepted": 1,
        "rejected": [{"reason": "too_old", "count": 2, "detail": "x"}],
    }
    server = Server(httpx.Response(200, json=answer), httpx.Response(400, json=answer))
    client = server.client()

    assert client.write_json(b'{"metrics": []}') == Written(1, (Rejected("too_old", 2, "x"),))
    assert client.write_json(b"{}").n_rejected == 2
    assert server.asked[0].content == b'{"metrics": []}'


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_be_sent_again_is_sent_again_with_growing_waits(status: int) -> None:
    server = Server(*[httpx.Response(status)] * 3, httpx.Response(204))

    server.client().write(one_series())

    assert server.waits == [1.0, 2.0, 4.0]
    assert len({request.content for request in server.asked}) == 1


def test_the_server_says_how_long_to_wait_within_bounds() -> None:
    later = [httpx.Response(503, headers={"retry-after": text}) for text in ("5", "9999", "soon")]
    server = Server(*later, httpx.Response(204))

    server.client().write(one_series())

    assert server.waits == [5.0, 32.0, 4.0]


def test_after_the_last_attempt_the_servers_own_words_are_raised() -> None:
    problem = {"title": "Not now", "detail": "ingest: the disk is full; make room"}
    refused = httpx.Response(503, json=problem, headers={"retry-after": "7"})
    server = Server(*[refused] * 4)

    with pytest.raises(Retryable, match="the disk is full; make room") as caught:
        server.client().write(one_series())

    assert caught.value.after_s == 7.0
    assert len(server.asked) == 4


def test_a_broken_connection_is_tried_again_then_named_with_the_remedy() -> None:
    server = Server(*[httpx.ConnectError("refused")] * 4)

    with pytest.raises(Retryable) as caught:
        server.client().write(one_series())

    assert str(caught.value) == (
        "cannot reach http://watchkeeper.test (refused); start it with `watchkeeper run`, "
        "or name another --url"
    )


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8100", "", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(Permanent, match="is no address of a server; write http://host:port"):
        Client(url)


def test_certificates_are_read_where_one_will_be_shown() -> None:
    """Reading them takes longer than a request; where none is read, none counts."""
    nobody = trusted("http://host:1")

    assert trusted("https://host:1") is True
    assert isinstance(nobody, ssl.SSLContext)
    assert (nobody.verify_mode, nobody.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert nobody.cert_store_stats()["x509_ca"] == 0


def test_credentials_of_an_address_are_sent_and_never_shown() -> None:
    server = Server(httpx.Response(503), *[httpx.ConnectError("refused")] * 3)
    transport = httpx.MockTransport(server)
    client = Client(
        "http://me:secret@host:1/base/", transport=transport, retry=Retry(attempts=2, first_s=0.0)
    )

    with pytest.raises(Retryable) as caught:
        client.query("up")

    assert client.url == "http://host:1/base"
    assert "secret" not in str(caught.value)
    assert server.asked[0].headers["authorization"].startswith("Basic ")
    assert server.asked[0].url.path == "/base/api/v1/metrics/query"
    with pytest.raises(Permanent) as refused:
        Client("ftp://me:secret@host")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadInput), (413, TooLarge), (422, BadInput), (409, Permanent),
                         (404, Permanent), (500, Permanent)],
)  # fmt: skip
def test_a_refusal_is_raised_at_once_as_the_error_that_says_what_to_do(
    status: int, kind: type[Exception]
) -> None:
    server = Server(httpx.Response(status, json={"detail": "what was wrong"}))

    with pytest.raises(kind, match="what was wrong"):
        server.client().query("up")

    assert server.waits == []


def test_another_server_at_that_address_is_told_from_ours() -> None:
    server = Server(httpx.Response(404, html="<h1>hello</h1>"), httpx.Response(200, text="hello"))
    client = server.client()

    with pytest.raises(Permanent, match="there is no Watchkeeper"):
        client.query("up")
    with pytest.raises(Permanent, match="the answer is not Watchkeeper's"):
        client.anomaly_page()


def test_a_query_asks_for_what_was_given_and_reads_numbers_that_json_cannot_say() -> None:
    points = [[1.5, 2], [2.5, "NaN"], [3, "+Inf"]]
    answer = {"series": [{"labels": {"a": "b"}, "points": points}]}
    server = Server(httpx.Response(200, json=answer))

    (series,) = server.client().query(
        'up{a="b"}',
        start=datetime(2026, 1, 5, tzinfo=UTC),
        end=1_767_607_200.5,
        step="1m",
        across="sum",
        by="a",
        over_time=None,
    )

    assert dict(server.asked[0].url.params) == {
        "query": 'up{a="b"}',
        "start": "2026-01-05T00:00:00+00:00",
        "end": "1767607200.5",
        "step": "1m",
        "across": "sum",
        "by": "a",
    }
    assert series.points[0] == (1.5, 2.0)
    assert np.isnan(series.points[1][1])
    assert series.points[2] == (3.0, float("inf"))


def test_an_anomaly_is_read_with_aware_times() -> None:
    server = Server(httpx.Response(200, json=ANOMALY))

    anomaly = server.client().anomaly("a1")

    assert anomaly.peak_at == datetime(2026, 1, 5, 10, 1, 0, 500_000, UTC)
    assert anomaly.expected.low is None
    assert anomaly.expected.high == 1.5
    assert anomaly.ended_at is None


def pages() -> list[Answer]:
    return [
        httpx.Response(200, json={"items": [ANOMALY, ANOMALY], "cursor": "next"}),
        httpx.Response(200, json={"items": [ANOMALY], "cursor": None}),
    ]


def test_anomalies_come_page_after_page_as_far_as_asked() -> None:
    server = Server(*pages())

    assert len(list(server.client().anomalies(status="open"))) == 3
    assert [dict(request.url.params) for request in server.asked] == [
        {"limit": "1000", "status": "open"},
        {"limit": "1000", "status": "open", "cursor": "next"},
    ]

    server = Server(*pages())
    assert len(list(server.client().anomalies(limit=2))) == 2
    assert len(server.asked) == 1


def test_health_is_read_also_when_it_is_bad_and_asked_once() -> None:
    body = {"status": "unhealthy", "checks": {"log": {"ok": False, "detail": "disk full"}}}
    server = Server(httpx.Response(503, json=body))

    health = server.client().health()

    assert not health.is_well
    assert health.checks["log"].detail == "disk full"
    assert server.waits == []


def taken(changes: Iterator[Any], number: int) -> list[Any]:
    return [next(changes) for _ in range(number)]


def test_a_stream_is_resumed_behind_the_last_event() -> None:
    second = {**ANOMALY, "id": "a2"}
    server = Server(
        events(("7", "anomaly", ANOMALY)),
        httpx.ReadError("cut"),
        events(("8", "anomaly", second)),
    )

    changes = taken(server.client().follow(), 2)

    assert [change.anomaly.id for change in changes] == ["a1", "a2"]
    assert [change.position for change in changes] == ["7", "8"]
    assert [request.headers.get("last-event-id") for request in server.asked] == [None, "7", "7"]
    assert server.waits == [1.0, 2.0]


def test_a_stream_can_start_behind_a_position_and_passes_resets_on() -> None:
    server = Server(events(("", "reset", {}), ("12", "anomaly", ANOMALY)))

    reset, change = taken(server.client().follow("5"), 2)

    assert reset.anomaly is None
    assert change.position == "12"
    assert server.asked[0].headers["last-event-id"] == "5"


def test_a_break_before_the_first_event_is_a_reset() -> None:
    server = Server(events(), events(("9", "anomaly", ANOMALY)))

    reset, change = taken(server.client().follow(), 2)

    assert reset.anomaly is None
    assert change.anomaly is not None


def test_a_stream_that_stays_away_is_an_error_and_a_refused_one_is_raised() -> None:
    away = Server(*[httpx.ConnectError("refused")] * 4)
    with pytest.raises(Retryable, match="cannot reach"):
        list(away.client().follow("1"))

    overloaded = Server(httpx.Response(503, text="stopping"), events(("2", "anomaly", ANOMALY)))
    assert next(overloaded.client().follow("1")).position == "2"

    refused = Server(httpx.Response(404, json={"detail": "no stream"}))
    with pytest.raises(Permanent, match="no stream"):
        list(refused.client().follow("1"))


OWN = (
    '# HELP x What it is: 1.\n# TYPE x gauge\nx{what="a b # c"} 2.5\n'
    'y_total 1e9\nz NaN\n\nx_bucket{le="+Inf"} 3\n'
)


async def test_what_a_server_says_of_itself_is_read_by_name_and_labels() -> None:
    server = Server(httpx.Response(200, text=OWN), httpx.Response(200, text="y_total 1e9\n"))

    told = server.client().own_metrics()
    async with server.async_client() as client:
        again = await client.own_metrics()

    assert list(told) == ['x{what="a b # c"}', "y_total", "z", 'x_bucket{le="+Inf"}']
    assert told['x{what="a b # c"}'] == 2.5
    assert np.isnan(told["z"])
    assert again == {"y_total": 1e9}


def test_a_page_that_is_no_metrics_is_somebody_elses() -> None:
    server = Server(httpx.Response(200, text="<h1>hello</h1> world\n"))

    with pytest.raises(Permanent, match="the answer is not Watchkeeper's"):
        server.client().own_metrics()


async def test_the_async_client_does_the_same() -> None:
    server = Server(
        httpx.Response(503),
        httpx.Response(204),
        httpx.Response(200, json={"accepted": 1, "rejected": []}),
        httpx.Response(200, json={"series": []}),
        *pages(),
        httpx.Response(200, json=ANOMALY),
        httpx.Response(200, json={"status": "ok"}),
    )

    async with server.async_client() as client:
        assert await client.send([Sample("up", 1.0, 1.7e9)]) == Written(1)
        assert await client.write_json(b"{}") == Written(1)
        assert await client.query("up") == ()
        assert len([item async for item in client.anomalies()]) == 3
        assert (await client.anomaly("a1")).id == "a1"
        assert (await client.health()).is_well

    assert server.waits == [1.0]


async def test_the_async_client_resumes_a_stream() -> None:
    server = Server(
        events(("7", "anomaly", ANOMALY)),
        httpx.Response(503, text="stopping"),
        events(("8", "anomaly", ANOMALY)),
        httpx.Response(404, json={"detail": "no stream"}),
    )
    client = server.async_client()
    stream = client.follow()

    positions = [(await anext(stream)).position for _ in range(2)]

    assert positions == ["7", "8"]
    with pytest.raises(Permanent, match="no stream"):
        await anext(stream)
    await client.close()


async def test_the_async_client_gives_up_like_the_other() -> None:
    server = Server(*[httpx.ConnectError("refused")] * 8)
    client = server.async_client()

    with pytest.raises(Retryable, match="cannot reach"):
        await client.query("up")
    with pytest.raises(Retryable, match="cannot reach"):
        await anext(client.follow("1"))
    await client.close()


def test_both_clients_offer_the_same() -> None:
    def offered(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert offered(Client) == offered(AsyncClient)


def test_waits_are_bounded_and_spread_by_chance() -> None:
    retry = Retry(attempts=100, first_s=1.0, longest_s=8.0, chance=random.Random(7))
    broken = httpx.ReadError("x")

    waits = [retry.wait_s(attempt, broken) or 0.0 for attempt in range(1, 30)]

    assert max(waits) <= 10.0
    assert len(set(waits)) == len(waits)
    assert retry.wait_s(100, broken) is None
