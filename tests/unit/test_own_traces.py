"""Our own requests as traces, from the request to the spans that are stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from watchkeeper import telemetry
from watchkeeper.api.traced import Traced
from watchkeeper.clock import FakeClock
from watchkeeper.errors import Retryable
from watchkeeper.ingest.own_traces_stage import OwnTraces, rows
from watchkeeper.ingest.prepare import Accepted, Request
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import SpanBatch, WireRows
from watchkeeper.telemetry import OwnSpan, Tracer
from watchkeeper.telemetry.traces import MAX_WAITING

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def tracer(share: float = 1.0, clock: FakeClock | None = None) -> Tracer:
    return Tracer(share, (clock or FakeClock()).now_ns, seed=1)


def batch(wire: WireRows) -> SpanBatch:
    (record,) = wire.records
    assert isinstance(record, SpanBatch)
    return record


# Requests and their parts


def test_a_request_s_parts_are_its_children_and_end_before_it() -> None:
    clock = FakeClock()
    ours = tracer(clock=clock)

    with ours.request() as root:
        root.name = "GET /thing"
        clock.advance(0.1)
        with telemetry.span("outer"):
            clock.advance(0.2)
            with telemetry.span("inner"):
                clock.advance(0.3)

    inner, outer, whole = ours.take()
    assert [one.name for one in (inner, outer, whole)] == ["inner", "outer", "GET /thing"]
    assert inner.parent == outer.span
    assert outer.parent == whole.span
    assert len({one.trace for one in (inner, outer, whole)}) == 1
    assert [one.duration_ns / 1e9 for one in (inner, outer, whole)] == [0.3, 0.5, 0.6]


def test_a_part_outside_of_a_request_is_nothing() -> None:
    ours = tracer()

    with telemetry.span("alone"):
        pass

    assert not ours.take()


async def test_requests_at_the_same_time_do_not_mix() -> None:
    ours = tracer()

    async def serve(name: str) -> None:
        with ours.request() as root:
            root.name = name
            await asyncio.sleep(0)
            with telemetry.span(f"part of {name}"):
                await asyncio.sleep(0)

    await asyncio.gather(serve("a"), serve("b"))

    spans = {one.name: one for one in ours.take()}
    for name in ("a", "b"):
        assert spans[f"part of {name}"].parent == spans[name].span


def test_a_sender_s_trace_is_gone_on_with() -> None:
    ours = tracer(share=0.0)

    with ours.request(f"00-{TRACE}-{PARENT}-01"):
        pass

    (root,) = ours.take()
    assert (root.trace.hex(), root.parent.hex()) == (TRACE, PARENT)


@pytest.mark.parametrize(
    "told",
    [
        f"00-{TRACE}-{PARENT}-00",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}",
        "nonsense" * 100,
    ],
    ids=["not chosen", "no trace", "no parent", "cut", "nonsense"],
)
def test_what_is_not_chosen_or_not_sound_begins_no_trace(told: str) -> None:
    ours = tracer(share=0.0)

    with ours.request(told), telemetry.span("part"):
        pass

    assert not ours.take()


def test_what_fails_or_is_slow_is_kept_whether_chosen_or_not() -> None:
    clock = FakeClock()
    ours = tracer(share=0.0, clock=clock)

    with pytest.raises(KeyError), ours.request():
        raise KeyError("lost")
    with ours.request():
        clock.advance(1.5)
    with ours.request():
        clock.advance(0.5)

    failed, slow = ours.take()
    assert failed.error == "KeyError"
    assert slow.duration_ns == 1_500_000_000


def test_as_many_wait_as_there_is_room_for() -> None:
    ours = tracer()

    for _ in range(MAX_WAITING + 10):
        with ours.request():
            pass

    assert len(ours.take()) == MAX_WAITING
    assert not ours.take()


def test_about_the_share_is_chosen() -> None:
    ours = tracer(share=0.1)

    for _ in range(2000):
        with ours.request():
            pass

    assert 150 < len(ours.take()) < 250


# In front of the API


class Route:
    path = "/api/v1/things/{id}"


async def serve(
    ours: Tracer, path: str, status: int = 200, *, found: bool = True, headers: Any = ()
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if found:
            scope["route"] = Route()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Mapping[str, Any]) -> None:
        """Nobody listens."""

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request"}

    scope = {"type": "http", "path": path, "method": "GET", "headers": list(headers)}
    await Traced(app, ours)(scope, receive, send)


async def test_a_request_is_named_by_its_route_and_not_by_its_path() -> None:
    ours = tracer()

    await serve(ours, "/api/v1/things/secret-42")

    (root,) = ours.take()
    assert root.name == "GET /api/v1/things/{id}"
    assert root.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": "200",
        "http.route": "/api/v1/things/{id}",
    }


async def test_a_path_that_leads_nowhere_does_not_make_a_name() -> None:
    ours = tracer()

    await serve(ours, "/etc/passwd", 404, found=False)

    (root,) = ours.take()
    assert root.name == "GET"


async def test_a_server_error_is_an_error_of_the_span_and_of_a_sender_is_not() -> None:
    ours = tracer()

    await serve(ours, "/a", 503)
    await serve(ours, "/a", 404)

    down, missing = ours.take()
    assert down.error == "answered 503"
    assert not missing.error


async def test_a_door_is_named_by_its_path_and_goes_on_with_the_sender_s_trace() -> None:
    ours = tracer(share=0.0)

    await serve(
        ours,
        "/api/v1/write",
        found=False,
        headers=[(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())],
    )

    (root,) = ours.take()
    assert root.name == "GET /api/v1/write"
    assert root.trace.hex() == TRACE


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_what_machines_ask_all_the_time_is_not_traced(path: str) -> None:
    ours = tracer()

    await serve(ours, path)

    assert not ours.take()


# Into the lake


class Door:
    """Takes what comes, or is full."""

    def __init__(self) -> None:
        self.came: list[Request] = []
        self.full = False

    async def accept(self, request: Request) -> Accepted:
        if self.full:
            raise Retryable("full")
        self.came.append(request)
        return Accepted(1)


def keeper(ours: Tracer, door: Door) -> OwnTraces:
    return OwnTraces(ours, door, FakeClock(), DEFAULT_TENANT)  # type: ignore[arg-type]


async def test_spans_are_stored_as_those_of_any_sender() -> None:
    ours, door = tracer(), Door()
    with ours.request() as root:
        root.name = "GET /thing"
        root.attributes["http.route"] = "/thing"
        root.error = "answered 503"
        with telemetry.span("part"):
            pass

    assert await keeper(ours, door).store() == 2

    (request,) = door.came
    assert isinstance(request.decoded, WireRows)
    spans = batch(request.decoded)
    assert [spans.name.text(row) for row in range(2)] == ["part", "GET /thing"]
    assert spans.kind.tolist() == [SpanKind.INTERNAL, SpanKind.SERVER]
    assert spans.status.tolist() == [SpanStatus.UNSET, SpanStatus.ERROR]
    assert spans.message.text(1) == "answered 503"
    assert spans.attributes.text(1) == '{"http.route":"/thing"}'
    assert spans.parent[0] == spans.span[1]
    assert dict(spans.origins[0].labels)["service.name"] == "watchkeeper"


async def test_what_cannot_be_stored_now_is_stored_later() -> None:
    ours, door = tracer(), Door()
    with ours.request():
        pass
    door.full = True
    with pytest.raises(Retryable):
        await keeper(ours, door).store()

    door.full = False

    assert await keeper(ours, door).store() == 1


async def test_where_there_is_nothing_nothing_is_sent() -> None:
    door = Door()

    assert await keeper(tracer(), door).store() == 0
    assert not door.came


def test_equal_spans_of_two_times_are_no_retry() -> None:
    span = OwnSpan(b"t" * 16, b"s" * 8, bytes(8), "x", 1, is_root=True)

    assert rows([span]).is_of_now
