"""Ids and their header, routes from paths, and bytes that others read as they were meant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Proto
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tests.middleware import PARENT, Outlet, ask
from watchkeeper.errors import Permanent
from watchkeeper.sdk.middleware import (
    Asgi,
    Exchange,
    Recorder,
    Settings,
    Work,
    Wsgi,
    answered,
    calling,
    ids,
    observe,
    otlp,
    routes,
    spans,
    trace_calls,
)
from watchkeeper.sdk.middleware.shapes import SERVER, Shapes
from watchkeeper.sdk.middleware.work import STACK_CHARACTERS, stack
from watchkeeper.sdk.middleware.work import said as own_words

TRACE, SPAN = PARENT[3:35], PARENT[36:52]


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (PARENT, True),
        (f"  {PARENT} ", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes", True),
    ],
)
def test_a_parent_is_read(header: str, sampled: bool) -> None:
    found = ids.parse(header, "a=1")

    assert found == (bytes.fromhex(TRACE), bytes.fromhex(SPAN), sampled, "a=1")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n00",
    ],
)
def test_what_is_no_parent_begins_a_trace(header: str) -> None:
    assert ids.parse(header) is None


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.booleans())
def test_what_is_written_is_read_back(trace: bytes, span: bytes, sampled: bool) -> None:
    found = ids.parse(ids.written(trace + span, sampled=sampled))

    assert found == ((trace, span, sampled, "") if any(trace) and any(span) else None)


@given(st.text("0f-g ", max_size=80))
def test_any_text_may_come_as_a_header(text: str) -> None:
    found = ids.parse(text)

    assert found is None or len(found[0]) == 16


def test_ids_differ() -> None:
    made = [Work() for _ in range(1000)]
    for one in made:
        one.begin(lambda _: None, None, 1)

    assert len({one.trace_id for one in made}) == len({one.span_id for one in made}) == 1000
    assert {(len(one.trace_id), len(one.span_id)) for one in made} == {(32, 16)}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("", "/"),
        ("/", "/"),
        ("/cart", "/cart"),
        ("/users/4711/cart", "/users/{id}/cart"),
        ("/users/7", "/users/{id}"),
        ("/v1/items", "/v1/items"),
        ("/v12/items/a1b2", "/v12/items/{id}"),
        ("/o/5b8efff7-9803-8103-d269-b633813fc60c", "/o/{id}"),
        ("/o/deadbeefc", "/o/deadbeefc"),
        ("/o/deadbee1c", "/o/{id}"),
        ("/x/{id}", "/x/{id}"),
    ],
)
def test_a_path_without_what_counts_objects_is_a_route(path: str, route: str) -> None:
    assert routes.collapsed(path) == route


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("größe", "string_value"),
        (True, "bool_value"),
        (-7, "int_value"),
        ((1 << 63) - 1, "int_value"),
        (0.5, "double_value"),
    ],
)
def test_a_value_keeps_its_kind(value: Any, kind: str) -> None:
    read = AnyValue()

    read.ParseFromString(otlp.value_of(value))

    assert read.WhichOneof("value") == kind
    assert getattr(read, kind) == value


@pytest.mark.parametrize(
    ("value", "text"), [(1 << 70, str(1 << 70)), (None, "None"), ("\ud800", "?")]
)
def test_a_value_of_no_kind_is_told_as_text(value: Any, text: str) -> None:
    read = AnyValue()

    read.ParseFromString(otlp.value_of(value))

    assert read.string_value == text


def test_values_that_are_equal_but_not_the_same_are_told_apart() -> None:
    told = [otlp.attributes(1, {"a": value}) for value in (1, True, 1.0, "1", 1)]

    assert len(set(told)) == 4
    assert told[0] == told[4]


@given(
    st.binary(min_size=24, max_size=24),
    st.sampled_from([b"", bytes(range(8))]),
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 40),
    st.sampled_from([("GET", "/a", 200), ("BREW", "", 503)]),
)
def test_a_plain_request_is_encoded_as_the_piece_of_work_that_it_was(
    own: bytes, parent: bytes, start_ns: int, duration_ns: int, outcome: tuple[str, str, int]
) -> None:
    whole = Exchange()
    whole.begin(lambda _: None, None, SERVER)
    whole.ids, whole.parent, whole.start_ns, whole.duration_ns = own, parent, start_ns, duration_ns
    whole.method, whole.route, whole.status = outcome
    shapes = Shapes()

    items = spans.encoded([whole, (outcome, own, parent, start_ns, duration_ns)], shapes)

    one, other = (TracesData.FromString(otlp.request(b"", [item])) for item in items)
    assert one == other
    span = one.resource_spans[0].scope_spans[0].spans[0]
    assert span.end_time_unix_nano == start_ns + duration_ns
    assert sum(shapes.of(*outcome).counts) == 2


@given(st.integers(0, (1 << 64) - 1))
def test_a_number_is_read_as_it_was_written(value: int) -> None:
    read = Proto()

    read.ParseFromString(otlp.fixed(7, value) + otlp.number(10, value & 0xFFFFFFFF))

    assert read.start_time_unix_nano == value
    assert read.dropped_attributes_count == value & 0xFFFFFFFF


def test_a_stack_is_cut_in_its_middle() -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("x" * STACK_CHARACTERS)
        deep(n - 1)

    with pytest.raises(ValueError, match="x") as caught:
        deep(20)

    text = stack(caught.value)
    assert len(text) <= STACK_CHARACTERS + 8
    assert text.startswith("Traceback")
    assert text.rstrip().endswith("x")


def test_an_error_that_cannot_say_what_it_is_is_told_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise TypeError

    assert own_words(Mute()) == "(says nothing)"
    assert isinstance(stack(Mute()), str)


def test_an_application_is_wrapped_by_its_own_protocol() -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        """Answers nothing."""

    class Callable:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            """Answers nothing."""

    def wsgi(environ: Any, begin: Any) -> list[bytes]:
        return []

    with Recorder(Settings("a", log_level=None), Outlet()) as recorder:
        kinds = [type(observe(one, recorder)) for one in (asgi, Callable(), wsgi)]

    assert kinds == [Asgi, Asgi, Wsgi]


def test_a_call_by_any_other_client_is_told_by_hand() -> None:
    def app(environ: Any, begin: Any) -> list[bytes]:
        with calling("POST", "payment", 8080) as work:
            answered(work, 200)
        begin("200 OK", [])
        return []

    outlet = Outlet()
    with Recorder(Settings("a", log_level=None), outlet) as recorder:
        ask(observe(app, recorder))

    body = dict(outlet.came)["/v1/traces"]
    assert b"server.address" in body
    assert b"payment" in body


def test_calls_of_a_client_that_nobody_knows_cannot_be_traced() -> None:
    with pytest.raises(Permanent, match="known: httpx, requests"):
        trace_calls(pytest)


def test_calls_by_requests_carry_the_trace_and_what_was_replaced_comes_back() -> None:
    requests = pytest.importorskip("requests")
    before = requests.Session.send
    heard: dict[str, str] = {}

    class Adapter(requests.adapters.BaseAdapter):  # type: ignore[misc]
        def send(self, request: Any, **_: Any) -> Any:
            heard.update(request.headers)
            response = requests.Response()
            response.status_code, response.request, response.url = 404, request, request.url
            response.raw = None
            response._content = b""  # noqa: SLF001 - what a server would have sent
            return response

        def close(self) -> None:
            """Holds nothing."""

    def app(environ: Any, begin: Any) -> list[bytes]:
        with requests.Session() as session:
            session.mount("http://", Adapter())
            session.get("http://cart:81/x")
        begin("200 OK", [])
        return []

    outlet = Outlet()
    undo = trace_calls(requests, requests)
    try:
        with Recorder(Settings("a", log_level=None), outlet) as recorder:
            trace = ask(observe(app, recorder)).trace_id
    finally:
        undo()

    assert heard["traceparent"].startswith(f"00-{trace}-")
    assert requests.Session.send is before
