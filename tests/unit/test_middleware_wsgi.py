"""WSGI applications under observation: what is told of their requests, and that they are left as
they are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.middleware import PARENT, ask, observed, said
from watchkeeper.sdk.middleware import Exchange, Wsgi, current, inject, observe, span

Begin = Callable[..., Any]
TRACE = "5b8efff798038103d269b633813fc60c"


def shop(environ: dict[str, Any], begin: Begin) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/boom":
        raise ValueError("out of stock")
    if path == "/missing":
        begin("404 Not Found", [])
        return [b"no"]
    begin("503 Busy" if path == "/busy" else "200 OK", [("content-type", "text/plain")])
    return [b"he", b"llo"]


def test_a_request_is_a_span_of_its_operation_with_its_time_and_outcome() -> None:
    with observed() as seen:
        answer = ask(observe(shop, seen.recorder), "/cart/4711/items")

        one = seen.span()

    assert answer.body == b"hello"
    assert (one.name, one.kind) == ("GET /cart/{id}/items", one.SPAN_KIND_SERVER)
    assert one.trace_id.hex() == answer.trace_id
    assert one.end_time_unix_nano > one.start_time_unix_nano
    assert one.status.code == one.status.STATUS_CODE_UNSET
    assert said(one.attributes) == {
        "http.request.method": "GET",
        "http.route": "/cart/{id}/items",
        "http.response.status_code": 200,
    }


def test_a_trace_goes_on_from_who_called_to_who_is_called() -> None:
    sent: dict[str, str] = {}

    def calls(environ: dict[str, Any], begin: Begin) -> list[bytes]:
        inject(sent)
        return [*shop(environ, begin)]

    with observed() as seen:
        answer = ask(observe(calls, seen.recorder), traceparent=PARENT, tracestate="vendor=1")

        one = seen.span()

    assert answer.trace_id == one.trace_id.hex() == TRACE
    assert (one.parent_span_id.hex(), one.trace_state) == ("eee19b7ec3c1b174", "vendor=1")
    assert sent == {
        "traceparent": f"00-{TRACE}-{one.span_id.hex()}-01",
        "tracestate": "vendor=1",
    }


def test_a_span_that_has_only_a_parent_to_tell_is_whole() -> None:
    with observed() as seen:
        ask(observe(shop, seen.recorder), traceparent=PARENT)

        one = seen.span()

    assert (one.parent_span_id.hex(), one.name) == ("eee19b7ec3c1b174", "GET /")


def test_a_trace_that_is_not_to_be_kept_is_counted_and_passed_on_but_not_told() -> None:
    with observed() as seen:
        ask(observe(shop, seen.recorder), traceparent=f"{PARENT[:-2]}00")

        assert seen.spans() == []
        assert seen.metrics()["http.server.request.duration"].histogram.data_points[0].count == 1


def test_an_exception_is_raised_on_and_told_with_its_stack() -> None:
    with observed() as seen:
        with pytest.raises(ValueError, match="out of stock"):
            ask(observe(shop, seen.recorder), "/boom")

        one = seen.span()

    (event,) = one.events
    told = said(event.attributes)
    assert event.name == "exception"
    assert told["exception.type"] == "ValueError"
    assert told["exception.message"] == "out of stock"
    assert 'raise ValueError("out of stock")' in told["exception.stacktrace"]
    assert one.status.code == one.status.STATUS_CODE_ERROR
    assert one.status.message == "ValueError: out of stock"
    assert said(one.attributes)["http.response.status_code"] == 500


@pytest.mark.parametrize(("path", "is_error"), [("/busy", True), ("/missing", False)])
def test_a_failure_of_the_server_is_an_error_and_one_of_who_asks_is_none(
    path: str, is_error: bool
) -> None:
    with observed() as seen:
        ask(observe(shop, seen.recorder), path)

        one = seen.span()

    assert (one.status.code == one.status.STATUS_CODE_ERROR) is is_error


def test_what_was_not_found_has_no_route_so_that_guesses_do_not_become_operations() -> None:
    with observed() as seen:
        ask(observe(shop, seen.recorder), "/missing")

        one = seen.span()

    assert one.name == "GET"
    assert "http.route" not in said(one.attributes)


def test_a_method_that_nobody_knows_is_no_operation_of_its_own() -> None:
    with observed() as seen:
        ask(observe(shop, seen.recorder), method="BREW")

        assert said(seen.span().attributes)["http.request.method"] == "_OTHER"


def test_hooks_see_the_request_before_and_after_and_may_add_to_it() -> None:
    heard: list[tuple[str, int, str]] = []

    def before(exchange: Exchange) -> None:
        heard.append((exchange.path, exchange.status, exchange.source["HTTP_PLAN"]))

    def after(exchange: Exchange) -> None:
        assert exchange.duration_s > 0
        heard.append((exchange.route, exchange.status, exchange.trace_id))
        exchange.set("plan", exchange.source["HTTP_PLAN"])

    with observed() as seen:
        app = observe(shop, seen.recorder, before=[before], after=[after])
        answer = ask(app, "/cart/12", plan="gold")

        one = seen.span()

    assert heard == [("/cart/12", 0, "gold"), ("/cart/{id}", 200, answer.trace_id)]
    assert said(one.attributes)["plan"] == "gold"
    assert one.name == "GET /cart/{id}"


def test_hooks_that_fail_break_no_request_and_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def breaks(exchange: Exchange) -> None:
        raise KeyError(exchange.path)

    with observed() as seen:
        app = observe(shop, seen.recorder, before=[breaks], after=[breaks])
        bodies = [ask(app).body for _ in range(2)]

        (point,) = seen.metrics()["watchkeeper.middleware.hook.failures"].sum.data_points

    assert bodies == [b"hello"] * 2
    assert point.as_int == 4
    assert [one.message for one in caplog.records] == ["a hook failed, and may again"]


class Parts:
    """An answer of two, that knows where it was asked and how often it was closed."""

    def __init__(self) -> None:
        self.n_closed = 0
        self.in_a_request: list[bool] = []

    def __call__(self, environ: dict[str, Any], begin: Begin) -> Iterable[bytes]:
        begin("200 OK", [])
        return self

    def __iter__(self) -> Iterator[bytes]:
        yield b"a"
        self.in_a_request.append(current() is not None)
        yield b"b"

    def close(self) -> None:
        self.n_closed += 1


def test_an_answer_in_parts_is_over_with_its_last() -> None:
    parts = Parts()

    with observed() as seen:
        body: Any = Wsgi(parts, seen.recorder)({"REQUEST_METHOD": "GET"}, lambda *_: None)
        came = [next(body)]
        n_before = len(seen.spans())
        came.extend(body)
        n_after = len(seen.spans())
        body.close()

        assert (came, n_before, n_after, len(seen.spans())) == ([b"a", b"b"], 0, 1, 1)
    assert (parts.n_closed, parts.in_a_request, current()) == (1, [True], None)


@pytest.mark.parametrize("n_taken", [0, 1])
def test_an_answer_that_nobody_waits_for_is_over_when_it_is_closed(n_taken: int) -> None:
    parts = Parts()

    with observed() as seen:
        body: Any = Wsgi(parts, seen.recorder)({"REQUEST_METHOD": "GET"}, lambda *_: None)
        for _ in range(n_taken):
            next(body)
        for _ in range(2):
            body.close()

        assert seen.span().status.code == seen.span().status.STATUS_CODE_UNSET
    assert (parts.n_closed, current()) == (1, None)


def test_a_request_whose_answer_cannot_be_closed_is_told_all_the_same() -> None:
    class Stuck(Parts):
        def close(self) -> None:
            raise OSError("cannot close")

    with observed() as seen:
        with pytest.raises(OSError, match="cannot close"):
            ask(observe(Stuck(), seen.recorder))

        assert said(seen.span().attributes)["http.response.status_code"] == 200
    assert current() is None


def test_an_application_that_never_begins_to_answer_has_failed() -> None:
    with observed() as seen:
        ask(observe(lambda environ, begin: [], seen.recorder))

        assert said(seen.span().attributes)["http.response.status_code"] == 500


def test_an_answer_that_breaks_in_its_middle_is_an_error() -> None:
    def breaks(environ: dict[str, Any], begin: Begin) -> Iterator[bytes]:
        begin("200 OK", [])
        yield b"a"
        raise OSError("disk gone")

    with observed() as seen:
        with pytest.raises(OSError, match="disk gone"):
            ask(observe(breaks, seen.recorder))

        one = seen.span()

    assert one.status.message == "OSError: disk gone"
    assert said(one.attributes)["http.response.status_code"] == 200


def test_a_server_that_sends_files_by_itself_still_sees_a_file() -> None:
    class FileWrapper:
        def __init__(self) -> None:
            self.closed = False

    file = FileWrapper()

    def serves(environ: dict[str, Any], begin: Begin) -> Any:
        begin("200 OK", [])
        return file

    with observed() as seen:
        environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": FileWrapper}
        body = Wsgi(serves, seen.recorder)(environ, lambda *_: None)

        assert body is file
        assert len(seen.spans()) == 1


@pytest.mark.parametrize(("line", "told"), [("200", 200), ("fine", 500), ("", 500)])
def test_a_strange_status_line_is_handed_on(line: str, told: int) -> None:
    def strange(environ: dict[str, Any], begin: Begin) -> list[bytes]:
        begin(line, [])
        return []

    with observed() as seen:
        answer = ask(observe(strange, seen.recorder))

        assert answer.status == line
        assert said(seen.span().attributes)["http.response.status_code"] == told


def test_headers_that_an_application_keeps_are_not_added_to() -> None:
    kept = [("a", "b")]

    def constant(environ: dict[str, Any], begin: Begin) -> list[bytes]:
        begin("200 OK", kept)
        return []

    with observed() as seen:
        ask(observe(constant, seen.recorder))

    assert kept == [("a", "b")]


def test_the_header_can_be_named_otherwise_or_left_out() -> None:
    with observed(trace_header="X-Request-Trace") as seen:
        named = ask(observe(shop, seen.recorder))
    with observed(trace_header="") as seen:
        bare = ask(observe(shop, seen.recorder))

    assert [name for name, _ in named.headers] == ["content-type", "x-request-trace"]
    assert [name for name, _ in bare.headers] == ["content-type"]


def test_parts_of_a_request_are_spans_below_it() -> None:
    def works(environ: dict[str, Any], begin: Begin) -> list[bytes]:
        with span("charge", attempt=1), span("ask the bank", kind="client"):
            pass
        return [*shop(environ, begin)]

    with observed() as seen:
        ask(observe(works, seen.recorder), traceparent=PARENT)

        by_name = {one.name: one for one in seen.spans()}

    request, charge, bank = by_name["GET /"], by_name["charge"], by_name["ask the bank"]
    assert charge.parent_span_id == request.span_id
    assert bank.parent_span_id == charge.span_id
    assert {one.trace_id for one in by_name.values()} == {request.trace_id}
    assert said(charge.attributes) == {"attempt": 1}
    assert (bank.kind, charge.kind) == (bank.SPAN_KIND_CLIENT, charge.SPAN_KIND_INTERNAL)


def test_a_part_that_fails_says_so_and_raises_on() -> None:
    def works(environ: dict[str, Any], begin: Begin) -> list[bytes]:
        with span("charge"):
            raise TimeoutError("bank")

    with observed() as seen:
        with pytest.raises(TimeoutError):
            ask(observe(works, seen.recorder))

        charge, request = seen.spans()

    assert charge.status.message == request.status.message == "TimeoutError: bank"


def test_outside_of_a_request_there_is_no_trace_and_nothing_is_told() -> None:
    with observed() as seen, span("alone") as work:
        headers = inject({"a": "b"})

        assert (work, headers, seen.spans()) == (None, {"a": "b"}, [])


def test_log_lines_carry_the_trace_and_nobody_else_hears_less(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("shop.test")
    log.setLevel(logging.DEBUG)

    def speaks(environ: dict[str, Any], begin: Begin) -> list[bytes]:
        log.debug("not told")
        log.warning("stock of %s is low", "tea")
        log.error("cannot charge", exc_info=RuntimeError("bank is away"))
        return [*shop(environ, begin)]

    with observed(log_level=logging.INFO) as seen:
        answer = ask(observe(speaks, seen.recorder))
        low, failed = seen.lines()

    assert low.body.string_value == "stock of tea is low"
    assert low.trace_id.hex() == failed.trace_id.hex() == answer.trace_id
    assert (low.severity_number, failed.severity_number) == (13, 17)
    assert said(low.attributes)["logger.name"] == "shop.test"
    assert said(failed.attributes)["exception.message"] == "bank is away"
    assert len(caplog.records) == 3


def test_a_line_whose_arguments_do_not_fit_is_left_to_logging() -> None:
    with observed(log_level=logging.INFO) as seen:
        record = logging.getLogRecordFactory()("x", 40, "f", 1, "%d apples", ("no",), None)

        assert record.msg == "%d apples"
        assert seen.lines() == []


def test_who_listens_to_log_records_is_let_go_in_the_end() -> None:
    before = logging.getLogRecordFactory()

    with observed(log_level=logging.INFO):
        during = logging.getLogRecordFactory()

    assert during != before
    assert logging.getLogRecordFactory() == before
