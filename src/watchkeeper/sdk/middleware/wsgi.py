"""A WSGI application, Flask's among them, whose requests are traced, timed and counted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from watchkeeper.sdk.middleware import ids, routes
from watchkeeper.sdk.middleware.exchange import Exchange, Hooks, Wrapped
from watchkeeper.sdk.middleware.recorder import Recorder
from watchkeeper.sdk.middleware.shapes import SERVER
from watchkeeper.sdk.middleware.work import CURRENT, Work, leave

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class Request(Exchange):
    """Begins to answer in the application's place: with its trace in a header."""

    __slots__ = ("header", "respond")

    header: str
    respond: StartResponse

    def answer(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status = _code(status)
        self.route = routes.of_wsgi(self.source, self.status)
        if self.header:
            headers = [*headers, (self.header, self.ids[:16].hex())]
        if exc_info is None:
            return self.respond(status, headers)
        return self.respond(status, headers, exc_info)

    def never_answered(self) -> None:
        self.status = 500
        self.route = routes.of_wsgi(self.source, 500)


class Wsgi(Wrapped[WsgiApp]):
    """Is a WSGI application itself."""

    def __init__(self, app: WsgiApp, recorder: Recorder, hooks: Hooks = Hooks()) -> None:  # noqa: B008
        super().__init__(app, recorder, hooks)
        _hear_of_flask()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        asked = environ.get("HTTP_TRACEPARENT")
        parent = ids.parse(asked, environ.get("HTTP_TRACESTATE", "")) if asked else None
        request = Request()
        request.begin(self._finish, parent, SERVER)
        request.source, request.route, request.status = environ, "", 0
        request.header, request.respond = self._header, start_response
        request.method = environ.get("REQUEST_METHOD", "")
        request.path = environ.get("PATH_INFO", "")
        if self._before:
            self.recorder.run(self._before, request)
        outer = CURRENT.get()
        CURRENT.set(request)
        try:
            body = self.app(environ, request.answer)
        except BaseException as error:
            leave(request, outer)
            request.broke(error)
            if not request.status:
                request.never_answered()
            self._done(request)
            raise
        if type(body) is environ.get("wsgi.file_wrapper"):
            leave(request, outer)  # the server sends the file by itself, and only if it sees that
            if not request.status:
                request.never_answered()
            self._done(request)
            return body
        answer = self._parts(body, request, outer)
        next(answer)
        return answer

    def _parts(
        self, body: Iterable[bytes], request: Request, outer: Work | None
    ) -> Iterator[bytes]:
        """Of the answer. The request is over after the last, or when the server closes them.

        It is begun before the server has it: only then is its end run whatever the server does.
        """
        try:
            yield b""
            for part in body:  # noqa: UP028 - `yield from` closes the body too, so that twice
                yield part
        except Exception as error:
            request.broke(error)
            raise
        finally:
            try:
                if hasattr(body, "close"):
                    body.close()
            finally:
                leave(request, outer)
                if not request.status:
                    request.never_answered()
                self._done(request)


@lru_cache(maxsize=256)
def _code(status: str) -> int:
    code = status[:3]
    return int(code) if code.isdecimal() else 500


def _hear_of_flask() -> None:
    """Flask answers errors by itself, so that no middleware sees them; its signal tells them."""
    flask = sys.modules.get("flask")
    if flask is not None:
        flask.got_request_exception.connect(_failed, weak=False)


def _failed(_sender: object, exception: BaseException, **_: object) -> None:
    work = CURRENT.get()
    if work is not None:
        work.fail(exception)
