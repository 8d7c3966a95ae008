"""An ASGI application, FastAPI's and Starlette's among them: traced, timed and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from watchkeeper.sdk.middleware import ids, routes
from watchkeeper.sdk.middleware.exchange import Exchange, Wrapped
from watchkeeper.sdk.middleware.shapes import SERVER
from watchkeeper.sdk.middleware.work import CURRENT, leave

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Asgi(Wrapped[AsgiApp]):
    """Is an ASGI application itself. What is no HTTP request passes through untouched."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange()
        exchange.begin(self._finish, _parent(scope["headers"]), SERVER)
        exchange.source, exchange.route, exchange.status = scope, "", 0
        exchange.method, exchange.path = scope["method"], scope["path"]
        if self._before:
            self.recorder.run(self._before, exchange)
        told = self._header.encode("latin-1")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                if told:
                    trace = (told, exchange.trace_id.encode())
                    message = {**message, "headers": [*message.get("headers", ()), trace]}
            await send(message)

        outer = CURRENT.get()
        CURRENT.set(exchange)
        try:
            await self.app(scope, receive, answer)
        except BaseException as error:
            exchange.broke(error)
            raise
        finally:
            leave(exchange, outer)
            exchange.status = exchange.status or 500
            exchange.route = routes.of_asgi(scope, exchange.status)
            self._done(exchange)


def _parent(headers: Iterable[tuple[bytes, bytes]]) -> ids.Parent | None:
    asked = state = ""
    for name, value in headers:
        if name == b"traceparent":
            asked = value.decode("latin-1")
        elif name == b"tracestate":
            state = value.decode("latin-1")
    return ids.parse(asked, state) if asked else None
