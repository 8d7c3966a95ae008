"""ASGI applications under observation, those of Starlette and FastAPI among them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tests.middleware import PARENT, Observed, observed, said
from watchkeeper.sdk.middleware import Asgi, current, observe, trace_calls


async def get(app: Any, path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return await client.get(path, headers=headers)


def fast() -> FastAPI:
    app = FastAPI()

    @app.get("/cart/{user}/items/{item}")
    async def item(user: int, item: str) -> dict[str, str]:
        work = current()
        return {"trace": work.trace_id if work else ""}

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("out of stock")

    return app


async def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


STARLETTE = Starlette(
    routes=[
        Route("/users/{name}", plain),
        Mount("/admin/{team}", routes=[Route("/log/{day}", plain)]),
    ]
)


async def test_a_request_is_a_span_of_the_route_that_matched() -> None:
    with observed() as seen:
        response = await get(observe(fast(), seen.recorder), "/cart/7/items/tea")

        one = seen.span()

    assert one.name == "GET /cart/{user}/items/{item}"
    assert response.json() == {"trace": one.trace_id.hex()}
    assert response.headers["x-trace-id"] == one.trace_id.hex()


async def test_a_trace_is_taken_from_who_called() -> None:
    with observed() as seen:
        app = observe(fast(), seen.recorder)
        await get(app, "/cart/7/items/a", traceparent=PARENT, tracestate="vendor=1")

        one = seen.span()

    assert one.trace_id.hex() == PARENT[3:35]
    assert one.parent_span_id.hex() == PARENT[36:52]
    assert one.trace_state == "vendor=1"


async def test_an_exception_is_told_with_its_stack() -> None:
    with observed() as seen:
        response = await get(observe(fast(), seen.recorder), "/boom")

        one = seen.span()

    assert response.status_code == 500
    assert one.status.message == "ValueError: out of stock"
    assert "out of stock" in said(one.events[0].attributes)["exception.stacktrace"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/users/ann", "GET /users/{name}"),
        ("/admin/blue/log/monday", "GET /admin/{team}/log/{day}"),
        ("/nowhere", "GET"),
    ],
)
async def test_what_a_router_leaves_names_the_operation(path: str, name: str) -> None:
    with observed() as seen:
        await get(observe(STARLETTE, seen.recorder), path)

        assert seen.span().name == name


async def test_what_is_no_request_passes_untouched() -> None:
    met: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        met.append((scope, receive, send))

    with observed() as seen:
        given: Any = ({"type": "lifespan"}, object(), object())
        await Asgi(app, seen.recorder)(*given)

        assert met == [given]
        assert seen.spans() == []


async def test_who_goes_away_before_the_answer_is_no_failure_of_the_server() -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    with observed() as seen:
        task = asyncio.create_task(_asked(waits, seen))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        one = seen.span()

    assert said(one.attributes)["http.response.status_code"] == 499
    assert one.status.code == one.status.STATUS_CODE_UNSET


async def test_requests_that_overlap_keep_their_own_traces() -> None:
    with observed() as seen:
        app = observe(fast(), seen.recorder)
        answers = await asyncio.gather(*(get(app, f"/cart/{n}/items/a") for n in range(5)))

    told = [one.json()["trace"] for one in answers]
    assert told == [one.headers["x-trace-id"] for one in answers]
    assert len(set(told)) == 5


async def test_hooks_hear_of_requests_and_break_none() -> None:
    heard: list[int] = []

    def before(exchange: Any) -> None:
        raise RuntimeError(exchange.path)

    with observed() as seen:
        app = observe(
            fast(), seen.recorder, before=[before], after=[lambda e: heard.append(e.status)]
        )
        response = await get(app, "/cart/7/items/a")

    assert response.status_code == 200
    assert heard == [200]


async def test_calls_that_are_traced_name_the_span_below_which_the_callee_stands() -> None:
    with observed() as called, observed() as calling:
        callee = observe(fast(), called.recorder)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            response = await get(callee, "/boom")
            await PlainTextResponse(str(response.status_code))(scope, receive, send)

        undo = trace_calls(httpx)
        try:
            await _asked(app, calling)
        finally:
            undo()
        call, request = calling.spans()
        answer = called.span()

    assert answer.trace_id == call.trace_id == request.trace_id
    assert answer.parent_span_id == call.span_id
    assert call.parent_span_id == request.span_id
    assert call.kind == call.SPAN_KIND_CLIENT
    assert said(call.attributes) == {
        "http.request.method": "GET",
        "server.address": "shop",
        "http.response.status_code": 500,
        "error.type": "500",
    }
    assert call.status.code == call.status.STATUS_CODE_ERROR


async def _asked(app: Any, seen: Observed) -> None:
    """One request to an application of no framework."""

    async def nothing(*_: Any) -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/a", "headers": []}
    await Asgi(app, seen.recorder)(scope, nothing, nothing)
