"""What is gathered beside requests: bounds, counts, sending and trying again, children."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.middleware import Outlet, ask, observed, said
from tests.span_senders import batches, trace_of
from watchkeeper.errors import Permanent
from watchkeeper.ingest.receivers.otlp_logs import OtlpLogs
from watchkeeper.ingest.receivers.otlp_metrics import OtlpMetrics
from watchkeeper.ingest.receivers.otlp_traces import OtlpTraces
from watchkeeper.sdk.middleware import Recorder, Settings, observe
from watchkeeper.sdk.middleware.sender import Sender
from watchkeeper.sdk.middleware.shapes import ROUTES, SHAPES, Shapes

DURATION = "http.server.request.duration"


def hello(environ: dict[str, Any], begin: Any) -> list[bytes]:
    begin("200 OK", [])
    return [b"hello"]


class Door:
    """A server that answers as it is told, and keeps what it is sent."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.came: list[tuple[str, dict[str, str], bytes]] = []

    @contextmanager
    def opened(self) -> Iterator[str]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                door.came.append((self.path, headers, body))
                self.send_response(door.answers.pop(0) if door.answers else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def sender(url: str, pending_bytes: int = 1000) -> Sender:
    return Sender(url, {"content-type": "application/x-protobuf"}, 5.0, pending_bytes)


def test_durations_are_counted_by_operation_and_outcome() -> None:
    with observed() as seen:
        app = observe(hello, seen.recorder)
        for path in ("/cart/1234", "/cart/99", "/pay"):
            ask(app, path)

        points = seen.metrics()[DURATION].histogram.data_points

    counted = {said(one.attributes)["http.route"]: one for one in points}
    assert {route: one.count for route, one in counted.items()} == {"/cart/{id}": 2, "/pay": 1}
    assert all(sum(one.bucket_counts) == one.count and one.sum > 0 for one in points)
    assert len(points[0].bucket_counts) == len(points[0].explicit_bounds) + 1


def test_watchkeeper_reads_every_body_as_it_was_meant() -> None:
    def speaks(environ: dict[str, Any], begin: Any) -> list[bytes]:
        logging.getLogger("shop").error("stock is low")
        return hello(environ, begin)

    with observed(log_level=logging.ERROR) as seen:
        answer = ask(observe(speaks, seen.recorder), "/cart/1234")
        seen.recorder.flush()
    headers = {"content-type": "application/x-protobuf"}
    traces, lines, metrics = (body for _, body in seen.outlet.came[:3])
    (spans,) = batches(OtlpTraces().decode(traces, headers, now_ns=0))
    log_rows = OtlpLogs().decode(lines, headers, now_ns=0)
    samples = OtlpMetrics().decode(metrics, headers, now_ns=0)

    assert trace_of(spans, 0) == answer.trace_id
    assert [one.rejects for one in (log_rows, samples)] == [(), ()]
    assert [len(record) for record in log_rows.records] == [1]


def test_who_speaks_is_told_with_every_body() -> None:
    with observed(environment="test", version="2", instance="a:1", labels={"zone": 3}) as seen:
        ask(observe(hello, seen.recorder))

        resource = seen.resource()

    resource.pop("host.name")
    assert resource == {
        "service.name": "checkout",
        "service.instance.id": "a:1",
        "deployment.environment.name": "test",
        "service.version": "2",
        "zone": 3,
    }


def test_the_oldest_fall_off_a_full_queue_and_are_counted() -> None:
    with observed(queue=3) as seen:
        app = observe(hello, seen.recorder)
        traces = [ask(app).trace_id for _ in range(5)]

        kept = [one.trace_id.hex() for one in seen.spans()]
        (point,) = seen.metrics()["watchkeeper.middleware.dropped"].sum.data_points

    assert kept == traces[2:]
    assert (said(point.attributes), point.as_int) == ({"what": "spans"}, 2)


def test_what_finishes_after_the_end_is_kept_within_the_bound_and_starts_no_thread() -> None:
    with observed(queue=2) as seen:
        app = observe(hello, seen.recorder)
    n_before = threading.active_count()

    for _ in range(3):
        ask(app)

    assert len(seen.recorder.waiting) == 2
    assert seen.recorder.dropped_spans == 1
    assert threading.active_count() == n_before


def test_routes_without_number_become_one() -> None:
    shapes = Shapes()

    names = {shapes.of("GET", f"/{'x' * k}", 200).name for k in range(ROUTES + 50)}

    assert len(names) == ROUTES + 1
    assert "GET other" in names


def test_shapes_have_a_bound_of_their_own() -> None:
    shapes = Shapes()

    for status in range(100, 600):
        for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
            shapes.of(method, "/a", status)

    assert SHAPES <= len(list(shapes.all())) <= SHAPES + 5
    assert shapes.of("HEAD", "/new", 418).name == "HTTP other"


def test_a_full_body_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchkeeper.sdk.middleware.recorder.ITEMS", 2)

    with observed() as seen:
        app = observe(hello, seen.recorder)
        for _ in range(5):
            ask(app)

        assert len(seen.spans()) == 5
        assert [path for path, _ in seen.outlet.came].count("/v1/traces") == 3


def test_what_is_left_is_sent_at_the_end_and_only_once() -> None:
    outlet = Outlet()
    recorder = Recorder(Settings("a", log_level=None, flush_s=3600.0), outlet)
    ask(observe(hello, recorder))

    for _ in range(2):
        recorder.close()

    assert [path for path, _ in outlet.came] == ["/v1/traces", "/v1/metrics"]
    assert outlet.closed


def test_a_thread_beside_the_requests_sends_by_itself() -> None:
    door = Door()

    with door.opened() as url:
        settings = Settings("a", url, api_key="wk_1", tenant="t", flush_s=0.01, log_level=None)
        with Recorder(settings) as recorder:
            ask(observe(hello, recorder))
            while not door.came:
                threading.Event().wait(0.01)

    path, headers, body = door.came[0]
    assert path == "/v1/traces"
    assert (headers["authorization"], headers["x-scope-orgid"]) == ("Bearer wk_1", "t")
    assert headers["user-agent"].startswith("watchkeeper-middleware/")
    assert b"checkout" not in body


def test_a_child_process_tells_of_itself_alone() -> None:
    with observed() as seen:
        app = observe(hello, seen.recorder)
        ask(app)
        seen.recorder.begin_again()
        answer = ask(app)

        assert [one.trace_id.hex() for one in seen.spans()] == [answer.trace_id]
        assert seen.resource()["service.instance.id"].endswith(f":{os.getpid()}")
        assert seen.metrics()[DURATION].histogram.data_points[0].count == 1


@pytest.mark.parametrize(
    ("answer", "n_dropped", "n_sent"),
    [(200, 0, 1), (204, 0, 1), (400, 1, 1), (413, 1, 1), (503, 0, 2), (429, 0, 2)],
)
def test_what_may_be_sent_again_is_and_what_is_refused_is_counted(
    answer: int, n_dropped: int, n_sent: int
) -> None:
    door = Door(answer)

    with door.opened() as url:
        one = sender(f"{url}/below")
        one.put("/v1/traces", b"x")
        for _ in range(2):
            one.send(now=True)
        one.close()

    assert one.dropped == n_dropped
    assert [path for path, _, _ in door.came] == ["/below/v1/traces"] * n_sent


def test_who_is_away_is_not_asked_again_at_once_and_the_oldest_bodies_fall() -> None:
    with Door().opened() as url:
        pass
    one = sender(url, pending_bytes=10)

    for body in (b"12345", b"67890", b"abc"):
        one.put("/v1/traces", body)
    one.send()
    door = Door()
    one.send()

    assert one.dropped == 1
    assert door.came == []


def test_a_connection_that_was_closed_meanwhile_is_opened_anew() -> None:
    door = Door()

    with door.opened() as url:
        one = sender(url)
        one.put("/a", b"1")
        one.send()
        connection: Any = one._connection  # noqa: SLF001 - as a server closes it
        connection.sock.shutdown(2)
        one.put("/b", b"2")
        one.send()
        one.close()

    assert [path for path, _, _ in door.came] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("given", "said_why"),
    [
        ({"service": ""}, "needs a name"),
        ({"url": "nowhere"}, "no address"),
        ({"url": "http://a:b@host"}, "give an api_key"),
        ({"queue": 0}, "queue is 0"),
        ({"flush_s": -1.0}, "flush_s is -1.0"),
    ],
)
def test_settings_that_cannot_be_meant_are_told_at_the_start(
    given: dict[str, Any], said_why: str
) -> None:
    with pytest.raises(Permanent, match=said_why):
        Settings(**{"service": "a", **given})


def test_a_key_is_not_shown() -> None:
    assert "wk_1" not in repr(Settings("a", api_key="wk_1"))
