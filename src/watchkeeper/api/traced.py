"""Our own requests as traces: in front of everything else that answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from watchkeeper.api.door_table import route_of
from watchkeeper.api.doors import Receive, Scope, Send
from watchkeeper.telemetry import OwnSpan, Tracer

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_UNTRACED: Final = frozenset({"/health", "/metrics"})
"""Asked again and again by machines, and no news."""


class Traced:
    """ASGI: serves as `app` does, and says how long that took."""

    def __init__(self, app: Asgi, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        with self._tracer.request(_traceparent(scope)) as root:

            async def sent(message: Mapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    _answered(root, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, sent)
            finally:
                _name(root, scope)


def _traceparent(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return str(value.decode("latin-1"))
    return ""


def _answered(root: OwnSpan, status: int) -> None:
    root.attributes["http.response.status_code"] = str(status)
    if status >= 500:
        root.error = f"answered {status}"


def _name(root: OwnSpan, scope: Scope) -> None:
    """By its route and never by its path, which may hold an id."""
    path = scope["path"]
    route = route_of(path) or getattr(scope.get("route"), "path", "")
    root.name = f"{scope['method']} {route}".strip()
    root.attributes["http.request.method"] = scope["method"]
    if route:
        root.attributes["http.route"] = route
