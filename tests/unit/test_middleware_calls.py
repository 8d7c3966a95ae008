"""Calls of other services by httpx, as spans that are told by the thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tests.middleware import PARENT, ask, observed, said
from watchkeeper.sdk.middleware import current, observe, otlp, spans, trace_calls
from watchkeeper.sdk.middleware.below import Call
from watchkeeper.sdk.middleware.shapes import SHAPES, Shapes
from watchkeeper.sdk.middleware.work import CURRENT, Work

URL = "http://cart:81/x"


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    undo = trace_calls(httpx)
    yield
    undo()


class Cart:
    """Whom a request calls: keeps the headers it is sent, and the work that is done meanwhile."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.heard: list[httpx.Headers] = []
        self.works: list[Work | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(request.headers)
        self.works.append(current())
        if not self.status:
            raise httpx.ConnectError("nobody is there")
        return httpx.Response(self.status)

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self))


def app(calls: Callable[[], object]) -> Any:
    def asked(environ: dict[str, Any], begin: Any) -> list[bytes]:
        calls()
        begin("200 OK", [])
        return []

    return asked


@given(
    st.binary(min_size=24, max_size=24),
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 40),
    st.sampled_from([("GET", "cart", 81, 200), ("POST", "bank", None, 503), ("PUT", "a", 1, 0)]),
)
def test_a_plain_call_is_encoded_as_the_piece_of_work_that_it_was(
    own: bytes, start_ns: int, duration_ns: int, asked: tuple[str, str, int | None, int]
) -> None:
    done: list[Any] = []
    request, call, shapes = Work(), Call(), Shapes()
    request.begin(done.append, None, 2)
    for is_plain in (True, False):
        call.begin_call(request, *asked[:3])
        call.status, call.is_plain = asked[3], is_plain
        call.over()
    CURRENT.set(None)
    plain = (done[0][0], own, bytes(8), start_ns, duration_ns)
    call.ids, call.parent, call.start_ns, call.duration_ns = plain[1:]

    items = spans.encoded([plain, call], shapes)

    one, other = (TracesData.FromString(otlp.request(b"", [item])) for item in items)
    assert one == other
    assert plain[0] == asked
    assert list(shapes.all()) == []


def test_a_call_carries_the_trace_and_is_the_work_that_is_done_meanwhile() -> None:
    cart = Cart()

    with observed() as seen:
        with cart.client() as client:
            ask(observe(app(lambda: client.get(URL)), seen.recorder), traceparent=PARENT)
        call, request = seen.spans()

    assert cart.heard[0]["traceparent"] == f"00-{PARENT[3:35]}-{call.span_id.hex()}-01"
    assert [work.span_id for work in cart.works if work] == [call.span_id.hex()]
    assert (call.parent_span_id, call.kind) == (request.span_id, call.SPAN_KIND_CLIENT)
    assert said(call.attributes) == {
        "http.request.method": "GET",
        "server.address": "cart",
        "server.port": 81,
        "http.response.status_code": 200,
    }
    assert request.start_time_unix_nano <= call.start_time_unix_nano
    assert call.end_time_unix_nano <= request.end_time_unix_nano


@pytest.mark.parametrize("named", ["traceparent", "TraceParent"])
def test_a_request_that_names_a_trace_already_or_is_sent_again_names_one(named: str) -> None:
    cart = Cart()

    def twice() -> None:
        with cart.client() as client:
            request = client.build_request("GET", URL, headers={named: "00-old"})
            client.send(request)
            client.send(request)

    with observed() as seen:
        ask(observe(app(twice), seen.recorder))
        first, second, _ = seen.spans()

    assert [headers.get_list("traceparent") for headers in cart.heard] == [
        [f"00-{second.trace_id.hex()}-{second.span_id.hex()}-01"]
    ] * 2
    assert first.span_id != second.span_id


def test_what_other_vendors_say_goes_on_and_what_is_not_kept_is_not_told() -> None:
    cart = Cart()

    with observed() as seen, cart.client() as client:
        asked = observe(app(lambda: client.get(URL)), seen.recorder)
        ask(asked, traceparent=PARENT, tracestate="a=1")
        ask(asked, traceparent=f"{PARENT[:-2]}00")
        told = seen.spans()

    assert [headers.get("tracestate") for headers in cart.heard] == ["a=1", None]
    assert cart.heard[1]["traceparent"].endswith("-00")
    assert [span.trace_state for span in told] == ["a=1", "a=1"]


@pytest.mark.parametrize(("status", "message"), [(503, "status 503"), (0, "nobody is there")])
def test_a_call_that_fails_says_so(status: int, message: str) -> None:
    def calls() -> None:
        try:
            with Cart(status).client() as client:
                client.get(URL)
        except httpx.ConnectError:
            return

    with observed() as seen:
        ask(observe(app(calls), seen.recorder))
        call, request = seen.spans()

    assert message in call.status.message
    assert call.status.code == call.status.STATUS_CODE_ERROR
    assert request.status.message == ""


def test_calls_of_too_many_kinds_are_told_but_not_remembered() -> None:
    shapes = Shapes()
    calls: list[Any] = [
        (("GET", f"host-{k}", 1, 200), bytes(24), b"", 0, 1) for k in range(SHAPES + 5)
    ]

    items = spans.encoded(calls, shapes)

    assert len(items) == SHAPES + 5
    assert len(shapes.calls) == SHAPES
