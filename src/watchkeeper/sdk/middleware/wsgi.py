"""A WSGI application, Flask's among them, whose requests are traced, timed and counted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from watchkeeper.sdk.middleware import ids, routes
from watchkeeper.sdk.middleware.exchange import Exchange, Hooks, Wrapped
from watchkeeper.sdk.middleware.recorder import Recorder
from watchkeeper.sdk.middleware.shapes import SERVER
from watchkeeper.sdk.middleware.work import CURRENT, Work

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class Wsgi(Wrapped[WsgiApp]):
    """Is a WSGI application itself."""

    def __init__(self, app: WsgiApp, recorder: Recorder, hooks: Hooks = Hooks()) -> None:  # noqa: B008
        super().__init__(app, recorder, hooks)
        _hear_of_flask()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        asked = environ.get("HTTP_TRACEPARENT")
        parent = ids.parse(asked, environ.get("HTTP_TRACESTATE", "")) if asked else None
        exchange = Exchange(self._finish, parent, SERVER)
        exchange.source, exchange.route, exchange.status = environ, "", 0
        exchange.method = environ.get("REQUEST_METHOD", "")
        exchange.path = environ.get("PATH_INFO", "")
        if self._hooks.before:
            self.recorder.run(self._hooks.before, exchange)
        header = self._header

        def begin(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            code = status[:3]
            exchange.status = int(code) if code.isdecimal() else 500
            exchange.route = routes.of_wsgi(environ, exchange.status)
            told = [*headers, (header, exchange.trace.hex())] if header else headers
            if exc_info is None:
                return start_response(status, told)
            return start_response(status, told, exc_info)

        outer = CURRENT.get()
        CURRENT.set(exchange)
        try:
            body = self.app(environ, begin)
        except BaseException as error:
            CURRENT.set(outer)
            exchange.broke(error)
            self._close(exchange)
            raise
        files = environ.get("wsgi.file_wrapper")
        if isinstance(files, type) and isinstance(body, files):
            CURRENT.set(outer)  # the server sends the file by itself, and only if it sees that
            self._close(exchange)
            return body
        return _Body(body, exchange, outer, self._close)

    def _close(self, exchange: Exchange) -> None:
        if not exchange.status:  # it never began to answer
            exchange.status = 500
            exchange.route = routes.of_wsgi(exchange.source, 500)
        self._done(exchange)


class _Body:
    """An answer's parts; the request is over when the server closes them."""

    __slots__ = ("_body", "_close", "_exchange", "_outer")

    def __init__(
        self,
        body: Iterable[bytes],
        exchange: Exchange,
        outer: Work | None,
        close: Callable[[Exchange], None],
    ) -> None:
        self._body = body
        self._exchange: Exchange | None = exchange
        self._outer = outer
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except GeneratorExit:
            raise
        except BaseException as error:
            if self._exchange is not None:
                self._exchange.broke(error)
            raise

    def close(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            CURRENT.set(self._outer)
            self._close(exchange)


def _hear_of_flask() -> None:
    """Flask answers errors by itself, so that no middleware sees them; its signal tells them."""
    flask = sys.modules.get("flask")
    if flask is not None:
        flask.got_request_exception.connect(_failed, weak=False)


def _failed(_sender: object, exception: BaseException, **_: object) -> None:
    work = CURRENT.get()
    if work is not None:
        work.fail(exception)
